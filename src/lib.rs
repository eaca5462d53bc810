//! Latchkey: the AWS provider for the Kubernetes Secrets Store CSI Driver.
//!
//! The way of a mount is [`mount`]; the rooms around it:
//! [`server`] answers the driver, [`identity`] says who is asking and gets
//! credentials, [`values`] and [`backend`] read from AWS, [`shape`] turns values
//! into files, [`writer`] puts them into a pod, [`cluster`] asks Kubernetes,
//! [`single_flight`] lets many share one fetch, [`permits`] bounds calls, [`model`] holds what all of them speak of.

pub mod app;
pub mod aws;
pub mod backend;
pub mod classes;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod commands;
pub mod delivery;
#[cfg(feature = "emulator")]
pub mod demo;
pub mod identity;
pub mod jmespath;
pub mod memory;
pub mod model;
pub mod mount;
pub mod permits;
pub mod report;
pub mod rotation;
pub mod server;
pub mod shape;
pub mod shares;
pub mod single_flight;
pub mod telemetry;
pub mod values;
pub mod workers;
pub mod writer;
