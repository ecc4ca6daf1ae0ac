//! What the agent never needs of the static C library and of Rust's, so that it is not carried to every
//! target.
//!
//! The C library's start, its threads and its memory refer to these functions, and through them to
//! translations, locales, character sets, formatted input and output, loading of libraries, unwinding,
//! and name server look-ups: about a third of a megabyte. Rust uses none of that; what Rust's own library
//! would have for nothing reads debug information. A definition of the program comes before those of the
//! libraries; `build.rs` lets the linker take the first of two, in case a library keeps one beside
//! something that is used. Whoever has another version of the C library has the same functions under
//! these names, or builds a larger agent.

#![expect(
    unsafe_code,
    reason = "the names are those of libraries; the functions themselves do nothing unsafe"
)]

use std::ffi::{c_char, c_int, c_uint, c_void};

/// Where a thread's stack ends. Rust asks so that it can say that a stack has overflowed; without an
/// answer the kernel ends the program just the same. The library's own reads `/proc` with `sscanf`.
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(_thread: usize, _attributes: *mut c_void) -> c_int {
    rustix::io::Errno::NOSYS.raw_os_error()
}

/// A message in the user's language. The agent speaks English, so that the controller understands it.
#[unsafe(no_mangle)]
extern "C" fn __dcgettext(
    _domain: *const c_char,
    message: *const c_char,
    _category: c_int,
) -> *const c_char {
    message
}

/// Says that the library found a mistake of its own; the program cannot go on.
#[unsafe(no_mangle)]
extern "C" fn __assert_fail(
    _what: *const c_char,
    _file: *const c_char,
    _line: c_uint,
    _function: *const c_char,
) -> ! {
    std::process::abort()
}

/// Makes ready to ask name servers, which is `getent`'s work here.
#[unsafe(no_mangle)]
extern "C" fn __res_vinit(_state: *mut c_void, _first: c_int) -> c_int {
    -1
}

/// Ends what `__res_vinit` began.
#[unsafe(no_mangle)]
extern "C" fn __res_iclose(_state: *mut c_void, _free: bool) {}

/// Formatted output, which the library's memory, threads and messages refer to for what nobody asks of
/// them, and through it to floating-point numbers, wide characters and their conversions.
#[unsafe(no_mangle)]
extern "C" fn __vfprintf_internal(
    _stream: *mut c_void,
    _format: *const c_char,
    _arguments: *mut c_void,
    _mode: c_uint,
) -> c_int {
    -1
}

/// The same in newer libraries, where all ways to format end here.
#[unsafe(no_mangle)]
extern "C" fn __printf_buffer(
    _buffer: *mut c_void,
    _format: *const c_char,
    _arguments: *mut c_void,
    _mode: c_uint,
) {
}

/// Writes the library's own complaints, in older libraries.
#[unsafe(no_mangle)]
extern "C" fn __fxprintf(_stream: *mut c_void, _format: *const c_char) -> c_int {
    -1
}

/// Finds how a locale's character set is written, for streams of wide characters. There are no such streams,
/// but every stream has room for them; behind it are all character sets and the loading of more.
#[unsafe(no_mangle)]
extern "C" fn __wcsmbs_load_conv(_locale: *mut c_void) {}

/// The same for a character set by its name; 1 says that there is none.
#[unsafe(no_mangle)]
extern "C" fn __wcsmbs_named_conv(_functions: *mut c_void, _name: *const c_char) -> c_int {
    1
}

/// The same for the character set of the locale in use.
#[unsafe(no_mangle)]
extern "C" fn __wcsmbs_clone_conv(_functions: *mut c_void) {}

/// Frees what `__wcsmbs_load_conv` found.
#[unsafe(no_mangle)]
extern "C" fn _nl_cleanup_ctype(_locale: *mut c_void) {}

/// The character set of the locale `C`: two conversions and how many steps each has.
#[unsafe(no_mangle)]
static __wcsmbs_gconv_fcts_c: [usize; 4] = [0; 4];

/// Finds a function by name. Rust asks for those that not all libraries have; a static program has no names
/// to find, and without an answer Rust goes on without the function.
#[unsafe(no_mangle)]
extern "C" fn dlsym(_handle: *mut c_void, _name: *const c_char) -> *mut c_void {
    std::ptr::null_mut()
}

/// Walks the callers of a function, for the backtrace of a panic. Without tables for unwinding there is
/// nothing to walk, and the symbols are stripped; but it would keep what reads debug information, to name
/// what was found: a sixteenth of the program. The answer says that there are no callers.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_callback: *const c_void, _argument: *mut c_void) -> c_int {
    const END_OF_STACK: c_int = 5;
    END_OF_STACK
}

/// Functions that nothing can call, of whatever type.
macro_rules! never {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            std::process::abort()
        }
    )*};
}

// Unwinding, which a panic would begin, a thread that is cancelled, or one that ends itself in C. Without
// its tables (see `build.rs`) it finds nothing.
never! {
    _Unwind_ForcedUnwind
    _Unwind_GetCFA
    _Unwind_GetDataRelBase
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
    __gcc_personality_v0
}
