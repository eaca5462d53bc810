//! Splits a manifest into documents.

/// The documents of a text. Each starts with empty lines in place of the previous
/// ones, so that its line numbers are those of the file.
pub(super) fn of(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = vec![String::new()];
    for (index, line) in text.lines().enumerate() {
        let separator =
            line.strip_prefix("---").is_some_and(|rest| rest.trim_start() != rest || rest.is_empty());
        if separator {
            documents.push("\n".repeat(index));
        }
        if let Some(document) = documents.last_mut() {
            // A document may start on the line of its separator.
            document.push_str(if separator { line[3..].trim_start() } else { line });
            document.push('\n');
        }
    }
    documents
}
