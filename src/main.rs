//! The program: hands its arguments to the library and exits with what comes back.

use std::process::ExitCode;

fn main() -> ExitCode {
    rplay::cli::main(std::env::args_os())
}
