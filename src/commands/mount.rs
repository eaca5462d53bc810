//! `latchkey mount`: reads what a SecretProviderClass would mount, with the user's own
//! AWS credentials.

mod chosen;

use std::{
    fs::{DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use aws_credential_types::provider::ProvideCredentials;
use tokio::time::Instant;

use super::output::print;
use crate::{
    aws::{Aws, AwsSettings, Effort},
    backend::{Asker, Backend, Who},
    cli::MountArgs,
    identity::Session,
    model::{
        arn::{Region, Regions},
        file::MountFile,
        rules::Rules,
        source::Source,
    },
    shape::{Shaping, Subject},
    values::Readings,
};

pub(super) async fn run(args: &MountArgs) -> anyhow::Result<ExitCode> {
    let mut warnings = Vec::new();
    let class = chosen::class(&args.file, args.class.as_deref(), &mut warnings)?;
    warnings.extend(class.warnings().iter().map(ToString::to_string));
    let synced = class.secret_objects();
    let caller = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12()).load().await;
    let default_region = args.region.clone().or_else(|| Region::parse(caller.region()?.as_ref()));
    let named = class.to_string();
    let class = class.read(&Rules { default_region, allow_role_arn: true, ..Rules::default() })?;
    warnings.extend(class.warnings.iter().map(ToString::to_string));
    warnings.extend(
        synced.iter().filter_map(|synced| synced.problem(&class.objects)).map(|problem| problem.text),
    );
    for warning in &warnings {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    if let Some(role) = &class.identity.assumed_role {
        writeln!(
            std::io::stderr(),
            "warning: this command does not assume the role in assumeRoleArn: it reads with your own credentials. Use credentials of {}",
            role.arn
        )?;
    }
    let primary =
        class.region.clone().context("no Region: the class does not name one; set --region or AWS_REGION")?;
    let regions = Regions { primary, failover: class.failover_region.clone() };

    let provider = caller.credentials_provider().context("you have no AWS credentials")?;
    let credentials = provider.provide_credentials().await.context("cannot use your AWS credentials")?;
    let session = Session::of_caller(credentials);
    let ca_bundle = std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(Into::into);
    let aws =
        Arc::new(Aws::load(&AwsSettings { ca_bundle, ..AwsSettings::default() }, Arc::default()).await?);
    let asker = Asker { who: Who::Caller(&session), regions: &regions, effort: Effort::MOUNT };
    let plan = class.objects.plan();
    let sources: Vec<&Source> = plan.sources.iter().map(|planned| &planned.source).collect();
    let began = Instant::now();
    let results = Backend::new(aws).read(&asker, &sources).await?;
    let readings: Vec<Readings> = results.into_iter().map(|results| Readings::new(results, began)).collect();
    let found = plan.of_objects(&readings).map(|(readings, place)| readings.found(place)).collect();
    let subject = Subject {
        namespace: String::new(),
        class: named,
        who: "your own AWS credentials".to_owned(),
        account: None,
    };
    let files = Shaping::new(Arc::clone(&class.objects), found, subject, usize::MAX).finish()?.files;

    if let Some(folder) = &args.output {
        for file in &files {
            write_file(folder, file)
                .with_context(|| format!("cannot write {} into {}", file.path, folder.display()))?;
        }
    }
    print(table(&files))?;
    Ok(ExitCode::SUCCESS)
}

/// Replaces the file atomically. New folders are accessible only to the user.
fn write_file(folder: &Path, file: &MountFile) -> std::io::Result<()> {
    let path = folder.join(file.path.as_str());
    let parent = path.parent().unwrap_or(folder);
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    let temporary = parent.join(format!(".latchkey-{}", std::process::id()));
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let result = written
        .write_all(file.contents.expose())
        .and_then(|()| written.set_permissions(std::fs::Permissions::from_mode(file.mode.bits())))
        .and_then(|()| std::fs::rename(&temporary, &path));
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// A table of the files, without their contents.
fn table(files: &[MountFile]) -> String {
    let rows = files.iter().map(|file| {
        [file.path.to_string(), file.mode.to_string(), file.contents.len().to_string(), file.version.clone()]
    });
    let header = ["FILE", "MODE", "BYTES", "VERSION"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        format!("{:<3$}  {:<4$}  {:>5$}", row[0], row[1], row[2], widths[0], widths[1], widths[2])
            + "  "
            + &row[3]
            + "\n"
    };
    rows.iter().map(line).collect()
}
