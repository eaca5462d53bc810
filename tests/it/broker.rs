//! `latchkey notices` from the outside: processes between real HTTP APIs of SQS and of
//! Kubernetes.

#![cfg(feature = "tools")]

mod api;
mod elections;
mod floods;
mod messages;
mod outages;
mod scene;
mod setup;
