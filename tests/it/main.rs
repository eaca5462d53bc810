//! Latchkey from the outside: the real server on a real unix socket, called as
//! the Secrets Store CSI Driver calls it, with the emulator over HTTP as AWS
//! and a small Kubernetes API beside it.

#![cfg(feature = "emulator")]

mod harness;

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
mod throughput;
