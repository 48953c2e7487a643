//! The commands that look at leases and exporters, and that release and extend leases. Knows nothing
//! of how a lease is waited for.

use std::time::Duration;

use clap::{ArgGroup, Args};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::connection::{Answer, Call, Connection, read};
use super::exit::Exit;
use super::problem::Problem;
use super::show;
use crate::proto::jumpstarter::client::v1::{Exporter, Lease};

/// Which leases to list.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Only leases that match, such as gateway.jumpstarter.dev/state=pending.
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,

    /// Only leases whose tags match, such as pipeline=4711.
    #[arg(long, value_name = "FILTER")]
    tag_filter: Option<String>,

    /// Only leases that hold, or held, this exporter.
    #[arg(long, value_name = "NAME")]
    exporter: Option<String>,

    /// Only leases of this client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,

    /// Only your own leases. Your token must say who you are, as those do that are JWTs.
    #[arg(long, conflicts_with = "client")]
    mine: bool,

    /// Also leases that have ended.
    #[arg(long)]
    all: bool,

    /// Print one JSON document with all of them.
    #[arg(long)]
    json: bool,
}

/// A lease's name, in short or in full; what is none leads to no lease, but somewhere else.
fn lease_name(text: &str) -> Result<String, &'static str> {
    // A URL would lead up the path by dots.
    let is_id = |text: &str| !["", ".", ".."].contains(&text);
    let is_name = match text.split('/').collect::<Vec<_>>()[..] {
        [name] => is_id(name),
        ["namespaces", namespace, "leases", name] => is_id(namespace) && is_id(name),
        _ => false,
    };
    match is_name {
        true => Ok(text.to_owned()),
        false => Err("a lease is named like `nightly`, or `namespaces/default/leases/nightly`"),
    }
}

/// Which lease to show.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// The lease. Below `lease acquire` it is the one that was acquired, unless another is named.
    #[arg(env = "JUMPSTARTER_GATEWAY_LEASE", value_name = "NAME", value_parser = lease_name)]
    name: String,

    /// Print the lease as JSON.
    #[arg(long)]
    json: bool,
}

/// Which leases to release.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    /// The leases.
    #[arg(required = true, value_name = "NAME", value_parser = lease_name)]
    names: Vec<String>,

    /// Print each lease as JSON, as it is then.
    #[arg(long)]
    json: bool,
}

/// Which lease to extend, and how.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("how").required(true).args(["by", "duration", "until"]))]
pub struct ExtendArgs {
    /// The lease. Below `lease acquire` it is the one that was acquired, unless another is named.
    #[arg(env = "JUMPSTARTER_GATEWAY_LEASE", value_name = "NAME", value_parser = lease_name)]
    name: String,

    /// So much longer than now, such as 30m.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    by: Option<Duration>,

    /// The whole new length, such as 2h.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// The new end, such as 2026-01-31T22:00:00Z.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Print the lease as JSON.
    #[arg(long)]
    json: bool,
}

/// Which exporters to list.
#[derive(Args, Debug)]
pub struct ExportersArgs {
    /// Only exporters that match this label selector, such as board=rpi4,!can: those that a lease
    /// with it could get.
    #[arg(long, short = 'l', visible_alias = "filter", value_name = "SELECTOR")]
    selector: Option<String>,

    /// Print one JSON document with all of them.
    #[arg(long)]
    json: bool,
}

pub async fn list(connection: &Connection, args: ListArgs) -> Result<(), Problem> {
    let term = |key: &str, value: Option<String>| {
        value.map(|value| format!("gateway.jumpstarter.dev/{key}={}", show::short(&value)))
    };
    let client = match args.mine {
        true => Some(connection.client_name().ok_or_else(nameless)?),
        false => args.client,
    };
    let terms = [
        args.filter,
        term("exporter", args.exporter),
        term("client", client),
    ];
    let filter: Vec<String> = terms.into_iter().flatten().collect();
    let filter = filter.join(",");
    let call = Call::new("ListLeases", connection.parent())
        .query("filter", &filter)
        .query("tagFilter", args.tag_filter.as_deref().unwrap_or_default())
        .query("onlyActive", if args.all { "false" } else { "" });
    let leases = all(connection, call).await?;
    if args.json {
        return Ok(print_all("leases", &leases)?);
    }
    let rows = leases
        .iter()
        .map(|lease| Ok(show::lease_row(&read::<Lease>(lease.get())?)));
    let rows: Vec<_> = rows.collect::<Result<_, Problem>>()?;
    Ok(show::print_table(Some(&show::LEASE_COLUMNS), &rows)?)
}

fn nameless() -> Problem {
    let message = "--mine: there is no token, or it does not say whose it is";
    Problem::new(Exit::Failed, message).with_advice("name the client with --client NAME")
}

pub async fn exporters(connection: &Connection, args: ExportersArgs) -> Result<(), Problem> {
    let call = Call::new("ListExporters", connection.parent())
        .query("filter", args.selector.as_deref().unwrap_or_default());
    let exporters = all(connection, call).await?;
    if args.json {
        return Ok(print_all("exporters", &exporters)?);
    }
    let rows = exporters.iter();
    let rows = rows.map(|exporter| Ok(show::exporter_row(&read::<Exporter>(exporter.get())?)));
    let rows: Vec<_> = rows.collect::<Result<_, Problem>>()?;
    Ok(show::print_table(Some(&show::EXPORTER_COLUMNS), &rows)?)
}

pub async fn get(connection: &Connection, args: GetArgs) -> Result<(), Problem> {
    let answer = look_up(connection, &args.name).await?;
    print_lease(&answer, args.json)
}

/// Releases all of them, also where one fails.
pub async fn release(connection: &Connection, args: ReleaseArgs) -> Result<(), Problem> {
    let mut failed: Option<Problem> = None;
    for name in &args.names {
        match release_one(connection, name, args.json).await {
            Ok(()) => {}
            Err(problem) if failed.is_none() => failed = Some(problem),
            Err(problem) => eprintln!("{problem}"),
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn release_one(connection: &Connection, name: &str, json: bool) -> Result<(), Problem> {
    let call = Call::new("DeleteLease", connection.lease(name));
    connection.call(call).await?;
    if json {
        return print_lease(&look_up(connection, name).await?, true);
    }
    Ok(show::print(&format!("{}\n", show::short(name)))?)
}

pub async fn extend(connection: &Connection, args: ExtendArgs) -> Result<(), Problem> {
    let resource = connection.lease(&args.name);
    loop {
        let (field, value, tag) = match (args.by, args.duration, &args.until) {
            (Some(by), ..) => longer(&look_up(connection, &args.name).await?, by)?,
            (_, Some(duration), _) => ("duration", seconds(duration), None),
            (.., until) => ("endTime", until.clone().unwrap_or_default(), None),
        };
        let body = json!({ field: value });
        let call = Call::new("UpdateLease", resource.clone());
        let mut call = call.query("updateMask", field).body(&body);
        if let Some(tag) = tag {
            call = call.header("if-match", tag);
        }
        match connection.call(call).await {
            Ok(answer) if args.json => return print_lease(&answer, true),
            Ok(answer) => {
                let end = show::end(&answer.read()?).map(show::moment);
                return Ok(show::print(&format!("{}\n", end.unwrap_or_default()))?);
            }
            // Somebody else has changed it meanwhile: once more from what it is now.
            Err(problem) if &*problem.reason == "ETAG_MISMATCH" => {}
            Err(problem) => return Err(problem),
        }
    }
}

/// The field that makes a lease longer than it is, its new value, and the edition that this was
/// worked out from.
fn longer(
    answer: &Answer,
    by: Duration,
) -> Result<(&'static str, String, Option<String>), Problem> {
    let lease: Lease = answer.read()?;
    let tag = answer.header("etag").map(str::to_owned);
    if let Some(duration) = lease.duration.and_then(show::span) {
        return Ok(("duration", seconds(duration.saturating_add(by)), tag));
    }
    match show::end(&lease).and_then(|end| end.checked_add(by)) {
        Some(end) => Ok((
            "endTime",
            humantime::format_rfc3339_nanos(end).to_string(),
            tag,
        )),
        None => {
            let message =
                "the lease says neither its length nor its end; give --duration or --until";
            Err(Problem::new(Exit::Conflict, message))
        }
    }
}

async fn look_up(connection: &Connection, name: &str) -> Result<Answer, Problem> {
    let call = Call::new("GetLease", connection.lease(name));
    connection.call(call).await
}

/// A page of a list, of which only what is common to all lists is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(alias = "leases", alias = "exporters")]
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    next_page_token: String,
}

/// What all pages of a list hold.
async fn all(connection: &Connection, call: Call<'_>) -> Result<Vec<Box<RawValue>>, Problem> {
    let mut items = vec![];
    let mut token = String::new();
    loop {
        let call = call
            .clone()
            .query("pageSize", "1000")
            .query("pageToken", &token);
        let answer = connection.call(call).await?;
        let page: Page = serde_json::from_str(&answer.text).map_err(|error| {
            Problem::new(Exit::Broken, format!("the answer cannot be read: {error}"))
        })?;
        items.extend(page.items);
        if page.next_page_token.is_empty() {
            return Ok(items);
        }
        token = page.next_page_token;
    }
}

/// One document in the form of a last page.
fn print_all(key: &str, items: &[Box<RawValue>]) -> std::io::Result<()> {
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    let items = items.join(",");
    show::print(&format!("{{\"{key}\":[{items}],\"nextPageToken\":\"\"}}\n"))
}

fn print_lease(answer: &Answer, json: bool) -> Result<(), Problem> {
    if json {
        return Ok(show::print(&format!("{}\n", answer.text))?);
    }
    Ok(show::print_table(None, &show::lease_rows(&answer.read()?))?)
}

/// A span as the API's JSON has it.
pub fn seconds(span: Duration) -> String {
    match span.subsec_nanos() {
        0 => format!("{}s", span.as_secs()),
        nanos => format!("{}.{nanos:09}s", span.as_secs()),
    }
}
