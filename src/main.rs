//! The entry point: parses the arguments, runs the command, and reports a failure.

use std::process::ExitCode;

use latchkey::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::from_args()) {
        Ok(code) => code,
        Err(error) => {
            commands::report(&error);
            ExitCode::FAILURE
        }
    }
}
