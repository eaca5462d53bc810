//! What is wrong with a request, and the bounds that it is held to.

use std::fmt;

/// Longest message of one mistake.
const MAX_MISTAKE_CHARS: usize = 600;
/// Most mistakes that one answer spells out.
const MAX_SHOWN: usize = 20;

/// Bounds on what one SecretProviderClass may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most entries of `objects`.
    pub max_objects: usize,
    /// Longest JMESPath expression, in bytes.
    pub max_expression_bytes: usize,
    /// Largest answer, in bytes; the driver refuses more than 4 MiB by default.
    pub max_response_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_objects: 500, max_expression_bytes: 1024, max_response_bytes: 4 << 20 }
    }
}

/// Collects mistakes and warnings, so that one answer names them all.
#[derive(Debug, Default)]
pub struct Mistakes {
    /// How many there are.
    pub(super) count: usize,
    /// The first ones.
    pub(super) found: Vec<String>,
    /// What is odd and not wrong.
    pub(super) warnings: Vec<String>,
}

impl Mistakes {
    /// Something that makes the request invalid.
    pub fn add(&mut self, place: &str, problem: impl fmt::Display) {
        self.count += 1;
        // What nobody will read is only counted: a manifest must not become a
        // thousand times its own size in messages.
        if self.found.len() < MAX_SHOWN {
            self.found.push(cut(format!("{place}: {problem}")));
        }
    }

    /// Whether there is a mistake.
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }

    /// Something that is only odd.
    pub fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_SHOWN {
            self.warnings.push(cut(warning));
        }
    }
}

/// A message about a long text needs its beginning only.
fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_MISTAKE_CHARS) {
        message.truncate(end);
        message.push('…');
    }
    message
}
