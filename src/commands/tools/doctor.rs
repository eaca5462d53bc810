//! `latchkey doctor`: reads a live cluster, and prints what is wrong with it.

use std::{fmt::Write, process::ExitCode};

use anyhow::bail;

use super::{
    inputs::connect,
    output::{colours, print},
};
use crate::{
    cli::tools::doctor::{DoctorArgs, DoctorForm},
    doctor::{Scene, Wanted, examine, looked_at},
    findings::{self, fail},
    live::{Progress, Scope},
    table::escaped,
};

pub(super) async fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let scene = look(args).await?;
    let findings = examine(&scene);
    let mut text = String::new();
    if args.output == DoctorForm::Table {
        text.push_str("Looked at:\n");
        for line in looked_at(&scene) {
            let _ = writeln!(text, "  {}", escaped(&line));
        }
        text.push('\n');
    }
    text.push_str(&findings::print(&findings, args.output.into(), colours()));
    print(text)?;
    Ok(if fail(&findings) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn look(args: &DoctorArgs) -> anyhow::Result<Scene> {
    let cluster = &args.cluster;
    let live = connect(cluster).await?;
    let (namespace, pod) = match args.pod.as_deref().map(|pod| pod.split_once('/').ok_or(pod)) {
        None => (cluster.namespace.as_deref(), None),
        Some(Err(pod)) => (cluster.namespace.as_deref(), Some(pod.to_owned())),
        Some(Ok((namespace, pod))) => match &cluster.namespace {
            Some(other) if other != namespace => {
                bail!("{namespace}/{pod} is not in namespace {other}: leave --namespace out")
            }
            _ => (Some(namespace), Some(pod.to_owned())),
        },
    };
    let scope: Scope = live.scope(namespace, cluster.all_namespaces);
    let wanted = Wanted { scope, pod };
    let scene = Scene::look(&live, &wanted, &Progress::of_cluster()).await?;
    if let Some(problem) = scene.no_such_pod(&wanted) {
        bail!(problem);
    }
    Ok(scene)
}
