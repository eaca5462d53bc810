//! The documentation holds together: links lead somewhere, the book lists its
//! pages, and its tables are those of the command line and of the chart.

#![cfg(test)]
#![cfg(feature = "emulator")]

mod alerts;
mod chart_values;
mod explained;
#[cfg(feature = "tools")]
mod findings;
mod generated;
mod links;
mod markdown;
mod options;
mod reasons;

use std::path::Path;

/// The repository's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
