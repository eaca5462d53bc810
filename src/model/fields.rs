//! Reads the keys of one YAML mapping with the rules of Go's decoder.

use super::{
    encoding::Encoding,
    file::FileMode,
    go_text, identity_keys,
    message::quoted,
    mistakes::Mistakes,
    yaml::{Content, Node, is_template},
};

/// The entries of a mapping that have not been read yet.
pub(super) struct Fields<'a> {
    place: String,
    entries: Vec<(&'a str, &'a Node)>,
}

impl<'a> Fields<'a> {
    /// Returns `None`, and adds a mistake, if `node` is not a mapping.
    pub(super) fn of(node: &'a Node, place: &str, mistakes: &mut Mistakes) -> Option<Self> {
        match &node.content {
            Content::Map(entries) => Some(Self {
                place: place.to_owned(),
                entries: entries.iter().map(|(key, node)| (key.as_str(), node)).collect(),
            }),
            Content::Null | Content::Scalar { .. } | Content::List(_) => {
                mistakes.add(place, "must be a mapping of keys to values");
                None
            }
        }
    }

    /// Reports later mistakes under a better place.
    pub(super) fn rename(&mut self, place: String) {
        self.place = place;
    }

    /// Takes a key, in upper or lower case. Two spellings are a mistake, because the
    /// decoder determines which of them counts.
    pub(super) fn node(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<&'a Node> {
        let mut found = None;
        for (name, node) in self.entries.extract_if(.., |(name, _)| name.eq_ignore_ascii_case(key)) {
            if let Some((first, of_first)) = found.replace((name, node)) {
                let Node { line, .. } = of_first;
                mistakes.add(
                    &self.place,
                    format!(
                        "{first} (line {line}) and {name} (line {}) are the same key; keep one",
                        node.line
                    ),
                );
            }
        }
        found.map(|(_, node)| node)
    }

    fn scalar(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<(&'a str, Option<&'a str>)> {
        match &self.node(key, mistakes)?.content {
            Content::Null => None,
            Content::Scalar { text, .. } if text.is_empty() => None,
            Content::Scalar { text, number, .. } => Some((text, number.as_deref())),
            Content::List(_) | Content::Map(_) => {
                mistakes.add(&self.place, format!("{key} must be a string, not a list or a mapping"));
                None
            }
        }
    }

    /// A string. Missing, null and empty are all `None`, as for Go's string fields.
    pub(super) fn text(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<String> {
        let (text, _) = self.scalar(key, mistakes)?;
        if is_template(text) {
            mistakes.warn(format!(
                "{}: {key} {} contains {{{{, as if a (Helm) template was not rendered",
                self.place,
                quoted(text)
            ));
        }
        Some(text.to_owned())
    }

    pub(super) fn flag(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<bool> {
        let (text, _) = self.scalar(key, mistakes)?;
        let flag = go_text::parse_bool(text);
        if flag.is_none() {
            mistakes.add(&self.place, format!("{key} {} is neither true nor false", quoted(text)));
        }
        flag
    }

    /// A file mode: four octal digits, with or without quotes.
    pub(super) fn mode(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<FileMode> {
        let (text, number) = self.scalar(key, mistakes)?;
        let written = number.unwrap_or(text);
        let octal = written.len() == 4 && written.bytes().all(|b| matches!(b, b'0'..=b'7'));
        let bits = octal.then(|| u32::from_str_radix(written, 8).ok()).flatten();
        let mode = bits.and_then(FileMode::new);
        if mode.is_none() {
            let problem = if bits.is_some() {
                "sets bits beyond 0777"
            } else {
                "is not four octal digits such as \"0644\""
            };
            mistakes.add(&self.place, format!("{key} {} {problem}", quoted(written)));
        }
        mode
    }

    pub(super) fn encoding(&mut self, mistakes: &mut Mistakes) -> Option<Encoding> {
        let (text, _) = self.scalar("encoding", mistakes)?;
        let encoding = Encoding::parse(text);
        if encoding.is_none() {
            mistakes.add(&self.place, format!("encoding {} is not base64, base64url or hex", quoted(text)));
        }
        encoding
    }

    /// Warns about every key that was not read. A key that looks as if it chose an
    /// identity is a mistake.
    pub(super) fn warn_of_the_rest(self, mistakes: &mut Mistakes) {
        for (key, node) in self.entries {
            let (place, quoted, line) = (&self.place, quoted(key), node.line);
            match identity_keys::refusal(key) {
                Some(refusal) => mistakes.add(place, format!("{quoted} (line {line}): {refusal}")),
                None => mistakes.warn(format!("{place}: unknown key {quoted} (line {line}) is ignored")),
            }
        }
    }
}
