//! Queues and events as AWS's SDK for Rust sees them.

use aws_sdk_sqs::types::MessageSystemAttributeName;
use serde_json::{Value, json};

use super::*;

const HOME: &str = "us-east-1";
const ACCOUNT: &str = "111122223333";

fn sqs(url: &str, region: &'static str, credentials: Credentials) -> aws_sdk_sqs::Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .endpoint_url(url)
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .build();
    aws_sdk_sqs::Client::from_conf(config)
}

/// Receives and deletes what is visible.
async fn drain(client: &aws_sdk_sqs::Client, queue: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let answer =
            client.receive_message().queue_url(queue).max_number_of_messages(10).send().await.unwrap();
        if answer.messages().is_empty() {
            return events;
        }
        for message in answer.messages() {
            events.push(serde_json::from_str(message.body().unwrap()).unwrap());
            let handle = message.receipt_handle().unwrap();
            client.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
        }
    }
}

/// Operation, or label and version, of each event.
fn details(events: &[Value]) -> Vec<(&str, &str)> {
    let text = |event: &'_ Value, key: &str| event["detail"][key].as_str().map(str::to_owned);
    events
        .iter()
        .map(|event| {
            let detail = &event["detail"];
            let first = detail["labelUpdated"].as_str().or(detail["operation"].as_str());
            assert!(text(event, "name").is_some(), "{event}");
            (first.unwrap_or_default(), detail["versionId"].as_str().unwrap_or_default())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_label_that_moves_becomes_the_event_that_aws_documents() {
    let (emulator, url) = serve().await;
    let queue = emulator.queue_of_changes(HOME, "watched");
    assert_eq!(queue, format!("https://sqs.{HOME}.amazonaws.com/{ACCOUNT}/watched"));
    let version = emulator.put_secret(HOME, "shop/database", "new");
    let events = drain(&sqs(&url, HOME, administrator()), &queue).await;
    let [event] = &events[..] else { panic!("{events:?}") };
    let mut event = event.clone();
    assert_eq!(event["id"].take().as_str().unwrap().len(), 36);
    let time = event["time"].take();
    assert!(time.as_str().is_some_and(|time| time.len() == 20 && time.ends_with('Z')), "{time}");
    assert_eq!(
        event,
        json!({
            "version": "0",
            "id": null,
            "detail-type": "Secret Label Updated",
            "source": "aws.secretsmanager",
            "account": ACCOUNT,
            "time": null,
            "region": HOME,
            "resources": [emulator.secret_arn(HOME, "shop/database").unwrap()],
            "detail": {"name": "shop/database", "labelUpdated": "AWSCURRENT", "versionId": version},
        })
    );
}

#[tokio::test(start_paused = true)]
async fn awspending_and_awsprevious_and_new_secrets_send_no_event() {
    let (emulator, url) = serve().await;
    let queue = emulator.queue_of_changes(HOME, "watched");
    let client = secrets_manager(&url, administrator());
    let one = client.create_secret().name("a").secret_string("1").send().await.unwrap();
    let one = one.version_id().unwrap();
    let pending = client.put_secret_value().secret_id("a").secret_string("2").version_stages("AWSPENDING");
    let two = pending.send().await.unwrap();
    let two = two.version_id().unwrap();
    let move_label = async |label: &str, to: Option<&str>, from: Option<&str>| {
        let moved = client.update_secret_version_stage().secret_id("a").version_stage(label);
        moved
            .set_move_to_version_id(to.map(str::to_owned))
            .set_remove_from_version_id(from.map(str::to_owned))
            .send()
            .await
            .unwrap();
    };
    move_label("AWSCURRENT", Some(two), Some(one)).await;
    move_label("AWSPENDING", None, Some(two)).await;
    move_label("blue", Some(one), None).await;
    move_label("blue", Some(one), Some(one)).await;
    move_label("blue", Some(two), Some(one)).await;
    move_label("blue", None, Some(two)).await;
    let three = client.update_secret().secret_id("a").secret_string("3").send().await.unwrap();
    let three = three.version_id().unwrap();
    client.update_secret().secret_id("a").description("no value").send().await.unwrap();
    let events = drain(&sqs(&url, HOME, administrator()), &queue).await;
    assert_eq!(details(&events), [("AWSCURRENT", two), ("blue", one), ("blue", two), ("AWSCURRENT", three)]);
}

#[tokio::test(start_paused = true)]
async fn a_replicas_region_gets_its_own_event() {
    let (emulator, url) = serve().await;
    let client = secrets_manager(&url, administrator());
    let west = aws_sdk_secretsmanager::types::ReplicaRegionType::builder().region("us-west-2").build();
    client.create_secret().name("a").secret_string("1").add_replica_regions(west).send().await.unwrap();
    let queue = emulator.queue_of_changes("us-west-2", "watched");
    let version = emulator.put_secret(HOME, "a", "2");
    let client = sqs(&url, "us-west-2", administrator());
    let events = drain(&client, &queue).await;
    assert_eq!(details(&events), [("AWSCURRENT", version.as_str())]);
    assert_eq!(events[0]["region"], "us-west-2");
    let arn = events[0]["resources"][0].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:secretsmanager:us-west-2:111122223333:secret:a-"), "{arn}");
    emulator.set_replica_events(false);
    emulator.put_secret(HOME, "a", "3");
    assert_eq!(drain(&client, &queue).await, [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn parameters_send_events_of_each_operation() {
    let (emulator, url) = serve().await;
    let queue = emulator.queue_of_changes(HOME, "watched");
    emulator.put_parameter(HOME, "/new", ParameterType::SecureString, "1");
    emulator.put_parameter(HOME, "/new", ParameterType::SecureString, "2");
    emulator.label_parameter(HOME, "/new", 1, "blue").unwrap();
    emulator.remove_parameter(HOME, "/new");
    let events = drain(&sqs(&url, HOME, administrator()), &queue).await;
    let operations: Vec<_> = details(&events).into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(operations, ["Create", "Update", "LabelParameterVersion", "Delete"]);
    for event in &events {
        assert_eq!(event["source"], "aws.ssm");
        assert_eq!(event["detail-type"], "Parameter Store Change");
        assert_eq!(event["resources"], json!([format!("arn:aws:ssm:{HOME}:{ACCOUNT}:parameter/new")]));
        assert_eq!(event["detail"]["type"], "SecureString");
    }
}

#[tokio::test(start_paused = true)]
async fn api_calls_send_events_only_where_a_trail_exists() {
    let (emulator, url) = serve().await;
    let queue = emulator.queue_of_changes(HOME, "watched");
    emulator.set_trail(false);
    let client = secrets_manager(&url, administrator());
    let delete = || client.delete_secret().secret_id("shop/database").send();
    delete().await.unwrap();
    emulator.restore_secret(HOME, "shop/database").unwrap();
    emulator.set_trail(true);
    delete().await.unwrap();
    emulator.restore_secret(HOME, "shop/database").unwrap();
    emulator.set_resource_policy(HOME, "shop/database", &[SHOP]).unwrap();
    let events = drain(&sqs(&url, HOME, administrator()), &queue).await;
    let names: Vec<_> = events.iter().map(|event| event["detail"]["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["DeleteSecret", "RestoreSecret", "PutResourcePolicy"]);
    let arn = emulator.secret_arn(HOME, "shop/database").unwrap();
    for event in &events {
        assert_eq!(event["detail-type"], "AWS API Call via CloudTrail");
        assert_eq!(event["resources"], json!([]));
        assert_eq!(event["detail"]["responseElements"]["arn"], json!(arn));
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_when_an_event_arrives() {
    let (emulator, url) = serve().await;
    let queue = emulator.queue_of_changes(HOME, "watched");
    let client = sqs(&url, HOME, administrator());
    let started = tokio::time::Instant::now();
    let poll = || client.receive_message().queue_url(&queue).wait_time_seconds(20).send();
    let change = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        emulator.put_secret(HOME, "shop/database", "new");
    };
    let (answer, ()) = tokio::join!(poll(), change);
    assert_eq!(answer.unwrap().messages().len(), 1);
    assert_eq!(started.elapsed().as_secs(), 5);
    let answer = poll().await.unwrap();
    assert_eq!(answer.messages().len(), 0);
    assert_eq!(started.elapsed().as_secs(), 25);
    // Its visibility timeout of 30 seconds ends at 35.
    let answer = poll().await.unwrap();
    assert_eq!(answer.messages().len(), 1);
    assert_eq!(started.elapsed().as_secs(), 35);
}

#[tokio::test(start_paused = true)]
async fn events_are_lost_doubled_delayed_and_swapped_on_request() {
    let (emulator, url) = serve().await;
    let queue = emulator.queue_of_changes(HOME, "watched");
    let client = sqs(&url, HOME, administrator());
    let delay = EventFaultKind::Delay(Duration::from_secs(60));
    for (kind, at_once, later) in [
        (EventFaultKind::Lose, vec![1], vec![]),
        (EventFaultKind::Duplicate, vec![0, 0, 1], vec![]),
        (delay, vec![1], vec![0]),
        (EventFaultKind::Swap, vec![1, 0], vec![]),
    ] {
        emulator.inject_event_fault(EventFault::new(kind).times(1));
        let versions: Vec<_> = (0..2).map(|_| emulator.put_secret(HOME, "shop/database", "v")).collect();
        let place = |events: &[Value]| -> Vec<usize> {
            let place = |id| versions.iter().position(|version| version == id).unwrap();
            details(events).into_iter().map(|(_, id)| place(id)).collect()
        };
        assert_eq!(place(&drain(&client, &queue).await), at_once, "{kind:?}");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(place(&drain(&client, &queue).await), later, "{kind:?}");
    }
    assert_eq!(emulator.events().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_guarded_as_in_aws() {
    let (emulator, url) = serve().await;
    let queue = emulator.queue_of_changes(HOME, "watched");
    let code = async |client: &aws_sdk_sqs::Client, queue: &str| {
        let error = client.receive_message().queue_url(queue).send().await.unwrap_err();
        let status = error.raw_response().map(|response| response.status().as_u16());
        (error.code().map(str::to_owned), status)
    };
    let denied = (Some("AccessDenied".to_owned()), Some(403));
    let admin = sqs(&url, HOME, administrator());
    let cart = sqs(&url, HOME, cart(&emulator, &url).await);
    assert_eq!(code(&cart, &queue).await, denied);
    emulator.allow(SHOP, "sqs:ReceiveMessage", "watched");
    cart.receive_message().queue_url(&queue).send().await.unwrap();
    emulator.deny(SHOP, "sqs:*", &format!("arn:aws:sqs:{HOME}:{ACCOUNT}:*"));
    assert_eq!(code(&cart, &queue).await, denied);
    let other_account = Credentials::new("AKIAEXAMPLEPARTNER01", "x", None, None, "test");
    assert_eq!(code(&sqs(&url, HOME, other_account), &queue).await, denied);
    let missing = (Some("AWS.SimpleQueueService.NonExistentQueue".to_owned()), Some(400));
    assert_eq!(code(&admin, &queue.replace("/watched", "/none")).await, missing);
    let elsewhere = (Some("InvalidAddress".to_owned()), Some(400));
    assert_eq!(code(&admin, &queue.replace(HOME, "eu-west-1")).await, elsewhere);
    let unknown = Credentials::new("AKIAUNKNOWN", "x", None, None, "test");
    let refused = (Some("InvalidClientTokenId".to_owned()), Some(403));
    assert_eq!(code(&sqs(&url, HOME, unknown), &queue).await, refused);

    emulator.inject(Fault::new(FaultKind::Throttle).target("watched").times(1));
    assert_eq!(code(&admin, &queue).await, (Some("RequestThrottled".to_owned()), Some(400)));
    let last = emulator.calls().pop().unwrap();
    assert_eq!(last.operation, "ReceiveMessage");
    assert_eq!(last.targets, std::slice::from_ref(&queue));
    assert_eq!(last.error.as_deref(), Some("RequestThrottled"));
    emulator.remove_queue(HOME, "watched");
    assert_eq!(code(&admin, &queue).await, missing);
}

#[tokio::test(start_paused = true)]
async fn a_received_message_says_how_often_it_was_received() {
    let (emulator, url) = serve().await;
    let queue = emulator.create_queue(HOME, "watched");
    assert!(emulator.send_message(&queue, "not JSON"), "no queue {queue}");
    let client = sqs(&url, HOME, administrator());
    for expected in ["1", "2"] {
        let answer = client
            .receive_message()
            .queue_url(&queue)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .visibility_timeout(0)
            .send()
            .await
            .unwrap();
        let attributes = answer.messages()[0].attributes().unwrap();
        let count = &attributes[&MessageSystemAttributeName::ApproximateReceiveCount];
        assert_eq!(count, expected);
    }
    assert_eq!(emulator.queue_depth(&queue).visible, 1);
}

#[tokio::test]
async fn shutdown_ends_long_polls() {
    let emulator = Emulator::new(Store::default());
    let queue = emulator.create_queue(HOME, "watched");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(emulator.clone().serve(listener, async {
        let _ = stopped.await;
    }));
    emulator.inner.world().static_keys.insert(
        "AKIAEXAMPLEADMIN0001".to_owned(),
        principal::Principal::Administrator { account: ACCOUNT.to_owned() },
    );
    let client = sqs(&url, HOME, administrator());
    let poll =
        tokio::spawn(
            async move { client.receive_message().queue_url(queue).wait_time_seconds(20).send().await },
        );
    while emulator.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started = std::time::Instant::now();
    stop.send(()).unwrap();
    poll.await.unwrap().unwrap_err();
    server.await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "after {:?}", started.elapsed());
}
