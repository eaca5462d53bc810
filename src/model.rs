//! The types that all rooms share: requests, objects, secrets, tokens, principals.
//! Does not know any other room, a runtime, AWS or Kubernetes.

pub mod address_type;
pub mod arn;
mod attributes;
pub mod class;
pub mod encoding;
pub mod expression;
mod fields;
pub mod file;
pub mod file_path;
pub mod foreign;
pub mod go_text;
pub mod iam;
mod identity_keys;
pub mod message;
pub mod mistakes;
pub mod object;
pub mod objects;
pub mod principal;
pub mod reason;
pub mod reference;
pub mod region_patterns;
pub mod request;
pub mod role_patterns;
pub mod rules;
pub mod secret;
pub mod source;
pub mod spelling;
pub mod token;
pub mod yaml;
