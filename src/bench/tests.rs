//! A tiny bench of a provider in this very process.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::{
    app::{self, Config},
    cluster::ClusterSettings,
    identity::AgentSettings,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_provider_is_measured() {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut settings = Settings {
        subject: Subject::Running { socket: PathBuf::new(), pid: Some(std::process::id()) },
        scenarios: Vec::new(),
        repeat: None,
        latency: Duration::ZERO,
        kubernetes_latency: Duration::ZERO,
        // In a provider of this very process, one variable would speak for all.
        plain: true,
        aws_address: any,
        sts_address: any,
        agent_address: any,
        kubernetes_address: any,
        at_once: 4,
        loop_time: Duration::from_millis(100),
        idle_time: Duration::from_millis(10),
        interval: Duration::from_secs(1),
        intervals: 1,
        changes: 1,
        json: None,
    };
    let stage = Stage::start(&settings).await.unwrap();
    let mut config = Config::new(stage.folder());
    config.allowed_uids = vec![rustix::process::geteuid().as_raw()];
    config.aws.endpoint_url = Some(stage.aws.secrets_manager.clone());
    config.identity.agent = AgentSettings::at(&stage.aws.agent);
    config.cluster = ClusterSettings { kubeconfig: Some(stage.kubeconfig.clone()), node_name: None };
    tokio::spawn(app::serve(config, std::future::pending()));
    settings.subject =
        Subject::Running { socket: stage.folder().join("aws.sock"), pid: Some(std::process::id()) };
    let value = |measures: &[figures::Measure], figure: &str| {
        measures.iter().find(|measure| measure.figure == figure).map(|measure| measure.value)
    };

    let start = Scenario::Start.play(&settings, &stage).await.unwrap();
    assert_eq!(start, [], "it runs already");

    let cold = Scenario::Cold.play(&settings, &stage).await.unwrap();
    assert_eq!(value(&cold, "10 secrets, first: GetSecretValue"), Some(10.0));
    assert_eq!(value(&cold, "50 secrets, later: AWS calls"), Some(51.0));
    assert_eq!(value(&cold, "50 secrets, first: Kubernetes calls"), Some(1.0));

    let republished = Scenario::Loop.play(&settings, &stage).await.unwrap();
    assert!(value(&republished, "mounts").unwrap() > 10.0, "{republished:?}");
    assert_eq!(value(&republished, "AWS calls"), Some(0.0));
    assert!(value(&republished, "memory, RSS").unwrap() > 1.0, "{republished:?}");
}

#[test]
fn every_scenario_is_found_by_its_name() {
    for scenario in Scenario::ALL {
        assert_eq!(Scenario::named(scenario.name()), Some(scenario));
        assert_ne!(scenario.about(), "", "{}", scenario.name());
        assert_ne!(scenario.repetitions(), 0, "{}", scenario.name());
    }
    assert_eq!(Scenario::named("nonsense"), None);
}
