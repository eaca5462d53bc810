//! Completions for `kubectl latchkey`. kubectl runs `kubectl_complete-latchkey WORD…`, reads a
//! suggestion from each line, and on the last line, after a colon, what else to complete.

use std::{ffi::OsString, io::Write, path::Path};

use clap::{Arg, Command};

/// kubectl's word for "complete files too".
const FILES_TOO: &str = ":0";
/// kubectl's word for "nothing but these".
const NOTHING_ELSE: &str = ":4";

/// The words to complete, if kubectl asks.
pub(crate) fn asked_by_kubectl(args: &[OsString]) -> Option<Vec<String>> {
    let file = Path::new(args.first()?).file_stem()?;
    let words = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    (file == "kubectl_complete-latchkey").then_some(words)
}

/// Prints the suggestions, and ends the process.
pub(crate) fn answer(command: Command, words: &[String]) -> ! {
    // If kubectl is gone, nobody can read them.
    let _ = std::io::stdout().write_all(suggestions(command, words).as_bytes());
    std::process::exit(0)
}

/// Suggestions for the last of `words`.
fn suggestions(mut command: Command, words: &[String]) -> String {
    command.build();
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let found = before.iter().find_map(|word| command.find_subcommand(word));
    let Some(found) = found else {
        let names = command.get_subcommands().filter(|command| !command.is_hide_set());
        let names = names.map(|command| (command.get_name().to_owned(), command.get_about()));
        return lines(names.map(|(name, about)| (name, about.map(ToString::to_string))), last, NOTHING_ELSE);
    };
    if let Some((flag, _)) = last.split_once('=')
        && let Some(arg) = flag_named(found, flag)
    {
        return values(arg, &format!("{flag}="), last);
    }
    if let Some(arg) = before.last().and_then(|flag| flag_named(found, flag))
        && arg.get_action().takes_values()
    {
        return values(arg, "", last);
    }
    if last.starts_with('-') {
        let flags = found.get_arguments().filter(|arg| !arg.is_hide_set());
        let flags = flags.filter_map(|arg| Some((format!("--{}", arg.get_long()?), help(arg))));
        return lines(flags, last, NOTHING_ELSE);
    }
    found.get_positionals().next().map_or_else(|| lines([], last, NOTHING_ELSE), |arg| values(arg, "", last))
}

fn flag_named<'a>(command: &'a Command, flag: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        let long = arg.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long));
        long || arg.get_short().is_some_and(|short| flag == format!("-{short}"))
    })
}

fn values(arg: &Arg, prefix: &str, last: &str) -> String {
    let values = arg.get_possible_values();
    let ending = if values.is_empty() { FILES_TOO } else { NOTHING_ELSE };
    let values = values.iter().filter(|value| !value.is_hide_set());
    let values = values
        .map(|value| (format!("{prefix}{}", value.get_name()), value.get_help().map(ToString::to_string)));
    lines(values, last, ending)
}

fn help(arg: &Arg) -> Option<String> {
    arg.get_help().map(ToString::to_string)
}

/// A suggestion a line, each with its description after a tab.
fn lines(
    suggestions: impl IntoIterator<Item = (String, Option<String>)>,
    last: &str,
    ending: &str,
) -> String {
    let mut text = String::new();
    for (suggestion, about) in suggestions {
        if suggestion.starts_with(last) {
            let about = about.as_deref().and_then(|about| about.lines().next()).unwrap_or_default();
            text.push_str(&suggestion);
            if !about.is_empty() {
                text.push('\t');
                text.push_str(about);
            }
            text.push('\n');
        }
    }
    text + ending + "\n"
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::{Cli, Name};

    fn suggested(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        suggestions(Name::Plugin.of(Cli::command()), &words)
    }

    #[test]
    fn commands_flags_and_values_are_suggested() {
        let commands = suggested(&["mo"]);
        assert!(commands.starts_with("mount\tRead the objects"), "{commands}");
        assert!(commands.ends_with("\n:4\n"), "{commands}");
        assert!(suggested(&["mount", "--cl"]).starts_with("--class\t"));
        assert_eq!(suggested(&["status", "--output", "js"]), "json\tOne JSON document\n:4\n");
        assert!(suggested(&["status", "--output=t"]).starts_with("--output=text\t"));
        assert_eq!(suggested(&["mount", ""]), ":0\n");
        assert_eq!(suggested(&["completions", "b"]), "bash\n:4\n");
    }
}
