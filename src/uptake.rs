//! How far a rotation has come: which pods hold which version of which object since when,
//! and why a pod still waits for the newest one.

mod aws;
mod catalog;
mod fleet;
mod json;
mod kubernetes;
mod object;
mod report;
mod text;
mod why;

pub use self::{
    aws::{AwsVersions, Stages},
    catalog::{Catalog, NotFound},
    fleet::Fleet,
    json::json,
    kubernetes::{
        ClassItem, Driver, Holding, PodEvent, PodObject, RunningPod, StatusObject, kept_pod, kept_status,
    },
    object::Object,
    report::{Holder, ObjectReport, Question, Report, Target, TargetSource, VersionReport, Waiting},
    text::{NAMED, Shown, counted, moves, table, wide},
    why::{Circumstances, RULES, Why},
};
