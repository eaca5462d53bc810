//! What every room speaks of. Knows no other room, no runtime, no AWS, no Kubernetes.

pub mod file;
pub mod file_path;
pub mod secret;
