//! What the cluster tells: once, and as it changes.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{
    live::{
        CLASSES, CSI_DRIVERS, Followed, Live, LiveError, POD_STATUSES, PODS, Progress, Query, Scope, Update,
    },
    uptake::{Catalog, Circumstances, ClassItem, Driver, Fleet, Holding, RunningPod, kept_pod, kept_status},
};

/// The driver's CSIDriver.
const DRIVER: &str = "secrets-store.csi.k8s.io";
/// A pod that has ended holds nothing.
const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";
/// Changes that come within this time are looked at together.
const GATHERED: Duration = Duration::from_millis(250);

/// What seldom changes.
pub(super) struct Origin {
    pub(super) catalog: Catalog,
    pub(super) circumstances: Circumstances,
}

impl Origin {
    pub(super) async fn read(live: &Live, scope: &Scope, progress: &Progress) -> Result<Self, LiveError> {
        let mut catalog = Catalog::default();
        let keep = |class: ClassItem| {
            catalog.add(class);
            None::<()>
        };
        live.list_kept(Query::new(&CLASSES, scope), progress, keep).await?;
        // Not everybody may read this object, and it only explains.
        let driver = live.get::<Driver>(&CSI_DRIVERS, "", DRIVER).await.ok().flatten();
        let driver_rotates = driver.map(|driver| driver.rotates());
        Ok(Self { catalog, circumstances: Circumstances { driver_rotates, ..Circumstances::default() } })
    }
}

/// The pods and what they hold, kept up to date.
pub(super) struct Feed {
    pub(super) fleet: Fleet,
    /// Why the API server cannot be reached now.
    pub(super) lost: Option<LiveError>,
    pods: Followed<RunningPod>,
    holdings: Followed<Holding>,
}

impl Feed {
    pub(super) fn start(live: &Live, scope: &Scope, progress: Progress) -> Self {
        Self {
            fleet: Fleet::default(),
            lost: None,
            pods: live.follow(&PODS, scope.clone(), NOT_ENDED, progress.clone(), kept_pod),
            holdings: live.follow(&POD_STATUSES, scope.clone(), "", progress, kept_status),
        }
    }

    /// Waits for both lists.
    pub(super) async fn ready(&mut self) -> Result<(), LiveError> {
        let (pods, holdings) = tokio::join!(self.pods.next(), self.holdings.next());
        self.pods_changed(pods?);
        self.holdings_changed(holdings?);
        Ok(())
    }

    /// Waits for a change, and for those that come right after it. `false`: none came
    /// until `deadline`.
    pub(super) async fn changed(&mut self, deadline: Instant) -> Result<bool, LiveError> {
        let mut until = deadline;
        let mut changed = false;
        loop {
            tokio::select! {
                update = self.pods.next() => self.pods_changed(update?),
                update = self.holdings.next() => self.holdings_changed(update?),
                () = sleep_until(until) => return Ok(changed),
            }
            if !changed {
                changed = true;
                until = deadline.min(Instant::now() + GATHERED);
            }
        }
    }

    fn pods_changed(&mut self, update: Update<RunningPod>) {
        self.lost = None;
        match update {
            Update::All(pods) => self.fleet.set_pods(pods),
            Update::Put(pod) => self.fleet.put_pod(pod),
            Update::Gone(pod) => self.fleet.remove_pod(&pod),
            Update::Lost(error) => self.lost = Some(error),
        }
    }

    fn holdings_changed(&mut self, update: Update<Holding>) {
        self.lost = None;
        match update {
            Update::All(holdings) => self.fleet.set_holdings(holdings),
            Update::Put(holding) => self.fleet.put_holding(holding),
            Update::Gone(holding) => self.fleet.remove_holding(&holding),
            Update::Lost(error) => self.lost = Some(error),
        }
    }
}
