//! The bundled service as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    target_service::main_with(std::env::args_os())
}
