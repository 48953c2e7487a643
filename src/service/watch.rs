//! Following one lease, or a list of leases or exporters, as Server-Sent Events.
//!
//! A watch begins with the present state: an event `added` for each record, then one `sync`. From
//! then on each commit becomes events, in order:
//!
//! - `added`: a record is new, or matches the filters now and did not before
//! - `modified`: it matches as before, and has changed
//! - `removed`: it is gone, or matches no more (with the default filter: a lease has ended). One may
//!   come for a record that was never shown, because filters can depend on the clock.
//!
//! The data is the record as it is since, or, once it is gone, as it last was. What several commands
//! did in one commit is one event for each record. What passes with the clock alone, without a
//! commit (a place in the queue, an exporter that falls silent), is no event. A list is followed as a
//! whole, however small its pages.
//!
//! The `id` of an event is the revision of its commit. Only the last event of a commit and `sync`
//! carry one, so that whoever resumes behind it (`Last-Event-ID`) loses nothing. While commits pass
//! that mean nothing to a watch, an id without an event moves that place on from time to time. A
//! watch that cannot be resumed, because the history does not reach back so far, begins again: with
//! an event `reset`, then the present state.
//!
//! Nothing is kept for a watcher but its place in the history that all share. One that reads so
//! slowly that the history has gone past it ends with an error.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use futures_util::future::BoxFuture;
use futures_util::stream;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Response, Status};

use super::convert::ExporterLabels;
use super::lists::{ExporterList, LeaseList};
use super::{Clients, page, refusal};
use crate::auth::Caller;
use crate::fault::Fault;
use crate::lease::{
    Book, Change, Exporter, Lease, LeaseQuery, Name, Purpose, Record, Settings, Timestamp,
};
use crate::load::Wait;
use crate::proto::jumpstarter::client::v1 as pb;
use crate::proto::wkt;
use crate::store::{Commit, Effect, Forgotten, Store, Wake};
use crate::transcode::{Event, Events, Follow};

/// What is followed.
pub enum Scope {
    Lease(Name),
    Leases(LeaseList),
    Exporters(ExporterList),
}

/// After so long without an event a watcher is told how far it has come.
const QUIET: Duration = Duration::from_secs(10);

/// How many records or commits are looked at in one go.
const CHUNK: usize = 64;

impl Clients {
    /// An answer that goes on.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED or UNAVAILABLE where there are too many.
    pub(super) fn watch<T: Default>(
        &self,
        scope: Scope,
        caller: &Caller,
        follow: &Follow,
    ) -> Result<Response<T>, Fault> {
        let wait = self.load.stream(caller.usage().cloned())?;
        let ended = caller
            .clone()
            .ended(self.tokens.clone(), self.store.clone());
        let watch = Watch::new(
            self.store.clone(),
            self.labels.clone(),
            self.stopping.subscribe(),
            scope,
            follow.last_event_id.as_deref(),
            (wait, Box::pin(ended)),
        );
        let events = stream::unfold(watch, async |mut watch| {
            let event = watch.next().await?;
            Some((event, watch))
        });
        let mut response = Response::new(T::default());
        response.extensions_mut().insert(Events::new(events));
        Ok(response)
    }

    /// The same for a list, which is always followed as a whole.
    ///
    /// # Errors
    /// Those of a watch; INVALID_ARGUMENT where one of its pages was asked for.
    pub(super) fn watch_list<T: Default>(
        &self,
        scope: Scope,
        caller: &Caller,
        (page_size, page_token): (i32, &str),
        follow: &Follow,
    ) -> Result<Response<T>, Fault> {
        page::length(page_size)?;
        if page_token.is_empty() {
            return self.watch(scope, caller, follow);
        }
        Err(page::invalid(
            "pageToken",
            "cannot be followed; a watch covers the whole list",
        ))
    }
}

/// One watch, between two events.
struct Watch {
    store: Store,
    labels: Arc<ExporterLabels>,
    stopping: Receiver<bool>,
    scope: Scope,
    news: News,
    /// What is left of the state that it begins with.
    state: Option<State>,
    /// It could not be resumed, and nobody has been told yet.
    is_reset: bool,
    /// All commits up to this revision have been looked at.
    seen: u64,
    /// The last revision that went out as an id.
    told: u64,
    /// When to tell the next one, if no event does.
    next_bookmark: Instant,
    ready: VecDeque<Event>,
    /// The one lease there was is gone, or the caller may see no more.
    is_over: bool,
    /// Its place among all that wait.
    _wait: Wait,
    /// Ready when the caller's token ends.
    ended: BoxFuture<'static, Fault>,
}

/// What wakes a watch.
enum News {
    OfAll(Receiver<u64>),
    OfOne(Wake),
}

/// Records that are still to be shown.
enum State {
    Leases(IntoIter<Arc<Lease>>),
    Exporters(IntoIter<Arc<Exporter>>),
}

impl Watch {
    fn new(
        store: Store,
        labels: Arc<ExporterLabels>,
        stopping: Receiver<bool>,
        scope: Scope,
        last_event_id: Option<&str>,
        (wait, ended): (Wait, BoxFuture<'static, Fault>),
    ) -> Self {
        // Before the first look, so that nothing is missed.
        let news = match &scope {
            Scope::Lease(name) => News::OfOne(store.wake(name)),
            Scope::Leases(_) | Scope::Exporters(_) => News::OfAll(store.revisions()),
        };
        let mut watch = Self {
            store,
            labels,
            stopping,
            scope,
            news,
            state: None,
            is_reset: false,
            seen: 0,
            told: 0,
            next_bookmark: Instant::now() + QUIET,
            ready: VecDeque::new(),
            is_over: false,
            _wait: wait,
            ended,
        };
        let resumed = last_event_id.and_then(|id| id.parse().ok());
        match resumed.filter(|revision| watch.commits_since(*revision).is_ok()) {
            Some(revision) => (watch.seen, watch.told) = (revision, revision),
            None => {
                let (state, revision) = watch.scope.state(&watch.store);
                watch.state = Some(state);
                watch.seen = revision;
                watch.is_reset = last_event_id.is_some();
            }
        }
        watch
    }

    /// The next event, as soon as there is one; none when nothing can come any more.
    async fn next(&mut self) -> Option<Result<Event, Status>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.next_bookmark = Instant::now() + QUIET;
                return Some(Ok(event));
            }
            if self.is_over {
                return None;
            }
            match self.prepare() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(status) => return Some(Err(status)),
            }
            tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => {
                    return Some(Err(refusal::stopping().into()));
                }
                fault = &mut self.ended => {
                    self.is_over = true;
                    return Some(Err(fault.into()));
                }
                () = self.news.come() => {}
                () = sleep_until(self.next_bookmark), if self.told != self.seen => {
                    self.told = self.seen;
                    self.ready.push_back(Event::bookmark(self.seen));
                }
            }
        }
    }

    /// Makes ready what comes next; false where there is nothing yet.
    fn prepare(&mut self) -> Result<bool, Status> {
        if std::mem::take(&mut self.is_reset) {
            self.ready
                .push_back(Event::new(&wkt::Empty {})?.named("reset"));
            return Ok(true);
        }
        if let Some(state) = self.state.take() {
            self.present(state)?;
            return Ok(true);
        }
        let commits = self.commits_since(self.seen).map_err(|_| too_slow())?;
        for commit in &commits {
            self.seen = commit.revision;
            let mut events = self.events(commit)?;
            if let Some(last) = events.pop() {
                self.ready.extend(events);
                self.ready.push_back(last.with_id(self.seen));
                self.told = self.seen;
            }
            self.is_over |= self.scope.ends_with(commit);
        }
        Ok(!commits.is_empty())
    }

    fn commits_since(&self, revision: u64) -> Result<Vec<Arc<Commit>>, Forgotten> {
        match &self.scope {
            Scope::Lease(name) => self.store.lease_since(name, revision),
            Scope::Leases(_) | Scope::Exporters(_) => self.store.since(revision, CHUNK),
        }
    }

    /// Shows some of the records that a watch begins with; after the last of them, `sync`.
    fn present(&mut self, mut state: State) -> Result<(), Status> {
        let shown: Vec<Event> = match &mut state {
            State::Leases(left) => {
                let chunk: Vec<Arc<Lease>> = left.take(CHUNK).collect();
                let shown: Vec<pb::Lease> = self.store.read(|book, now| {
                    let mut views = book.views(now);
                    let show = |lease: &Arc<Lease>| self.labels.lease(lease, views.lease(lease));
                    chunk.iter().map(show).collect()
                });
                shown.iter().map(Event::new).collect::<Result<_, _>>()?
            }
            State::Exporters(left) => {
                let shown = left.take(CHUNK);
                let shown = shown.map(|exporter| self.exporter(&exporter, self.store.now()));
                shown
                    .map(|exporter| Event::new(&exporter))
                    .collect::<Result<_, _>>()?
            }
        };
        if shown.is_empty() {
            let sync = Event::new(&wkt::Empty {})?.named("sync");
            self.ready.push_back(sync.with_id(self.seen));
            self.told = self.seen;
        } else {
            self.ready
                .extend(shown.into_iter().map(|event| event.named("added")));
            self.state = Some(state);
        }
        Ok(())
    }

    /// What a commit means to this watch.
    fn events(&self, commit: &Commit) -> Result<Vec<Event>, Status> {
        let mut events = Vec::new();
        for Effect { before, after, .. } in &commit.leases {
            let was = self.scope.has_lease(commit.before, before.as_ref());
            let is = self.scope.has_lease(commit.at, after.as_ref());
            if let (Some(name), Some(lease)) =
                (happened(was, is), after.as_ref().or(before.as_ref()))
            {
                events.push(Event::new(&self.lease(lease))?.named(name));
            }
        }
        for Effect { before, after, .. } in &commit.exporters {
            let was = self.scope.has_exporter(before.as_ref());
            let is = self.scope.has_exporter(after.as_ref());
            let Some(name) = happened(was, is) else {
                continue;
            };
            let last = before.as_ref().map(|it| self.exporter(it, commit.before));
            let now = after.as_ref().map(|it| self.exporter(it, commit.at));
            // A report that an exporter is still there shows nothing new.
            if was && is && last == now {
                continue;
            }
            if let Some(exporter) = now.or(last) {
                events.push(Event::new(&exporter)?.named(name));
            }
        }
        Ok(events)
    }

    fn lease(&self, lease: &Lease) -> pb::Lease {
        let view = self.store.read(|book, now| book.view_lease(now, lease));
        self.labels.lease(lease, view)
    }

    fn exporter(&self, exporter: &Exporter, at: Timestamp) -> pb::Exporter {
        let show_hidden = matches!(&self.scope, Scope::Exporters(list) if list.show_hidden);
        let show = |book: &Book| self.labels.exporter(book, at, exporter, show_hidden);
        self.store.read(|book, _| show(book))
    }
}

impl Scope {
    /// All that is in it now, and the revision that this is.
    fn state(&self, store: &Store) -> (State, u64) {
        store.read(|book, now| {
            let state = match self {
                Self::Lease(name) => State::Leases(shared(book.lease(name))),
                Self::Leases(LeaseList { namespace, query }) => {
                    State::Leases(shared(book.leases(now, namespace, query, None, usize::MAX)))
                }
                Self::Exporters(list) => {
                    let ExporterList {
                        namespace, filter, ..
                    } = list;
                    State::Exporters(shared(book.exporters(namespace, filter, None, usize::MAX)))
                }
            };
            (state, book.revision())
        })
    }

    fn has_lease(&self, at: Timestamp, lease: Option<&Arc<Lease>>) -> bool {
        let Some(lease) = lease else { return false };
        match self {
            Self::Lease(name) => lease.name == *name,
            Self::Leases(LeaseList { namespace, query }) => {
                lease.name.namespace == *namespace && accepts(query, at, lease)
            }
            Self::Exporters(_) => false,
        }
    }

    fn has_exporter(&self, exporter: Option<&Arc<Exporter>>) -> bool {
        let Some(exporter) = exporter else {
            return false;
        };
        match self {
            Self::Lease(_) | Self::Leases(_) => false,
            Self::Exporters(ExporterList {
                namespace, filter, ..
            }) => exporter.name.namespace == *namespace && filter.matches(&exporter.labels),
        }
    }

    /// The one lease that is followed went with this commit.
    fn ends_with(&self, commit: &Commit) -> bool {
        match self {
            Self::Lease(name) => {
                let mut own = commit.leases.iter().filter(|effect| effect.name == *name);
                own.any(|effect| effect.after.is_none())
            }
            Self::Leases(_) | Self::Exporters(_) => false,
        }
    }
}

impl News {
    async fn come(&mut self) {
        match self {
            // The sender lives as long as the store, of which a watch holds a part.
            Self::OfAll(revisions) => drop(revisions.changed().await),
            Self::OfOne(wake) => wake.touched().await,
        }
    }
}

fn shared<'b, T: 'b>(found: impl IntoIterator<Item = &'b Arc<T>>) -> IntoIter<Arc<T>> {
    found.into_iter().cloned().collect::<Vec<_>>().into_iter()
}

/// Whether a query asks for a lease: asked of a book that holds nothing else.
fn accepts(query: &LeaseQuery, at: Timestamp, lease: &Arc<Lease>) -> bool {
    let mut book = Book::new(Settings::default()).serving(Purpose::Decide);
    book.apply(&Change::Put(Record::Lease(lease.clone())));
    let found = book.leases(at, &lease.name.namespace, query, None, 1);
    !found.is_empty()
}

/// The event for a record that was in the scope of a watch, or not, and is, or not.
fn happened(was: bool, is: bool) -> Option<&'static str> {
    match (was, is) {
        (false, true) => Some("added"),
        (true, true) => Some("modified"),
        (true, false) => Some("removed"),
        (false, false) => None,
    }
}

fn too_slow() -> Fault {
    let message = "more has changed than this server remembers since the last event was taken; \
                   start again, and read faster";
    Fault::new(Code::ResourceExhausted, "WATCH_TOO_SLOW", message).with_retry(1)
}

#[cfg(test)]
mod tests;
