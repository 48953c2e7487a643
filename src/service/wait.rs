//! Waiting for a lease within one request. Only the lease's own commits wake whoever waits for it;
//! what its queue does meanwhile is of no account.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status};

use super::names::LEASES;
use super::{Clients, names, refusal};
use crate::auth::Caller;
use crate::call;
use crate::fault::Fault;
use crate::lease::{
    self, Command, ConditionKind, CreateLease, LeaseState, Name, ReleaseLease, Timestamp,
};
use crate::store::{Store, StoreError};

/// How a wait ended, where nothing was wrong.
enum Waited {
    /// The lease does not wait any more: it is ready, or it has ended.
    Decided,
    /// It still waits, at this revision.
    InVain(u64),
}

/// How often the release of an abandoned lease is tried.
const ATTEMPTS: usize = 60;

/// How long it is left alone between two attempts.
const BACK_OFF: Duration = Duration::from_secs(1);

impl Clients {
    /// Returns as soon as a lease waits no more, or after `longest`.
    ///
    /// # Errors
    /// NOT_FOUND, also where it goes meanwhile; UNAVAILABLE where the server stops;
    /// UNAUTHENTICATED where the caller's token ends.
    pub(super) async fn wait(
        &self,
        name: &Name,
        caller: &Caller,
        longest: Duration,
    ) -> Result<(), Fault> {
        let deadline = Instant::now() + longest;
        self.wait_until(name, caller, deadline).await?;
        Ok(())
    }

    /// Creates a lease that is ready, or has ended, within `longest`; else it is released, and also
    /// when this future is dropped, because its client has gone.
    ///
    /// # Errors
    /// Those of a create and of a wait; DEADLINE_EXCEEDED where the lease was released.
    pub(super) async fn create_or_release(
        &self,
        command: CreateLease,
        caller: &Caller,
        longest: Duration,
    ) -> Result<(), Status> {
        let deadline = Instant::now() + longest;
        let (name, client) = (command.name.clone(), command.client.clone());
        let release = |if_revision| {
            Command::ReleaseLease(ReleaseLease {
                name: name.clone(),
                caller: client.clone(),
                if_revision,
            })
        };
        let (created, outcome) = oneshot::channel();
        let (keep, kept) = oneshot::channel::<()>();
        let (store, abandon) = (self.store.clone(), release(None));
        // A task of its own: it knows what became of the create, whenever the client goes.
        let abandoned = tokio::spawn(async move {
            let outcome = store.submit(Command::CreateLease(command)).await;
            let exists = outcome.is_ok();
            // Whether the client is still there shows below.
            let _ = created.send(outcome);
            if exists && kept.await.is_err() {
                release_abandoned(&store, abandon).await;
            }
        });
        let outcome = outcome.await.unwrap_or(Err(StoreError::Unknown));
        outcome.map_err(refusal::status)?;
        loop {
            let revision = match self.wait_until(&name, caller, deadline).await {
                Ok(Waited::Decided) => break,
                Ok(Waited::InVain(revision)) => revision,
                Err(fault) => {
                    // Before the answer, as the server may be about to stop.
                    drop(keep);
                    let _ = abandoned.await;
                    return Err(fault.into());
                }
            };
            let timed_out = self.timed_out(&name, longest);
            match self
                .store
                .submit(release(Some(Box::new(revision.into()))))
                .await
            {
                Ok(()) => {
                    let _ = keep.send(());
                    return Err(timed_out.into());
                }
                // It changed in the last moment, perhaps for the better.
                Err(StoreError::Refused(refusal)) if refusal.code == lease::Code::Aborted => {}
                Err(error) => return Err(refusal::status(error)),
            }
        }
        let _ = keep.send(());
        Ok(())
    }

    async fn wait_until(
        &self,
        name: &Name,
        caller: &Caller,
        deadline: Instant,
    ) -> Result<Waited, Fault> {
        let mut stopping = self.stopping.subscribe();
        call::note_wait();
        // Before the first look, so that nothing is missed.
        let mut wake = self.store.wake(name);
        let mut over = std::pin::pin!(sleep_until(deadline));
        let ended = caller
            .clone()
            .ended(self.tokens.clone(), self.store.clone());
        let mut ended = std::pin::pin!(ended);
        loop {
            let look = |now: Timestamp, lease: &lease::Lease| (lease.state(now), lease.revision);
            let found = self
                .store
                .read(|book, now| book.lease(name).map(|lease| look(now, lease)));
            let (state, revision) = found.ok_or_else(|| refusal::not_found(LEASES, &name.id))?;
            if matches!(state, LeaseState::Ready | LeaseState::Ended) {
                return Ok(Waited::Decided);
            }
            tokio::select! {
                biased;
                () = wake.touched() => {}
                () = &mut over => return Ok(Waited::InVain(revision)),
                fault = &mut ended => return Err(fault),
                _ = stopping.wait_for(|stopping| *stopping) => {
                    let lease = names::format(&name.namespace, LEASES, &name.id);
                    return Err(refusal::stopping().with_metadata("lease", lease));
                }
            }
        }
    }

    /// What a lease is released with, and why it had to wait.
    fn timed_out(&self, name: &Name, longest: Duration) -> Fault {
        let pending = self.store.read(|book, now| {
            let view = book.view_lease(now, book.lease(name)?);
            let mut conditions = view.conditions.into_iter();
            conditions.find(|condition| condition.kind == ConditionKind::Pending)
        });
        let (reason, why) =
            pending.map_or(("", "".into()), |pending| (pending.reason, pending.message));
        let message = format!(
            "the lease {} was not ready within {} s and has been released: {why}",
            name.id,
            longest.as_secs()
        );
        let lease = names::format(&name.namespace, LEASES, &name.id);
        Fault::new(Code::DeadlineExceeded, "WAIT_TIMED_OUT", message)
            .with_metadata("lease", lease)
            .with_metadata("pendingReason", reason)
    }
}

/// Releases a lease that nobody waits for any more, as soon as that can be stored.
async fn release_abandoned(store: &Store, release: Command) {
    for _ in 0..ATTEMPTS {
        match store.submit(release.clone()).await {
            Ok(()) => {
                tracing::info!("a lease was released: its client left while it waited");
                return;
            }
            // It has been released already, or is somebody else's now.
            Err(StoreError::Refused(_)) => return,
            Err(StoreError::Unavailable | StoreError::Unknown) => {
                tokio::time::sleep(BACK_OFF).await
            }
        }
    }
    tracing::error!(
        "a lease whose client left could not be released: the store stayed unavailable"
    );
}
