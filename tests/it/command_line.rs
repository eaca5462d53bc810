//! Error messages on the command line.

use std::process::Command;

use crate::harness::{assert_contains, assert_lacks};

fn refused(variable: &str, value: &str, args: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_latchkey")).env(variable, value).args(args).output().unwrap();
    let err = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{err}");
    err
}

#[test]
fn an_invalid_value_is_reported_with_its_flag_or_variable() {
    let by_variable = refused("LATCHKEY_MOUNT_TIMEOUT", "soon", &[]);
    assert_contains(&by_variable, "'soon' for 'LATCHKEY_MOUNT_TIMEOUT'");
    for by_flag in [&["--mount-timeout=soon"][..], &["-mount-timeout", "soon"]] {
        let by_flag = refused("LATCHKEY_MOUNT_TIMEOUT", "1s", by_flag);
        assert_contains(&by_flag, "'soon' for '--mount-timeout");
    }
}

#[test]
fn an_invalid_aws_variable_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, value, says) in [
        ("HTTPS_PROXY", "http://proxy host:3128", "HTTPS_PROXY is not a proxy URL"),
        ("https_proxy", "http://user:p#ss@proxy", "https_proxy is not a proxy URL"),
        ("HTTP_PROXY", "socks5://proxy:1080", "HTTP_PROXY names a SOCKS proxy"),
        ("AWS_USE_FIPS_ENDPOINT", "1", "AWS_USE_FIPS_ENDPOINT must be true or false"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "yes", "AWS_USE_DUALSTACK_ENDPOINT must be true or false"),
        ("AWS_ENDPOINT_URL_STS", "sts.us-east-1.amazonaws.com", "AWS_ENDPOINT_URL_STS is not a URL"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        command.arg("serve").arg("--provider-volume").arg(folder.path()).arg("--http-address=");
        let run = command.env(variable, value).output().unwrap();
        let err = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success(), "{variable}={value} was accepted: {err}");
        assert_contains(&err, says);
        // A word as short as `1` or `yes` is found in any text.
        if value.len() >= 4 {
            assert_lacks(&err, value);
        }
    }
}
