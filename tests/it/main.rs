//! Latchkey from the outside: the real server on a real unix socket, called as
//! the Secrets Store CSI Driver calls it, with the emulator over HTTP as AWS
//! and a small Kubernetes API beside it.

#![cfg(test)]

mod harness;

mod access;
mod advice;
mod all_outlets;
mod audit;
mod bench;
mod broker;
mod cache_bounds;
mod cache_fresh;
mod cache_shared;
mod chaining;
mod chaining_kept;
mod check;
mod command_line;
mod cost;
mod cost_command;
mod credentials;
mod denied;
#[cfg(feature = "tools")]
mod doctor;
mod events;
mod examples;
mod failover;
mod failover_lost;
mod failures;
mod fairness;
mod https;
mod identity;
mod isolation;
mod json_fields;
mod leaks;
mod live_cluster;
mod messages;
mod metrics;
mod mistakes;
mod mount_command;
mod notices;
mod outage;
mod parameters;
#[cfg(feature = "tools")]
mod policy;
mod probes;
mod progress;
mod provider_writes;
mod random;
mod refusals;
mod refused_tokens;
mod repaired;
mod rotation_changed;
mod rotation_command;
mod rotation_identity;
mod rotation_outage;
mod rotation_revoked;
mod rotation_throttled;
mod rotation_unmounted;
mod rotation_written;
mod second_opinion;
mod signatures;
mod silence;
mod socket;
mod status;
mod taint;
mod tenants;
mod throughput;
mod usability;
