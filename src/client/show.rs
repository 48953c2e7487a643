//! Leases and exporters as text: for a table, and for a line. Knows nothing of where they come from.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

use tabwriter::TabWriter;

use crate::proto::jumpstarter::client::v1::{Exporter, Lease};
use crate::proto::jumpstarter::v1::{Condition, ExporterStatus};
use crate::proto::wkt;

/// Where a lease is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Scheduled,
    Pending,
    Ready,
    Ended,
}

/// A lease's state.
pub fn state(lease: &Lease) -> State {
    if lease.effective_end_time.is_some() {
        return State::Ended;
    }
    if holding(lease, "Ready").is_some() {
        return State::Ready;
    }
    match holding(lease, "Pending") {
        Some(pending) if pending.reason() == "Scheduled" => State::Scheduled,
        _ => State::Pending,
    }
}

/// Why a lease is where it is: the reason and the sentence of the condition that tells.
pub fn why(lease: &Lease) -> (&str, &str) {
    let telling = match state(lease) {
        State::Scheduled | State::Pending => holding(lease, "Pending"),
        State::Ready => holding(lease, "Ready"),
        State::Ended => lease
            .conditions
            .iter()
            .rfind(|one| one.r#type() != "Pending"),
    };
    telling.map_or(("", ""), |condition| {
        (condition.reason(), condition.message())
    })
}

/// The condition of this type, where it is `True`.
fn holding<'a>(lease: &'a Lease, kind: &str) -> Option<&'a Condition> {
    let mut conditions = lease.conditions.iter();
    conditions.find(|condition| condition.r#type() == kind && condition.status() == "True")
}

/// When a lease ended, or is to end, as far as that is known.
pub fn end(lease: &Lease) -> Option<SystemTime> {
    let time = |time: Option<wkt::Timestamp>| SystemTime::try_from(time?).ok();
    let begin = || time(lease.begin_time).or_else(|| time(lease.effective_begin_time));
    time(lease.effective_end_time)
        .or_else(|| time(lease.end_time))
        .or_else(|| begin()?.checked_add(span(lease.duration?)?))
}

/// A span of time that is not negative.
pub fn span(duration: wkt::Duration) -> Option<Duration> {
    let nanos = u32::try_from(duration.nanos).ok()?;
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, nanos))
}

/// A moment to the second, in UTC (RFC 3339).
pub fn moment(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The last part of a resource name.
pub fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The names of the columns of a table of leases.
pub const LEASE_COLUMNS: [&str; 6] = ["NAME", "STATE", "EXPORTER", "CLIENT", "SELECTOR", "ENDS"];

/// A lease's row in it.
pub fn lease_row(lease: &Lease) -> Vec<String> {
    vec![
        short(&lease.name).to_owned(),
        state_text(lease),
        short(lease.exporter()).to_owned(),
        short(lease.client()).to_owned(),
        lease.selector.clone(),
        end(lease).map(moment).unwrap_or_default(),
    ]
}

/// The names of the columns of a table of exporters.
pub const EXPORTER_COLUMNS: [&str; 3] = ["NAME", "STATUS", "LABELS"];

/// An exporter's row in it.
pub fn exporter_row(exporter: &Exporter) -> Vec<String> {
    vec![
        short(&exporter.name).to_owned(),
        status_text(exporter),
        pairs(&exporter.labels),
    ]
}

/// All that there is to say of a lease, each thing with its name.
pub fn lease_rows(lease: &Lease) -> Vec<Vec<String>> {
    let (_, why) = why(lease);
    let duration = lease.duration.and_then(span);
    let begin = lease.effective_begin_time.or(lease.begin_time);
    let begin = begin.and_then(|begin| SystemTime::try_from(begin).ok());
    let rows = [
        ("name", short(&lease.name).to_owned()),
        ("state", state_text(lease)),
        ("why", why.to_owned()),
        ("exporter", short(lease.exporter()).to_owned()),
        ("client", short(lease.client()).to_owned()),
        ("selector", lease.selector.clone()),
        ("wanted", lease.exporter_name().to_owned()),
        ("tags", pairs(&lease.tags)),
        ("duration", duration.map(text_of_span).unwrap_or_default()),
        ("begins", begin.map(moment).unwrap_or_default()),
        ("ends", end(lease).map(moment).unwrap_or_default()),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    rows.map(|(name, value)| vec![name.to_owned(), value])
        .collect()
}

/// Writes rows to standard output: columns below each other for a person, and for a program with a
/// tab between them and no heading. What is empty is `-`.
///
/// # Errors
/// Standard output takes no more; a reader that has gone (`| head`) is no failure.
pub fn print_table(columns: Option<&[&str]>, rows: &[Vec<String>]) -> io::Result<()> {
    let for_people = io::stdout().is_terminal();
    let heading = columns
        .filter(|_| for_people)
        .map(|columns| columns.join("\t"));
    let lines = rows.iter().map(|row| {
        let cell = |cell: &String| {
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell.clone()
            }
        };
        row.iter().map(cell).collect::<Vec<_>>().join("\t")
    });
    let text: String = heading
        .into_iter()
        .chain(lines)
        .flat_map(|line| [line, "\n".to_owned()])
        .collect();
    if !for_people {
        return print(&text);
    }
    let mut aligned = TabWriter::new(vec![]).padding(2);
    aligned.write_all(text.as_bytes())?;
    let aligned = aligned
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))?;
    print(&String::from_utf8_lossy(&aligned))
}

/// Writes to standard output.
///
/// # Errors
/// As [`print_table`]'s.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn state_text(lease: &Lease) -> String {
    match state(lease) {
        State::Scheduled => "scheduled".to_owned(),
        State::Pending => "pending".to_owned(),
        State::Ready => "ready".to_owned(),
        State::Ended => match why(lease).0 {
            "" => "ended".to_owned(),
            reason => format!("ended:{reason}"),
        },
    }
}

/// The status by its name without what all of them begin with, as in `available`.
fn status_text(exporter: &Exporter) -> String {
    if exporter.enabled == Some(false) {
        return "disabled".to_owned();
    }
    let name = ExporterStatus::try_from(exporter.status).map(|status| status.as_str_name());
    let name = name
        .unwrap_or_default()
        .trim_start_matches("EXPORTER_STATUS_");
    name.to_ascii_lowercase().replace('_', "-")
}

fn pairs<'a>(map: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut pairs: Vec<_> = map
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.sort();
    pairs.join(",")
}

/// A span as settings write it: `1h 30m`.
pub fn text_of_span(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}
