//! Tables of the command line's options, as clap knows them.

use clap::{Arg, ArgAction, Command, CommandFactory};
use latchkey::cli::Cli;

use crate::markdown::{cell, code};

/// The flags of `serve`: a table for each heading of its `--help`.
pub(crate) fn of_serve() -> String {
    let mut text = String::new();
    let mut heading = String::new();
    for arg in arguments(&command("serve")) {
        let Some(name) = arg.get_long() else { continue };
        let its = arg.get_help_heading().expect("each flag of serve has a heading");
        if its != heading {
            its.clone_into(&mut heading);
            text.push_str(&format!(
                "\n## {heading}\n\n| Flag | Variable | Default | Meaning |\n|---|---|---|---|\n"
            ));
        }
        let variable = format!("LATCHKEY_{}", name.replace('-', "_").to_uppercase());
        let (default, meaning) = default_and_meaning(&arg);
        text.push_str(&format!("| `--{name}` | `{variable}` | {default} | {meaning} |\n"));
    }
    text.trim_start().to_owned()
}

/// The other commands that have options or arguments.
pub(crate) fn commands() -> Vec<String> {
    let mut cli = Cli::command();
    cli.build();
    let others = cli.get_subcommands().filter(|command| !matches!(command.get_name(), "serve" | "help"));
    let with_options = others.filter(|command| !arguments(command).is_empty());
    with_options.map(|command| command.get_name().to_owned()).collect()
}

/// The options of another command, in one table.
pub(crate) fn of(name: &str) -> String {
    let mut text = "| Option | Default | Meaning |\n|---|---|---|\n".to_owned();
    for arg in arguments(&command(name)) {
        let value = arg.get_value_names().unwrap_or_default().join(" ");
        let option = match arg.get_long() {
            Some(long) if takes_value(&arg) => format!("{}`--{long} {value}`", short(&arg)),
            Some(long) => format!("{}`--{long}`", short(&arg)),
            None => format!("`{value}`"),
        };
        let (default, meaning) = default_and_meaning(&arg);
        text.push_str(&format!("| {option} | {default} | {meaning} |\n"));
    }
    text
}

fn command(name: &str) -> Command {
    let mut cli = Cli::command();
    cli.build();
    cli.find_subcommand(name).unwrap_or_else(|| panic!("there is no command {name}")).clone()
}

fn arguments(command: &Command) -> Vec<Arg> {
    command.get_arguments().filter(|arg| arg.get_id() != "help").cloned().collect()
}

fn short(arg: &Arg) -> String {
    arg.get_short().map_or_else(String::new, |short| format!("`-{short}`, "))
}

fn takes_value(arg: &Arg) -> bool {
    !matches!(arg.get_action(), ArgAction::SetTrue)
}

/// The default, which stands at the end of the help where clap does not know it.
fn default_and_meaning(arg: &Arg) -> (String, String) {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let (help, stated) = match help.split_once(" [default: ") {
        Some((help, default)) => (help.to_owned(), default.strip_suffix(']').map(str::to_owned)),
        None => (help, None),
    };
    let known: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = match stated {
        Some(stated) => cell(&stated),
        None if takes_value(arg) && !known.is_empty() => code(&known.join(",")),
        None if arg.is_required_set() => "required".to_owned(),
        None => String::new(),
    };
    (default, format!("{}{}", cell(&help), choices(arg)))
}

/// What an option accepts, where that is a list.
fn choices(arg: &Arg) -> String {
    if !takes_value(arg) {
        return String::new();
    }
    let values = arg.get_possible_values();
    let choices: Vec<String> = values
        .iter()
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({})", value.get_name(), cell(&help.to_string())),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    if choices.is_empty() { String::new() } else { format!(". One of {}", choices.join(", ")) }
}
