//! The command line: every subcommand, flag and environment variable.

mod flag_values;
#[cfg(feature = "emulator")]
pub(crate) mod lab;
mod name;
pub(crate) mod notices;
mod serve;
mod status;
#[cfg(feature = "tools")]
pub(crate) mod tools;

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue},
};

pub use self::name::Name;
pub(crate) use self::{
    notices::NoticesArgs,
    serve::ServeArgs,
    status::{StatusArgs, StatusForm},
};
use crate::{model::arn::Region, telemetry::LogFormat};

const AFTER_HELP: &str = "\
Try it without a cluster or an AWS account:  latchkey demo
Every flag of serve and notices also has an environment variable: --log-format is
LATCHKEY_LOG_FORMAT.
Latchkey reads the same variables as AWS's own tools: AWS_REGION, AWS_USE_FIPS_ENDPOINT,
AWS_ENDPOINT_URL[_SECRETS_MANAGER|_SSM|_STS], AWS_USE_DUALSTACK_ENDPOINT, AWS_CA_BUNDLE,
SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY, NO_PROXY.";

/// The AWS provider for the Kubernetes Secrets Store CSI Driver. Mounts Secrets Manager secrets
/// and Parameter Store parameters as files in pods, and reads them with each pod's own AWS
/// identity.
#[derive(Debug, Parser)]
#[command(name = "latchkey", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What the user called the program.
    #[arg(skip)]
    pub name: Name,
    /// `serve` if the arguments name none.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the provider on this node (the default)
    Serve(Box<ServeArgs>),
    /// Read the objects of a SecretProviderClass with your own AWS credentials
    Mount(MountArgs),
    /// Show what the provider on this node holds: principals, values and their age, memory
    Status(StatusArgs),
    /// Tell all nodes what has changed in AWS, from SQS queues with AWS's events
    Notices(Box<NoticesArgs>),
    /// Subcommands for a person's machine and for pipelines.
    #[cfg(feature = "tools")]
    #[command(flatten)]
    Tool(tools::ToolCommand),
    /// Subcommands that need no cluster and no AWS account.
    #[cfg(feature = "emulator")]
    #[command(flatten)]
    Lab(lab::LabCommand),
}

const MOUNT_EXAMPLES: &str = "\
Examples:
  latchkey mount class.yaml
  helm template . | latchkey mount - --class shop/web --output folder";

#[derive(Debug, Args)]
#[command(after_help = MOUNT_EXAMPLES)]
pub(crate) struct MountArgs {
    /// Manifests that contain a SecretProviderClass (other objects are skipped): a file, a folder, or
    /// - for standard input
    pub(crate) file: PathBuf,
    /// SecretProviderClass to mount if there are several: NAME or NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// Write the files into this folder; without it, only show a table
    #[arg(long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    /// Region if the class does not name one [default: AWS_REGION, then your profile's Region]
    #[arg(long, value_parser = region)]
    pub(crate) region: Option<Region>,
}

/// Logs.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Format of log lines
    #[arg(long, value_enum, default_value = "text", help_heading = "Logs")]
    pub(crate) log_format: LogFormatArg,
    /// Minimum level that is logged
    #[arg(long, default_value = "info", help_heading = "Logs", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub(crate) log_level: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormatArg {
    /// Plain text
    Text,
    /// One JSON object per line
    Json,
}

impl Cli {
    /// Parses the process's arguments. Exits with clap's message and status for
    /// `--help`, `--version` and invalid arguments.
    pub fn from_args() -> Self {
        let args: Vec<OsString> = std::env::args_os().collect();
        #[cfg(feature = "tools")]
        if let Some(words) = tools::complete::asked_by_kubectl(&args) {
            tools::complete::answer(Name::Plugin.of(Self::command()), &words);
        }
        match Self::try_from_args(args) {
            Ok(cli) => cli,
            Err(error) => error.exit(),
        }
    }

    /// Parses `args`, of which the first is the program's name.
    pub fn try_from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let name = Name::of_program(args.first());
        let command = name.of(with_environment(Self::command()));
        let args = name.default_command(args);
        let matches = command.try_get_matches_from(&args).map_err(|error| blame_variable(error, &args))?;
        Ok(Self { name, ..Self::from_arg_matches(&matches)? })
    }

    /// The exit code if the command cannot do its work. For the commands that report
    /// findings, 1 means findings.
    pub fn failure(&self) -> u8 {
        match self.command {
            Command::Serve(_) | Command::Mount(_) | Command::Status(_) | Command::Notices(_) => 1,
            #[cfg(feature = "emulator")]
            Command::Lab(_) => 1,
            #[cfg(feature = "tools")]
            _ => 2,
        }
    }
}

fn variable_of(flag: &str) -> String {
    format!("LATCHKEY_{}", flag.replace('-', "_").to_uppercase())
}

/// Names the environment variable, and not its flag, if that is where an invalid
/// value came from.
fn blame_variable(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(blamed)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = blamed.split([' ', '=']).next().unwrap_or_default().to_owned();
    let given = args.iter().any(|arg| arg.to_str().is_some_and(|arg| arg.split('=').next() == Some(&flag)));
    let variable = variable_of(flag.trim_start_matches('-'));
    if !given && std::env::var_os(&variable).is_some() {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// Gives every flag of serve and of notices an environment variable. An empty variable
/// counts as unset.
fn with_environment(command: clap::Command) -> clap::Command {
    let with_variable = |arg: clap::Arg| {
        let Some(name) = arg.get_long() else { return arg };
        let variable = variable_of(name);
        let set = std::env::var_os(&variable).is_some_and(|value| !value.is_empty());
        if set { arg.env(variable).hide_env_values(true) } else { arg }
    };
    ["serve", "notices"]
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |one| one.mut_args(with_variable)))
}

impl LogArgs {
    pub(crate) fn format(&self) -> LogFormat {
        match self.log_format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        }
    }

    pub(crate) fn level(&self) -> tracing::Level {
        // clap has checked the text.
        self.log_level.parse().unwrap_or(tracing::Level::INFO)
    }
}

fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| format!("{text:?} is not the name of a Region, such as eu-central-1"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{app::Config, identity::AgentSettings};

    fn serve(args: &[&str]) -> Result<Config, clap::Error> {
        let args = std::iter::once("latchkey").chain(args.iter().copied()).map(OsString::from);
        match Cli::try_from_args(args)?.command {
            Command::Serve(serve) => Ok(serve.config().unwrap()),
            other => panic!("not serve: {other:?}"),
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_default_command_is_serve_and_go_style_flags_work() {
        for args in [
            &["-provider-volume=/x", "--driver-writes-secrets=false", "-qps=5", "-burst", "10"][..],
            &["serve", "--provider-volume", "/x", "--driver-writes-secrets=F"][..],
        ] {
            let config = serve(args).unwrap();
            assert_eq!(config.provider_volume, PathBuf::from("/x"), "{args:?}");
            assert!(config.writer.is_some(), "{args:?}");
        }
        assert!(serve(&["--driver-writes-secrets"]).unwrap().writer.is_none());
        assert!(serve(&[]).unwrap().writer.is_none());
    }

    #[test]
    fn an_unknown_command_is_named() {
        let error = serve(&["moutn"]).unwrap_err().to_string();
        assert!(error.contains("subcommand 'moutn'"), "{error}");
        assert!(error.contains("'mount'"), "{error}");
    }

    #[test]
    fn invalid_values_are_refused_with_the_expected_form() {
        for (args, expected) in [
            (&["--mount-timeout=1"][..], "duration"),
            (&["--mount-timeout=0s"], "duration"),
            (&["--socket-name=../x.sock"], ".sock"),
            (&["--region=EU"], "Region"),
            (&["--allowed-regions=EU"], "eu-*"),
            (&["--min-refresh-interval=0s"], "at least 1s"),
            (&["--http-address=x"], "address"),
            (&["--max-expression-bytes=4096"], "1024"),
            (&["--driver-writes-secrets=maybe"], "true or false"),
            (&["--log-level=loud"], "debug"),
            (&["--nonsense"], "--nonsense"),
        ] {
            let error = serve(args).unwrap_err().to_string();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
    }

    #[test]
    fn contradictory_flags_are_refused() {
        for (args, says) in [
            (
                ["--min-refresh-interval=2m", "--max-refresh-interval=1m"],
                "longer than --max-refresh-interval 1m",
            ),
            (["--allowed-regions=eu-*", "--region=us-east-1"], "(--allowed-regions=eu-*)"),
        ] {
            let args = std::iter::once("latchkey").chain(args).map(OsString::from);
            let Command::Serve(serve) = Cli::try_from_args(args).unwrap().command else { panic!() };
            let error = serve.config().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let rules = serve(&["--allowed-regions=", "--min-refresh-interval=5s"]).unwrap().rules;
        assert_eq!(rules.allowed_regions, None);
        assert_eq!(rules.min_refresh_interval.as_secs(), 5);
    }

    #[test]
    fn the_agents_timeout_is_a_go_duration_or_empty() {
        let timeout = |text: &str| {
            serve(&[&format!("--pod-identity-http-timeout={text}")]).unwrap().identity.agent.timeout
        };
        assert_eq!(timeout("250ms"), Duration::from_millis(250));
        assert_eq!(timeout(""), AgentSettings::default().timeout);
    }
}
