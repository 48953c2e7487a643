//! The command that looks before anybody leaps.

use std::path::PathBuf;

use clap::Args;
use jumpstarter_gateway::config::{ServeArgs, Settings};
use jumpstarter_gateway::{lab, server};

use super::failure::Failure;
use super::print;

pub const EXAMPLES: &str = "\
Examples:
  jumpstarter-gateway check --config /etc/jumpstarter-gateway/gateway.toml
      The settings, and the lab, tokens, keys, certificate and data directory that they name
  jumpstarter-gateway check lab/
      Lab files alone

It takes all flags and environment variables of `serve`, and changes nothing.
Exit status: 0 all is right, 78 something is wrong.";

/// Settings that the help shows; the others are taken and not shown.
pub const SETTINGS: [&str; 8] = [
    "config", "data", "keys", "lab", "listen", "tls_cert", "tls_key", "tokens",
];

#[derive(Args)]
pub struct CheckArgs {
    /// Lab files, or directories of them, instead of the configuration.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    settings: ServeArgs,
}

/// Says what is right, and what is wrong.
///
/// # Errors
/// Something is wrong.
pub fn run(args: CheckArgs) -> Result<(), Failure> {
    let checked = match args.paths[..] {
        [] => configuration(args.settings)?,
        _ => labs(&args.paths),
    };
    for warning in &checked.warnings {
        eprintln!("warning: {warning}");
    }
    for good in &checked.good {
        print(&format!("{good}\n"))?;
    }
    match checked.problems[..] {
        [] => Ok(()),
        _ => Err(Failure::configuration(checked.problems.join("\n"))),
    }
}

fn configuration(args: ServeArgs) -> Result<server::Checked, Failure> {
    let file = args.file().map(|file| format!("{}: right", file.display()));
    let settings = Settings::show(args).map_err(Failure::configuration)?;
    let mut checked = server::check(&settings);
    if settings.check().is_ok() {
        let right = file.unwrap_or_else(|| "the settings: right".to_owned());
        checked.good.insert(0, right);
    }
    Ok(checked)
}

fn labs(paths: &[PathBuf]) -> server::Checked {
    let mut checked = server::Checked::default();
    for path in paths {
        match lab::load(path) {
            Ok(lab) => {
                let warnings = lab.warnings.iter().map(ToString::to_string);
                checked.warnings.extend(warnings);
                checked.good.push(server::lab_summary(path, &lab));
            }
            Err(errors) => checked.problems.push(errors.to_string()),
        }
    }
    checked
}
