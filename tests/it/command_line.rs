//! What a person at the command line is told.

use std::process::Command;

fn refused(variable: &str, value: &str, args: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_latchkey")).env(variable, value).args(args).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    String::from_utf8(run.stderr).unwrap()
}

#[test]
fn an_unusable_value_is_blamed_on_where_it_came_from() {
    let by_variable = refused("LATCHKEY_MOUNT_TIMEOUT", "soon", &[]);
    assert!(by_variable.contains("'soon' for 'LATCHKEY_MOUNT_TIMEOUT'"), "{by_variable}");
    for by_flag in [&["--mount-timeout=soon"][..], &["-mount-timeout", "soon"]] {
        let by_flag = refused("LATCHKEY_MOUNT_TIMEOUT", "1s", by_flag);
        assert!(by_flag.contains("'soon' for '--mount-timeout"), "{by_flag}");
    }
}

#[test]
fn a_setting_of_aws_that_cannot_be_used_stops_the_start() {
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
        assert!(!run.status.success() && err.contains(says), "{err}");
        assert!(!err.contains(value) || value.len() < 4, "{err}");
    }
}
