//! Plays the Secrets Store CSI Driver against a provider, and measures the provider.
//!
//! It knows a provider only by the driver's protocol and the command line, as a driver
//! and an operator do.

pub mod bench;
pub mod driver;
/// The driver's protocol, `v1alpha1`.
#[allow(unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]
pub mod protocol {
    tonic::include_proto!("v1alpha1");
}
