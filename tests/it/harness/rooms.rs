//! The rooms behind the socket, for tests of the cache's contents.

use std::sync::Arc;

use latchkey::{
    aws::Aws,
    backend::Backend,
    classes::Classes,
    cluster::Cluster,
    delivery::{Answers, Delivery},
    identity::Identity,
    model::{
        arn::Regions,
        request::{MountRequest, RawRequest},
        token::Tokens,
    },
    rotation::Poller,
    shape::Shaper,
    shares::Shares,
    values::{NotRead, PodAsker, Read, Reader, ValueSettings, Values},
    workers::Workers,
};
use tokio::task::JoinHandle;

use super::{Request, World};

/// A reader of values and its poller, next to the world's own provider.
pub(crate) struct Rooms {
    pub(crate) values: Arc<Values>,
    identity: Arc<Identity>,
    reader: Arc<Reader>,
    poller: JoinHandle<()>,
}

impl Rooms {
    /// Reads from the world's AWS.
    pub(crate) async fn beside(world: &World, settings: ValueSettings) -> Self {
        let aws = Arc::new(Aws::load(&world.config.aws, Arc::default()).await.unwrap());
        let cluster = Arc::new(Cluster::new(world.config.cluster.clone(), Arc::default()));
        let identity = Arc::new(Identity::new(Arc::clone(&aws), cluster, world.config.identity.clone()));
        let backend = Arc::new(Backend::new(Arc::clone(&aws)));
        let values = Arc::new(Values::new(settings, Arc::default()));
        let memory = Shares::new(64 << 20);
        let reader =
            Arc::new(Reader::new(Arc::clone(&identity), backend, Arc::clone(&values), memory, 8 << 20));
        let shaper = Shaper {
            workers: Workers::new(),
            memory: Shares::new(64 << 20),
            values: Arc::clone(&values),
            max_bytes: 4 << 20,
        };
        let delivery = Arc::new(Delivery::DriverWrites(Answers::new(shaper)));
        let poller = Poller {
            aws,
            identity: Arc::clone(&identity),
            reader: Arc::clone(&reader),
            delivery,
            classes: Arc::new(Classes::new(0)),
            report: Arc::default(),
        };
        Self { values, identity, reader, poller: tokio::spawn(poller.run()) }
    }

    /// The request as a mount parses it.
    pub(crate) fn parsed(world: &World, request: &Request) -> (MountRequest, Tokens) {
        let message = request.message(&world.emulator);
        let raw = RawRequest {
            attributes: message.attributes,
            secrets: message.secrets,
            target_path: message.target_path,
            permission: message.permission,
        };
        MountRequest::parse(raw, &world.config.rules).unwrap()
    }

    /// Reads what the request's pod mounts.
    pub(crate) async fn read(&self, world: &World, request: &Request) -> Result<Read, NotRead> {
        let (MountRequest { pod, class, .. }, tokens) = Self::parsed(world, request);
        let regions = Regions { primary: class.region.clone().unwrap(), failover: None };
        let (principal, proof) = self.identity.principal(&pod, &class.identity, tokens).await?;
        let interval = class.refresh_interval;
        let asker = PodAsker { principal: &principal, proof: &proof, regions: &regions, interval };
        let turn = Shares::new(1).take("", 1).await;
        self.reader.read(&asker, &class.objects, turn).await
    }
}

impl Drop for Rooms {
    fn drop(&mut self) {
        self.poller.abort();
    }
}
