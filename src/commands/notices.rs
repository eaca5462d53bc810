//! `latchkey notices`: sends change notices, or prints what AWS needs for them.

use std::process::ExitCode;

use super::terminated;
use crate::{broker, cli::NoticesArgs, telemetry};

pub(super) async fn run(args: &NoticesArgs) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "tools")]
    if let Some(form) = args.print_setup {
        super::output::print(setup(form))?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = args.config()?;
    telemetry::init(args.log().format(), args.log().level());
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    broker::serve(config, terminated()?).await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "tools")]
fn setup(form: crate::cli::notices::SetupForm) -> &'static str {
    use crate::cli::notices::SetupForm;
    match form {
        SetupForm::Cloudformation => include_str!("notices/setup.yaml"),
        SetupForm::Terraform => include_str!("notices/setup.tf"),
    }
}
