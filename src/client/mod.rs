//! Leasing from the command line: for people, and for scripts that prefer an exit status over JSON.
//! It talks to a gateway over REST like anybody else, and knows nothing of the server's rooms.

mod acquire;
mod command;
mod connection;
mod exit;
mod manage;
mod problem;
mod progress;
mod show;
mod signals;
mod wish;

use clap::{Args, Subcommand};

pub use connection::server_url;
use connection::{Connection, ConnectionOptions};
use problem::Problem;

/// `lease` and what follows.
#[derive(Args, Debug)]
#[command(after_help = exit::MEANINGS)]
pub struct LeaseArgs {
    #[command(flatten)]
    connection: ConnectionOptions,

    #[command(subcommand)]
    command: LeaseCommand,
}

#[derive(Subcommand, Debug)]
enum LeaseCommand {
    /// Acquire a lease, and wait for it where it has to wait. With COMMAND run that, then release.
    #[command(after_help = ACQUIRE_EXAMPLES)]
    Acquire(acquire::AcquireArgs),
    /// List leases.
    List(manage::ListArgs),
    /// Show a lease.
    Get(manage::GetArgs),
    /// Release leases. Prints the name of each.
    Release(manage::ReleaseArgs),
    /// Make a lease end later, or sooner. Prints the new end.
    Extend(manage::ExtendArgs),
}

const ACQUIRE_EXAMPLES: &str = "\
Examples:
  jumpstarter-gateway lease acquire --selector board=rpi4 --duration 30m --wait 5m -- ./test.sh
      Wait up to five minutes for a board, run the tests, release it. The tests find the lease's
      name in JUMPSTARTER_GATEWAY_LEASE (and in JMP_LEASE, which Jumpstarter's jmp reads), and
      the exporter's in JUMPSTARTER_GATEWAY_EXPORTER.
  LEASE=$(jumpstarter-gateway lease acquire --selector board=rpi4 --duration 30m)
      Keep the lease until its time is up, or until it is released

`jumpstarter-gateway lease --help` lists the exit statuses.";

/// `exporters` and what follows.
#[derive(Args, Debug)]
#[command(after_help = exit::MEANINGS)]
pub struct ExportersArgs {
    #[command(flatten)]
    connection: ConnectionOptions,

    #[command(subcommand)]
    command: ExportersCommand,
}

#[derive(Subcommand, Debug)]
enum ExportersCommand {
    /// List exporters: what there is to lease.
    List(manage::ExportersArgs),
}

/// Does what `lease` was asked for. Returns the status to end with; what there is to say has been
/// said.
pub fn lease(args: LeaseArgs) -> u8 {
    run(async move {
        let LeaseArgs {
            connection: options,
            command,
        } = args;
        if let LeaseCommand::Acquire(args) = command {
            return acquire::acquire(&options, args).await;
        }
        let connection = Connection::new(&options)?;
        match command {
            LeaseCommand::Acquire(_) => {}
            LeaseCommand::List(args) => manage::list(&connection, args).await?,
            LeaseCommand::Get(args) => manage::get(&connection, args).await?,
            LeaseCommand::Release(args) => manage::release(&connection, args).await?,
            LeaseCommand::Extend(args) => manage::extend(&connection, args).await?,
        }
        Ok(0)
    })
}

/// The same for `exporters`.
pub fn exporters(args: ExportersArgs) -> u8 {
    run(async move {
        let connection = Connection::new(&args.connection)?;
        let ExportersCommand::List(args) = args.command;
        manage::exporters(&connection, args).await?;
        Ok(0)
    })
}

fn run(work: impl Future<Output = Result<u8, Problem>>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(error.into()),
    };
    result.unwrap_or_else(|problem| {
        eprintln!("{problem}");
        problem.exit as u8
    })
}

/// `KEY=VALUE`.
fn tag(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or_else(|| format!("{text:?} must be KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}
