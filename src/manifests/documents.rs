//! Splits a manifest into documents.

/// One document of a manifest.
pub(super) struct Document {
    /// The lines of the file before it.
    pub(super) lines_before: u32,
    pub(super) text: String,
}

/// The documents of a text.
pub(super) fn of(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = vec![Document { lines_before: 0, text: String::new() }];
    for (index, line) in (0..).zip(text.lines()) {
        let separator =
            line.strip_prefix("---").is_some_and(|rest| rest.trim_start() != rest || rest.is_empty());
        if separator {
            documents.push(Document { lines_before: index, text: String::new() });
        }
        if let Some(document) = documents.last_mut() {
            // A document may start on the line of its separator.
            document.text.push_str(if separator { line[3..].trim_start() } else { line });
            document.text.push('\n');
        }
    }
    documents
}
