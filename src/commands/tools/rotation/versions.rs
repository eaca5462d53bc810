//! Asks AWS which versions it has.

use std::sync::Arc;

use anyhow::ensure;

use crate::{
    commands::tools::amazon::Amazon,
    uptake::{AwsVersions, Report},
};

/// Objects that AWS is asked about at most. Each takes a call.
const MOST: usize = 500;

/// The versions of all objects of the report.
pub(super) async fn ask(amazon: &Amazon, report: &Report<'_>) -> anyhow::Result<AwsVersions> {
    let objects: Vec<_> = report.objects.iter().map(|report| Arc::clone(&report.object)).collect();
    ensure!(
        objects.len() <= MOST,
        "these are {} objects, and AWS is asked about at most {MOST}: name one of them",
        objects.len()
    );
    let Amazon { aws, credentials, region } = amazon;
    Ok(AwsVersions::ask(aws, credentials, region.as_ref(), objects).await)
}
