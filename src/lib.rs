//! Latchkey: the AWS provider for the Kubernetes Secrets Store CSI Driver.

#[cfg(feature = "emulator")]
pub mod emulator;
pub mod model;
pub mod writer;
