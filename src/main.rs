//! The command: reads the arguments, starts, and says why it failed.

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
