//! Latchkey from the outside: the real server on a real unix socket, called as
//! the Secrets Store CSI Driver calls it, with the emulator over HTTP as AWS
//! and a small Kubernetes API beside it.

#![cfg(feature = "emulator")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod harness;

mod cache_bounds;
mod cache_fresh;
mod cache_shared;
mod credentials;
mod denied;
mod failover;
mod identity;
mod isolation;
mod json_fields;
mod mistakes;
mod outage;
mod parameters;
mod refused_tokens;
mod rotation_changed;
mod rotation_identity;
mod rotation_outage;
mod rotation_revoked;
mod rotation_written;
mod throughput;
