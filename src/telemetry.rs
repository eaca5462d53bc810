//! Logs. What a log line may hold is decided where it is written: chosen
//! fields, never a whole request.

use std::io::IsTerminal;

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    #[default]
    Text,
    /// For a log collector: one JSON object a line.
    Json,
}

/// Sets the process's logs up, to standard error.
///
/// Libraries are heard from warnings on only: at lower levels the AWS SDK and
/// the HTTP stack describe whole requests.
pub fn init(format: LogFormat, level: Level) {
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("latchkey", level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // A second call, in one process of tests, changes nothing.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    log_panics_without_payload();
}

/// A panic's message may quote a value, so only its place is logged.
fn log_panics_without_payload() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
