//! Warnings in the log while pods run.

use std::time::Duration;

use latchkey_emulator::FaultKind;

use super::{Table, Who, served::world, stable};
use crate::harness::{Behaviour, GRACE, INTERVAL, Keys, Log, Request, SECRET, WEB, World, pass};

#[tokio::test(start_paused = true)]
async fn the_warnings_in_the_log_match_the_table() {
    let mut table = Table::new(
        "What the log warns of",
        "`LATCHKEY_WRITE_MESSAGES=1 cargo test --test it messages` writes this file.",
    );
    table.section("Warnings");
    let log = Log::collect();
    // This world never polls.
    let unpolled = World::uncached().await;
    unpolled.secret("shop/db", "v");
    let request = Request::new(SECRET);
    let odd = request
        .clone()
        .parameter("objects", "- {objectName: shop/db, objectType: secretsmanager, objectalias: x}");
    let both = request.clone().parameter("roleArn", WEB).parameter("usePodIdentity", "true");
    unpolled.emulator.set_association("shop", "web", Some(WEB));
    for (cause, request) in [
        ("an unknown parameter", odd.parameter("vaultAddress", "x")),
        ("roleArn beside usePodIdentity", both),
    ] {
        log.take();
        unpolled.mount(&request).await;
        table.warnings(cause, Who::Author, &log.take());
    }
    let world = world().await;
    world.mount(&request).await;
    log.take();
    let fault = world.fault("GetSecretValue", FaultKind::InternalError);
    pass(INTERVAL + GRACE).await;
    table.warnings("AWS fails when the poller reads", Who::Nobody, &log.take());
    world.emulator.remove_fault(fault);
    world.emulator.deny(WEB, "secretsmanager:GetSecretValue", "shop/db");
    pass(INTERVAL + GRACE).await;
    table.warnings("access is taken away", Who::Account, &log.take());
    world.kubernetes.serve_keys(Keys::Behave(Behaviour::Refuse(403)));
    pass(Duration::from_secs(20 * 60)).await;
    table.warnings("the token-signing keys cannot be read", Who::Operator, &log.take());
    log.take();
    // No folder can be created there.
    World::with(|config| config.status_socket = Some("/proc/latchkey/status.sock".into())).await;
    table.warnings("the folder of the status socket cannot be created", Who::Operator, &log.take());
    table.compare("warned.md");
}

impl Table {
    /// Adds the warnings and errors among the lines of a log.
    fn warnings(&mut self, cause: &str, who: Who, log: &str) {
        for line in log.lines() {
            let Some((_, line)) = line.split_once(" WARN ").or_else(|| line.split_once("ERROR ")) else {
                continue;
            };
            // A mount's span and the module stand before the message.
            let line = line.split_once("latchkey::").map_or(line, |(_, line)| line);
            let line = line.split_once(": ").map_or(line, |(_, line)| line);
            // The duration changes with every run.
            let line = line.split(" millis=").enumerate().map(|(at, part)| match at {
                0 => part,
                _ => part.trim_start_matches(|c: char| c.is_ascii_digit()),
            });
            self.row(cause, who, &stable(&line.collect::<String>()));
        }
    }
}
