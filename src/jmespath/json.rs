//! Parses JSON like Go's encoding/json, without recursion.

use zeroize::Zeroizing;

use super::{
    document::{Document, DocumentError, Kind, Node, Source},
    fuel::{Fuel, OutOfFuel},
};

/// The maximum nesting of Go's encoding/json.
pub(super) const MAX_DEPTH: usize = 10_000;

/// Parses a whole text.
pub(super) fn parse<'a>(source: Source<'a>, fuel: &mut Fuel<'_>) -> Result<Document<'a>, DocumentError> {
    let text = source.as_str();
    if u32::try_from(text.len()).is_err() {
        return Err(DocumentError::Fuel(OutOfFuel::Memory));
    }
    let mut reader = Reader {
        text,
        at: 0,
        decoded: Zeroizing::default(),
        nodes: Vec::new(),
        children: Vec::new(),
        finished: Vec::new(),
        open: Vec::new(),
        fuel,
    };
    match reader.document() {
        Ok(root) => {
            let Reader { decoded, nodes, children, .. } = reader;
            Ok(Document { text: source, decoded, nodes, children, root })
        }
        Err(Problem::Syntax) => Err(place(text, reader.at)),
        Err(Problem::Deep) => Err(DocumentError::Deep),
        Err(Problem::Fuel(reason)) => Err(DocumentError::Fuel(reason)),
    }
}

fn place(text: &str, at: usize) -> DocumentError {
    // Report the character that contains the wrong byte.
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    DocumentError::NotJson {
        line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

struct Reader<'t, 'f, 's> {
    text: &'t str,
    at: usize,
    decoded: Zeroizing<String>,
    nodes: Vec<Node>,
    children: Vec<u32>,
    /// The children of lists and objects that are still open.
    finished: Vec<u32>,
    open: Vec<Open>,
    fuel: &'f mut Fuel<'s>,
}

/// A list or an object that is still open.
struct Open {
    kind: Kind,
    start: u32,
    /// The index of its first child in `finished`.
    first: usize,
}

enum Problem {
    Syntax,
    Deep,
    Fuel(OutOfFuel),
}

impl From<OutOfFuel> for Problem {
    fn from(reason: OutOfFuel) -> Self {
        Self::Fuel(reason)
    }
}

impl Reader<'_, '_, '_> {
    fn document(&mut self) -> Result<u32, Problem> {
        loop {
            let Some(mut value) = self.value()? else { continue };
            // The value may close its list or object, which may close its own, and so on.
            while let Some(open) = self.open.last() {
                let kind = open.kind;
                self.fuel.push(&mut self.finished, value)?;
                self.skip_space();
                match (kind, self.peek()) {
                    (_, Some(b',')) => {
                        self.at += 1;
                        break;
                    }
                    (Kind::List, Some(b']')) | (Kind::Object, Some(b'}')) => value = self.close()?,
                    _ => return Err(Problem::Syntax),
                }
            }
            match self.open.last() {
                None => {
                    self.skip_space();
                    return if self.at == self.text.len() { Ok(value) } else { Err(Problem::Syntax) };
                }
                Some(Open { kind: Kind::Object, .. }) => self.key()?,
                Some(_) => {}
            }
        }
    }

    /// The next value; `None` for a list or an object that was only opened.
    fn value(&mut self) -> Result<Option<u32>, Problem> {
        self.skip_space();
        let start = self.position();
        match self.peek() {
            Some(b'{') => {
                self.open(Kind::Object)?;
                self.skip_space();
                if self.peek() == Some(b'}') {
                    return self.close().map(Some);
                }
                self.key()?;
                Ok(None)
            }
            Some(b'[') => {
                self.open(Kind::List)?;
                self.skip_space();
                if self.peek() == Some(b']') {
                    return self.close().map(Some);
                }
                Ok(None)
            }
            Some(b'"') => self.string().map(Some),
            Some(b'n') => self.word("null", Kind::Null, start).map(Some),
            Some(b't') => self.word("true", Kind::True, start).map(Some),
            Some(b'f') => self.word("false", Kind::False, start).map(Some),
            _ => self.number(start).map(Some),
        }
    }

    fn open(&mut self, kind: Kind) -> Result<(), Problem> {
        if self.open.len() == MAX_DEPTH {
            return Err(Problem::Deep);
        }
        let open = Open { kind, start: self.position(), first: self.finished.len() };
        self.fuel.push(&mut self.open, open)?;
        self.at += 1;
        Ok(())
    }

    /// Closes the innermost list or object; its bracket is next.
    fn close(&mut self) -> Result<u32, Problem> {
        let Some(open) = self.open.pop() else { return Err(Problem::Syntax) };
        self.at += 1;
        if open.kind == Kind::Object {
            self.sort_members(open.first)?;
        }
        let first = self.children.len();
        let count = self.finished.len() - open.first;
        for index in open.first..self.finished.len() {
            self.fuel.push(&mut self.children, self.finished[index])?;
        }
        self.finished.truncate(open.first);
        let length = if open.kind == Kind::Object { count / 2 } else { count };
        self.add(open.kind, open.start, [first as u32, length as u32])
    }

    /// Sorts the keys and values from `first` on by key. Of equal keys, the last wins.
    fn sort_members(&mut self, first: usize) -> Result<(), Problem> {
        let pairs: &[[u32; 2]] = self.finished[first..].as_chunks().0;
        let Self { text, decoded, nodes, .. } = self;
        let key = |pair: &[u32; 2]| {
            let node = &nodes[pair[0] as usize];
            match node.kind {
                Kind::Escaped => &decoded[node.detail[0] as usize..node.detail[1] as usize],
                _ => &text[node.start as usize + 1..node.end as usize - 1],
            }
        };
        if pairs.is_sorted_by(|a, b| key(a) < key(b)) {
            return Ok(());
        }
        let bytes: usize = pairs.iter().map(|pair| key(pair).len() + 16).sum();
        self.fuel.read(bytes.saturating_mul(pairs.len().ilog2() as usize + 1))?;
        self.fuel.hold(2 * size_of_val(pairs))?;
        let mut sorted = pairs.to_vec();
        // Use a stable sort on the reversed list, so that the last of equal keys comes
        // first.
        sorted.reverse();
        sorted.sort_by(|a, b| key(a).cmp(key(b)));
        sorted.dedup_by(|later, kept| key(later) == key(kept));
        self.finished.truncate(first);
        self.finished.extend(sorted.into_iter().flatten());
        Ok(())
    }

    /// A key and the colon after it.
    fn key(&mut self) -> Result<(), Problem> {
        self.skip_space();
        let key = self.string()?;
        self.fuel.push(&mut self.finished, key)?;
        self.skip_space();
        self.require(b':')
    }

    fn word(&mut self, word: &str, kind: Kind, start: u32) -> Result<u32, Problem> {
        for byte in word.bytes() {
            self.require(byte)?;
        }
        self.add(kind, start, [0; 2])
    }

    fn number(&mut self, start: u32) -> Result<u32, Problem> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let digits = &self.text[start as usize..self.at];
        // The cost grows with the length.
        self.fuel.spend(digits.len() / 4)?;
        let bits = digits.parse::<f64>().map_err(|_| Problem::Syntax)?.to_bits();
        self.add(Kind::Number, start, [bits as u32, (bits >> 32) as u32])
    }

    fn digits(&mut self) -> Result<(), Problem> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from { Err(Problem::Syntax) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<u32, Problem> {
        let start = self.position();
        self.require(b'"')?;
        // Without an escape, the text is the content.
        let mut copied = self.at;
        let mut from = None;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    if from.is_none() {
                        self.reserve()?;
                        from = Some(self.decoded.len() as u32);
                    }
                    self.decoded.push_str(&self.text[copied..self.at]);
                    let decoded = self.escape()?;
                    self.decoded.push(decoded);
                    copied = self.at;
                }
                None | Some(..b' ') => return Err(Problem::Syntax),
                Some(_) => self.at += 1,
            }
        }
        if from.is_some() {
            self.decoded.push_str(&self.text[copied..self.at]);
        }
        self.at += 1;
        match from {
            None => self.add(Kind::Plain, start, [0; 2]),
            Some(from) => self.add(Kind::Escaped, start, [from, self.decoded.len() as u32]),
        }
    }

    /// Reserves memory for all decoded strings at once: a buffer that grows leaves a copy
    /// behind. A decoded string is never longer than its text.
    fn reserve(&mut self) -> Result<(), Problem> {
        if self.decoded.capacity() == 0 {
            self.fuel.hold(self.text.len())?;
            self.decoded.reserve_exact(self.text.len());
        }
        Ok(())
    }

    /// Decodes one escape like Go.
    fn escape(&mut self) -> Result<char, Problem> {
        self.at += 1;
        let escaped = self.peek().ok_or(Problem::Syntax)?;
        let plain = match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(Problem::Syntax),
        };
        self.at += 1;
        Ok(plain)
    }

    /// Decodes four hexadecimal digits, and the second half of a surrogate pair.
    fn unicode(&mut self) -> Result<char, Problem> {
        let unit = self.hex()?;
        if let Some(whole) = char::from_u32(unit.into()) {
            return Ok(whole);
        }
        let after_first = self.at;
        if self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if let Some(Ok(pair)) = char::decode_utf16([unit, second]).next() {
                return Ok(pair);
            }
            self.at = after_first;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u16, Problem> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Problem::Syntax)?;
            unit = unit << 4 | digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }

    fn add(&mut self, kind: Kind, start: u32, detail: [u32; 2]) -> Result<u32, Problem> {
        self.fuel.spend(1)?;
        let node = Node { kind, start, end: self.position(), detail };
        self.fuel.push(&mut self.nodes, node)?;
        Ok(self.nodes.len() as u32 - 1)
    }

    /// Cannot overflow: `parse` has checked the length of the text.
    fn position(&self) -> u32 {
        self.at as u32
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn require(&mut self, byte: u8) -> Result<(), Problem> {
        if self.peek() != Some(byte) {
            return Err(Problem::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
