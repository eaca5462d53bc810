//! Sets up logging. Each log statement names the fields it writes; none writes a
//! whole request.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Sets up logging to standard error.
///
/// Libraries log warnings and errors only: at lower levels, the AWS SDK and the
/// HTTP stack print whole requests.
///
/// Returns the number of panics of this process from now on.
pub(crate) fn init(format: LogFormat, level: Level) -> Arc<AtomicU64> {
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("latchkey", level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
    };
    // A second call does nothing: tests run several providers in one process.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    let panics = Arc::default();
    log_panics_without_payload(Arc::clone(&panics));
    panics
}

/// A panic's message may contain a secret value, so only its location is logged.
fn log_panics_without_payload(panics: Arc<AtomicU64>) {
    std::panic::set_hook(Box::new(move |panic| {
        panics.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
