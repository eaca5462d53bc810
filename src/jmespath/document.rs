//! A JSON value, parsed once and asked many times. It keeps the value's own
//! text: a number keeps its digits, an object or a list its spelling.

use std::borrow::Cow;

use zeroize::{Zeroize, Zeroizing};

use super::{
    fuel::{Fuel, OutOfFuel},
    json,
};

/// A parsed JSON value. Holds what it needs of the text, and is wiped with it.
pub struct Document<'a> {
    pub(super) text: Source<'a>,
    /// Strings whose text has escapes, without them.
    pub(super) decoded: Zeroizing<String>,
    pub(super) nodes: Vec<Node>,
    /// The elements of lists, and keys and values of objects in turn.
    pub(super) children: Vec<u32>,
    pub(super) root: u32,
}

/// Why a value is no JSON. Tells a place, never a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON; both count from 1, the column in characters.
    #[error("the value is not JSON (line {line}, column {column})")]
    NotJson {
        /// The line.
        line: usize,
        /// The character of the line.
        column: usize,
    },
    /// Lists and objects within each other, deeper than Go's encoding/json reads.
    #[error("the value's lists and objects are nested more than {} deep", json::MAX_DEPTH)]
    Deep,
    /// Too large, or stopped.
    #[error("reading the value {0}")]
    Fuel(OutOfFuel),
}

/// The text of a document: the caller's where it is UTF-8.
pub(super) struct Source<'a>(Cow<'a, str>);

/// One value of a document; 20 bytes, because a text of 64 KiB can hold 32,000.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Where its text starts and ends.
    pub(super) start: u32,
    pub(super) end: u32,
    /// What depends on the kind: a number's bits, where a string is decoded,
    /// which children a list or an object has.
    pub(super) detail: [u32; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    Number,
    /// A string without escapes: its text between the quotes.
    Plain,
    /// A string that is decoded from `detail[0]` to `detail[1]`.
    Escaped,
    /// `detail[1]` elements from `detail[0]` on.
    List,
    /// `detail[1]` keys and as many values from `detail[0]` on, sorted by key.
    Object,
}

/// One value of a document, and the document.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    document: &'d Document<'d>,
    node: u32,
}

impl<'a> Document<'a> {
    /// Parses `json` as Go's encoding/json does: a byte that is not UTF-8 and a
    /// surrogate without its other half become U+FFFD, the last of equal keys
    /// wins, 10,000 levels are the deepest.
    ///
    /// # Errors
    /// When it is not JSON, or parsing takes more than `fuel`.
    pub fn parse(json: &'a [u8], fuel: &mut Fuel<'_>) -> Result<Self, DocumentError> {
        json::parse(Source::new(json, fuel).map_err(DocumentError::Fuel)?, fuel)
    }

    pub(super) fn root(&self) -> Element<'_> {
        Element { document: self, node: self.root }
    }

    /// The content of a string's node.
    pub(super) fn content(&self, node: &Node) -> &str {
        match node.kind {
            Kind::Escaped => &self.decoded[node.detail[0] as usize..node.detail[1] as usize],
            _ => &self.text.as_str()[node.start as usize + 1..node.end as usize - 1],
        }
    }

    /// Gives back what parsing has reserved and not used.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.children.shrink_to_fit();
        if self.decoded.capacity() > self.decoded.len() {
            self.decoded = Zeroizing::new(self.decoded.as_str().to_owned());
        }
    }

    /// Bytes that it holds, its text among them.
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

    /// Its own text.
    pub(super) fn text(self) -> &'d str {
        &self.document.text.as_str()[self.get().start as usize..self.get().end as usize]
    }

    /// The content of a string.
    pub(super) fn content(self) -> &'d str {
        self.document.content(self.get())
    }

    /// A number as 64-bit float.
    pub(super) fn number(self) -> f64 {
        let [low, high] = self.get().detail;
        f64::from_bits(u64::from(high) << 32 | u64::from(low))
    }

    /// How many elements a list, or members an object has.
    pub(super) fn len(self) -> usize {
        self.get().detail[1] as usize
    }

    /// An element of a list.
    pub(super) fn element(self, index: usize) -> Self {
        self.child(index)
    }

    /// A member of an object: its key, and its value.
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
        // As Go: one U+FFFD, three bytes, for each byte that belongs to no character.
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
