//! What was measured, and what must hold.

use std::fmt::Display;

/// Counts what does not hold.
#[derive(Default)]
pub(crate) struct Verdict(usize);

impl Verdict {
    /// Prints a measured figure, and whether it is as it must be.
    pub(crate) fn must(&mut self, holds: bool, measured: impl Display) {
        println!("{}  {measured}", if holds { "ok    " } else { "FAILED" });
        self.0 += usize::from(!holds);
    }

    pub(crate) fn failed(&self) -> usize {
        self.0
    }
}

/// Prints a figure that nothing is promised of.
pub(crate) fn note(measured: impl Display) {
    println!("        {measured}");
}
