//! Errors of a program that is started wrongly.

use std::{fs, process::Command};

use super::{Table, Who};

#[test]
fn the_errors_of_a_wrong_start_match_the_table() {
    let mut table = Table::new(
        "What a wrong start is told",
        "On standard error. `LATCHKEY_WRITE_MESSAGES=1 cargo test --test it messages` writes this file.",
    );
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let no_pem = path("no.pem", "nonsense");
    let no_class = path("no-class.yaml", "kind: ConfigMap\n");
    let vault = path("vault.yaml", "kind: SecretProviderClass\nspec: {provider: vault, parameters: {}}\n");
    let absent = folder.path().join("absent").to_str().unwrap().to_owned();

    table.section("latchkey serve");
    let sockets = folder.path().to_str().unwrap();
    let status = format!("--status-socket={sockets}/status.sock");
    for (cause, variable, args) in [
        ("a duration without a unit", ("", ""), vec!["--mount-timeout=60"]),
        ("no Region's name", ("", ""), vec!["--region=Frankfurt"]),
        ("no Region's name in the environment", ("AWS_REGION", "Frankfurt"), vec![]),
        ("a Region that is not allowed", ("", ""), vec!["--region=us-east-1", "--allowed-regions=eu-*"]),
        (
            "bounds the wrong way round",
            ("", ""),
            vec!["--min-refresh-interval=1h", "--max-refresh-interval=1m"],
        ),
        ("an endpoint without a scheme", ("AWS_ENDPOINT_URL_STS", "sts.us-east-1.amazonaws.com"), vec![]),
        ("a bundle that is not there", ("AWS_CA_BUNDLE", absent.as_str()), vec![]),
        ("a bundle that is none", ("AWS_CA_BUNDLE", no_pem.as_str()), vec![]),
        ("a status socket among the providers' sockets", ("", ""), vec![status.as_str()]),
        ("an unknown flag", ("", ""), vec!["--no-such-flag"]),
    ] {
        let args = [&["serve", "--provider-volume", sockets][..], &args].concat();
        table.row(cause, Who::Operator, &told(&args, variable, sockets));
    }
    table.section("latchkey mount");
    for (cause, args) in [
        ("no such file", vec!["mount", &absent]),
        ("another kind of object", vec!["mount", &no_class]),
        ("another provider's class", vec!["mount", &vault]),
    ] {
        table.row(cause, Who::Author, &told(&args, ("", ""), sockets));
    }
    table.section("latchkey status");
    let args = ["status", "--socket=/nowhere/status.sock"];
    table.row("no provider runs here", Who::Operator, &told(&args, ("", ""), sockets));
    table.compare("started.md");
}

/// Standard error, without the parts that change with every run.
fn told(args: &[&str], (variable, value): (&str, &str), folder: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    command.env_clear().args(args);
    if !variable.is_empty() {
        command.env(variable, value);
    }
    let run = command.output().unwrap();
    assert!(!run.status.success(), "{args:?} was taken");
    let text = String::from_utf8(run.stderr).unwrap().replace(folder, "<folder>");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains("INFO"));
    lines.collect::<Vec<_>>().join("\n")
}
