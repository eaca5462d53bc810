//! Latchkey: the AWS provider for the Kubernetes Secrets Store CSI Driver.
//!
//! [`mount`] is the whole path of a mount, in order. [`server`] answers the driver,
//! [`identity`] finds out who asks and gets credentials, [`values`] and [`backend`] read
//! from AWS, [`shape`] makes files of values, [`delivery`] delivers them, and [`rotation`]
//! reads them again. ARCHITECTURE.md describes every room.

#[cfg(feature = "tools")]
pub mod access;
pub mod app;
pub mod audit;
pub mod aws;
pub mod backend;
mod bounds;
pub mod broker;
#[cfg(feature = "tools")]
pub mod check;
pub mod classes;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod commands;
#[cfg(feature = "tools")]
pub mod cost;
pub mod delivery;
#[cfg(feature = "emulator")]
pub mod demo;
#[cfg(feature = "tools")]
pub mod doctor;
#[cfg(feature = "tools")]
pub mod estate;
#[cfg(feature = "tools")]
pub mod explain;
#[cfg(feature = "tools")]
pub mod findings;
#[cfg(feature = "tools")]
pub mod iam;
pub mod identity;
pub mod jmespath;
#[cfg(feature = "tools")]
pub mod live;
pub mod manifests;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod mount;
pub mod notices;
pub mod pacing;
pub mod permits;
#[cfg(feature = "tools")]
pub mod policy;
pub mod report;
pub mod rotation;
pub mod server;
pub mod shape;
pub mod shares;
#[cfg(feature = "tools")]
pub mod simulate;
pub mod single_flight;
pub mod status;
pub mod table;
pub mod telemetry;
#[cfg(feature = "tools")]
pub mod uptake;
pub mod values;
pub mod workers;
pub mod writer;
