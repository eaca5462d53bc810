//! The line on a terminal that says what takes long.

#![cfg(feature = "tools")]

use std::{
    fs::{File, OpenOptions},
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

/// Clears a line.
const CLEAR: &str = "\r\u{1b}[K";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/secretproviderclass-irsa.yaml");

fn check(file: &str) -> Command {
    let mut latchkey = Command::new(env!("CARGO_BIN_EXE_latchkey"));
    latchkey.env_clear().env("TERM", "xterm").args(["check", file]).stdout(Stdio::null());
    latchkey
}

/// Starts a command, and returns what its standard error shows on a terminal.
fn on_a_terminal(mut command: Command) -> (Child, File) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let child = command.stderr(terminal).spawn().unwrap();
    (child, File::from(controller))
}

/// Reads until the text is there, or to the end.
fn read_until(screen: &mut File, text: &str) -> String {
    let mut shown = String::new();
    let mut bytes = [0; 1024];
    // A terminal that nobody has open any more is an error.
    while let Ok(count @ 1..) = screen.read(&mut bytes) {
        shown.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        if !text.is_empty() && shown.contains(text) {
            break;
        }
    }
    shown
}

fn pipe(folder: &Path) -> String {
    let path = folder.join("slow.yaml");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_long_read_of_files_is_shown_on_a_terminal_and_cleared_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let slow = pipe(folder.path());
    let (mut child, mut screen) = on_a_terminal(check(&slow));
    let mut shown = read_until(&mut screen, "(2 s)");
    std::fs::write(&slow, std::fs::read(EXAMPLE).unwrap()).unwrap();
    shown.push_str(&read_until(&mut screen, ""));
    assert!(child.wait().unwrap().success());
    assert!(shown.starts_with(&format!("{CLEAR}Reading the manifests (1 s)")), "{shown:?}");
    assert!(shown.ends_with(CLEAR), "{shown:?}");
}

#[test]
fn a_pipe_sees_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let slow = pipe(folder.path());
    let child = check(&slow).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    std::fs::write(&slow, std::fs::read(EXAMPLE).unwrap()).unwrap();
    assert_eq!(String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap(), "");
}

#[test]
fn what_is_quick_shows_nothing() {
    let (mut child, mut screen) = on_a_terminal(check(EXAMPLE));
    assert_eq!(read_until(&mut screen, ""), "");
    assert!(child.wait().unwrap().success());
}
