/* The program of the example image: prints its version, and greets whom it is told to.
 *
 * It is the only file of its image, so it brings its own start and system calls and needs neither
 * a C library nor a shell:
 *
 *     $ demo
 *     demo 1.0.0
 *     $ demo Setonix
 *     hello Setonix, this is demo 1.0.0
 */

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");

static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
enum { WRITE = 1, EXIT = 60 };
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl begin\n");

static long call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
enum { WRITE = 64, EXIT = 93 };
#else
#error "no system calls for this architecture"
#endif

/* Writes all of a text, however little the pipe takes at once. */
static void print(const char *text) {
    long length = 0;
    while (text[length])
        length++;
    while (length > 0) {
        long written = call(WRITE, 1, (long)text, length);
        if (written <= 0)
            call(EXIT, 1, 0, 0);
        text += written;
        length -= written;
    }
}

/* The kernel leaves the number of arguments and the arguments themselves on the stack. */
__attribute__((used)) static void begin(long *stack) {
    long count = stack[0];
    char **arguments = (char **)(stack + 1);
    if (count < 2) {
        print("demo " VERSION "\n");
    } else {
        print("hello");
        for (long i = 1; i < count; i++) {
            print(" ");
            print(arguments[i]);
        }
        print(", this is demo " VERSION "\n");
    }
    call(EXIT, 0, 0, 0);
    __builtin_unreachable();
}
