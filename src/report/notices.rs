//! What a person should hear of change notices and of stretched intervals. All of it is
//! about the node, and none about a tenant.

use super::Report;
use crate::{
    cluster::{ClusterError, watched::ObjectName},
    metrics::Noticed,
    model::message::{logged, quoted},
    notices::{News, Suspicion, Unreadable},
    values::Stretching,
};

impl Report {
    /// A text of the object was heard. `told` values are read again for it.
    pub fn noticed(&self, news: &News, told: usize) {
        let held = told.min(news.changes.len());
        self.metrics.notices.add(Noticed::Held, held as u64);
        self.metrics.notices.add(Noticed::NotHeld, (news.changes.len() - held) as u64);
        if news.missed {
            self.metrics.notices_missed.inc();
        }
        let resumed = news.began.intersection(&news.broken).count();
        if resumed > 0 {
            tracing::warn!(areas = resumed, "change notices were missed: values are polled normally once");
        }
        for area in news.broken.difference(&news.began) {
            tracing::warn!(%area, "change notices have stopped: values are polled normally");
        }
        for area in news.began.difference(&news.broken) {
            tracing::info!(%area, "change notices flow: values are polled rarely");
        }
        if told > 0 {
            tracing::debug!(
                changes = news.changes.len(),
                values = told,
                "read again because of change notices"
            );
        }
    }

    /// The object cannot be watched.
    pub fn notices_failed(&self, object: &ObjectName, error: &ClusterError) {
        self.notices_warning(object, &logged(error));
    }

    /// The object does not exist, or has no notices in it.
    pub fn notices_absent(&self, object: &ObjectName) {
        self.notices_warning(
            object,
            &format!(
                "the ConfigMap {object} has no change notices: latchkey notices has not written any yet"
            ),
        );
    }

    /// The object holds something else.
    pub fn notices_unreadable(&self, object: &ObjectName, error: Unreadable) {
        self.notices_warning(
            object,
            &format!("the change notices in the ConfigMap {object} are ignored: {error}"),
        );
    }

    fn notices_warning(&self, object: &ObjectName, text: &str) {
        if let Some(untold) = self.tell(super::NODE, &object.name, text) {
            tracing::warn!("{text}. Values are polled normally{untold}");
        }
    }

    /// A change that no notice told of.
    pub fn untold(&self, suspicion: &Suspicion) {
        self.metrics.changes_untold.inc();
        let (area, arn) = (&suspicion.area, quoted(&suspicion.arn));
        tracing::warn!(
            %area,
            %arn,
            "a value has changed, and no notice told of it: check the EventBridge rule and its queue (latchkey doctor). Values of this account and Region are polled normally for a day"
        );
    }

    /// Intervals have begun or ended to be stretched.
    pub fn stretching(&self, stretching: &Stretching) {
        let Stretching { service, region, began } = stretching;
        if *began {
            tracing::warn!(%service, %region, "AWS throttles: values are polled less often until it answers again");
        } else {
            tracing::info!(%service, %region, "AWS no longer throttles: values are polled at their intervals");
        }
    }
}
