//! Snapshots of the program's messages in `tests/messages`, so that a changed
//! message is seen in review. `LATCHKEY_WRITE_MESSAGES=1` updates them.

pub(crate) mod served;
mod sources;
mod started;
mod warned;

use std::path::Path;

const WRITE: &str = "LATCHKEY_WRITE_MESSAGES";

/// Who must act on a message.
#[derive(Clone, Copy)]
enum Who {
    /// The author of the SecretProviderClass or the pod.
    Author,
    /// The administrator of the AWS account.
    Account,
    /// The operator of Latchkey, its driver and its nodes.
    Operator,
    /// Nobody, unless it lasts: kubelet tries again.
    Nobody,
}

/// A table of messages in Markdown.
struct Table(String);

impl Table {
    fn new(title: &str, about: &str) -> Self {
        Self(format!("# {title}\n\n{about}\n"))
    }

    fn section(&mut self, title: &str) {
        self.0.push_str(&format!("\n## {title}\n\n| cause | who acts | message |\n|---|---|---|\n"));
    }

    fn row(&mut self, cause: &str, who: Who, message: &str) {
        let who = match who {
            Who::Author => "who writes the class",
            Who::Account => "the AWS account's administrator",
            Who::Operator => "the cluster's operator",
            Who::Nobody => "nobody, unless it lasts",
        };
        let message = message.replace('|', "\\|").replace('\n', "<br>");
        self.0.push_str(&format!("| {cause} | {who} | {message} |\n"));
    }

    fn compare(&self, name: &str) {
        compare(name, &self.0);
    }
}

/// Compares a text with its snapshot, or writes the snapshot.
pub(crate) fn compare(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages").join(name);
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
    let (kept_lines, lines) = (kept.lines().count(), text.lines().count());
    assert!(
        kept == text,
        "messages differ from tests/messages/{name} ({kept_lines} lines kept, {lines} now), first in:\n{differs:#?}\nRead each changed message as somebody at 3 a.m. would, then write the file anew with {WRITE}=1"
    );
}

/// A message without the parts that change with every run.
pub(crate) fn stable(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some(c) = rest.chars().next() {
        let skipped = if let Some(length) = uuid(rest) {
            text.push_str("<uuid>");
            length
        } else if let Some(port) = rest.strip_prefix("127.0.0.1:") {
            text.push_str("127.0.0.1:<port>");
            rest.len() - port.trim_start_matches(|c: char| c.is_ascii_digit()).len()
        } else {
            text.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    text
}

/// The length of the UUID that `text` begins with.
fn uuid(text: &str) -> Option<usize> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let candidate = text.get(..36)?;
    let groups: Vec<&str> = candidate.split('-').collect();
    let fits = groups.len() == GROUPS.len()
        && groups
            .iter()
            .zip(GROUPS)
            .all(|(group, length)| group.len() == length && group.bytes().all(|b| b.is_ascii_hexdigit()));
    fits.then_some(36)
}
