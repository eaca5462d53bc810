//! The bars of a fleet, at a scale that tests have time for: nodes and quotas are a fiftieth of
//! those in `docs/src/at-scale.md`. The test that is ignored has their full scale.

use super::*;

/// 200 nodes with 22 principals of 5 secrets each, and a fiftieth of AWS's quota.
fn fleet() -> Settings {
    Settings {
        nodes: 200,
        accounts_per_node: 22,
        values: 5,
        parameters: 0,
        interval: Duration::from_secs(120),
        max_refresh_interval: Duration::from_secs(3_600),
        notified_poll_interval: None,
        pod_starts: 4.0,
        secrets_manager_quota: 200.0,
        parameter_store_quota: 40.0,
        scenario: Scenario::Steady,
        length: Duration::from_secs(3_600),
        seed: 1,
    }
}

fn run(settings: &Settings) -> Outcome {
    settings.run(&Prices::default())
}

fn notified(settings: Settings) -> Settings {
    Settings { notified_poll_interval: Some(Duration::from_secs(3_600)), ..settings }
}

/// Two intervals of the length that the quota allows: all calls divided by the quota.
fn twice_allowed(settings: &Settings, quota: f64) -> f64 {
    2.0 * settings.calls() as f64 / quota
}

#[test]
fn a_fleet_below_its_quota_is_not_throttled() {
    let outcome = run(&fleet());
    let service = &outcome.services[0];
    assert_eq!((service.throttled, service.stretch), (0, 1.0));
    assert!(service.ages.oldest_ever <= 121.0, "{service:?}");
    assert!((service.asked - 183.3).abs() < 0.1, "{service:?}");
    assert_eq!(outcome.mounts.throttled, 0);
}

#[test]
fn at_half_the_quota_no_mount_fails_and_no_value_is_twice_as_old_as_the_quota_allows() {
    for seed in 1..=2 {
        let settings = Settings { secrets_manager_quota: 100.0, seed, ..fleet() };
        let outcome = run(&settings);
        let service = &outcome.services[0];
        assert_eq!(outcome.mounts.failed_by_throttling, 0, "{outcome:?}");
        assert!(service.ages.oldest_ever < twice_allowed(&settings, 100.0), "{outcome:?}");
        assert!(service.answered > 0.98 * 100.0, "the quota is used: {outcome:?}");
        assert!(service.throttled_share < 0.05, "{outcome:?}");
    }
}

#[test]
fn a_hundred_and_ten_principals_a_node_keep_the_same_promises() {
    let settings = Settings { nodes: 50, accounts_per_node: 110, secrets_manager_quota: 50.0, ..fleet() };
    let outcome = run(&settings);
    assert_eq!(outcome.mounts.failed_by_throttling, 0, "{outcome:?}");
    assert!(outcome.services[0].ages.oldest_ever < twice_allowed(&settings, 50.0), "{outcome:?}");
}

/// Not scaled down: few calls of each node are what makes this hard.
#[test]
fn two_thousand_nodes_keep_them_with_forty_calls_a_second_to_parameter_store() {
    let settings = Settings { nodes: 2_000, values: 0, parameters: 5, ..fleet() };
    let outcome = run(&settings);
    assert_eq!(outcome.mounts.failed_by_throttling, 0, "{outcome:?}");
    assert!(outcome.services[0].ages.oldest_ever < twice_allowed(&settings, 40.0), "{outcome:?}");
    assert_eq!(outcome.services[0].operation, "GetParameters");
}

#[test]
fn with_notices_polls_take_a_thirtieth() {
    // At full scale this is 400 a second.
    let outcome = run(&notified(fleet()));
    assert!(outcome.services[0].calls <= 8.0, "{outcome:?}");
    assert_eq!(outcome.services[0].throttled, 0);
}

#[test]
fn a_shared_secret_that_rotates_is_served_everywhere_within_ten_seconds() {
    for nodes in [10, 500] {
        let quota = f64::from(nodes);
        let settings = Settings { nodes, secrets_manager_quota: quota, ..fleet() };
        let outcome = run(&Settings { scenario: Scenario::Change, ..notified(settings) });
        let changes = outcome.changes.as_ref().unwrap();
        assert!(changes.number >= 7 && changes.not_served == 0, "{changes:?}");
        assert!(changes.served.max <= 10.0, "{changes:?}");
        assert_eq!(outcome.services[0].throttled, 0, "{outcome:?}");
    }
}

#[test]
fn without_notices_a_change_arrives_within_an_interval() {
    let outcome = run(&Settings { scenario: Scenario::Change, ..fleet() });
    let changes = outcome.changes.unwrap();
    assert!(changes.not_served == 0 && changes.served.max <= 121.0, "{changes:?}");
    assert!((40.0..80.0).contains(&changes.served.median), "{changes:?}");
}

#[test]
fn after_a_restart_of_all_nodes_every_pod_is_served_as_fast_as_the_quota_allows() {
    let settings = Settings { scenario: Scenario::Restart, ..fleet() };
    let outcome = run(&settings);
    assert_eq!(outcome.mounts.served, outcome.mounts.started, "{outcome:?}");
    // Everything is read once: no faster than at the quota.
    let fastest = settings.calls() as f64 / settings.secrets_manager_quota;
    assert!(outcome.mounts.waits.max < 1.5 * fastest, "{outcome:?}");
    // Half an hour later, nothing is stretched any more.
    assert!(outcome.services[0].ages.oldest <= 121.0, "{outcome:?}");
}

#[test]
fn after_an_outage_all_values_are_current_again() {
    for settings in [fleet(), notified(fleet())] {
        let length = Duration::from_secs(2 * 3_600);
        let outcome = run(&Settings { scenario: Scenario::Outage, length, ..settings });
        let interval = if outcome.notices { 3_600.0 } else { 120.0 };
        assert!(outcome.mounts.failed_by_outage > 0, "{outcome:?}");
        assert_eq!(outcome.mounts.served, outcome.mounts.started, "{outcome:?}");
        assert_eq!(outcome.services[0].stretch, 1.0, "{outcome:?}");
        assert!(outcome.services[0].ages.oldest <= interval + 1.0, "{outcome:?}");
    }
}

#[test]
fn a_seed_gives_the_same_outcome_and_another_one_another() {
    let settings = Settings { nodes: 50, secrets_manager_quota: 25.0, ..fleet() };
    let one = json(&run(&settings));
    assert_eq!(one, json(&run(&settings)));
    assert_ne!(one, json(&run(&Settings { seed: 2, ..settings })));
}

#[test]
fn an_interval_is_never_stretched_beyond_the_maximum() {
    // A quota that is far too small: 55 calls an hour for 110 values.
    let max_refresh_interval = Duration::from_secs(600);
    let settings =
        Settings { nodes: 20, secrets_manager_quota: 1.0, pod_starts: 0.0, max_refresh_interval, ..fleet() };
    let outcome = run(&settings);
    assert!(outcome.services[0].throttled_share > 0.5, "{outcome:?}");
    // Polls go on at the maximum, and AWS answers what it can.
    assert!(outcome.services[0].calls > 2_200.0 / 600.0, "{outcome:?}");
}

/// The figures of `docs/src/at-scale.md`: `cargo test --release -- --ignored full_scale`.
#[test]
#[ignore = "takes a minute when optimised, and much longer when not"]
fn ten_thousand_nodes_hold_the_bars_at_full_scale() {
    let fleet = Settings { nodes: 10_000, secrets_manager_quota: 10_000.0, ..fleet() };
    let outcome = run(&notified(fleet.clone()));
    assert!(outcome.services[0].calls <= 400.0, "{outcome:?}");

    let outcome = run(&Settings { scenario: Scenario::Change, ..notified(fleet.clone()) });
    assert!(outcome.changes.as_ref().unwrap().served.max <= 10.0, "{outcome:?}");
    assert_eq!((outcome.changes.as_ref().unwrap().not_served, outcome.services[0].throttled), (0, 0));

    for (accounts_per_node, quota) in [(22, 5_000.0), (110, 10_000.0)] {
        let settings = Settings { accounts_per_node, secrets_manager_quota: quota, ..fleet.clone() };
        let outcome = run(&settings);
        assert_eq!(outcome.mounts.failed_by_throttling, 0, "{outcome:?}");
        assert!(outcome.services[0].ages.oldest_ever < twice_allowed(&settings, quota), "{outcome:?}");
    }
}
