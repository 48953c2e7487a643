//! Leases as JSON, encoded once for each revision. Most of what a lease shows is in its record; what
//! comes and goes with the clock alone is how long it has held its exporter, and that is filled in.
//! A lease that waits shows its queue, and is encoded each time. Whoever speaks gRPC has no use for
//! any of this.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use quick_cache::unsync::Cache;

use super::convert::{self, ExporterLabels};
use crate::lease::{Lease, Timestamp, Views};
use crate::proto::json;

/// Records whose encoding is kept, each of about a kilobyte.
const CAPACITY: usize = 8192;

/// How long a lease is in JSON, if it is no longer than most.
const LIKELY_LENGTH: usize = 768;

/// What comes before the part that the clock changes. No string holds these bytes, as a quote inside
/// one is escaped, and no map comes before the field.
const CLOCK: &[u8] = br#""effectiveDuration":"#;

/// Writes leases, and remembers how.
pub struct Encoder {
    labels: Arc<ExporterLabels>,
    /// Locked once for a page: looking up what is known is cheaper than a lock.
    known: RwLock<Known>,
}

/// By the address of the record, which its encoding keeps in place.
type Known = Cache<usize, Encoding>;

/// One record.
struct Encoding {
    lease: Arc<Lease>,
    json: Vec<u8>,
    /// The part that the clock changes, while it does.
    clock: Option<Range<usize>>,
    /// When the record is not all there is to say any more, as its lease has come to its end.
    until: Timestamp,
}

impl Encoder {
    pub fn new(labels: Arc<ExporterLabels>) -> Self {
        Self {
            labels,
            known: RwLock::new(Cache::new(CAPACITY)),
        }
    }

    /// What is shown of a lease: exactly its message in JSON.
    ///
    /// # Errors
    /// It has no JSON form.
    pub fn lease(
        &self,
        lease: &Arc<Lease>,
        views: &mut Views<'_>,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = Vec::new();
        drop(self.write(self.known(), lease, views, &mut json)?);
        Ok(json)
    }

    /// What is shown of a page of leases: exactly its `ListLeasesResponse` in JSON.
    ///
    /// # Errors
    /// One of them has no JSON form.
    pub fn page(
        &self,
        leases: &[&Arc<Lease>],
        next_page_token: &str,
        views: &mut Views<'_>,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let mut json = Vec::with_capacity((leases.len() + 1) * LIKELY_LENGTH);
        json.extend_from_slice(br#"{"leases":["#);
        let mut known = self.known();
        for (index, lease) in leases.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            known = self.write(known, lease, views, &mut json)?;
        }
        drop(known);
        json.extend_from_slice(br#"],"nextPageToken":"#);
        json::to_writer(&mut json, next_page_token)?;
        json.push(b'}');
        Ok(json)
    }

    /// Writes one lease, and gives the lock back for the next. What is not known yet is not encoded
    /// under it.
    fn write<'k>(
        &'k self,
        known: RwLockReadGuard<'k, Known>,
        lease: &Arc<Lease>,
        views: &mut Views<'_>,
        to: &mut Vec<u8>,
    ) -> Result<RwLockReadGuard<'k, Known>, serde_json::Error> {
        let (now, address) = (views.now(), Arc::as_ptr(lease).addr());
        let encoding = known.get(&address);
        let is_good =
            |encoding: &&Encoding| Arc::ptr_eq(&encoding.lease, lease) && now < encoding.until;
        if let Some(encoding) = encoding.filter(is_good) {
            encoding.write(now, to);
            return Ok(known);
        }
        drop(known);
        if lease.stands(now) {
            let new = self.encode(lease, views)?;
            new.write(now, to);
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(address, new);
        } else {
            json::to_writer(to, &self.labels.lease(lease, views.lease(lease)))?;
        }
        Ok(self.known())
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn encode(
        &self,
        lease: &Arc<Lease>,
        views: &mut Views<'_>,
    ) -> Result<Encoding, serde_json::Error> {
        let json = json::to_vec(&self.labels.lease(lease, views.lease(lease)))?;
        let value = || {
            let key = json.windows(CLOCK.len()).position(|bytes| bytes == CLOCK)?;
            let start = key + CLOCK.len();
            let length = json.get(start..)?.iter().position(|byte| *byte == b',')?;
            Some(start..start + length)
        };
        Ok(Encoding {
            clock: value().filter(|_| lease.ended.is_none()),
            until: match lease.ended {
                Some(_) => Timestamp::MAX,
                None => lease.planned_end().unwrap_or(Timestamp::MAX),
            },
            lease: lease.clone(),
            json,
        })
    }
}

impl Encoding {
    fn write(&self, now: Timestamp, to: &mut Vec<u8>) {
        let held = || convert::duration(self.lease.held(now)?).text();
        let (Some(clock), Some(held)) = (&self.clock, held()) else {
            to.extend_from_slice(&self.json);
            return;
        };
        let (before, after) = (&self.json[..clock.start], &self.json[clock.end..]);
        // Just so much: what is full becomes a response's body as it is.
        to.reserve(before.len() + held.as_bytes().len() + after.len() + 2);
        to.extend_from_slice(before);
        // No character of a duration is one that JSON escapes.
        to.push(b'"');
        to.extend_from_slice(held.as_bytes());
        to.push(b'"');
        to.extend_from_slice(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab;
    use crate::lease::Settings;
    use crate::lease::{Book, Command, CreateLease, Duration, Labels, Name, ReleaseLease};
    use crate::proto::jumpstarter::client::v1 as pb;
    use crate::service::LabelRules;

    const NOON: Timestamp = Timestamp::new(1_800_000_000, 0);

    fn submit(book: &mut Book, now: Timestamp, command: &Command) {
        for change in book.decide(now, command).unwrap() {
            book.apply(&change);
        }
        book.settle(now);
    }

    /// A lease of anything, that calls itself by a name that could mislead.
    fn create(id: &str) -> CreateLease {
        let misleading = [("effectiveDuration", r#"","effectiveDuration":"9s""#)];
        CreateLease {
            name: Name::new("default", id),
            named: true,
            client: "demo".into(),
            selector: "board=rpi4".to_owned(),
            exporter_name: None,
            allow_disabled: false,
            begin: None,
            end: None,
            duration: Some(Duration::from_seconds(60)),
            tags: Labels::new(),
            context: Labels::from(misleading),
            if_revision: None,
        }
    }

    #[test]
    fn what_is_remembered_is_what_would_be_written() {
        let mut book = Book::new(Settings::default());
        submit(&mut book, NOON, &lab::demo().unwrap().into_command());
        for id in ["first", "second"] {
            submit(&mut book, NOON, &Command::CreateLease(create(id)));
        }
        let labels = Arc::new(ExporterLabels::new(LabelRules::default()));
        let encoder = Encoder::new(labels.clone());
        let mut seen = Vec::new();
        for seconds in [0, 1, 30, 59, 60, 90, 119, 200, 201] {
            let now = NOON + Duration::new(seconds, 500);
            if seconds == 90 {
                let release = ReleaseLease {
                    name: Name::new("default", "second"),
                    caller: "demo".into(),
                    if_revision: None,
                };
                submit(&mut book, now, &Command::ReleaseLease(release));
            } else if seconds != 60 {
                // At 60 s the book has not noticed yet that the first has ended.
                book.settle(now);
            }
            let mut views = book.views(now);
            let ids = ["first", "second"].map(|id| Name::new("default", id));
            let leases = ids.each_ref().map(|id| book.lease(id).unwrap());
            let messages = leases.map(|lease| labels.lease(lease, views.lease(lease)));
            let text = |json: Vec<u8>| String::from_utf8(json).unwrap();
            // Once to be remembered, once from memory.
            for _ in 0..2 {
                for (lease, message) in leases.iter().zip(&messages) {
                    let written = text(encoder.lease(lease, &mut views).unwrap());
                    assert_eq!(
                        written,
                        text(json::to_vec(message).unwrap()),
                        "at {seconds} s"
                    );
                }
                let list = pb::ListLeasesResponse {
                    leases: messages.to_vec(),
                    next_page_token: "MQ_-".to_owned(),
                };
                let written = text(encoder.page(&leases, "MQ_-", &mut views).unwrap());
                assert_eq!(
                    written,
                    text(json::to_vec(&list).unwrap()),
                    "at {seconds} s"
                );
            }
            seen.extend(leases.map(|lease| views.lease(lease).state));
        }
        seen.dedup();
        assert!(seen.len() > 3, "the leases have not lived: {seen:?}");
    }
}
