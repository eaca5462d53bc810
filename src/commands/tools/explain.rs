//! `latchkey explain`.

use std::process::ExitCode;

use anyhow::bail;

use super::output::print;
use crate::{
    cli::tools::explain::{ExplainArgs, ExplainForm},
    explain::{entries, find, json, overview, text},
};

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let all = entries();
    let explained = match &args.name {
        None if args.output == ExplainForm::Text => {
            print(overview(&all))?;
            return Ok(ExitCode::SUCCESS);
        }
        None => all,
        Some(name) => match find(&all, name) {
            Ok(found) => found,
            Err(near) if near.is_empty() => {
                bail!("nothing is called {name:?}; `latchkey explain` lists every name")
            }
            Err(near) => bail!("nothing is called {name:?}; did you mean {}?", near.join(", ")),
        },
    };
    print(match args.output {
        ExplainForm::Text => text(&explained),
        ExplainForm::Json => json(&explained),
    })?;
    Ok(ExitCode::SUCCESS)
}
