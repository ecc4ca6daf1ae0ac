//! What the agent never needs of the static C library and of Rust's, so that it is not carried to every target.
//!
//! The library's start and its threads refer to these functions, and through them to its translations,
//! character sets, formatted input and output, and name server look-ups: about a fifth of a megabyte.
//! Rust uses none of that. Rust's own library reads debug information for backtraces. A definition of the program comes before those of the library; `build.rs`
//! lets the linker take the first of two, in case a library keeps one beside something that is used.

#![expect(
    unsafe_code,
    reason = "the names are the C library's; the functions themselves do nothing unsafe"
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

/// Walks the callers of a function, for the backtrace of a panic. Without tables for unwinding there is
/// nothing to walk, and the symbols are stripped; but it would keep what reads debug information, to name
/// what was found: a sixteenth of the program. The answer says that there are no callers.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_callback: *const c_void, _argument: *mut c_void) -> c_int {
    const END_OF_STACK: c_int = 5;
    END_OF_STACK
}
