//! Reads the keys of one YAML mapping with the rules of Go's decoder.

use super::{
    encoding::Encoding,
    file::FileMode,
    go_text, identity_keys,
    message::quoted,
    mistakes::{Kind, Mistakes, Spot},
    yaml::{Content, Node, is_template},
};

/// The entries of a mapping that have not been read yet.
pub(super) struct Fields<'a> {
    spot: Spot,
    entries: Vec<(&'a str, &'a Node)>,
}

struct Scalar<'a> {
    spot: Spot,
    text: &'a str,
    number: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Returns `None`, and adds a mistake, if `node` is not a mapping.
    pub(super) fn of(node: &'a Node, spot: &Spot, mistakes: &mut Mistakes) -> Option<Self> {
        match &node.content {
            Content::Map(entries) => Some(Self {
                spot: spot.clone(),
                entries: entries.iter().map(|(key, node)| (key.as_str(), node)).collect(),
            }),
            Content::Null | Content::Scalar { .. } | Content::List(_) => {
                mistakes.add(spot, "must be a mapping of keys to values");
                None
            }
        }
    }

    /// Reports later mistakes under a better name.
    pub(super) fn rename(&mut self, spot: Spot) {
        self.spot = spot;
    }

    /// Whether there is a key that was not read yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name.eq_ignore_ascii_case(key))
    }

    /// The place of a key that was not read yet; that of the mapping if there is none.
    pub(super) fn spot_of(&self, key: &str) -> Spot {
        let entry = self.entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        entry.map_or_else(|| self.spot.clone(), |(_, node)| self.spot.on(node))
    }

    /// Takes a key, in upper or lower case. Two spellings are a mistake, because the
    /// decoder determines which of them counts.
    pub(super) fn node(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<&'a Node> {
        let mut found = None;
        for (name, node) in self.entries.extract_if(.., |(name, _)| name.eq_ignore_ascii_case(key)) {
            if let Some((first, of_first)) = found.replace((name, node)) {
                let Node { line, .. } = of_first;
                mistakes.add_as(
                    Kind::Contradicting,
                    self.spot.on(node),
                    format!(
                        "{first} (line {line}) and {name} (line {}) are the same key; keep one",
                        node.line
                    ),
                );
            }
        }
        found.map(|(_, node)| node)
    }

    fn scalar(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<Scalar<'a>> {
        let node = self.node(key, mistakes)?;
        let spot = self.spot.on(node);
        match &node.content {
            Content::Null => None,
            Content::Scalar { text, .. } if text.is_empty() => None,
            Content::Scalar { text, number, .. } => Some(Scalar { spot, text, number: number.as_deref() }),
            Content::List(_) | Content::Map(_) => {
                mistakes.add(&spot, format!("{key} must be a string, not a list or a mapping"));
                None
            }
        }
    }

    /// A string. Missing, null and empty are all `None`, as for Go's string fields.
    pub(super) fn text(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<String> {
        let Scalar { spot, text, .. } = self.scalar(key, mistakes)?;
        if is_template(text) {
            let warning = format!(
                "{spot}: {key} {} contains {{{{, as if a (Helm) template was not rendered",
                quoted(text)
            );
            mistakes.warn(Kind::Unrendered, &spot, warning);
        }
        Some(text.to_owned())
    }

    pub(super) fn flag(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<bool> {
        let Scalar { spot, text, .. } = self.scalar(key, mistakes)?;
        let flag = go_text::parse_bool(text);
        if flag.is_none() {
            mistakes.add(&spot, format!("{key} {} is neither true nor false", quoted(text)));
        }
        flag
    }

    /// A file mode: four octal digits, with or without quotes.
    pub(super) fn mode(&mut self, key: &str, mistakes: &mut Mistakes) -> Option<FileMode> {
        let Scalar { spot, text, number } = self.scalar(key, mistakes)?;
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
            mistakes.add(&spot, format!("{key} {} {problem}", quoted(written)));
        }
        mode
    }

    pub(super) fn encoding(&mut self, mistakes: &mut Mistakes) -> Option<Encoding> {
        let Scalar { spot, text, .. } = self.scalar("encoding", mistakes)?;
        let encoding = Encoding::parse(text);
        if encoding.is_none() {
            mistakes.add(&spot, format!("encoding {} is not base64, base64url or hex", quoted(text)));
        }
        encoding
    }

    /// Warns about every key that was not read. A key that looks as if it chose an
    /// identity is a mistake.
    pub(super) fn warn_of_the_rest(self, mistakes: &mut Mistakes) {
        for (key, node) in self.entries {
            let (spot, quoted, line) = (self.spot.on(node), quoted(key), node.line);
            match identity_keys::refusal(key) {
                Some(refusal) => {
                    let problem = format!("{quoted} (line {line}): {refusal}");
                    mistakes.add_as(Kind::UnknownIdentity, &spot, problem);
                }
                None => {
                    let warning = format!("{spot}: unknown key {quoted} (line {line}) is ignored");
                    mistakes.warn(Kind::Unknown(key.to_owned()), &spot, warning);
                }
            }
        }
    }
}
