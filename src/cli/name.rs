//! The names of the program, `latchkey` and `kubectl latchkey`, and what each accepts.

use std::{ffi::OsString, path::Path};

use clap::{Arg, ArgAction};

/// What the user called the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Name {
    #[default]
    Latchkey,
    /// kubectl runs the program `kubectl-latchkey` for `kubectl latchkey`.
    Plugin,
}

impl Name {
    /// The name that `program`, the first argument of the process, stands for.
    pub(crate) fn of_program(program: Option<&OsString>) -> Self {
        let file = program.and_then(|program| Path::new(program).file_stem());
        if file.is_some_and(|file| file == "kubectl-latchkey") { Self::Plugin } else { Self::Latchkey }
    }

    /// As the user types it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Latchkey => "latchkey",
            Self::Plugin => "kubectl latchkey",
        }
    }

    /// The command line under this name.
    pub(crate) fn of(self, command: clap::Command) -> clap::Command {
        let command = command.bin_name(self.as_str()).mut_subcommands(with_short_help);
        match self {
            Self::Latchkey => command.override_usage("latchkey [COMMAND] [OPTIONS]"),
            // Nobody runs the provider of a node through kubectl.
            Self::Plugin => command
                .override_usage("kubectl latchkey COMMAND [OPTIONS]")
                .mut_subcommand("serve", |serve| serve.hide(true))
                .mut_subcommands(with_kubectl_in_examples),
        }
    }

    /// `latchkey` without a subcommand is `latchkey serve`, so that manifests of AWS's own
    /// provider work unchanged. `kubectl latchkey` alone prints its help.
    pub(crate) fn default_command(self, args: Vec<OsString>) -> Vec<OsString> {
        let mut args = args.into_iter();
        let mut taken: Vec<OsString> = args.next().into_iter().collect();
        let rest: Vec<OsString> = args.collect();
        let first = rest.first().and_then(|first| first.to_str()).unwrap_or_default();
        let is_flag = first.is_empty() || first.starts_with('-');
        let serves = match self {
            Self::Latchkey => is_flag && !matches!(first, "-h" | "--help" | "-V" | "--version"),
            Self::Plugin => false,
        };
        match self {
            Self::Plugin if rest.is_empty() => taken.push("--help".into()),
            _ if serves => taken.push("serve".into()),
            _ => {}
        }
        if serves || first == "serve" {
            taken.extend(rest.into_iter().map(with_two_dashes));
        } else {
            taken.extend(rest);
        }
        taken
    }
}

/// `--help` is as short as `-h`, so that it fits one screen. The flags of `serve` and
/// `bench` need more.
fn with_short_help(command: clap::Command) -> clap::Command {
    if matches!(command.get_name(), "serve" | "bench") {
        return command;
    }
    let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print help");
    command.disable_help_flag(true).arg(help)
}

fn with_kubectl_in_examples(command: clap::Command) -> clap::Command {
    let Some(examples) = command.get_after_help().map(ToString::to_string) else { return command };
    let word = |word: &str| match word {
        "latchkey" | "<(latchkey" => word.replace("latchkey", "kubectl latchkey"),
        _ => word.to_owned(),
    };
    command.after_help(examples.split(' ').map(word).collect::<Vec<_>>().join(" "))
}

/// Accepts single-dash flags as Go's flag package does. Only `serve` has them: the other
/// commands have kubectl's short flags, such as `-nshop`.
fn with_two_dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(args: &[&str]) -> Vec<String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let taken = Name::of_program(args.first()).default_command(args);
        taken.into_iter().skip(1).map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn only_serve_takes_flags_with_one_dash() {
        for (args, taken) in [
            (&["latchkey", "-qps=5"][..], &["serve", "--qps=5"][..]),
            (&["latchkey", "serve", "-qps=5", "-h"], &["serve", "--qps=5", "-h"]),
            (&["latchkey"], &["serve"]),
            (&["latchkey", "check", "-nshop", "-ojson"], &["check", "-nshop", "-ojson"]),
            (&["/bin/kubectl-latchkey", "check", "-nshop"], &["check", "-nshop"]),
            (&["kubectl-latchkey", "-nshop"], &["-nshop"]),
            (&["kubectl-latchkey"], &["--help"]),
        ] {
            assert_eq!(arguments(args), taken, "{args:?}");
        }
    }
}
