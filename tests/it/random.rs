//! Random requests: parts of valid ones mixed with hostile pieces, then mutated at
//! random. None may cause a panic, and each is answered with a final code.
//!
//! `LATCHKEY_RANDOM_REQUESTS=1000000 cargo test --release --test it random` takes longer.
//! A failure names its seed; `LATCHKEY_RANDOM_SEED=<seed> LATCHKEY_RANDOM_REQUESTS=1` repeats it.

mod class;
mod expression;
mod source;
mod token;

use std::time::Duration;

use latchkey::{
    model::{
        request::{MountRequest, RawRequest},
        rules::Rules,
    },
    server::protocol::MountRequest as Message,
};
use latchkey_emulator::Emulator;
use serde_json::json;
use tonic::Code;

use self::source::Random;
use crate::harness::{FINAL_CODES, Request, World, assert_lacks};

/// How many requests are parsed by default.
const PARSED: u64 = 3000;
/// One request of so many is also sent to a provider.
const SENT_OF: u64 = 10;
const SEED: u64 = 0x1a7c_4e7f_0000_0000;
/// What a Kubernetes event shows, without the text that kubelet adds.
const MAX_MESSAGE_BYTES: usize = 4000;
/// Secrets that random objects name.
const SECRETS: [&str; 6] = ["db", "shop/db", "list", "text", "binary", "nested"];

fn count() -> u64 {
    number("LATCHKEY_RANDOM_REQUESTS").unwrap_or(PARSED)
}

fn seed() -> u64 {
    number("LATCHKEY_RANDOM_SEED").unwrap_or(SEED)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Prints the seed if the test fails during this attempt.
struct Attempt(u64);

impl Drop for Attempt {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("LATCHKEY_RANDOM_SEED={} LATCHKEY_RANDOM_REQUESTS=1 repeats it", self.0);
        }
    }
}

#[test]
fn no_random_request_panics_while_it_is_parsed() {
    let emulator = Emulator::new(latchkey_emulator::Store::default());
    let rules = Rules::default();
    let (mut good, mut bad) = (0_u64, 0_u64);
    for seed in seed()..seed() + count() {
        let _attempt = Attempt(seed);
        let message = message(&mut Random::new(seed), &emulator);
        match MountRequest::parse(raw(message), &rules) {
            Ok(_) => good += 1,
            Err(error) => {
                assert_one_line(&error.to_string());
                bad += 1;
            }
        }
    }
    // The requests must be neither all invalid nor all valid.
    if count() >= 100 {
        assert!(good > count() / 50, "only {good} good requests among {bad} bad ones");
        assert!(bad > count() / 50, "only {bad} bad requests among {good} good ones");
    }
}

#[tokio::test(start_paused = true)]
async fn every_random_request_is_answered_and_the_next_mount_works() {
    let world = World::start().await;
    world.secret("good", "value");
    for (number, name) in (0..).zip(SECRETS) {
        let mut random = Random::new(number);
        world.secret(name, &expression::json(&mut random, 4));
    }
    let good = Request::new("- {objectName: good, objectType: secretsmanager}");
    let mut mounted = 0_u64;
    let sent = count().div_ceil(SENT_OF);
    for seed in seed()..seed() + sent {
        let _attempt = Attempt(seed);
        let message = message(&mut Random::new(seed), &world.emulator);
        match world.driver.client().mount(message).await {
            Ok(_) => mounted += 1,
            Err(status) => {
                assert!(FINAL_CODES.contains(&status.code()), "kubelet takes this for not final: {status}");
                if status.code() == Code::Internal {
                    assert_lacks(status.message(), "bug");
                }
                let length = status.message().len();
                assert!(length <= MAX_MESSAGE_BYTES, "{length} bytes: {status}");
                assert_ne!(status.message(), "", "{status:?}");
                assert_one_line(status.message());
            }
        }
        if seed.is_multiple_of(50) {
            assert_eq!(world.mount(&good).await.text("good"), "value");
        }
    }
    if sent >= 100 {
        assert!(mounted > sent / 100, "only {mounted} of {sent} requests were mounted");
    }
    assert_eq!(world.mount(&good).await.text("good"), "value");
}

/// Checks that a message is one line, for the log and the event.
fn assert_one_line(message: &str) {
    let ends = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}');
    if let Some(at) = message.find(ends) {
        panic!("a control character at {at}: {:?}", message.get(at.saturating_sub(40)..).unwrap_or(message));
    }
}

fn raw(message: Message) -> RawRequest {
    RawRequest {
        attributes: message.attributes,
        secrets: message.secrets,
        target_path: message.target_path,
        permission: message.permission,
    }
}

/// A request as the driver would send it, with what a pod author decides at random.
fn message(random: &mut Random, emulator: &Emulator) -> Message {
    let mut objects = class::objects(random);
    if random.one_in(4) {
        objects = random.mutated(&objects);
    }
    let mut request = Request::new(&objects);
    for (key, values) in class::PARAMETERS {
        if random.one_in(6) {
            let value = random.pick(values).to_owned();
            let value = if random.one_in(3) { random.hostile() } else { value };
            request = request.parameter(key, &value);
        }
    }
    if random.one_in(8) {
        request = request.parameter(&random.hostile(), &random.hostile());
    }
    if random.one_in(20) {
        request = request.without(random.pick(&["objects", "region"]));
    }
    if random.one_in(4) {
        let audience = random.pick(&[crate::harness::STS, crate::harness::POD_IDENTITY]);
        let real =
            emulator.token("shop", "web", audience, "web-1", &request.pod.uid, Duration::from_secs(3600));
        request = request.token(audience, &token::token(random, &real));
    } else if random.one_in(10) {
        request = request.raw_tokens(&token::tokens(random));
    } else if random.one_in(10) {
        request = request.tokens_in_secrets();
    }
    let mut message = request.message(emulator);
    if random.one_in(12) {
        message.attributes = random.mutated(&message.attributes);
    }
    if random.one_in(12) {
        let secrets = json!({ random.hostile(): random.hostile() });
        message.secrets = random.mutated(&secrets.to_string());
    }
    if random.one_in(20) {
        message.permission = random.hostile();
    }
    if random.one_in(20) {
        message.target_path = random.hostile();
    }
    message
}
