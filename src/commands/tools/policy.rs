//! `latchkey policy`: reads manifests, and prints the least policies or what given ones
//! grant beyond them.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};

use super::{
    inputs::{connect, named, read_files},
    output::{colours, print},
};
use crate::{
    cli::tools::{
        inputs::Inputs,
        policy::{PolicyArgs, PolicyForm},
    },
    estate::Estate,
    findings, iam,
    live::Progress,
    policy::{self, AccountPlan, Given, RolePlan},
};

/// Maximum size of a file with policies.
const MAX_POLICY_BYTES: u64 = 16 << 20;

pub(super) async fn run(args: &PolicyArgs) -> anyhow::Result<ExitCode> {
    let estate = estate(args).await?;
    let settings = args.settings();
    let plans = Progress::during("Writing policies", || policy::plan(&estate, &settings))?;
    if args.check.is_empty() {
        let printed = match args.output.unwrap_or(PolicyForm::Json) {
            PolicyForm::Json => policy::json(&plans),
            PolicyForm::Terraform => policy::terraform(&plans),
            PolicyForm::Cloudformation => policy::cloudformation(&plans),
            PolicyForm::Table => {
                bail!("--output table is for --check; choose json, terraform or cloudformation")
            }
        };
        for note in plans.iter().flat_map(|plan| plan.notes.iter().map(move |note| (plan, note))) {
            let (AccountPlan { namespace, name, .. }, note) = note;
            writeln!(io::stderr(), "note: service account {namespace}/{name}: {note}")?;
        }
        print(&printed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let roles = one_role(&plans, args.role.as_deref())?;
    ensure!(
        roles.iter().all(|(_, role)| role.account.is_some()),
        "set --account to compare policies: no manifest names the role's account"
    );
    let given = args.check.iter().map(|file| given(file)).collect::<anyhow::Result<Vec<_>>>()?;
    let compare = || policy::compare(&roles, &given, &settings);
    let findings = Progress::during("Comparing policies", compare);
    let printed = match args.output.unwrap_or(PolicyForm::Table) {
        PolicyForm::Table => findings::table(&findings, colours()),
        PolicyForm::Json => findings::json(&findings),
        PolicyForm::Terraform | PolicyForm::Cloudformation => {
            bail!("--check prints findings: choose --output table or json")
        }
    };
    print(&printed)?;
    if args.output.is_none_or(|form| form == PolicyForm::Table) {
        writeln!(io::stderr(), "{}", findings::summary(&findings))?;
    }
    Ok(if findings::fail(&findings) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the manifests or the cluster contain.
async fn estate(args: &PolicyArgs) -> anyhow::Result<Estate> {
    let Inputs { files, cluster } = &args.inputs;
    let of_account = args.service_account.as_ref().map(|(namespace, _)| namespace.as_str());
    let namespace = cluster.namespace.as_deref().or(of_account);
    if files.is_empty() {
        let progress = Progress::of_cluster();
        let live = connect(cluster).await?;
        let scope = live.scope(namespace, cluster.all_namespaces);
        let (estate, unread) = Estate::of_cluster(&live, &scope, &progress).await?;
        // Without the pods or the roles a policy would be for nobody, or for another role.
        return unread.into_iter().next().map_or(Ok(estate), |error| Err(error.into()));
    }
    let found = read_files(files)?;
    if found.objects.is_empty() && found.unreadable.is_empty() {
        bail!("no Kubernetes object in {}", named(files));
    }
    if let Some(unreadable) = found.unreadable.iter().find(|unreadable| unreadable.names_a_class) {
        bail!("{} {}", unreadable.file, unreadable.problem);
    }
    Ok(Estate::of_manifests(&found, namespace.unwrap_or("default")))
}

/// The one role to compare with, as each service account that shares it needs it.
fn one_role<'a>(
    plans: &'a [AccountPlan],
    wanted: Option<&str>,
) -> anyhow::Result<Vec<(&'a AccountPlan, &'a RolePlan)>> {
    let mut roles: BTreeMap<&str, Vec<(&AccountPlan, &RolePlan)>> = BTreeMap::new();
    for plan in plans {
        for role in &plan.roles {
            let name = role.arn.as_ref().map_or(role.name.as_str(), |arn| arn.as_str());
            if wanted.is_none_or(|wanted| wanted == name || wanted == role.name) {
                roles.entry(name).or_default().push((plan, role));
            }
        }
    }
    let names: Vec<&str> = roles.keys().copied().collect();
    match (roles.len(), wanted) {
        (0, Some(wanted)) => bail!("no service account here has a role {wanted} (--role)"),
        (0 | 1, _) => Ok(roles.into_values().flatten().collect()),
        _ => bail!(
            "several roles read here; choose one with --role or --service-account: {}",
            names.join(", ")
        ),
    }
}

fn given(file: &Path) -> anyhow::Result<Given> {
    let name = file.display().to_string();
    let size = std::fs::metadata(file).with_context(|| format!("cannot read {name}"))?.len();
    ensure!(size <= MAX_POLICY_BYTES, "{name} is too large for a policy");
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    let Ok(text) = String::from_utf8(bytes) else { bail!("{name} is not UTF-8 text; save it as UTF-8") };
    let policies = iam::documents(&text).with_context(|| name.clone())?;
    ensure!(
        !policies.iter().any(|policy| policy.names_principals() && policy.names_resources()),
        "{name} is the policy of a secret or key; --check compares the policies and the trust policy of a role"
    );
    Ok(Given { file: name, policies })
}
