//! `latchkey policy`: the least IAM policies of the service accounts in an estate, and what
//! given policies grant beyond them or lack.
//!
//! [`plan`] decides which roles each service account reads as and what they must be
//! allowed. [`json`], [`terraform`] and [`cloudformation`] print a plan, [`compare`] holds
//! policies against it.

mod classes;
mod cloudformation;
mod compare;
mod json;
mod names;
mod plan;
mod probes;
mod roles;
mod terraform;

#[cfg(test)]
mod tests;

pub use self::{
    cloudformation::cloudformation,
    compare::{Given, RULES, compare},
    json::json,
    plan::{AccountPlan, Identity, PlanError, RolePlan, Settings, plan},
    terraform::terraform,
};
