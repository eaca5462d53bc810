//! `latchkey simulate`.

use std::{process::ExitCode, time::Duration};

use super::output::print;
use crate::{
    cli::tools::simulate::{ScenarioArg, SimulateArgs, SimulateForm},
    cost::Prices,
    simulate::{MAX_CALLS, Scenario, Settings, json, text},
};

pub(super) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        nodes: args.nodes,
        accounts_per_node: args.accounts_per_node,
        values: args.values,
        parameters: args.parameters,
        interval: args.interval,
        max_refresh_interval: args.max_refresh_interval,
        notified_poll_interval: args.notices.then_some(args.notified_poll_interval),
        pod_starts: args.pod_starts.into(),
        secrets_manager_quota: args.secrets_manager_quota.into(),
        parameter_store_quota: args.parameter_store_quota.into(),
        scenario: match args.scenario {
            ScenarioArg::Steady => Scenario::Steady,
            ScenarioArg::Restart => Scenario::Restart,
            ScenarioArg::Outage => Scenario::Outage,
            ScenarioArg::Change => Scenario::Change,
        },
        length: Duration::from_secs(u64::from(args.hours) * 60 * 60),
        seed: args.seed,
    };
    anyhow::ensure!(settings.calls() > 0, "nothing is read: set --values or --parameters to at least 1");
    anyhow::ensure!(
        settings.calls() <= MAX_CALLS,
        "the fleet is too large to simulate: {} values on all nodes together (a batch of ten parameters \
         counts once), the maximum is {MAX_CALLS}. Lower --nodes, --accounts-per-node or --values",
        settings.calls()
    );
    let outcome = settings.run(&Prices::default());
    print(match args.output {
        SimulateForm::Text => text(&outcome),
        SimulateForm::Json => json(&outcome),
    })?;
    Ok(ExitCode::SUCCESS)
}
