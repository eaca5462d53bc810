//! The end of the process, for all who have to hear of it.

use std::sync::Arc;

use tokio::sync::watch;

/// A shutdown that several tasks wait for.
pub(super) struct Stop(watch::Receiver<bool>, Arc<watch::Sender<bool>>);

impl Stop {
    pub(super) fn on(shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(false);
        let sender = Arc::new(sender);
        let stop = Self(receiver, Arc::clone(&sender));
        tokio::spawn(async move {
            shutdown.await;
            sender.send_replace(true);
        });
        stop
    }

    pub(super) fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.clone();
        async move {
            // A closed channel also means that everything stops.
            let _ = receiver.wait_for(|stopped| *stopped).await;
        }
    }

    pub(super) fn now(&self) {
        self.1.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::oneshot, task::yield_now, time::timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_waiter_hears_the_shutdown() {
        let (shut_down, asked) = oneshot::channel::<()>();
        let stop = Stop::on(async {
            let _ = asked.await;
        });
        // The task runs before anybody waits, as it may on another thread.
        yield_now().await;
        let waiting = stop.wait();
        shut_down.send(()).unwrap();
        timeout(Duration::from_secs(1), waiting).await.unwrap();
    }
}
