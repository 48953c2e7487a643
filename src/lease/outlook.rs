//! What somebody who waits can expect: why it waits, how many are served before it, and when its
//! turn may come. Computed when somebody looks, and never written down.

use std::cmp::Reverse;

use super::namespace::Namespace;
use super::queue::{Line, LineId, Turn};
use super::record::Exporter;
use super::selector::Selector;
use super::time::{Duration, Timestamp};

/// What everybody in one line can expect at one moment.
pub(super) struct Outlook<'a> {
    pub(super) reason: &'static str,
    message: String,
    /// False where it is not others in the queue that one waits for.
    is_queued: bool,
    /// The lines that compete with this one for some exporter.
    rivals: Vec<(LineId, Precedence)>,
    /// When the exporters that this line could get are planned to be free, the earliest first.
    ends: Vec<(Timestamp, &'a Exporter)>,
}

/// What one lease can expect.
pub(super) struct Prospect {
    /// How many leases are served before it, as things are now.
    pub(super) ahead: usize,
    /// When an exporter is free for it if nobody releases early and nobody of higher priority
    /// comes. `None` where that cannot be told, where it would be too late, and where too many are
    /// ahead.
    pub(super) estimated_start: Option<Timestamp>,
    pub(super) message: String,
}

/// How a rival line stands to one's own, on the exporter where it stands best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precedence {
    /// Whoever is due earlier goes first.
    WhoIsDueFirst,
    /// It goes first, whoever is due earlier.
    Always,
}

/// How many exporters a message names.
const NAMES: usize = 3;

/// With how many leases ahead a start is still estimated.
const FORESIGHT: usize = 32;

impl Namespace {
    /// What a line can expect at `now`. `None` if there is no such line any more.
    pub(super) fn outlook(
        &self,
        id: LineId,
        now: Timestamp,
        offline_after: Duration,
    ) -> Option<Outlook<'_>> {
        let line = self.queue.line(id)?;
        let approved: Vec<(&Exporter, i64)> = self
            .candidates(&line.claim.wish)
            .filter_map(|exporter| Some((exporter, line.claim.priority(exporter)?)))
            .collect();
        let mut online: Vec<&Exporter> = Vec::new();
        let mut ends: Vec<(Timestamp, &Exporter)> = Vec::new();
        let (mut free, mut ready) = (0, 0);
        for (exporter, _) in &approved {
            if !exporter.is_online(now, offline_after) {
                continue;
            }
            online.push(exporter);
            match self.exporters.holder(&exporter.name.id) {
                Some(lease) => {
                    let lease = self.leases.get(lease);
                    let end = lease.and_then(|lease| lease.planned_end());
                    ends.extend(end.map(|end| (end, *exporter)));
                }
                None => {
                    free += 1;
                    ready += usize::from(exporter.is_ready(now, offline_after));
                }
            }
        }
        ends.sort_by_key(|(end, _)| *end);
        let (reason, is_queued, message) = match (online.len(), free, ready) {
            (0, _, _) => {
                let (count, names) = (approved.len(), names(approved.iter().map(|(one, _)| *one)));
                let message = format!(
                    "While there are {count} available exporters (i.e. {names}), none of them are \
                     online"
                );
                ("Offline", true, message)
            }
            (count, 0, _) => {
                let names = names(online.iter().copied());
                let message = format!(
                    "There are {count} approved exporters, (i.e. {names}) but all of them are \
                     already leased"
                );
                ("NotAvailable", true, message)
            }
            (_, count, 0) => {
                let message = format!(
                    "There are {count} online exporters, but none are ready (still cleaning up \
                     previous lease)"
                );
                ("NotReady", false, message)
            }
            _ => (
                "NotAvailable",
                false,
                "An exporter is about to be assigned".to_owned(),
            ),
        };
        let rivals = self.rivals(id, line, &approved);
        Some(Outlook {
            reason,
            message,
            is_queued,
            rivals,
            ends,
        })
    }

    /// What the lease that stands at `turn` in line `id` can expect.
    pub(super) fn prospect(
        &self,
        id: LineId,
        turn: &Turn,
        outlook: &Outlook<'_>,
        now: Timestamp,
    ) -> Prospect {
        let own = self
            .queue
            .line(id)
            .map_or(0, |line| line.count_before(turn));
        let others = outlook.rivals.iter().filter_map(|(rival, precedence)| {
            let rival = self.queue.line(*rival)?;
            Some(match precedence {
                Precedence::WhoIsDueFirst => rival.count_before(turn),
                Precedence::Always => rival.count_due(now),
            })
        });
        let ahead = own + others.sum::<usize>();
        let estimated_start = match ahead {
            0..=FORESIGHT => self
                .estimate(id, turn, outlook, now)
                .filter(|start| *start <= Timestamp::MAX),
            _ => None,
        };
        let mut message = outlook.message.clone();
        if outlook.is_queued {
            message.push_str(&format!(". Place {} in the queue", ahead + 1));
            if let Some(start) = estimated_start {
                message.push_str(&format!(", estimated to start by {start}"));
            }
        }
        Prospect {
            ahead,
            estimated_start,
            message,
        }
    }

    /// Lets those ahead take the exporters in the order in which these become free, and keep them
    /// for as long as they asked.
    fn estimate(
        &self,
        id: LineId,
        turn: &Turn,
        outlook: &Outlook<'_>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // Nobody ahead gets further than these.
        let nearest = outlook.ends.iter().take(FORESIGHT + 1);
        let mut ends: Vec<(Timestamp, &Exporter)> = nearest.copied().collect();
        for (_, ahead, line) in self.those_ahead(id, turn, outlook, now) {
            let lease = self.leases.get(&ahead.1)?;
            let claim = &self.queue.line(line)?.claim;
            let wanted = ends
                .iter_mut()
                .filter(|(_, exporter)| line == id || claim.priority(exporter).is_some());
            // Whoever finds none takes one that is out of this line's reach.
            if let Some((end, _)) = wanted.min_by_key(|(end, _)| *end) {
                let begin = (*end).max(now);
                *end = lease
                    .planned_end()
                    .unwrap_or(begin + lease.length())
                    .max(begin);
            }
        }
        let start = ends.iter().map(|(end, _)| (*end).max(now)).min()?;
        let last = self.leases.get(&turn.1)?.planned_end();
        last.is_none_or(|last| start < last).then_some(start)
    }

    /// The leases before `turn` in the queue, in the order in which they are served.
    fn those_ahead<'a>(
        &'a self,
        id: LineId,
        turn: &'a Turn,
        outlook: &'a Outlook<'_>,
        now: Timestamp,
    ) -> Vec<(Reverse<Precedence>, &'a Turn, LineId)> {
        let lines = [(id, Precedence::WhoIsDueFirst)];
        let lines = lines.iter().chain(&outlook.rivals);
        let mut ahead: Vec<_> = lines
            .filter_map(|(id, precedence)| Some((*id, *precedence, self.queue.line(*id)?)))
            .flat_map(|(id, precedence, line)| {
                let bound = Some(turn).filter(|_| precedence == Precedence::WhoIsDueFirst);
                line.due(now, bound)
                    .map(move |one| (Reverse(precedence), one, id))
            })
            .collect();
        ahead.sort();
        ahead
    }

    fn rivals(
        &self,
        id: LineId,
        line: &Line,
        approved: &[(&Exporter, i64)],
    ) -> Vec<(LineId, Precedence)> {
        let others = self.queue.lines().filter(|(other, _)| *other != id);
        let possible = others
            .filter(|(_, other)| !exclude(&line.claim.wish.selector, &other.claim.wish.selector));
        let lowest = approved.iter().map(|(_, own)| *own).min();
        possible
            .filter_map(|(id, other)| Some((id, precedence(other, approved, lowest)?)))
            .collect()
    }
}

/// How `rival` stands to a line with these exporters, `lowest` being the line's lowest priority for
/// one of them; `None` if it wants none of them.
fn precedence(
    rival: &Line,
    approved: &[(&Exporter, i64)],
    lowest: Option<i64>,
) -> Option<Precedence> {
    let may_come_first = rival.claim.access.ceiling() > lowest;
    let contested = match &rival.claim.wish.exporter_name {
        Some(name) => {
            let place = approved.partition_point(|(exporter, _)| exporter.name.id < *name);
            approved.get(place..)?.get(..1).unwrap_or_default()
        }
        None => approved,
    };
    let mut strongest = None;
    for (exporter, own) in contested {
        let precedence = match rival.claim.priority(exporter) {
            Some(priority) if priority > *own => return Some(Precedence::Always),
            Some(priority) if priority == *own => Some(Precedence::WhoIsDueFirst),
            _ => None,
        };
        strongest = strongest.max(precedence);
        // It cannot be more; there may be very many exporters.
        if strongest.is_some() && !may_come_first {
            break;
        }
    }
    strongest
}

/// True if no exporter can match both: they ask for different values of one label.
fn exclude(one: &Selector, other: &Selector) -> bool {
    one.equalities().any(|(key, value)| {
        other
            .equalities()
            .any(|(same, different)| key == same && value != different)
    })
}

fn names<'a>(exporters: impl Iterator<Item = &'a Exporter>) -> String {
    let mut exporters = exporters.map(|exporter| &*exporter.name.id);
    let first: Vec<&str> = exporters.by_ref().take(NAMES).collect();
    match exporters.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
