//! Latchkey from the outside: the real server on a real unix socket, called as
//! the Secrets Store CSI Driver calls it, with the emulator over HTTP as AWS
//! and a small Kubernetes API beside it.

#![cfg(test)]
#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod harness;

mod credentials;
mod denied;
mod examples;
mod failover;
mod identity;
mod isolation;
mod json_fields;
mod mistakes;
mod outage;
mod parameters;
mod provider_writes;
mod refused_tokens;
mod second_opinion;
mod silence;
mod socket;
mod throughput;
