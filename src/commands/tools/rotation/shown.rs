//! Prints reports in the form that was asked for.

use std::{
    io::{self, IsTerminal, Write},
    time::SystemTime,
};

use futures_util::{StreamExt, stream};

use super::feed::Origin;
use crate::{
    cli::tools::rotation::{RotationArgs, RotationForm},
    clock::Time,
    live::{EVENTS, Live, Progress, Query, Scope},
    table::escaped,
    uptake::{AwsVersions, Fleet, NAMED, PodEvent, Question, Report, Shown, json, table, wide},
};

/// Reads of events at once.
const READS: usize = 8;
/// Columns on a terminal.
const COLUMNS: usize = 120;

pub(super) struct Printer<'a> {
    pub(super) args: &'a RotationArgs,
    pub(super) origin: Origin,
    /// As in "namespace shop".
    pub(super) scope: String,
}

impl<'a> Printer<'a> {
    pub(super) fn new(args: &'a RotationArgs, origin: Origin, scope: &Scope) -> Self {
        for class in &origin.catalog.unreadable {
            let _ = writeln!(
                io::stderr(),
                "warning: no pod can mount SecretProviderClass {}, which is invalid; its files are shown by their own names",
                escaped(class)
            );
        }
        let scope = match scope {
            Scope::All => "all namespaces".to_owned(),
            Scope::Namespace(namespace) => format!("namespace {namespace}"),
        };
        Self { args, origin, scope }
    }

    pub(super) fn question<'q>(&'q self, aws: &'q AwsVersions) -> Question<'q> {
        Question {
            catalog: &self.origin.catalog,
            name: self.args.name.as_deref(),
            version: self.args.version.as_deref(),
            aws,
        }
    }

    pub(super) fn shown(&self, reached: Option<bool>) -> Shown<'_> {
        Shown {
            circumstances: &self.origin.circumstances,
            now: Time::of(SystemTime::now()),
            scope: &self.scope,
            columns: io::stdout().is_terminal().then_some(COLUMNS),
            reached,
        }
    }

    /// The report. `reached` says whether waiting for it came to an end.
    pub(super) fn print(&self, report: &Report<'_>, reached: Option<bool>) -> String {
        let shown = self.shown(reached);
        match self.args.output {
            RotationForm::Json => json(report, &shown, true),
            _ if report.objects.is_empty() => {
                format!("No running pod in {} has mounted a SecretProviderClass.\n", self.scope)
            }
            RotationForm::Table => table(report, &shown),
            RotationForm::Wide => wide(report, &shown),
        }
    }

    /// Reads Latchkey's events on the pods that wait. Without the permission, the report
    /// says less.
    pub(super) async fn read_events(&mut self, live: &Live, fleet: &Fleet, aws: &AwsVersions) {
        let events: Vec<PodEvent> = {
            let report = Report::new(fleet, &self.question(aws));
            let pods = report.waiting().map(|(_, waiting)| waiting.holder.pod);
            let pods = pods.take(NAMED).map(|pod| (pod.namespace.to_string(), pod.name.to_string()));
            let pods: Vec<(String, String)> = pods.collect();
            let reads = pods.into_iter().map(|(namespace, pod)| async move {
                let (scope, fields) = (Scope::Namespace(namespace), format!("regarding.name={pod}"));
                let query = Query::new(&EVENTS, &scope).with_fields(&fields);
                live.list::<PodEvent>(query, &Progress::silent()).await.unwrap_or_default()
            });
            stream::iter(reads)
                .buffer_unordered(READS)
                .collect::<Vec<_>>()
                .await
                .into_iter()
                .flatten()
                .collect()
        };
        for event in events {
            self.origin.circumstances.add(event);
        }
    }
}
