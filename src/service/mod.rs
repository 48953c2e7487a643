//! `jumpstarter.client.v1.ClientService` against the store: eight short methods. REST and gRPC call
//! the same object. The first thing each does is to make sure of the caller's rights.
//!
//! Beyond the contract, a create or get of a lease waits for it where its caller prefers that, and
//! what a get or list shows can be followed as it changes (`watch` says how that looks).

mod convert;
mod encoded;
mod lists;
mod names;
mod page;
mod prefer;
mod prepared;
mod refusal;
mod wait;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryFutureExt;
use tokio::sync::watch::Sender;
use tokio::task::spawn_blocking;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::auth::{Caller, Tokens};
use crate::call;
use crate::fault::{Fault, Violation};
use crate::lease::{Command, CreateLease, Name, ReleaseLease, Revisions, UpdateLease};
use crate::load::Load;
use crate::proto::jumpstarter::client::v1 as pb;
use crate::proto::jumpstarter::client::v1::client_service_server::ClientService;
use crate::store::Store;
use convert::ExporterLabels;
use encoded::Encoder;
use lists::{ExporterList, LeaseList};
use names::{EXPORTERS, LEASES};
use page::Page;
use prefer::Wait;
use watch::Scope;

pub use prepared::routes;

/// What a tag's key has before it among a lease's labels (rule D12).
const TAG_PREFIX: &str = "metadata.jumpstarter.dev/";

/// How long a request may wait, where nobody says otherwise.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How long a request may ever wait.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The service.
pub struct Clients {
    store: Store,
    /// None where nobody is authenticated.
    tokens: Option<Arc<Tokens>>,
    labels: Arc<ExporterLabels>,
    encoder: Encoder,
    longest_wait: Duration,
    load: Load,
    stopping: Sender<bool>,
}

/// Which exporter labels are not for everybody's eyes (section O).
#[derive(Clone, Debug, Default)]
pub struct LabelRules {
    /// Keys that are shown only on request.
    pub hidden: Vec<String>,
    /// Keys that are going away, each with what to use instead; also shown only on request.
    pub deprecated: BTreeMap<String, String>,
}

impl Clients {
    /// The service over a store. Without tokens nobody is authenticated, and there is none to rotate.
    #[must_use]
    pub fn new(store: Store, tokens: Option<Arc<Tokens>>, labels: LabelRules) -> Self {
        let labels = Arc::new(ExporterLabels::new(labels));
        Self {
            store,
            tokens,
            encoder: Encoder::new(labels.clone()),
            labels,
            longest_wait: LONGEST_WAIT,
            load: Load::default(),
            stopping: Sender::new(false),
        }
    }

    /// Lets requests wait for so long at most, up to a day; without it, 10 minutes.
    #[must_use]
    pub fn with_longest_wait(self, longest_wait: Duration) -> Self {
        Self {
            longest_wait: longest_wait.min(A_DAY),
            ..self
        }
    }

    /// Sends everybody who waits or watches away, to try again elsewhere or later, once this says so.
    #[must_use]
    pub fn stopped_by(self, stopping: Sender<bool>) -> Self {
        Self { stopping, ..self }
    }

    /// Lets no more wait or watch than the load allows.
    #[must_use]
    pub fn with_load(self, load: Load) -> Self {
        Self { load, ..self }
    }

    /// What is under way.
    #[must_use]
    pub fn load(&self) -> &Load {
        &self.load
    }

    fn create(&self, command: CreateLease) -> impl Future<Output = Result<(), Status>> {
        let created = self.store.submit(Command::CreateLease(command));
        created.map_err(refusal::status)
    }

    /// What a create asks for, who asks, and whether to wait for it.
    fn creation(
        &self,
        request: Request<pb::CreateLeaseRequest>,
    ) -> Result<(CreateLease, Caller, Option<Wait>), Status> {
        let namespace = names::parent(&request.get_ref().parent)?;
        let caller = Caller::of(&request)?;
        caller.authorize(&namespace)?;
        let caller = caller.clone();
        let client = caller.client.clone();
        let wait = Wait::of(request.metadata(), self.longest_wait);
        let if_revision = refusal::if_new(request.metadata())?;
        let request = request.into_inner();
        let lease = request.lease.ok_or_else(lease_required)?;
        let named = !request.lease_id.is_empty();
        // Rule C7: time-ordered ids, so that the order of names is the order of creation.
        let id = if named {
            request.lease_id
        } else {
            Uuid::now_v7().to_string()
        };
        let name = Name::new(namespace, id);
        call::note_lease(&name);
        let mut command = convert::create(name, named, client, lease)?;
        command.if_revision = if_revision;
        Ok((command, caller, wait))
    }

    async fn create_and_wait(
        &self,
        command: CreateLease,
        caller: Caller,
        wait: Wait,
    ) -> Result<Response<pb::Lease>, Status> {
        let name = command.name.clone();
        // Before anything is created.
        let _place = self.load.wait(caller.usage().cloned())?;
        let created = if wait.or_release {
            self.create_or_release(command, &caller, wait.longest).await
        } else {
            match self.create(command).await {
                Ok(()) => {
                    let waited = self.wait(&name, &caller, wait.longest).await;
                    waited.map_err(Status::from)
                }
                Err(refused) => Err(refused),
            }
        };
        wait.applied(created.and_then(|()| Ok(self.lease(&name)?)))
    }

    /// A lease as the caller sees it, with its ETag; and, while it waits, its place in the queue
    /// and when it may start, for those who read no JSON.
    fn lease(&self, name: &Name) -> Result<Response<pb::Lease>, Fault> {
        let found = self.store.read(|book, now| {
            let lease = book.lease(name)?;
            let view = book.view_lease(now, lease);
            // An ETag stands for what a record says. One that is shown otherwise has none until the
            // end of the lease is kept, under a revision of its own.
            let recorded = !lease.is_overdue(now);
            let headers = [
                ("etag", recorded.then(|| etag(lease.revision))),
                (
                    "jumpstarter-queue-position",
                    view.ahead.map(|ahead| (ahead + 1).to_string()),
                ),
                (
                    "jumpstarter-estimated-start",
                    view.estimated_start.map(|start| start.to_string()),
                ),
            ];
            Some((self.labels.lease(lease, view), headers))
        });
        let (lease, headers) = found.ok_or_else(|| refusal::not_found(LEASES, &name.id))?;
        let mut response = Response::new(lease);
        for (header, value) in headers {
            if let Some(Ok(value)) = value.map(MetadataValue::try_from) {
                response.metadata_mut().insert(header, value);
            }
        }
        Ok(response)
    }
}

impl Clients {
    /// An administrator releases a lease, its own or anybody's, and says why in `jumpstarter-reason`.
    async fn take(
        &self,
        name: Name,
        admin: &Caller,
        if_revision: Option<Box<Revisions>>,
        metadata: &MetadataMap,
    ) -> Result<Response<crate::proto::wkt::Empty>, Status> {
        let reason = metadata
            .get("jumpstarter-reason")
            .and_then(|reason| reason.to_str().ok());
        call::note_reason(reason);
        let owner = self
            .store
            .read(|book, _| book.lease(&name).map(|lease| lease.client.clone()));
        let command = Command::TakeLease {
            name: name.clone(),
            if_revision,
        };
        self.store.submit(command).await.map_err(refusal::status)?;
        tracing::info!(
            admin = %admin.client,
            owner = owner.as_deref().unwrap_or_default(),
            lease = %name,
            reason = reason.unwrap_or("none was given"),
            "an administrator released a lease"
        );
        Ok(Response::new(crate::proto::wkt::Empty {}))
    }
}

#[tonic::async_trait]
impl ClientService for Clients {
    async fn get_exporter(
        &self,
        request: Request<pb::GetExporterRequest>,
    ) -> Result<Response<pb::Exporter>, Status> {
        let name = names::object(&request.get_ref().name, EXPORTERS)?;
        Caller::of(&request)?.authorize(&name.namespace)?;
        let show_hidden = request.get_ref().show_hidden_labels;
        let exporter = self.store.read(|book, now| {
            book.exporter(&name)
                .map(|exporter| self.labels.exporter(book, now, exporter, show_hidden))
        });
        Ok(Response::new(
            exporter.ok_or_else(|| refusal::not_found(EXPORTERS, &name.id))?,
        ))
    }

    async fn list_exporters(
        &self,
        request: Request<pb::ListExportersRequest>,
    ) -> Result<Response<pb::ListExportersResponse>, Status> {
        let namespace = names::parent(&request.get_ref().parent)?;
        Caller::of(&request)?.authorize(&namespace)?;
        let list = ExporterList::new(namespace, request.get_ref())?;
        if let Some(follow) = request.extensions().get() {
            let asked = request.get_ref();
            let page = (asked.page_size, asked.page_token.as_str());
            let caller = Caller::of(&request)?;
            return Ok(self.watch_list(Scope::Exporters(list), caller, page, follow)?);
        }
        let request = request.into_inner();
        let hidden = if list.show_hidden { "hidden" } else { "" };
        let bound = ["exporters", &request.parent, &request.filter, hidden];
        let page = Page::new(request.page_size, &request.page_token, &bound)?;
        let (exporters, next_page_token) = self.store.read(|book, now| {
            let found =
                book.exporters(&list.namespace, &list.filter, page.after(), page.size() + 1);
            let (found, next) = page.cut(found, |exporter| &exporter.name.id);
            let show =
                |exporter: &Arc<_>| self.labels.exporter(book, now, exporter, list.show_hidden);
            (found.into_iter().map(show).collect(), next)
        });
        Ok(Response::new(pb::ListExportersResponse {
            exporters,
            next_page_token,
        }))
    }

    async fn get_lease(
        &self,
        request: Request<pb::GetLeaseRequest>,
    ) -> Result<Response<pb::Lease>, Status> {
        let name = names::object(&request.get_ref().name, LEASES)?;
        Caller::of(&request)?.authorize(&name.namespace)?;
        if let Some(follow) = request.extensions().get() {
            // Not found, and preconditions, as without watching.
            let lease = self.lease(&name)?;
            let caller = Caller::of(&request)?;
            let mut watch = self.watch(Scope::Lease(name), caller, follow)?;
            if let Some(etag) = lease.metadata().get("etag") {
                watch.metadata_mut().insert("etag", etag.clone());
            }
            return Ok(watch);
        }
        let Some(wait) = Wait::of(request.metadata(), self.longest_wait) else {
            return Ok(self.lease(&name)?);
        };
        let wait = Wait {
            or_release: false,
            ..wait
        };
        let caller = Caller::of(&request)?;
        let _place = self.load.wait(caller.usage().cloned())?;
        // Most do not wait, and need no room for it.
        let waited = Box::pin(self.wait(&name, caller, wait.longest)).await;
        let answer = waited.and_then(|()| self.lease(&name));
        wait.applied(answer.map_err(Status::from))
    }

    async fn list_leases(
        &self,
        request: Request<pb::ListLeasesRequest>,
    ) -> Result<Response<pb::ListLeasesResponse>, Status> {
        let namespace = names::parent(&request.get_ref().parent)?;
        Caller::of(&request)?.authorize(&namespace)?;
        let list = LeaseList::new(namespace, request.get_ref())?;
        if let Some(follow) = request.extensions().get() {
            let asked = request.get_ref();
            let page = (asked.page_size, asked.page_token.as_str());
            let caller = Caller::of(&request)?;
            return Ok(self.watch_list(Scope::Leases(list), caller, page, follow)?);
        }
        let request = request.into_inner();
        let bound = list.bound(&request);
        let page = Page::new(request.page_size, &request.page_token, &bound)?;
        let (leases, next_page_token) = self.store.read(|book, now| {
            let (found, next) = list.cut(book, now, &page);
            let mut views = book.views(now);
            let show = |lease: &Arc<_>| self.labels.lease(lease, views.lease(lease));
            (found.into_iter().map(show).collect(), next)
        });
        Ok(Response::new(pb::ListLeasesResponse {
            leases,
            next_page_token,
        }))
    }

    async fn create_lease(
        &self,
        request: Request<pb::CreateLeaseRequest>,
    ) -> Result<Response<pb::Lease>, Status> {
        let (command, caller, wait) = self.creation(request)?;
        // Most do not wait, and need no room for it.
        if let Some(wait) = wait {
            return Box::pin(self.create_and_wait(command, caller, wait)).await;
        }
        drop(caller);
        let name = command.name.clone();
        self.create(command).await?;
        Ok(self.lease(&name)?)
    }

    async fn update_lease(
        &self,
        request: Request<pb::UpdateLeaseRequest>,
    ) -> Result<Response<pb::Lease>, Status> {
        let command = update(request)?;
        let name = command.name.clone();
        self.store
            .submit(Command::UpdateLease(command))
            .await
            .map_err(refusal::status)?;
        Ok(self.lease(&name)?)
    }

    async fn delete_lease(
        &self,
        request: Request<pb::DeleteLeaseRequest>,
    ) -> Result<Response<crate::proto::wkt::Empty>, Status> {
        let name = names::object(&request.get_ref().name, LEASES)?;
        call::note_lease(&name);
        let caller = Caller::of(&request)?;
        let if_revision = refusal::if_revision(request.metadata())?;
        if caller.is_admin {
            return self
                .take(name, caller, if_revision, request.metadata())
                .await;
        }
        caller.authorize(&name.namespace)?;
        let caller = caller.client.clone();
        let release = ReleaseLease {
            name,
            caller,
            if_revision,
        };
        self.store
            .submit(Command::ReleaseLease(release))
            .await
            .map_err(refusal::status)?;
        Ok(Response::new(crate::proto::wkt::Empty {}))
    }

    async fn rotate_token(
        &self,
        request: Request<pb::RotateTokenRequest>,
    ) -> Result<Response<pb::RotateTokenResponse>, Status> {
        let namespace = names::parent(&request.get_ref().parent)?;
        let caller = Caller::of(&request)?;
        caller.authorize(&namespace)?;
        let (Some(tokens), Some(identity)) = (&self.tokens, &caller.identity) else {
            let message =
                "this server does not authenticate its callers, so there is no token to rotate";
            return Err(Fault::new(Code::FailedPrecondition, "AUTHENTICATION_OFF", message).into());
        };
        if let Some(usage) = caller.usage() {
            usage.admit_rotation()?;
        }
        let own = Name::new(namespace.clone(), caller.client.clone());
        let client = self.store.read(|book, _| book.client(&own).cloned());
        // The lab may have changed since the layer looked.
        let client = client.ok_or_else(|| {
            Fault::unauthenticated(
                "CLIENT_UNKNOWN",
                "the token's client does not exist any more",
            )
        })?;
        let (tokens, identity, now) = (tokens.clone(), identity.clone(), self.store.now());
        // It waits for the disk.
        let rotated = spawn_blocking(move || tokens.rotate(&identity, &client, now)).await;
        let issued = rotated.map_err(|_| refusal::stopping())??;
        tracing::info!(client = %caller.client, %namespace, id = issued.id, "a token was rotated");
        let mut response = Response::new(pb::RotateTokenResponse {
            token: issued.token,
            expiry: Some(convert::timestamp(issued.ends)),
        });
        // A token is in no cache, as RFC 6749, section 5.1, wants it.
        let no_store = MetadataValue::from_static("no-store");
        response.metadata_mut().insert("cache-control", no_store);
        Ok(response)
    }
}

/// What an update asks for.
fn update(request: Request<pb::UpdateLeaseRequest>) -> Result<UpdateLease, Status> {
    let sent = request
        .get_ref()
        .lease
        .as_ref()
        .ok_or_else(lease_required)?;
    let name = names::object(&sent.name, LEASES)?;
    call::note_lease(&name);
    let caller = Caller::of(&request)?;
    caller.authorize(&name.namespace)?;
    let caller = caller.client.clone();
    let if_revision = refusal::if_revision(request.metadata())?;
    let pb::UpdateLeaseRequest { lease, update_mask } = request.into_inner();
    let mut command = convert::update(name, caller, lease.unwrap_or_default(), update_mask)?;
    command.if_revision = if_revision;
    Ok(command)
}

/// A record's entity tag (rule K20).
fn etag(revision: u64) -> String {
    ["\"", itoa::Buffer::new().format(revision), "\""].concat()
}

/// Rules C3 and K1.
fn lease_required() -> Fault {
    let violation = Violation {
        field: "lease".to_owned(),
        description: "required".to_owned(),
    };
    Fault::invalid_argument("FIELD_REQUIRED", "lease is required").with_violation(violation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Settings;
    use crate::store::Memory;

    /// What is larger is slow to allocate: glibc keeps no such pieces at hand. What is seldom needed,
    /// such as waiting, has a box of its own.
    #[tokio::test]
    async fn a_call_needs_little_room() {
        let clock = Arc::new(|| crate::lease::Timestamp::new(0, 0));
        let store = Store::open(Memory::default(), Settings::default(), clock);
        let clients = Clients::new(store.await.unwrap(), None, LabelRules::default());
        let calls = [
            (
                "get",
                size_of_val(&*clients.get_lease(Request::new(Default::default()))),
            ),
            (
                "list",
                size_of_val(&*clients.list_leases(Request::new(Default::default()))),
            ),
            (
                "create",
                size_of_val(&*clients.create_lease(Request::new(Default::default()))),
            ),
            (
                "update",
                size_of_val(&*clients.update_lease(Request::new(Default::default()))),
            ),
            (
                "delete",
                size_of_val(&*clients.delete_lease(Request::new(Default::default()))),
            ),
        ];
        assert!(
            calls.iter().all(|(_, size)| *size <= 1_032),
            "bytes: {calls:?}"
        );
    }
}
