//! What every command for people has in common. The commands and their options are read
//! from the command line's definition, so that a new command is held to the same.

#![cfg(feature = "tools")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use clap::{Arg, CommandFactory};
use latchkey::cli::Cli;

use crate::harness::{assert_contains, assert_lacks};

/// `serve` has a flag for everything, as has `bench`; `demo` has none.
const NOT_FOR_EVERY_DAY: [&str; 5] = ["serve", "demo", "emulator", "bench", "help"];
/// Columns and lines of a screen.
const SCREEN: (usize, usize) = (100, 40);
/// Commands that fail with 1, because they report no findings.
const FAIL_WITH_ONE: [&str; 2] = ["mount", "status"];

fn commands() -> Vec<clap::Command> {
    let mut cli = Cli::command();
    cli.build();
    let commands = cli.get_subcommands();
    commands.filter(|command| !NOT_FOR_EVERY_DAY.contains(&command.get_name())).cloned().collect()
}

/// The program, far from any cluster and without AWS credentials.
fn latchkey() -> Command {
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().env("COLUMNS", SCREEN.0.to_string()).env("HOME", "/nonexistent");
    latchkey.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_REGION", "us-east-1");
    latchkey.stdin(Stdio::null());
    latchkey
}

fn run(args: &[&str]) -> Output {
    latchkey().args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("messages are UTF-8")
}

/// Whether the command reads manifests.
fn reads_files(command: &clap::Command) -> bool {
    command.get_positionals().any(|arg| arg.get_value_names().is_some_and(|names| names[0] == "FILE"))
}

fn has(command: &clap::Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(flag))
}

/// One sentence that says what is wrong, and the exit code for it.
fn assert_refused(command: &str, output: &Output, says: &str) {
    let err = stderr(output);
    let code = if FAIL_WITH_ONE.contains(&command) { 1 } else { 2 };
    assert_eq!(output.status.code(), Some(code), "{command}: {err}");
    let told: Vec<&str> = err.lines().filter(|line| !line.starts_with("warning: ")).collect();
    assert_eq!(told.len(), 1, "{command}: {err}");
    assert!(told[0].starts_with("latchkey: "), "{command}: {err}");
    assert_contains(&err, says);
    for noise in ["panicked", "backtrace", "Error {", "Custom {", "Os {"] {
        assert_lacks(&err, noise);
    }
}

#[test]
fn help_fits_one_screen_and_ends_with_two_examples() {
    for command in commands() {
        let name = command.get_name();
        let output = run(&[name, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{name}");
        assert!(help.lines().count() <= SCREEN.1, "{name}: {} lines\n{help}", help.lines().count());
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(SCREEN.0), "{name}: {widest:?} columns\n{help}");
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| {
            panic!("{name}: the help lacks `Examples:` (#[command(after_help = …)])\n{help}")
        });
        let examples: Vec<&str> = examples.lines().filter(|line| line.contains("latchkey ")).collect();
        assert!(examples.len() >= 2, "{name}: two examples, please\n{help}");
        // Each example runs this command.
        assert!(examples.iter().all(|line| line.contains(&format!("latchkey {name}"))), "{name}\n{help}");
    }
}

#[test]
fn a_misspelt_flag_gets_the_near_one() {
    for command in commands() {
        for flag in command.get_arguments().filter_map(Arg::get_long).filter(|flag| flag.len() > 5) {
            let (first, rest) = flag.split_at(1);
            let misspelt = format!("--{first}{}", &rest[1..]);
            let output = run(&[command.get_name(), &misspelt]);
            assert_eq!(output.status.code(), Some(2), "{misspelt}");
            assert_contains(&stderr(&output), &format!("--{flag}"));
        }
    }
}

#[test]
fn a_misspelt_value_gets_those_that_there_are() {
    for command in commands() {
        for arg in command.get_arguments().filter(|arg| arg.get_long().is_some_and(|flag| flag != "help")) {
            let (flag, values) = (arg.get_long().unwrap(), arg.get_possible_values());
            let Some(value) = values.iter().find(|value| value.get_name().len() > 3) else { continue };
            if !arg.get_action().takes_values() {
                continue;
            }
            let misspelt = &value.get_name()[1..];
            let output = run(&[command.get_name(), &format!("--{flag}={misspelt}")]);
            assert_eq!(output.status.code(), Some(2), "{flag}={misspelt}");
            let err = stderr(&output);
            assert!(values.iter().all(|value| err.contains(value.get_name())), "{err}");
            assert_contains(&err, &format!("'{}'", value.get_name()));
        }
    }
}

#[test]
fn a_misspelt_command_gets_the_near_one() {
    for command in commands() {
        let name = command.get_name();
        let output = run(&[&format!("{name}x")]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_contains(&stderr(&output), &format!("'{name}'"));
    }
}

#[test]
fn manifests_that_cannot_be_read_are_named_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let missing = folder.path().join("missing.yaml").into_os_string().into_string().unwrap();
    let latin = file("latin.yaml", b"kind: SecretProviderClass # caf\xe9\n");
    let empty = empty.into_os_string().into_string().unwrap();
    for command in commands().iter().filter(|command| reads_files(command)) {
        let name = command.get_name();
        for (path, says) in [
            (&missing, "missing.yaml"),
            (&latin, "is not UTF-8 text (byte 31)"),
            (&empty, "contains no .yaml"),
        ] {
            assert_refused(name, &run(&[name, path]), says);
        }
        assert_refused(name, &run(&[name, "-"]), "standard input");
    }
}

#[test]
fn without_a_kubeconfig_the_cluster_is_asked_for_in_one_sentence() {
    for command in commands().iter().filter(|command| has(command, "context")) {
        let name = command.get_name();
        assert_refused(name, &run(&[name]), "kubeconfig");
        let missing = ["--kubeconfig=/nonexistent/config"];
        assert_refused(name, &run(&[name, missing[0]]), "/nonexistent/config");
    }
}

#[test]
fn kubectls_short_flags_reach_every_command() {
    for command in commands().iter().filter(|command| has(command, "context")) {
        let name = command.get_name();
        for habit in
            [&["-nshop"][..], &["-n", "shop"], &["-A"], &["-A", "-ojson"], &["-n=shop", "--output=json"]]
        {
            let habit = [&[name, "--kubeconfig=/nonexistent/config", "--context=x"], habit].concat();
            assert_refused(name, &run(&habit), "/nonexistent/config");
        }
    }
}

/// Arguments with which a command prints something.
fn that_prints(command: &clap::Command, folder: &Path) -> Vec<String> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/secretproviderclass-irsa.yaml");
    let value = |arg: &Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        match (arg.get_possible_values().first(), names.first().map(|name| name.as_str())) {
            (Some(value), _) => Some(value.get_name().to_owned()),
            (None, Some("FILE")) => Some(examples.display().to_string()),
            (None, Some("FOLDER")) => Some(folder.display().to_string()),
            (None, _) => None,
        }
    };
    command.get_positionals().filter_map(value).collect()
}

#[test]
fn a_closed_pipe_ends_quietly_with_the_same_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    for command in commands() {
        let name = command.get_name();
        let arguments = that_prints(&command, folder.path());
        for arguments in [vec!["--help".to_owned()], arguments] {
            let undisturbed = latchkey().arg(name).args(&arguments).output().unwrap();
            let mut child = latchkey();
            child.arg(name).args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = child.spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), undisturbed.status.code(), "{name} {arguments:?}");
            assert_eq!(stderr(&output), stderr(&undisturbed), "{name} {arguments:?}");
            assert_lacks(&stderr(&output), "panicked");
        }
    }
}

/// Programs by which kubectl calls this one.
fn called_as(name: &str, folder: &Path) -> Command {
    let program = folder.join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_latchkey"), &program).unwrap();
    Command::new(program)
}

#[test]
fn kubectls_plugin_has_its_own_name_and_does_not_serve() {
    let folder = tempfile::tempdir().unwrap();
    let alone = called_as("kubectl-latchkey", folder.path()).output().unwrap();
    let help = String::from_utf8(alone.stdout).unwrap();
    assert!(alone.status.success(), "{help}");
    assert_contains(&help, "Usage: kubectl latchkey COMMAND");
    assert_lacks(&help, "the default");
    let plugin = |args: &[&str]| {
        let run = Command::new(folder.path().join("kubectl-latchkey")).args(args).output().unwrap();
        (String::from_utf8(run.stdout.clone()).unwrap(), stderr(&run))
    };
    assert_contains(&plugin(&["mount", "--help"]).0, "  kubectl latchkey mount ");
    assert_contains(&plugin(&["mount", "--clas=x"]).1, "Usage: kubectl latchkey mount");
    assert_contains(&plugin(&["mount", "/nonexistent"]).1, "kubectl latchkey: ");
}

#[test]
fn kubectl_completes_commands_of_the_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let asked = called_as("kubectl_complete-latchkey", folder.path()).arg("").output().unwrap();
    let suggestions = String::from_utf8(asked.stdout).unwrap();
    for command in commands() {
        assert_contains(&suggestions, &format!("{}\t", command.get_name()));
    }
    assert!(suggestions.ends_with("\n:4\n"), "{suggestions}");
}

/// Whether a program is on this machine.
fn exists(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success()
}

#[test]
fn completions_are_scripts_of_their_shells_and_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = run(&["completions", shell]).stdout;
        let text = String::from_utf8(script.clone()).unwrap();
        for command in commands() {
            assert_contains(&text, command.get_name());
            let flags = command.get_arguments().filter_map(Arg::get_long);
            flags.for_each(|flag| assert_contains(&text, flag));
        }
        if exists(shell) {
            let path = folder.path().join(shell);
            std::fs::write(&path, script).unwrap();
            let checked = Command::new(shell).arg(check).arg(&path).output().unwrap();
            assert!(checked.status.success(), "{shell}: {}", stderr(&checked));
        }
    }
}

#[test]
fn each_command_has_a_man_page_without_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    let written = run(&["man", pages.to_str().unwrap()]);
    assert!(written.status.success(), "{}", stderr(&written));
    let names = commands().into_iter().map(|command| format!("latchkey-{}.1", command.get_name()));
    for name in names.chain(["latchkey.1".to_owned(), "latchkey-serve.1".to_owned()]) {
        let path = pages.join(&name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_contains(&text, ".SH NAME");
        assert_contains(&text, ".SH SYNOPSIS");
        for (program, arguments) in
            [("groff", &["-man", "-Tutf8", "-ww"][..]), ("mandoc", &["-Tlint", "-Werror"])]
        {
            if exists(program) {
                let checked = Command::new(program).args(arguments).arg(&path).output().unwrap();
                assert_eq!(stderr(&checked), "", "{program} {name}");
            }
        }
    }
}
