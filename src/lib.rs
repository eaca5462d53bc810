//! Latchkey: the AWS provider for the Kubernetes Secrets Store CSI Driver.

pub mod aws;
pub mod backend;
pub mod cache;
pub mod cluster;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod identity;
pub mod model;
pub mod shape;
pub mod writer;
