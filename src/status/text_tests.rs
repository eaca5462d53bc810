use super::*;
use crate::status::snapshot::{
    Calls, Denial, NamespaceCalls, Principal, Share, Shares, Socket, TokenKeys, Volume,
};

fn time(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn who(namespace: &str, role: Option<&str>) -> Who {
    Who {
        namespace: namespace.to_owned(),
        service_account: "web".to_owned(),
        means: if role.is_some() { Means::Irsa } else { Means::PodIdentity },
        role: role.map(|role| format!("arn:aws:iam::111122223333:role/{role}")),
        assumed_role: None,
        pod_uid: None,
    }
}

fn value(namespace: &str, id: &str) -> Value {
    Value {
        who: who(namespace, Some("web")),
        service: "secretsmanager".to_owned(),
        id: id.to_owned(),
        region: "us-east-1".to_owned(),
        failover_region: None,
        versions: vec![Version {
            asked: None,
            held: Some("a031aa36-7100-420b-bba1-9582319a959b".to_owned()),
            arn: Some(format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{id}-AbCdEf")),
            served_by: Some("us-east-1".to_owned()),
            missing: None,
        }],
        state: State::Fresh,
        failed: None,
        outages: 0,
        read_at: Some(time("2026-02-03T04:04:00Z")),
        next_poll: Some(time("2026-02-03T04:06:00Z")),
        asked_at: time("2026-02-03T04:05:00Z"),
        interval_seconds: 120,
    }
}

fn snapshot() -> Snapshot {
    let principal = |who| Principal {
        who,
        credentials_until: Some(time("2026-02-03T04:15:06Z")),
        refused: None,
        token_until: Some(time("2026-02-04T04:05:06Z")),
        values: 1,
    };
    Snapshot {
        version: "0.1.0".to_owned(),
        taken_at: time("2026-02-03T04:05:06Z"),
        started_at: time("2026-01-31T00:00:00Z"),
        node: Some("ip-10-0-1-2".to_owned()),
        socket: Socket { path: "/run/aws.sock".to_owned(), state: SocketState::Ours, held_by: None },
        writes: Writes::Driver,
        pods: Pods { fresh: 3, stale: 0, failing: 0 },
        notices: None,
        stretch: 1.0,
        token_keys: TokenKeys { read_at: Some(time("2026-02-03T04:01:06Z")), usable: 2, warning: None },
        principals: vec![principal(who("shop", Some("web"))), principal(who("pay", None))],
        values: vec![value("shop", "shop/db"), value("pay", "pay/key")],
        denials: Vec::new(),
        volumes: Vec::new(),
        calls: vec![Calls {
            to: "aws".to_owned(),
            running: 2,
            waiting: 1,
            max: 96,
            namespaces: vec![NamespaceCalls { namespace: "shop".to_owned(), running: 2, waiting: 1 }],
        }],
        shares: vec![Shares {
            part: "values".to_owned(),
            unit: Unit::Bytes,
            used: 1536,
            max: 30 << 20,
            namespaces: vec![Share { namespace: "shop".to_owned(), used: 1536, waiting: 0 }],
        }],
    }
}

fn first_line(snapshot: &Snapshot) -> String {
    text(snapshot, Width::Columns(100)).lines().next().unwrap().to_owned()
}

#[test]
fn the_whole_text() {
    assert_eq!(text(&snapshot(), Width::Columns(100)), include_str!("sample.txt"));
}

#[test]
fn the_first_line_says_what_is_wrong() {
    let mut bad = snapshot();
    bad.values[0].state = State::Stale;
    bad.values[0].failed = Some("throttled".to_owned());
    assert_eq!(first_line(&bad), "1 of 2 values is stale: AWS fails (throttled)");
    bad.values[1].state = State::WaitsForToken;
    bad.socket.state = SocketState::Foreign;
    bad.denials.push(Denial {
        who: who("shop", None),
        id: None,
        reason: "denied".to_owned(),
        at: time("2026-02-03T04:05:00Z"),
    });
    assert_eq!(
        first_line(&bad),
        "another provider holds the driver's socket; AWS refuses 1 read (denied); 1 of 2 values is stale: AWS \
         fails (throttled); 1 of 2 values waits for a token, which the next mount brings"
    );
    let mut empty = snapshot();
    empty.values.clear();
    assert_eq!(first_line(&empty), "All is well: this node holds no values");
}

#[test]
fn the_tables_fit_into_100_columns_and_wide_shows_everything() {
    let mut snapshot = snapshot();
    let long = "a-very-long-name-of-something".repeat(5);
    snapshot.values.push(value(&long, &long));
    snapshot.principals[0].who.assumed_role = Some(format!("arn:aws:iam::111122223333:role/{long}"));
    snapshot.volumes.push(Volume {
        namespace: long.clone(),
        pod: long.clone(),
        pod_uid: "u".to_owned(),
        class: long.clone(),
        values: 3,
        mounted_at: time("2026-02-03T04:05:00Z"),
    });
    let narrow = text(&snapshot, Width::Columns(100));
    let too_long: Vec<&str> = narrow.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(too_long.is_empty(), "{too_long:?}");
    let wide = text(&snapshot, Width::Wide);
    for whole in [&long, "a031aa36-7100-420b-bba1-9582319a959b", "secret:shop/db-AbCdEf", "us-east-1", "2m"] {
        assert!(wide.contains(whole), "{whole} is not in {wide}");
    }
}

#[test]
fn hostile_names_are_escaped_in_both_forms() {
    let hostile = "x\n\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{e0041}y";
    let mut snapshot = snapshot();
    snapshot.node = Some(hostile.to_owned());
    snapshot.socket.held_by = Some(hostile.to_owned());
    snapshot.socket.state = SocketState::Foreign;
    snapshot.values[0] = value(hostile, hostile);
    snapshot.values[0].failed = Some(hostile.to_owned());
    snapshot.values[0].outages = 1;
    snapshot.values[0].state = State::Stale;
    snapshot.calls[0].namespaces[0].namespace = hostile.to_owned();
    snapshot.shares[0].namespaces[0].namespace = hostile.to_owned();
    let plain = text(&snapshot, Width::Wide).lines().count();
    for printed in
        [text(&snapshot, Width::Wide), text(&snapshot, Width::Columns(100)), json(&snapshot).unwrap()]
    {
        assert!(
            printed.chars().all(|c| c == '\n' || c.escape_debug().len() == 1 || "\"\\'".contains(c)),
            "{printed}"
        );
        if !printed.starts_with('{') {
            assert_eq!(printed.lines().count(), plain);
        }
    }
    // JSON keeps the name itself.
    let parsed: Snapshot = serde_json::from_str(&json(&snapshot).unwrap()).unwrap();
    assert_eq!(parsed.values[0].id, hostile);
}

#[test]
fn one_namespace_is_shown_alone() {
    let printed = text(&snapshot().only("pay"), Width::Columns(100));
    assert!(printed.contains("pay/key"), "{printed}");
    assert!(!printed.contains("shop"), "{printed}");
}

#[test]
fn ages_and_sizes_are_short() {
    for (bytes, expected) in
        [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10_240, "10 KiB"), (31_457_280, "30 MiB")]
    {
        assert_eq!(size(bytes), expected);
    }
}
