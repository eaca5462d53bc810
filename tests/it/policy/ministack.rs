//! MiniStack's evaluator, if `tests/policy/install` has been run.

use std::{
    collections::BTreeMap,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::Serialize;
use serde_json::Value;

/// A request, and the policies that decide about it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Question {
    pub(super) policies: Vec<Value>,
    /// A boundary, session policies.
    pub(super) limits: Vec<Vec<Value>>,
    pub(super) resource_policy: Option<Value>,
    pub(super) required: bool,
    pub(super) owner: String,
    /// The trust policy, if it alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trust: Option<Value>,
    /// The ARN of a session, or of an identity provider.
    pub(super) principal: String,
    pub(super) account: String,
    pub(super) action: String,
    pub(super) resource: String,
    pub(super) context: BTreeMap<String, Vec<String>>,
}

/// A program of MiniStack's environment; `None`, with a notice, if it is not installed.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(".cache/ministack-1.5.33/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    // Past the test runner's capture: a skipped test must be seen.
    let notice = format!("SKIPPED: {name} of MiniStack is not installed; run tests/policy/install\n");
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    None
}

/// MiniStack's answers: `Allow`, `Deny` or `ImplicitDeny`. `None` if it is not installed.
pub(super) fn decide(questions: &[Question]) -> Option<Vec<String>> {
    let python = program("python")?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policy/decide.py");
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = serde_json::to_vec(questions).unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&text));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let answers: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), questions.len());
    Some(answers)
}
