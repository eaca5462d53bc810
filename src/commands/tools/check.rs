//! `latchkey check`: finds what is wrong with classes and the pods that mount them.

use std::{collections::HashSet, process::ExitCode};

use anyhow::bail;
use serde_json::Value;

use super::{
    inputs::{connect, named, read_files},
    output::{colours, print},
};
use crate::{
    check::{Settings, check},
    cli::tools::{check::CheckArgs, inputs::ClusterArgs},
    estate::DRIVER,
    findings::{self, fail_at},
    live::{CLASSES, PODS, Progress, Query, Resource, SERVICE_ACCOUNTS},
    manifests::{FileText, Found, Object},
};

pub(super) async fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.print_admission_policy {
        let manifests = args.admission().manifests();
        if manifests.is_empty() {
            bail!(
                "there is nothing to refuse: leave out --allow-role-arn, or set --allowed-roles, --allowed-regions or --deny"
            );
        }
        print(manifests)?;
        return Ok(ExitCode::SUCCESS);
    }
    let files = &args.inputs.files;
    let complete = files.is_empty();
    let found = match complete {
        true => read_cluster(&args.inputs.cluster).await?,
        false => read_files(files)?,
    };
    if !complete && found.texts.values().all(FileText::is_blank) {
        bail!("{} contains no manifest", named(files));
    }
    let namespace = args.inputs.cluster.namespace.clone().unwrap_or_default();
    let settings = Settings { rules: args.rules(), namespace, complete };
    let mut findings = Progress::during("Checking", || check(&found, &settings));
    findings.retain(|finding| !args.ignore.iter().any(|id| id == finding.rule.id));
    print(findings::print(&findings, args.output.into(), colours()))?;
    Ok(ExitCode::from(u8::from(fail_at(&findings, args.severity.into()))))
}

/// The classes, service accounts, and pods with a volume of the driver. One pod stands
/// for all that a controller makes.
async fn read_cluster(args: &ClusterArgs) -> anyhow::Result<Found> {
    let live = connect(args).await?;
    let scope = live.scope(args.namespace.as_deref(), args.all_namespaces);
    let progress = Progress::of_cluster();
    let mut found = Found::default();
    let mut owners = HashSet::new();
    let kinds: [(&Resource, &str, &str); 3] = [
        (&CLASSES, "secrets-store.csi.x-k8s.io/v1", "SecretProviderClass"),
        (&SERVICE_ACCOUNTS, "v1", "ServiceAccount"),
        (&PODS, "v1", "Pod"),
    ];
    for (resource, version, kind) in kinds {
        let keep = |mut object: Value| {
            let is_kept = kind != "Pod" || has_volume(&object) && is_first(&object, &mut owners);
            // A list leaves out what all its objects have in common.
            object["apiVersion"] = version.into();
            object["kind"] = kind.into();
            is_kept.then(|| Object::of_json(&object))
        };
        found.objects.extend(live.list_kept(Query::new(resource, &scope), &progress, keep).await?.items);
    }
    Ok(found)
}

fn has_volume(pod: &Value) -> bool {
    let volumes = pod["spec"]["volumes"].as_array();
    volumes.is_some_and(|volumes| volumes.iter().any(|volume| volume["csi"]["driver"] == DRIVER))
}

/// Whether no other pod of the same controller was read.
fn is_first(pod: &Value, owners: &mut HashSet<String>) -> bool {
    match pod["metadata"]["ownerReferences"][0]["uid"].as_str() {
        Some(owner) => owners.insert(owner.to_owned()),
        None => true,
    }
}
