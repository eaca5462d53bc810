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
