//! The entry point: parses the arguments, runs the command, and reports a failure.

use std::process::ExitCode;

use latchkey::{cli::Cli, commands};

fn main() -> ExitCode {
    let cli = Cli::from_args();
    let (name, failure) = (cli.name, cli.failure());
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            commands::report(name, &error);
            ExitCode::from(failure)
        }
    }
}
