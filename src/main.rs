//! The command line, nothing else.

#[path = "main/check.rs"]
mod check;
#[path = "main/failure.rs"]
mod failure;
#[path = "main/health.rs"]
mod health;
#[path = "main/token.rs"]
mod token;

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use jumpstarter_gateway::archive::{self, Archive};
use jumpstarter_gateway::config::{ServeArgs, Settings};
use jumpstarter_gateway::{client, docs, server};
use mimalloc::MiMalloc;

use check::CheckArgs;
use failure::Failure;
use health::HealthArgs;
use token::TokenCommand;

/// Requests and leases are made of many small pieces; BENCHMARKS.md tells what this one saves.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Jumpstarter's client API as REST/JSON and gRPC, over a lease engine of its own.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  jumpstarter-gateway serve --demo
      Serve a small lab that is built in, to try things out
  jumpstarter-gateway serve --lab lab/ --tokens tokens.csv --data data/
      Serve your own lab, and keep its leases
  jumpstarter-gateway check --config gateway.toml
      See whether all that a server would read is right, before you start it
  jumpstarter-gateway lease acquire --selector board=rpi4 --duration 30m -- ./test.sh
      Run a command while a board is leased

Exit status: 0 all went well, 1 something failed, 2 the command line is wrong, 70 the server met a
fault of its own, 78 the configuration is wrong. A server that is told to stop twice ends at once,
with 130 or 143. `lease` and `exporters` have more, which their --help lists.";

#[derive(Subcommand)]
enum Command {
    /// Serve the API, its documentation and the health checks.
    Serve(ServeArgs),
    /// Acquire, show, extend and release leases on a gateway that is served somewhere.
    Lease(client::LeaseArgs),
    /// Show the exporters of a gateway that is served somewhere.
    Exporters(client::ExportersArgs),
    /// List every HTTP route and the rpc that answers it.
    Routes,
    /// Print the OpenAPI document.
    Openapi(OpenapiArgs),
    /// Check the configuration and all that it names, or lab files, and say what is wrong with them.
    #[command(after_help = check::EXAMPLES)]
    Check(CheckArgs),
    /// Ask a server whether it is ready.
    Health(HealthArgs),
    /// Make a backup of a data directory, whether or not a server uses it.
    #[command(after_help = "\
Example:
  jumpstarter-gateway backup --data /var/lib/jumpstarter-gateway /backup/$(date +%F).redb")]
    Backup(BackupArgs),
    /// Put a backup into a data directory that no server uses.
    #[command(after_help = "\
Examples:
  jumpstarter-gateway restore --data new-data monday.redb
  jumpstarter-gateway restore --data data --force monday.redb
      What the directory had before is kept beside it, as gateway.redb.replaced")]
    Restore(RestoreArgs),
    /// Write what a data directory or a backup has as JSON lines, one record a line.
    #[command(after_help = "\
Examples:
  jumpstarter-gateway export data > records.jsonl
  jumpstarter-gateway export monday.redb | grep '\"lease\"'")]
    Export(ExportArgs),
    /// Put an export into a data directory that has no records.
    #[command(after_help = "\
Example:
  jumpstarter-gateway import --data new-data records.jsonl")]
    Import(ImportArgs),
    /// Show settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make, look at and end tokens of clients.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell to complete for.
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
struct OpenapiArgs {
    /// The form to print it in.
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

/// How long work that nobody waits for may go on when a server has stopped.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where a server keeps its records.
#[derive(Args)]
struct DataDirectory {
    /// The data directory, as `serve` has it.
    #[arg(long, env = "JUMPSTARTER_GATEWAY_DATA", value_name = "DIRECTORY")]
    data: PathBuf,
}

#[derive(Args)]
struct BackupArgs {
    #[command(flatten)]
    directory: DataDirectory,
    /// The file to make. It must not be there yet.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
}

#[derive(Args)]
struct RestoreArgs {
    #[command(flatten)]
    directory: DataDirectory,
    /// The file that `backup` made.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// Replace the records that the directory has.
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
struct ExportArgs {
    /// A data directory, whether or not a server uses it, or a backup.
    #[arg(value_name = "PATH")]
    source: PathBuf,
}

#[derive(Args)]
struct ImportArgs {
    #[command(flatten)]
    directory: DataDirectory,
    /// The file that `export` wrote; `-` is standard input.
    #[arg(value_name = "EXPORT")]
    export: PathBuf,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print a configuration file with every setting, what it means, and its value here.
    Show(ServeArgs),
}

fn main() -> ExitCode {
    let parsed = Cli::from_arg_matches(&cli().get_matches());
    match run(parsed.unwrap_or_else(|error| error.exit()).command) {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

/// The command line; commands that use some settings only show no others.
fn cli() -> clap::Command {
    let hide_all_but = |shown: &'static [&'static str]| {
        move |argument: clap::Arg| {
            let is_setting = argument.get_env().is_some();
            let matters = shown.contains(&argument.get_id().as_str());
            argument.hide(is_setting && !matters)
        }
    };
    Cli::command()
        .mut_subcommand("token", |command| {
            let hide = hide_all_but(&token::SETTINGS);
            command.mut_subcommands(|command| command.mut_args(hide))
        })
        .mut_subcommand("check", |command| {
            command.mut_args(hide_all_but(&check::SETTINGS))
        })
        .mut_subcommand("health", |command| {
            command.mut_args(hide_all_but(&health::SETTINGS))
        })
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Lease(args) => return Ok(client::lease(args).into()),
        Command::Exporters(args) => return Ok(client::exporters(args).into()),
        Command::Serve(args) => return serve(args).map(|()| ExitCode::SUCCESS),
        Command::Routes => print(&routes()),
        Command::Openapi(OpenapiArgs {
            format: Format::Json,
        }) => print(docs::OPENAPI_JSON),
        Command::Openapi(OpenapiArgs {
            format: Format::Yaml,
        }) => print(docs::OPENAPI_YAML),
        Command::Check(args) => return check::run(args).map(|()| ExitCode::SUCCESS),
        Command::Health(args) => health::run(args),
        Command::Backup(args) => backup(&args),
        Command::Restore(args) => restore(&args),
        Command::Export(args) => export(&args),
        Command::Import(args) => import(&args),
        Command::Config(ConfigCommand::Show(args)) => {
            let settings = Settings::show(args).map_err(Failure::configuration)?;
            print(
                &settings
                    .to_toml_with_comments()
                    .map_err(|error| error.to_string())?,
            )
        }
        Command::Token(command) => print(&token::run(command)?),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut cli(), "jumpstarter-gateway", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
    .map(|()| ExitCode::SUCCESS)
    .map_err(Failure::from)
}

fn serve(mut arguments: ServeArgs) -> Result<(), Failure> {
    // While there is one thread only.
    let socket = server::handed_socket()?;
    if let Some(socket) = &socket {
        let address = socket.local_addr();
        let address =
            address.map_err(|error| format!("the socket that was handed over: {error}"))?;
        arguments = arguments.listening_on(address);
    }
    let settings = Settings::load(arguments.clone()).map_err(Failure::configuration)?;
    let log = server::start_log(&settings).map_err(Failure::configuration)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(server::STACK)
        .enable_all()
        .build()
        .map_err(|error| format!("no threads: {error}"))?;
    let start = server::Start {
        settings,
        arguments,
        log,
        socket,
    };
    let served = runtime.block_on(server::run(start));
    // An export that nobody reads to its end, say, keeps no server from ending.
    runtime.shutdown_timeout(FAREWELL);
    Ok(served?)
}

/// Method, path and rpc of each route, in columns.
fn routes() -> String {
    let rows: Vec<_> = server::bindings()
        .map(|row| (row.method, row.template, row.rpc))
        .collect();
    let width = |of: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
        rows.iter()
            .map(|row| of(row).len())
            .max()
            .unwrap_or_default()
    };
    let (methods, templates) = (width(|row| row.0).max("METHOD".len()), width(|row| row.1));
    let line =
        |(method, template, rpc)| format!("{method:methods$}  {template:templates$}  {rpc}\n");
    let heading = line(("METHOD", "PATH", "RPC"));
    rows.iter().fold(heading, |table, row| table + &line(*row))
}

fn backup(args: &BackupArgs) -> Result<(), String> {
    if args.backup.exists() {
        let backup = args.backup.display();
        return Err(format!("{backup} is there already; choose another name"));
    }
    let archive = Archive::of(&args.directory.data, &mut progress()).map_err(sentence)?;
    archive.write_backup(&args.backup).map_err(sentence)?;
    let Archive { revision, .. } = archive;
    let (backup, records) = (args.backup.display(), archive.records.len());
    print(&format!(
        "{backup}: {records} records, as they were at revision {revision}\n"
    ))
}

fn restore(args: &RestoreArgs) -> Result<(), String> {
    if args.backup.is_dir() {
        let backup = args.backup.display();
        return Err(format!(
            "{backup} is a directory; name the file that `backup` made"
        ));
    }
    let archive = Archive::of(&args.backup, &mut progress()).map_err(sentence)?;
    put(&archive, &args.directory, args.force)
}

fn export(args: &ExportArgs) -> Result<(), String> {
    let archive = Archive::of(&args.source, &mut progress()).map_err(sentence)?;
    let written = archive.write_lines(std::io::stdout().lock(), &mut progress());
    unless_gone(written)
}

fn import(args: &ImportArgs) -> Result<(), String> {
    let name = args.export.display().to_string();
    let archive = if name == "-" {
        Archive::of_lines("standard input", std::io::stdin().lock(), &mut progress())
    } else {
        let file = File::open(&args.export).map_err(|error| format!("{name}: {error}"))?;
        Archive::of_lines(&name, file, &mut progress())
    };
    put(&archive.map_err(sentence)?, &args.directory, false)
}

fn put(archive: &Archive, directory: &DataDirectory, replace: bool) -> Result<(), String> {
    let replaced = archive
        .restore(&directory.data, replace, server::first_revision())
        .map_err(sentence)?;
    let (data, records) = (directory.data.display(), archive.records.len());
    let replaced = replaced.map_or_else(String::new, |beside| {
        format!("; what was there before is {}", beside.display())
    });
    print(&format!("{data}: has {records} records now{replaced}\n"))
}

fn sentence(error: archive::Error) -> String {
    error.to_string()
}

/// Tells somebody at a terminal, once a second, how far it is.
fn progress() -> impl FnMut(u64, u64) {
    let shown = std::io::stderr().is_terminal();
    let mut told = Instant::now();
    move |done, total| {
        if shown && told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            eprintln!("{done} of {total} records");
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    unless_gone(std::io::stdout().write_all(text.as_bytes()))
}

/// What came of writing to standard output. A reader that has gone (`| head`) is no failure.
fn unless_gone(written: std::io::Result<()>) -> Result<(), String> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}
