//! The command line: every subcommand, flag and environment variable.

#[cfg(feature = "emulator")]
pub mod lab;
mod serve;

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    error::{ContextKind, ContextValue},
};

pub use self::serve::ServeArgs;
use crate::{model::arn::Region, telemetry::LogFormat};

const AFTER_HELP: &str = "\
Try it without a cluster or an AWS account:  latchkey demo
Every flag of serve can also be set by an environment variable: --log-format is LATCHKEY_LOG_FORMAT.
AWS is reached as AWS's own tools do it: AWS_REGION, AWS_ENDPOINT_URL[_SECRETS_MANAGER|_SSM|_STS],
AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT, AWS_CA_BUNDLE, SSL_CERT_FILE, SSL_CERT_DIR,
HTTPS_PROXY, NO_PROXY.";

/// The AWS provider for the Kubernetes Secrets Store CSI Driver: Secrets Manager
/// secrets and Parameter Store parameters as files in pods, read as each pod's
/// own AWS identity.
#[derive(Debug, Parser)]
#[command(name = "latchkey", version, after_help = AFTER_HELP, max_term_width = 100, override_usage = "latchkey [COMMAND] [OPTIONS]")]
pub struct Cli {
    /// What to do; `serve` when nothing is named.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer the Secrets Store CSI Driver on this node (the default)
    Serve(Box<ServeArgs>),
    /// Mount secrets of a SecretProviderClass with your own AWS credentials
    Mount(MountArgs),
    /// What needs no cluster and no AWS account.
    #[cfg(feature = "emulator")]
    #[command(flatten)]
    Lab(lab::LabCommand),
}

/// `latchkey mount`.
#[derive(Debug, Args)]
pub struct MountArgs {
    /// Manifests with a SecretProviderClass, whatever else they hold: a file, a folder, or - for
    /// standard input
    pub file: PathBuf,
    /// The SecretProviderClass to mount where there are several: NAME or NAMESPACE/NAME
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// Write the files into this folder; without it, only a table is shown
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// The Region, where the class names none [default: AWS_REGION or your profile's]
    #[arg(long, value_parser = region)]
    pub region: Option<Region>,
}

/// Logs.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Form of a log line
    #[arg(long, value_enum, default_value = "text", help_heading = "Logs")]
    pub log_format: LogFormatArg,
    /// Least important line that is logged
    #[arg(long, default_value = "info", help_heading = "Logs", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub log_level: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormatArg {
    /// For a person
    Text,
    /// One JSON object a line
    Json,
}

impl Cli {
    /// Reads the process's arguments; exits with clap's own message and status
    /// at `--help`, `--version` and mistakes.
    pub fn from_args() -> Self {
        match Self::try_from_args(std::env::args_os()) {
            Ok(cli) => cli,
            Err(error) => error.exit(),
        }
    }

    /// Reads arguments, the program's name first.
    ///
    /// # Errors
    /// clap's own, with what was expected.
    pub fn try_from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let command = with_environment(Self::command());
        let args = as_go_would_take_them(args);
        let matches = command.try_get_matches_from(&args).map_err(|error| named_as_given(error, &args))?;
        Self::from_arg_matches(&matches)
    }
}

fn variable_of(flag: &str) -> String {
    format!("LATCHKEY_{}", flag.replace('-', "_").to_uppercase())
}

/// An unusable value of an environment variable is not blamed on its flag.
fn named_as_given(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let Some(ContextValue::String(blamed)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = blamed.split([' ', '=']).next().unwrap_or_default().to_owned();
    let given = args.iter().any(|arg| arg.to_str().is_some_and(|arg| arg.split('=').next() == Some(&flag)));
    let variable = variable_of(flag.trim_start_matches('-'));
    if !given && std::env::var_os(&variable).is_some() {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// Every flag of serve has an environment variable; an empty one counts as unset.
fn with_environment(command: clap::Command) -> clap::Command {
    command.mut_subcommand("serve", |serve| {
        serve.mut_args(|arg| {
            let Some(name) = arg.get_long() else { return arg };
            let variable = variable_of(name);
            let set = std::env::var_os(&variable).is_some_and(|value| !value.is_empty());
            if set { arg.env(variable).hide_env_values(true) } else { arg }
        })
    })
}

/// Single-dash flags, as Go's flag package takes them, and `serve` when no
/// subcommand is named: manifests of AWS's own provider work unchanged.
fn as_go_would_take_them(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut taken: Vec<OsString> = args.next().into_iter().collect();
    let rest: Vec<OsString> = args.map(with_two_dashes).collect();
    let first = rest.first().and_then(|first| first.to_str()).unwrap_or_default();
    let is_flag = first.is_empty() || first.starts_with('-');
    if is_flag && !matches!(first, "-h" | "--help" | "-V" | "--version") {
        taken.push("serve".into());
    }
    taken.extend(rest);
    taken
}

fn with_two_dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            format!("-{text}").into()
        }
        _ => arg,
    }
}

impl LogArgs {
    /// The form of a line.
    pub fn format(&self) -> LogFormat {
        match self.log_format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        }
    }

    /// The least important level.
    pub fn level(&self) -> tracing::Level {
        // clap has checked the text.
        self.log_level.parse().unwrap_or(tracing::Level::INFO)
    }
}

fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| format!("{text:?} is not a Region's name, such as eu-central-1"))
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
