//! `lease acquire`: ask for a lease, wait for it, and perhaps run a command with it. How it is waited
//! for is the business of `wish`.

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::connection::{Connection, ConnectionOptions};
use super::manage::seconds;
use super::problem::Problem;
use super::progress::Progress;
use super::signals::{self, Signals};
use super::wish::Wish;
use super::{command, exit, show, tag};
use crate::proto::jumpstarter::client::v1::Lease;

/// What to lease, and for what.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("wish").required(true).multiple(true).args(["selector", "exporter"]))]
pub struct AcquireArgs {
    /// Which exporters will do: a label selector such as board=rpi4,!can.
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    selector: Option<String>,

    /// The one exporter that will do.
    #[arg(long, short = 'n', value_name = "NAME")]
    exporter: Option<String>,

    /// Length of the lease, such as 30m or 1h 30m. It counts from when the lease is ready.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Duration,

    /// Longest time to wait for it; 0s takes it now or not at all. Without it there is no limit.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,

    /// Name of the lease. Without it one is made up.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// A note on the lease, to find it by. Can be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,

    /// Also take the exporter of --exporter while it is disabled.
    #[arg(long, requires = "exporter")]
    allow_disabled: bool,

    /// Print the lease as JSON instead of its name.
    #[arg(long, conflicts_with = "command")]
    json: bool,

    /// Say nothing of how it goes.
    #[arg(long, short)]
    quiet: bool,

    /// What to run while the lease is held; it is released afterwards, whatever happens. Without it
    /// the lease's name is printed and the lease stays.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Acquires a lease. Returns the status to end with.
///
/// # Errors
/// There is no lease, and why.
pub async fn acquire(options: &ConnectionOptions, args: AcquireArgs) -> Result<u8, Problem> {
    let connection = Connection::new(options)?;
    let mut signals = Signals::listen()?;
    let progress = Progress::new(args.quiet);
    let wish = Wish::new(
        &connection,
        &progress,
        body(&args),
        args.name.as_deref(),
        args.wait,
    );
    let obtained = tokio::select! {
        biased;
        obtained = wish.obtain() => obtained,
        never = wish.look_on() => match never {},
        signal = signals.next() => {
            wish.give_up(&mut signals).await;
            progress.note(&format!("given up on {}", signals::name(signal)));
            return Ok(exit::of_signal(signal.as_raw()));
        }
    };
    let (lease, answer) = match obtained {
        Ok(obtained) => obtained,
        Err(problem) => {
            wish.give_up(&mut signals).await;
            progress.clear();
            return Err(problem);
        }
    };
    let name = show::short(&lease.name);
    progress.note(&format!("lease {name} is ready: {}", grant(&lease)));
    if args.command.is_empty() {
        let text = match args.json {
            true => format!("{}\n", answer.text),
            false => format!("{name}\n"),
        };
        // A lease whose name nobody heard is nobody's.
        return match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => Ok(0),
            Err(error) => {
                wish.give_up(&mut signals).await;
                Err(error.into())
            }
        };
    }
    let environment = environment(options, &lease);
    let ended = tokio::select! {
        ended = command::run(&args.command, environment, &mut signals) => ended,
        never = wish.warn_of_end(&lease) => match never {},
    };
    wish.give_up(&mut signals).await;
    ended.or_else(|(status, message)| {
        eprintln!("error: {message}");
        Ok(status)
    })
}

/// The lease that is asked for, as the API's JSON has it.
fn body(args: &AcquireArgs) -> Value {
    let tags: serde_json::Map<_, _> = args
        .tag
        .iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect();
    let mut body = json!({"duration": seconds(args.duration), "tags": tags});
    if let Some(selector) = &args.selector {
        body["selector"] = json!(selector);
    }
    if let Some(exporter) = &args.exporter {
        body["exporterName"] = json!(exporter);
        body["allowDisabled"] = json!(args.allow_disabled);
    }
    body
}

/// What the command finds in its environment: names that `jmp` reads, and our own.
fn environment(options: &ConnectionOptions, lease: &Lease) -> Vec<(&'static str, String)> {
    let name = show::short(&lease.name).to_owned();
    vec![
        ("JMP_LEASE", name.clone()),
        ("JUMPSTARTER_GATEWAY_LEASE", name),
        (
            "JUMPSTARTER_GATEWAY_EXPORTER",
            show::short(lease.exporter()).to_owned(),
        ),
        ("JUMPSTARTER_GATEWAY_URL", options.address().to_owned()),
        ("JUMPSTARTER_GATEWAY_NAMESPACE", options.namespace.clone()),
    ]
}

fn grant(lease: &Lease) -> String {
    let exporter = show::short(lease.exporter());
    match show::end(lease) {
        Some(end) => format!("{exporter} until {}", show::moment(end)),
        None => exporter.to_owned(),
    }
}
