//! What `/metrics` shows: every failure moves exactly its own counters.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey_emulator::FaultKind;
use tonic::Code;

use crate::harness::{
    GRACE, INTERVAL, Pod, REGION, Request, SECRET, Scrape, WEB, World, assert_code, assert_contains,
    assert_lacks, pass, scrape, seconds,
};

/// The most series that a node may have, without the namespace label.
const MAX_SERIES: usize = 400;

/// The series of one mount that AWS was not asked for.
const FROM_MEMORY: [&str; 5] = [
    "latchkey_mount_duration_seconds_count{origin=\"memory\"} +1",
    "latchkey_mounted_bytes_total +7",
    "latchkey_mounted_files_total +1",
    "latchkey_mounts_total{result=\"mounted\",reason=\"none\"} +1",
    "latchkey_value_lookups_total{result=\"hit\"} +1",
];

/// Checks what moved, apart from what every mount moves in the same way.
#[track_caller]
fn assert_moved(moved: &[String], expected: &[&str]) {
    let common = [
        "latchkey_aws_permit_wait_seconds",
        "latchkey_aws_request_duration_seconds",
        "latchkey_token_checks_total",
    ];
    let moved: Vec<&String> =
        moved.iter().filter(|series| !common.iter().any(|name| series.starts_with(name))).collect();
    assert_eq!(moved, expected, "{moved:#?}");
}

async fn web() -> World {
    let world = World::watched(|_| {}).await;
    world.secret("shop/db", "hunter2");
    world
}

#[tokio::test(start_paused = true)]
async fn every_series_exists_from_the_start_within_the_budget() {
    let world = World::watched(|_| {}).await;
    let scrape = world.scrape().await;
    let series = scrape.series();
    assert!(series.len() <= MAX_SERIES, "{} series", series.len());
    let counters = series.iter().filter(|(name, _)| name.starts_with("latchkey_") && name.contains("_total"));
    let moved: Vec<_> =
        counters.filter(|(name, value)| **value != 0.0 && !name.contains("kubernetes")).collect();
    assert!(moved.is_empty(), "{moved:?}");
    assert_eq!(scrape.value("latchkey_socket{state=\"ours\"}"), 1.0);
    assert_eq!(scrape.value("latchkey_poll_interval_seconds"), 120.0);
}

#[tokio::test(start_paused = true)]
async fn mounts_add_no_series() {
    let world = web().await;
    let before = world.scrape().await.series();
    for (number, service_account) in (1..).zip(["web", "other", "third"]) {
        let pod = Pod::numbered("shop", service_account, number);
        let _ = world.try_mount(&Request::of_pod(pod, SECRET)).await;
    }
    let after = world.scrape().await.series();
    let new: Vec<_> = after.keys().filter(|series| !before.contains_key(*series)).collect();
    assert!(new.iter().all(|series| series.contains("timestamp_seconds")), "{new:?}");
}

/// Metrics by name: the type, and the names of the labels.
type Reference = BTreeMap<String, (String, BTreeSet<String>)>;

/// The metrics that a page of the book documents.
pub(crate) fn documented(page: &str) -> Reference {
    let rows =
        page.lines().filter(|line| line.starts_with("| `latchkey_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        // A label stands before its values: `result`: `ok`, `failed`; `kind`: …
        let labels = cells[2].split(';').filter_map(|label| label.split('`').nth(1)).map(str::to_owned);
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels.collect()))
    })
    .collect()
}

/// The metrics that a scrape returned.
pub(crate) fn served(scrape: &Scrape) -> Reference {
    let mut served = Reference::new();
    let types = scrape.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in types {
        served.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
    }
    for series in scrape.series().keys() {
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let name = base.filter(|base| served.contains_key(*base)).unwrap_or(name);
        let labels =
            labels.trim_end_matches('}').split(',').filter_map(|label| Some(label.split_once('=')?.0));
        let (_, known) = served.get_mut(name).unwrap_or_else(|| panic!("{name} has no type"));
        known.extend(labels.filter(|label| *label != "le").map(str::to_owned));
    }
    served
}

#[tokio::test(start_paused = true)]
async fn the_reference_documents_exactly_the_metrics_that_are_served() {
    let world = web().await;
    world.mount(&Request::new(SECRET)).await;
    pass(INTERVAL + GRACE).await;
    let page = include_str!("../../docs/src/metrics.md");
    assert_eq!(documented(page), served(&world.scrape().await));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_pods_add_no_series_and_are_all_counted() {
    let world = web().await;
    world.mount(&Request::new(SECRET)).await;
    // The first poll adds the time of the last one.
    pass(2 * INTERVAL).await;
    let before = world.scrape().await;
    for (number, request) in Request::many(10_000, SECRET).iter().enumerate() {
        world.mount(request).await;
        // The clock of AWS must not fall behind the machine's on a slow one.
        if number % 25 == 0 {
            seconds(1).await;
        }
    }
    let after = world.scrape().await;
    assert_eq!(before.series().len(), after.series().len());
    let mounted = "latchkey_mounts_total{result=\"mounted\",reason=\"none\"}";
    assert_eq!(after.value(mounted) - before.value(mounted), 10_000.0);
}

#[tokio::test(start_paused = true)]
async fn both_formats_are_served() {
    let world = World::watched(|_| {}).await;
    let address = world.config.http_address.unwrap();
    let open = scrape(address, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert!(open.content_type.starts_with("application/openmetrics-text"), "{}", open.content_type);
    assert!(open.text.ends_with("# EOF\n"), "{}", open.text);
    let plain = scrape(address, "*/*").await;
    assert!(plain.content_type.starts_with("text/plain; version=0.0.4"), "{}", plain.content_type);
    assert_lacks(&plain.text, "# EOF");
}

#[tokio::test(start_paused = true)]
async fn a_cold_mount_and_a_republish() {
    let world = web().await;
    let cold = world.moved(async { drop(world.mount(&Request::new(SECRET)).await) }).await;
    assert_moved(
        &cold,
        &[
            "latchkey_aws_requests_total{service=\"secretsmanager\",operation=\"GetSecretValue\",region=\"primary\",outcome=\"ok\"} +1",
            "latchkey_aws_requests_total{service=\"sts\",operation=\"AssumeRoleWithWebIdentity\",region=\"primary\",outcome=\"ok\"} +1",
            "latchkey_credentials_total{kind=\"irsa\",result=\"ok\"} +1",
            "latchkey_kubernetes_requests_total{request=\"service_account\",outcome=\"ok\"} +1",
            "latchkey_mount_duration_seconds_count{origin=\"aws\"} +1",
            "latchkey_mounted_bytes_total +7",
            "latchkey_mounted_files_total +1",
            "latchkey_mounts_total{result=\"mounted\",reason=\"none\"} +1",
            "latchkey_value_lookups_total{result=\"miss\"} +1",
        ],
    );
    let warm = world.moved(async { drop(world.mount(&Request::new(SECRET)).await) }).await;
    assert_moved(&warm, &FROM_MEMORY);
    let scrape = world.scrape().await;
    assert_eq!(scrape.value("latchkey_values"), 1.0);
    assert_eq!(scrape.value("latchkey_pods{state=\"fresh\"}"), 1.0);
    let age =
        scrape.value("process_start_time_seconds") - scrape.value("latchkey_oldest_value_timestamp_seconds");
    assert!(age.abs() < 60.0, "{age}");
    assert!(scrape.value("latchkey_credentials_next_expiry_timestamp_seconds") > 0.0);
}

/// A first mount that fails for `reason`, after `calls` to AWS.
async fn failed(world: &World, request: &Request, code: Code) -> Vec<String> {
    world
        .moved(async {
            assert_code(&world.refusal(request).await, code);
        })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_denied_read() {
    let world = web().await;
    world.mount(&Request::new(SECRET)).await;
    world.emulator.clear_policy(WEB);
    let moved = world.moved(pass(INTERVAL + GRACE)).await;
    assert_moved(
        &moved,
        &[
            "latchkey_aws_requests_total{service=\"secretsmanager\",operation=\"GetSecretValue\",region=\"primary\",outcome=\"denied\"} +1",
            "latchkey_polls_total{result=\"lost\"} +1",
            "latchkey_value_evictions_total{cause=\"lost\"} +1",
            "latchkey_values_lost_total{reason=\"denied\"} +1",
        ],
    );
    let moved = failed(&world, &Request::new(SECRET), Code::PermissionDenied).await;
    assert_moved(
        &moved,
        &[
            "latchkey_aws_requests_total{service=\"secretsmanager\",operation=\"GetSecretValue\",region=\"primary\",outcome=\"denied\"} +1",
            "latchkey_kubernetes_requests_total{request=\"service_account\",outcome=\"ok\"} +1",
            "latchkey_mount_duration_seconds_count{origin=\"failed\"} +1",
            "latchkey_mounts_total{result=\"failed\",reason=\"denied\"} +1",
            "latchkey_value_lookups_total{result=\"miss\"} +1",
        ],
    );
    assert_eq!(world.scrape().await.value("latchkey_pods{state=\"failing\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_does_not_exist() {
    let world = World::watched(|_| {}).await;
    let moved = failed(&world, &Request::new(SECRET), Code::NotFound).await;
    assert!(
        moved.contains(&"latchkey_mounts_total{result=\"failed\",reason=\"not_found\"} +1".to_owned()),
        "{moved:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_manifest_and_a_foreign_token_ask_nobody() {
    let world = web().await;
    let moved = failed(&world, &Request::new("- {objectName: x, objectTyp: y}"), Code::InvalidArgument).await;
    assert_moved(
        &moved,
        &[
            "latchkey_mount_duration_seconds_count{origin=\"failed\"} +1",
            "latchkey_mounts_total{result=\"failed\",reason=\"invalid_request\"} +1",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_and_its_end() {
    let world = web().await;
    world.mount(&Request::new(SECRET)).await;
    let fault = world.fault("GetSecretValue", FaultKind::InternalError);
    pass(INTERVAL + GRACE + Duration::from_secs(60)).await;
    let moved = world.moved(async { drop(world.mount(&Request::new(SECRET)).await) }).await;
    assert!(moved.contains(&"latchkey_value_lookups_total{result=\"stale\"} +1".to_owned()), "{moved:#?}");
    assert!(
        moved.contains(&"latchkey_mount_duration_seconds_count{origin=\"last_known_good\"} +1".to_owned()),
        "{moved:#?}"
    );
    let stale = world.scrape().await;
    assert_eq!(stale.value("latchkey_values_stale"), 1.0);
    assert_eq!(stale.value("latchkey_pods{state=\"stale\"}"), 1.0);
    world.emulator.remove_fault(fault);
    pass(INTERVAL).await;
    world.mount(&Request::new(SECRET)).await;
    let healed = world.scrape().await;
    assert_eq!(healed.value("latchkey_values_stale"), 0.0);
    assert_eq!(healed.value("latchkey_pods{state=\"fresh\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_seen() {
    let world = web().await;
    world.mount(&Request::new(SECRET)).await;
    world.emulator.put_secret(REGION, "shop/db", "hunter3".to_owned());
    let moved = world.moved(pass(INTERVAL + GRACE)).await;
    assert_moved(
        &moved,
        &[
            "latchkey_aws_requests_total{service=\"secretsmanager\",operation=\"GetSecretValue\",region=\"primary\",outcome=\"ok\"} +1",
            "latchkey_polls_total{result=\"read\"} +1",
            "latchkey_value_changes_total +1",
        ],
    );
    let scrape = world.scrape().await;
    assert!(scrape.value("latchkey_last_poll_timestamp_seconds") > 0.0);
    assert_eq!(scrape.value("latchkey_poll_lag_seconds"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_is_aborted_counts_its_call_too() {
    let world = World::watched(|config| config.mount_timeout = Duration::from_secs(2)).await;
    world.secret("shop/db", "hunter2");
    world.fault("GetSecretValue", FaultKind::Hang);
    let moved = failed(&world, &Request::new(SECRET), Code::Internal).await;
    for series in [
        "latchkey_mounts_total{result=\"failed\",reason=\"deadline\"} +1",
        "latchkey_aws_requests_total{service=\"secretsmanager\",operation=\"GetSecretValue\",region=\"primary\",outcome=\"outage\"} +1",
    ] {
        assert!(moved.contains(&series.to_owned()), "{moved:#?}");
    }
}

/// The release build is many times faster than this one.
#[tokio::test(start_paused = true)]
async fn a_scrape_with_1000_values_is_small_and_quick() {
    let world = World::watched(|_| {}).await;
    let empty = world.scrape().await;
    for hundred in 0..10 {
        let objects = world.many(hundred * 100..hundred * 100 + 100);
        world.mount(&Request::new(&objects).numbered(u32::try_from(hundred).unwrap())).await;
    }
    let mut quickest = Duration::MAX;
    let mut text = String::new();
    for _ in 0..5 {
        seconds(2).await;
        let began = std::time::Instant::now();
        text = world.scrape().await.text;
        quickest = quickest.min(began.elapsed());
    }
    println!("{quickest:?} for {} bytes", text.len());
    assert_contains(&text, "latchkey_values 1000\n");
    assert!(text.len() < empty.text.len() + 2000, "{} bytes, and {}", text.len(), empty.text.len());
    assert!(quickest < Duration::from_millis(100), "{quickest:?}");
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_counted_only_on_demand() {
    let world = World::watched(|config| config.namespace_label = true).await;
    world.secret("shop/db", "hunter2");
    world.mount(&Request::new(SECRET)).await;
    let series = "latchkey_mounts_total{result=\"mounted\",reason=\"none\",namespace=\"shop\"}";
    assert_eq!(world.scrape().await.value(series), 1.0);
    assert_lacks(&web().await.scrape().await.text, "namespace=");
}

#[tokio::test(start_paused = true)]
async fn no_value_and_no_token_is_in_the_metrics() {
    let world = World::watched(|config| config.namespace_label = true).await;
    world.secret("shop/db", "canary-4711");
    world.mount(&Request::new(SECRET)).await;
    let _ = world.refusal(&Request::new("- {objectName: canary-4711}")).await;
    assert_lacks(&world.scrape().await.text, "canary");
}
