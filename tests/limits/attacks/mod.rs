//! The attacks, grouped by target.

mod answers;
mod calls;
mod expressions;
mod identities;
mod manifests;
mod ports;
mod volumes;

use crate::play::Case;

/// The attacker's namespace.
const EVIL: &str = "evil";

/// No attack, for comparison: if this fails, the machine is too busy.
fn calm() -> Case {
    Case::new("calm", "no attack", |siege| {
        Box::pin(async move {
            siege.begin();
            std::future::pending().await
        })
    })
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [
        vec![calm()],
        manifests::cases(),
        expressions::cases(),
        answers::cases(),
        volumes::cases(),
        identities::cases(),
        calls::cases(),
        ports::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
