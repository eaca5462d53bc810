//! `latchkey completions` and `latchkey man`.

use std::process::ExitCode;

use anyhow::Context;

use super::output::print;
use crate::cli::tools::reference::{self, CompletionsArgs, ManArgs};

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    print(reference::completions(args.shell))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, page) in reference::man_pages()? {
        let path = folder.join(name);
        std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
        print(format!("{}\n", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
