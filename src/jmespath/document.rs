//! A parsed JSON value. It keeps the original text: numbers keep their digits,
//! objects and lists their spelling.

use std::borrow::Cow;

use zeroize::{Zeroize, Zeroizing};

use super::{
    fuel::{Fuel, OutOfFuel},
    json,
};

/// A parsed JSON value. Everything that it copied from the text is wiped when it is
/// dropped.
pub struct Document<'a> {
    pub(super) text: Source<'a>,
    /// The decoded strings that have escapes in the text.
    pub(super) decoded: Zeroizing<String>,
    pub(super) nodes: Vec<Node>,
    /// The elements of lists, and the keys and values of objects in turn.
    pub(super) children: Vec<u32>,
    pub(super) root: u32,
}

/// Why a value could not be parsed. Contains places, never text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Both count from 1; the column counts characters.
    #[error("the value is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    /// The nesting exceeds the maximum of Go's encoding/json.
    #[error("the value's lists and objects are nested more than {} deep", json::MAX_DEPTH)]
    Deep,
    #[error("reading the value {0}")]
    Fuel(OutOfFuel),
}

/// The text of a document: borrowed from the caller if it is UTF-8.
pub(super) struct Source<'a>(Cow<'a, str>);

/// One value of a document. It has only 20 bytes, because a text of 64 KiB can
/// contain 32,000 of them.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The start and end of its text.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Depends on the kind: the bits of a number, the place of a decoded string, or the
    /// children of a list or an object.
    pub(super) detail: [u32; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    Number,
    /// A string without escapes: the text between the quotes.
    Plain,
    /// A string with escapes; `decoded` has it from `detail[0]` to `detail[1]`.
    Escaped,
    /// `detail[1]` elements, starting at `detail[0]`.
    List,
    /// `detail[1]` keys and as many values, starting at `detail[0]`, sorted by key.
    Object,
}

/// One value, with its document.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    document: &'d Document<'d>,
    node: u32,
}

impl<'a> Document<'a> {
    /// Parses `json` like Go's encoding/json: invalid UTF-8 bytes and unpaired surrogates
    /// become U+FFFD, the last of equal keys wins, and the maximum nesting is 10,000.
    ///
    /// # Errors
    /// If `json` is not JSON, or `fuel` runs out.
    pub(crate) fn parse(json: &'a [u8], fuel: &mut Fuel<'_>) -> Result<Self, DocumentError> {
        json::parse(Source::new(json, fuel).map_err(DocumentError::Fuel)?, fuel)
    }

    pub(super) fn root(&self) -> Element<'_> {
        Element { document: self, node: self.root }
    }

    /// The content of a string node.
    pub(super) fn content(&self, node: &Node) -> &str {
        match node.kind {
            Kind::Escaped => &self.decoded[node.detail[0] as usize..node.detail[1] as usize],
            _ => &self.text.as_str()[node.start as usize + 1..node.end as usize - 1],
        }
    }

    /// Frees the memory that parsing has reserved but not used.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.children.shrink_to_fit();
        if self.decoded.capacity() > self.decoded.len() {
            self.decoded = Zeroizing::new(self.decoded.as_str().to_owned());
        }
    }

    /// The memory it uses, including its text.
    pub(super) fn bytes(&self) -> usize {
        self.text.as_str().len()
            + self.decoded.capacity()
            + self.nodes.capacity() * size_of::<Node>()
            + self.children.capacity() * size_of::<u32>()
    }
}

impl<'d> Element<'d> {
    fn get(self) -> &'d Node {
        &self.document.nodes[self.node as usize]
    }

    pub(super) fn kind(self) -> Kind {
        self.get().kind
    }

    /// The original text.
    pub(super) fn text(self) -> &'d str {
        &self.document.text.as_str()[self.get().start as usize..self.get().end as usize]
    }

    pub(super) fn content(self) -> &'d str {
        self.document.content(self.get())
    }

    /// The value of a number as a 64-bit float.
    pub(super) fn number(self) -> f64 {
        let [low, high] = self.get().detail;
        f64::from_bits(u64::from(high) << 32 | u64::from(low))
    }

    /// The number of elements of a list, or members of an object.
    pub(super) fn len(self) -> usize {
        self.get().detail[1] as usize
    }

    pub(super) fn element(self, index: usize) -> Self {
        self.child(index)
    }

    /// The key and value of a member of an object.
    pub(super) fn member(self, index: usize) -> (&'d str, Self) {
        (self.child(2 * index).content(), self.child(2 * index + 1))
    }

    fn child(self, index: usize) -> Self {
        Self { node: self.document.children[self.get().detail[0] as usize + index], ..self }
    }
}

impl<'a> Source<'a> {
    fn new(json: &'a [u8], fuel: &mut Fuel<'_>) -> Result<Self, OutOfFuel> {
        fuel.read(json.len())?;
        if let Ok(text) = std::str::from_utf8(json) {
            return Ok(Self(Cow::Borrowed(text)));
        }
        // Like Go, replace each invalid byte by U+FFFD, which takes three bytes.
        fuel.hold(3 * json.len())?;
        let mut text = String::with_capacity(3 * json.len());
        for chunk in json.utf8_chunks() {
            text.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|_| text.push(char::REPLACEMENT_CHARACTER));
        }
        Ok(Self(Cow::Owned(text)))
    }

    pub(super) fn owned(text: String) -> Source<'static> {
        Source(Cow::Owned(text))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}
