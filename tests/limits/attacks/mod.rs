//! The attacks, by what they go for.

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

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [
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
