//! The text of a file, and where the parts of a text within it are: `objects` is a text
//! in a block, in quotes, or folded, and its mistakes need a line of the file.

use std::sync::Arc;

/// Maximum size of a text within a file whose parts are looked for.
const MAX_TEXT_BYTES: usize = 512 << 10;

/// The text of a file.
#[derive(Clone, Debug)]
pub struct FileText {
    text: Arc<str>,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

/// The places in a file of the characters of a text within it.
#[derive(Debug, Default)]
pub struct Within {
    /// In order. Blanks are left out: YAML may change them.
    characters: Vec<Character>,
}

#[derive(Clone, Copy, Debug)]
struct Character {
    /// Line and column in the text.
    inner: (u32, u32),
    /// Line and column in the file.
    outer: (u32, u32),
}

/// A character, with its 1-based line and column.
type Placed = (char, (u32, u32));

impl FileText {
    pub(super) fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { text: text.into(), lines: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect() }
    }

    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// A line, by its 1-based number, without its end.
    pub fn line(&self, number: u32) -> Option<&str> {
        let rest = self.starting_at(number)?;
        Some(rest.lines().next().unwrap_or_default())
    }

    /// Where the parts of `text` are, which is the scalar at the 1-based line and column.
    pub fn within(&self, line: u32, column: u32, text: &str) -> Within {
        if text.len() > MAX_TEXT_BYTES {
            return Within::default();
        }
        let Some(rest) = self.starting_at(line) else { return Within::default() };
        let from = |(_, place): &Placed| *place >= (line, column);
        let source = || placed(rest, line).skip_while(move |character| !from(character));
        let inner = || placed(text, 1).filter(|(character, _)| !character.is_whitespace());
        // A block, a folded block, or a plain text: the same characters, other blanks.
        let as_written = source().filter(|(character, _)| !character.is_whitespace());
        let quoted = || match source().next() {
            Some(('"', _)) => aligned(inner(), escaped(source())),
            Some(('\'', _)) => aligned(inner(), single_quoted(source())),
            _ => None,
        };
        let characters = aligned(inner(), as_written).or_else(quoted).unwrap_or_default();
        Within { characters }
    }

    fn starting_at(&self, number: u32) -> Option<&str> {
        let start = self.lines.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        self.text.get(*start..)
    }
}

impl Within {
    /// The 1-based line and column in the file of a place in the text, or of the next
    /// character that is no blank. `None` where the file writes the text in another way.
    pub fn place(&self, line: u32, column: u32) -> Option<(u32, u32)> {
        let after = self.characters.partition_point(|character| character.inner < (line, column));
        self.characters.get(after).map(|character| character.outer)
    }
}

/// The characters of a text that starts at a line.
fn placed(text: &str, first_line: u32) -> impl Iterator<Item = Placed> {
    let (mut line, mut column) = (first_line, 0);
    text.chars().map(move |character| {
        column += 1;
        let place = (line, column);
        if character == '\n' {
            line += 1;
            column = 0;
        }
        (character, place)
    })
}

/// Pairs the characters of the text with those of the file, if they are the same.
fn aligned(
    inner: impl Iterator<Item = Placed>,
    outer: impl Iterator<Item = Placed>,
) -> Option<Vec<Character>> {
    let mut outer = outer;
    inner
        .map(|(character, inner)| {
            let (same, outer) = outer.next()?;
            (same == character).then_some(Character { inner, outer })
        })
        .collect()
}

/// The characters of a text in double quotes, which is where `source` starts. Blanks are
/// left out.
fn escaped(source: impl Iterator<Item = Placed>) -> impl Iterator<Item = Placed> {
    let mut source = source.skip(1);
    let read = move || {
        let (character, place) = source.next()?;
        let read = match character {
            '"' => return None,
            '\\' => match source.next()?.0 {
                'n' | 't' | 'r' | 'N' | '_' | 'L' | 'P' | 'v' | 'f' | ' ' | '\t' | '\n' | '\r' => ' ',
                '0' => '\0',
                'a' => '\u{7}',
                'b' => '\u{8}',
                'e' => '\u{1b}',
                'x' => by_number(&mut source, 2)?,
                'u' => by_number(&mut source, 4)?,
                'U' => by_number(&mut source, 8)?,
                itself => itself,
            },
            itself => itself,
        };
        Some((read, place))
    };
    std::iter::from_fn(read).filter(|(character, _)| !character.is_whitespace())
}

/// The character whose number has these hexadecimal digits. A pair of surrogates, as in
/// JSON, is not read.
fn by_number(source: &mut impl Iterator<Item = Placed>, digits: usize) -> Option<char> {
    let number = (0..digits).try_fold(0, |number, _| {
        let (digit, _) = source.next()?;
        Some(number * 16 + digit.to_digit(16)?)
    })?;
    char::from_u32(number)
}

/// The characters of a text in single quotes, which is where `source` starts. Blanks are
/// left out.
fn single_quoted(source: impl Iterator<Item = Placed>) -> impl Iterator<Item = Placed> {
    let mut source = source.skip(1).peekable();
    let read = move || {
        let (character, place) = source.next()?;
        if character == '\'' {
            source.next_if(|(next, _)| *next == '\'')?;
        }
        Some((character, place))
    };
    std::iter::from_fn(read).filter(|(character, _)| !character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        manifests::at,
        model::yaml::{Content, read_manifest},
    };

    /// The place of the `x` in the text at `objects`.
    fn place_of_x(manifest: &str) -> Option<(u32, u32)> {
        let root = read_manifest(manifest, 0).unwrap().unwrap();
        let node = at(&root, &["objects"]).unwrap();
        let Content::Scalar { text, .. } = &node.content else { panic!("{node:?}") };
        let within = FileText::new(manifest).within(node.line, node.column, text);
        let (_, (line, column)) = placed(text, 1).find(|(character, _)| *character == 'x').unwrap();
        within.place(line, column)
    }

    #[test]
    fn a_place_in_a_text_is_a_place_in_the_file() {
        for (manifest, place) in [
            ("objects: |\n  - a\n  - x\n", (3, 5)),
            ("objects: |\n\n  # a comment\n\n    - x\n", (5, 7)),
            ("objects: |2-\n    - a\n    - x\nb: c\n", (3, 7)),
            ("objects: >\n  - a\n\n  - x\n", (4, 5)),
            ("objects: >-\n  - [a,\n  b, x]\n", (3, 6)),
            ("objects: &it |\n  - x\nb: *it\n", (2, 5)),
            ("b: &it |\n  - x\nobjects: *it\n", (2, 5)),
            ("base: &base\n  objects: |\n    - x\n<<: *base\n", (3, 7)),
            ("objects: \"- a\\n- x\"\n", (1, 18)),
            ("objects: \"- \\\"a\\\"\\u0041\\n\\\n  - x\"\n", (2, 5)),
            ("objects: '- ''a''\n\n  - x'\n", (3, 5)),
            ("objects: - a\n  x\n".replace("- a", "a").as_str(), (2, 3)),
            ("{\"objects\": \"[{\\\"a\\\": \\\"x\\\"}]\"}", (1, 25)),
            ("objects: |\r\n  - a\r\n  - x\r\n", (3, 5)),
        ] {
            assert_eq!(place_of_x(manifest), Some(place), "{manifest}");
        }
        let surrogates = "objects: \"\\ud83d\\ude00 x\"";
        let text = FileText::new(surrogates).within(1, 10, "😀 x");
        assert_eq!(text.place(1, 3), None);
    }
}
