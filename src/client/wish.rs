//! A lease that is wanted: asked for, waited for, and given up. Knows nothing of command lines, nor of
//! what the lease is for.
//!
//! The lease's id is made here, so that it can be looked at and given up while the request that
//! creates it still waits. A wait that fits into one request is left to the server together with the
//! release: should this process be killed, the server releases what nobody waits for any more. A
//! longer one takes several requests; the lease is created first, keeps its place between them, and
//! is released from here. So is one with a name of its own, which cannot be asked for twice.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::connection::{Answer, Call, Connection};
use super::exit::Exit;
use super::problem::Problem;
use super::progress::Progress;
use super::show::{self, State};
use super::signals::Signals;
use crate::proto::jumpstarter::client::v1::Lease;

/// The longest wait that is left to one request: what servers allow unless they are set up otherwise.
const ONE_REQUEST: Duration = Duration::from_secs(600);

/// How long the server holds back its word on a lease that is only looked at.
const LOOK: u64 = 5;

/// How long to leave a server alone that does not say so itself.
const BACK_OFF: Duration = Duration::from_secs(1);

/// For how long a lease is tried to be released.
const RELEASE: Duration = Duration::from_secs(30);

/// The same for one that may not be there, and that the server releases by itself if it is.
const RELEASE_UNSURE: Duration = Duration::from_secs(5);

/// A lease that is wanted, and what is known of it.
pub struct Wish<'a> {
    connection: &'a Connection,
    progress: &'a Progress,
    /// The lease as it is asked for.
    body: Value,
    /// The name that it was given; otherwise each attempt makes one up.
    name: Option<&'a str>,
    deadline: Option<Instant>,
    /// The id of the present attempt.
    id: RefCell<String>,
    /// The server releases the lease itself if it is not ready in time, or if nobody waits for it.
    server_releases: Cell<bool>,
    existence: Cell<Existence>,
}

/// Whether the lease of the present attempt is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existence {
    No,
    /// It was asked for, and there was no answer yet.
    Unsure,
    Yes,
}

impl<'a> Wish<'a> {
    /// A lease with this body is wanted within `wait`, or at any time.
    pub fn new(
        connection: &'a Connection,
        progress: &'a Progress,
        body: Value,
        name: Option<&'a str>,
        wait: Option<Duration>,
    ) -> Self {
        let fits = wait.is_some_and(|wait| wait <= ONE_REQUEST);
        Self {
            connection,
            progress,
            body,
            name,
            // A wait that no clock can count goes on for ever.
            deadline: wait.and_then(|wait| Instant::now().checked_add(wait)),
            id: name.map_or_else(made_up, str::to_owned).into(),
            server_releases: (fits && name.is_none()).into(),
            existence: Existence::No.into(),
        }
    }

    /// Waits until the lease is ready.
    pub async fn obtain(&self) -> Result<(Lease, Answer), Problem> {
        let mut reached = false;
        loop {
            let left = self.left();
            let problem = match self.ask(left).await {
                Ok(answer) => {
                    reached = true;
                    let lease: Lease = answer.read()?;
                    match show::state(&lease) {
                        State::Ready => return Ok((lease, answer)),
                        State::Ended => {
                            self.existence.set(Existence::No);
                            return Err(ended(&lease));
                        }
                        State::Scheduled | State::Pending if left.is_zero() => {
                            return Err(timed_out(show::why(&lease).1));
                        }
                        State::Scheduled | State::Pending => continue,
                    }
                }
                Err(problem) => problem,
            };
            let in_time = !self.left().is_zero();
            if &*problem.reason == "WAIT_TIMED_OUT" && in_time {
                // The server waits for less than is usual.
                self.server_releases.set(false);
                self.begin_anew();
            } else if &*problem.reason == "WAIT_TIMED_OUT" {
                return Err(problem.with_advice(LATER));
            } else if self.exists() && problem.exit == Exit::NotFound {
                // The server has forgotten it.
                self.begin_anew();
            } else if problem.is_passing() && in_time && (reached || problem.is_of_server()) {
                reached = true;
                let pause = problem.retry_after.unwrap_or(BACK_OFF).min(self.left());
                self.progress
                    .change(&format!("{}; trying again", problem.message()));
                sleep(pause).await;
                if self.server_releases.get() {
                    // The server does so too, once it notices.
                    let _ = self.release().await;
                    self.begin_anew();
                }
            } else {
                return Err(problem);
            }
        }
    }

    /// One request: creates the lease, or waits on for the one that is there.
    async fn ask(&self, left: Duration) -> Result<Answer, Problem> {
        let seconds = left.min(ONE_REQUEST).as_millis().div_ceil(1000);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        if self.exists() {
            return self.connection.call(self.get().wait(seconds, false)).await;
        }
        let id = self.id.borrow().clone();
        let create = Call::new("CreateLease", self.connection.parent());
        let create = create.query("leaseId", &id).body(&self.body);
        let create = match self.server_releases.get() {
            true => create.wait(seconds, true),
            // It is waited for as soon as there is no doubt whether it exists.
            false => create,
        };
        self.existence.set(Existence::Unsure);
        let answer = self.connection.call(create).await;
        match &answer {
            Ok(_) => self.existence.set(Existence::Yes),
            Err(problem) if problem.is_certain => self.existence.set(Existence::No),
            Err(_) => {}
        }
        answer
    }

    /// Shows how the lease comes along, until it is dropped.
    pub async fn look_on(&self) -> Infallible {
        // A lease that is ready at once needs no looking at.
        let mut pause = Duration::from_millis(200);
        let mut seconds = 0;
        loop {
            sleep(pause).await;
            pause = BACK_OFF;
            let Ok(answer) = self.connection.call(self.get().wait(seconds, false)).await else {
                continue;
            };
            let Ok(lease) = answer.read::<Lease>() else {
                continue;
            };
            if matches!(show::state(&lease), State::Scheduled | State::Pending) {
                self.progress.waits(&lease, &answer);
                (pause, seconds) = (Duration::ZERO, LOOK);
            }
        }
    }

    /// Says once that the lease has ended, should it do so while the command runs.
    pub async fn warn_of_end(&self, lease: &Lease) -> Infallible {
        let mut end = end(lease);
        while let Some(at) = end {
            sleep_until(at).await;
            // It may have been extended.
            let answer = self.connection.call(self.get()).await;
            let lease = answer.and_then(|answer| answer.read::<Lease>());
            end = match lease {
                Ok(lease) if show::state(&lease) == State::Ended => {
                    let name = show::short(&lease.name);
                    eprintln!(
                        "warning: the lease {name} has ended; the command goes on without it"
                    );
                    None
                }
                Ok(lease) => self::end(&lease).map(|end| end.max(Instant::now() + BACK_OFF)),
                Err(_) => Some(Instant::now() + BACK_OFF),
            };
        }
        std::future::pending().await
    }

    /// Releases the lease if there may be one, and says so if that fails.
    pub async fn give_up(&self, signals: &mut Signals) {
        let released = tokio::select! {
            released = self.release() => released,
            _ = signals.next() => Err(Problem::new(Exit::Failed, "there was no time to release it")),
        };
        let id = self.id.borrow();
        match released {
            Ok(true) => self.progress.note(&format!("lease {id} is released")),
            Ok(false) => {}
            Err(problem) => {
                self.progress.clear();
                eprintln!(
                    "{problem}\nwarning: the lease {id} may still be held until its time is up"
                );
            }
        }
    }

    /// Releases the lease if there may be one; tells whether there was. While it is not known to be
    /// there, a name that was given may be that of another lease, and is left alone.
    async fn release(&self) -> Result<bool, Problem> {
        let existence = self.existence.get();
        let is_named = self.name.is_some();
        if existence == Existence::No || (existence == Existence::Unsure && is_named) {
            return Ok(false);
        }
        let deadline = Instant::now()
            + match existence {
                Existence::Yes => RELEASE,
                Existence::Unsure | Existence::No => RELEASE_UNSURE,
            };
        let mut missing = 0;
        loop {
            let call = Call::new("DeleteLease", self.resource());
            let pause = match self.connection.call(call).await {
                Ok(_) => return Ok(true),
                // The request that creates it may still be on its way.
                Err(problem) if problem.exit == Exit::NotFound && !self.exists() && missing < 3 => {
                    missing += 1;
                    Duration::from_millis(100)
                }
                Err(problem) if [Exit::NotFound, Exit::Conflict].contains(&problem.exit) => {
                    return Ok(false);
                }
                Err(problem) if problem.is_passing() && Instant::now() < deadline => {
                    problem.retry_after.unwrap_or(BACK_OFF)
                }
                Err(problem) => return Err(problem),
            };
            sleep(pause).await;
        }
    }

    fn begin_anew(&self) {
        self.existence.set(Existence::No);
        if self.name.is_none() {
            self.id.replace(made_up());
        }
    }

    fn exists(&self) -> bool {
        self.existence.get() == Existence::Yes
    }

    fn get(&self) -> Call<'static> {
        Call::new("GetLease", self.resource())
    }

    fn resource(&self) -> String {
        self.connection.lease(&self.id.borrow())
    }

    fn left(&self) -> Duration {
        match self.deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => ONE_REQUEST,
        }
    }
}

/// Ids that sort by age.
fn made_up() -> String {
    Uuid::now_v7().to_string()
}

/// When a lease ends, on the clock that sleeps go by.
fn end(lease: &Lease) -> Option<Instant> {
    let left = show::end(lease)?.duration_since(SystemTime::now());
    Instant::now().checked_add(left.unwrap_or_default())
}

const LATER: &str =
    "wait longer with --wait, or see who has what with `jumpstarter-gateway lease list`";

fn timed_out(why: &str) -> Problem {
    let message = format!("the lease was not ready in time and has been given up: {why}");
    Problem::new(Exit::TimedOut, message).with_advice(LATER)
}

/// A lease that ended before it was ready.
fn ended(lease: &Lease) -> Problem {
    let (name, (reason, message)) = (show::short(&lease.name), show::why(lease));
    let text = format!("the lease {name} has ended ({reason}): {message}");
    match reason {
        "Released" | "Expired" => Problem::new(Exit::Conflict, text),
        _ => Problem::new(Exit::Unsatisfiable, text)
            .with_advice("see what there is with `jumpstarter-gateway exporters list`"),
    }
}
