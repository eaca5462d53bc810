//! Pseudo-random numbers and texts, the same for the same seed.

/// SplitMix64.
pub(super) struct Random(u64);

/// Pieces that have broken parsers, paths, logs and terminals before.
const PIECES: [&str; 44] = [
    "",
    " ",
    ".",
    "..",
    "/",
    "//",
    "../x",
    "a/../b",
    "./a",
    "/etc/passwd",
    "a/",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{2028}",
    "\u{feff}",
    "\u{fffd}",
    "é",
    "💣",
    "\u{301}",
    "'",
    "\"",
    "\\",
    "`",
    "{",
    "}",
    "[",
    "]",
    "*a",
    "&a",
    "<<",
    "~",
    "null",
    "0644",
    "1e999",
    "-9223372036854775809",
    ".inf",
    "yes",
    "---",
    "%s%n",
    "${x}",
];

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to less than `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap()
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// A hostile text: a few pieces, some of them repeated many times.
    pub(super) fn hostile(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(3) {
            let piece =
                if self.one_in(6) { self.character().to_string() } else { self.pick(&PIECES).to_owned() };
            let times = if self.one_in(12) { self.below(3000) } else { 1 };
            text.push_str(&piece.repeat(times));
        }
        text
    }

    /// Any character at all.
    fn character(&mut self) -> char {
        loop {
            let point = u32::try_from(self.below(0x11_0000)).unwrap();
            if let Some(character) = char::from_u32(point) {
                return character;
            }
        }
    }

    /// The text with a few random cuts, repetitions, replacements and insertions.
    pub(super) fn mutated(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.below(4) {
            let from = self.below(characters.len() + 1);
            let to = (from + self.below(40)).min(characters.len());
            let new: Vec<char> = match self.below(4) {
                0 => Vec::new(),
                1 => characters[from..to].repeat(self.below(30)),
                2 => self.hostile().chars().collect(),
                _ => vec![self.character()],
            };
            characters.splice(from..to, new);
        }
        characters.into_iter().collect()
    }
}
