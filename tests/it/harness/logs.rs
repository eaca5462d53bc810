//! What the provider writes into its log.

use std::{cell::RefCell, io, sync::Once};

use tracing::Level;
use tracing_subscriber::{Layer, filter::dynamic_filter_fn, layer::SubscriberExt};

thread_local! {
    /// The log of this thread, on which everything of a test runs.
    static TEXT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Collects the log of this thread until it is dropped.
pub(crate) struct Log;

impl Log {
    /// Collects from now on.
    pub(crate) fn collect() -> Self {
        // One for the whole process, because what is installed for one thread is
        // missed by places of the code that another thread reaches meanwhile.
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            let ours = dynamic_filter_fn(|metadata, _| {
                metadata.target().starts_with("latchkey")
                    && *metadata.level() <= Level::DEBUG
                    && TEXT.with_borrow(Option::is_some)
            });
            let layer =
                tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Writer).with_filter(ours);
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        TEXT.set(Some(Vec::new()));
        Self
    }

    /// What was written since the last time.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(TEXT.replace(Some(Vec::new())).unwrap_or_default()).unwrap()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        TEXT.set(None);
    }
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| text.iter_mut().for_each(|text| text.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
