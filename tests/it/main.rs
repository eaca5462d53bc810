//! Latchkey from the outside: the real server on a real unix socket, called as
//! the Secrets Store CSI Driver calls it, with the emulator over HTTP as AWS
//! and a small Kubernetes API beside it.

#![cfg(test)]
#![cfg(feature = "emulator")]

mod harness;

mod cache_bounds;
mod cache_fresh;
mod cache_shared;
mod command_line;
mod credentials;
mod denied;
mod examples;
mod failover;
mod failover_lost;
mod fairness;
mod identity;
mod isolation;
mod json_fields;
mod mistakes;
mod outage;
mod parameters;
mod provider_writes;
mod refused_tokens;
mod rotation_changed;
mod rotation_identity;
mod rotation_outage;
mod rotation_revoked;
mod rotation_unmounted;
mod rotation_written;
mod second_opinion;
mod silence;
mod socket;
mod tenants;
mod throughput;
