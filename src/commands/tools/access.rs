//! `latchkey access`: who can read what.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};

use super::{
    amazon::Amazon,
    inputs::{connect, named, read_files},
    output::{colours, print},
};
use crate::{
    access::{
        Asking, Graph, Knowledge, Report, Settings, blast_json, blast_table, compromised, html, json, judge,
        mermaid, readers, readers_json, readers_table, table,
    },
    cli::tools::access::{AccessArgs, AccessForm},
    estate::Estate,
    findings,
    live::Progress,
};

/// Columns of the tables on a terminal.
const COLUMNS: usize = 120;
/// What the progress line says.
const JOINING: &str = "Deciding who can read what";

pub(super) async fn run(args: &AccessArgs) -> anyhow::Result<ExitCode> {
    let mut knowledge = knowledge(args.iam.iter().chain(&args.secrets))?;
    let estate = estate(args).await?;
    let settings = args.settings();
    if args.aws {
        ask(&mut knowledge, &estate, &settings).await?;
    }
    knowledge.warnings.iter().for_each(|warning| warn(warning));
    let graph = Progress::during(JOINING, || Graph::build(&estate, &knowledge, &settings));
    let terminal = std::io::stdout().is_terminal();
    let columns = terminal.then_some(COLUMNS);
    let as_json = args.output == AccessForm::Json;
    if let Some(account) = &args.if_compromised {
        let blast = compromised(&graph, &knowledge, &settings, account)?;
        print(if as_json { blast_json(&graph, &blast) } else { blast_table(&graph, &blast, columns) })?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = &args.secret {
        let readers = readers(&graph, &knowledge, name)?;
        print(if as_json {
            readers_json(&graph, &readers)
        } else {
            readers_table(&graph, &readers, columns)
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let findings = Progress::during(JOINING, || judge(&graph, &knowledge, &settings, &args.bounds()));
    let report = Report { graph: &graph, findings: &findings };
    print(match args.output {
        AccessForm::Table => table(&report, columns, colours()),
        AccessForm::Json => json(&report),
        AccessForm::Mermaid => mermaid(&report),
        AccessForm::Html => html(&report),
    })?;
    Ok(if findings::fail(&findings) { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn knowledge<'a>(files: impl Iterator<Item = &'a PathBuf>) -> anyhow::Result<Knowledge> {
    let mut knowledge = Knowledge::default();
    for file in files {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
        let text = String::from_utf8(bytes)
            .ok()
            .with_context(|| format!("{name} is not UTF-8 text; save it as UTF-8"))?;
        knowledge.read(&name, &text)?;
    }
    Ok(knowledge)
}

/// Asks AWS in the Regions of the classes.
async fn ask(knowledge: &mut Knowledge, estate: &Estate, settings: &Settings) -> anyhow::Result<()> {
    let amazon =
        Amazon::load("leave --aws out, and name what AWS's command line prints with --iam and --secrets");
    let Amazon { aws, credentials, region } = &amazon.await?;
    let mut regions = Graph::build(estate, &Knowledge::default(), settings).regions();
    if regions.is_empty() {
        regions.extend(region.clone());
    }
    ensure!(!regions.is_empty(), "no class names a Region to read from: set --region");
    let progress = Progress::start("Reading from AWS");
    let read = |what: &str, count| progress.show(what, count);
    knowledge.ask(&Asking { aws, credentials, regions: &regions, read: &read }).await?;
    Ok(())
}

async fn estate(args: &AccessArgs) -> anyhow::Result<Estate> {
    let (files, cluster) = (&args.inputs.files, &args.inputs.cluster);
    if files.is_empty() {
        let live = connect(cluster).await?;
        let scope = live.scope(cluster.namespace.as_deref(), cluster.all_namespaces);
        let (estate, unread) = Estate::of_cluster(&live, &scope, &Progress::of_cluster()).await?;
        unread.iter().for_each(|error| warn(&error.to_string()));
        return Ok(estate);
    }
    let found = read_files(files)?;
    for unreadable in &found.unreadable {
        warn(&format!("{}: line {}: {}", unreadable.file, unreadable.line, unreadable.problem));
    }
    if found.objects.is_empty() {
        bail!("no Kubernetes object in {}", named(files));
    }
    let namespace = cluster.namespace.as_deref();
    let mut estate = Estate::of_manifests(&found, namespace.unwrap_or("default"));
    for place in &estate.malformed {
        warn(&format!("{place} does not have the form of its kind and is left out"));
    }
    if let Some(namespace) = namespace {
        estate.keep_only(namespace);
    }
    Ok(estate)
}

fn warn(warning: &str) {
    // If standard error is closed, nobody can read it.
    let _ = writeln!(std::io::stderr(), "warning: {warning}");
}
