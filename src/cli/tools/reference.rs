//! What is generated from the command line's definition: completions and man pages.

use std::{io, path::PathBuf};

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::{Cli, Name};

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(latchkey completions bash)
  latchkey completions fish > ~/.config/fish/completions/latchkey.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  latchkey man ~/.local/share/man/man1
  latchkey man /tmp && man /tmp/latchkey-mount.1";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Shell
    #[arg(value_enum)]
    pub(crate) shell: ShellName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ShellName {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Folder for the pages; it is created if it does not exist
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

/// The script that completes `latchkey` in a shell.
pub(crate) fn completions(shell: ShellName) -> Vec<u8> {
    let shell = match shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), Name::Latchkey.as_str(), &mut script);
    script
}

/// The man pages, of the program and of each command, with the names of their files.
///
/// # Errors
/// Those of writing into memory.
pub(crate) fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Name::Latchkey.of(Cli::command()).disable_help_subcommand(true);
    program.build();
    let commands = program.get_subcommands().cloned().collect::<Vec<_>>();
    let mut pages = Vec::new();
    for command in std::iter::once(program).chain(commands) {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        pages.push((format!("{name}.1"), page));
    }
    Ok(pages)
}
