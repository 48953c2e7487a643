//! `jumpstarter.client.v1.ClientService` against the store: eight short methods. REST and gRPC call
//! the same object. The first thing each does is to make sure of the caller's rights.

mod convert;
mod names;
mod page;
mod refusal;

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::auth::{Caller, Tokens};
use crate::fault::{Fault, Violation};
use crate::lease::grammar::label_key_faults;
use crate::lease::{Command, LeaseQuery, Name, ReleaseLease, Selector};
use crate::proto::jumpstarter::client::v1 as pb;
use crate::proto::jumpstarter::client::v1::client_service_server::ClientService;
use crate::store::Store;
use convert::ExporterLabels;
use names::{EXPORTERS, LEASES};
use page::Page;

/// What a tag's key has before it among a lease's labels (rule D12).
const TAG_PREFIX: &str = "metadata.jumpstarter.dev/";

/// The service.
pub struct Clients {
    store: Store,
    /// None where nobody is authenticated.
    tokens: Option<Arc<Tokens>>,
    labels: ExporterLabels,
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
        Self {
            store,
            tokens,
            labels: ExporterLabels::new(labels),
        }
    }

    /// A lease as the caller sees it, with its ETag.
    fn lease(&self, name: &Name) -> Result<Response<pb::Lease>, Fault> {
        let found = self.store.read(|book, now| {
            let lease = book.lease(name)?;
            Some((self.labels.lease(book, now, lease), lease.revision))
        });
        let (lease, revision) = found.ok_or_else(|| refusal::not_found(LEASES, &name.id))?;
        let mut response = Response::new(lease);
        if let Ok(etag) = MetadataValue::try_from(format!("\"{revision}\"")) {
            response.metadata_mut().insert("etag", etag);
        }
        Ok(response)
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
        let request = request.into_inner();
        let filter = filter("filter", &request.filter)?;
        let show_hidden = request.show_hidden_labels;
        let hidden = if show_hidden { "hidden" } else { "" };
        let bound = ["exporters", &request.parent, &request.filter, hidden];
        let page = Page::new(request.page_size, &request.page_token, &bound)?;
        let (exporters, next_page_token) = self.store.read(|book, now| {
            let found = book.exporters(&namespace, &filter, page.after(), page.size() + 1);
            page.cut(
                found,
                |exporter| &exporter.name.id,
                |exporter| self.labels.exporter(book, now, exporter, show_hidden),
            )
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
        Ok(self.lease(&name)?)
    }

    async fn list_leases(
        &self,
        request: Request<pb::ListLeasesRequest>,
    ) -> Result<Response<pb::ListLeasesResponse>, Status> {
        let namespace = names::parent(&request.get_ref().parent)?;
        Caller::of(&request)?.authorize(&namespace)?;
        let request = request.into_inner();
        let query = LeaseQuery {
            filter: filter("filter", &request.filter)?,
            tag_filter: tag_filter(&request.tag_filter)?,
            only_active: request.only_active.unwrap_or(true),
        };
        let active = if query.only_active { "active" } else { "all" };
        let bound = [
            "leases",
            &request.parent,
            &request.filter,
            &request.tag_filter,
            active,
        ];
        let page = Page::new(request.page_size, &request.page_token, &bound)?;
        let (leases, next_page_token) = self.store.read(|book, now| {
            let found = book.leases(now, &namespace, &query, page.after(), page.size() + 1);
            page.cut(
                found,
                |lease| &lease.name.id,
                |lease| self.labels.lease(book, now, lease),
            )
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
        let namespace = names::parent(&request.get_ref().parent)?;
        let caller = Caller::of(&request)?;
        caller.authorize(&namespace)?;
        let client = caller.client.clone();
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
        let command = convert::create(name.clone(), named, client, lease)?;
        self.store
            .submit(Command::CreateLease(command))
            .await
            .map_err(refusal::status)?;
        Ok(self.lease(&name)?)
    }

    async fn update_lease(
        &self,
        request: Request<pb::UpdateLeaseRequest>,
    ) -> Result<Response<pb::Lease>, Status> {
        let sent = request
            .get_ref()
            .lease
            .as_ref()
            .ok_or_else(lease_required)?;
        let name = names::object(&sent.name, LEASES)?;
        let caller = Caller::of(&request)?;
        caller.authorize(&name.namespace)?;
        let caller = caller.client.clone();
        let if_revision = refusal::if_match(request.metadata())?;
        let pb::UpdateLeaseRequest { lease, update_mask } = request.into_inner();
        let mut command =
            convert::update(name.clone(), caller, lease.unwrap_or_default(), update_mask)?;
        command.if_revision = if_revision;
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
        let caller = Caller::of(&request)?;
        caller.authorize(&name.namespace)?;
        let caller = caller.client.clone();
        let if_revision = refusal::if_match(request.metadata())?;
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
        let (Some(tokens), Some(token)) = (&self.tokens, caller.token) else {
            let message =
                "this server does not authenticate its callers, so there is no token to rotate";
            return Err(Fault::new(Code::FailedPrecondition, "AUTHENTICATION_OFF", message).into());
        };
        let rotated = tokens.rotate(token, self.store.now()).map_err(|cause| {
            tracing::error!(%cause, "the system gave no randomness for a new token");
            Fault::new(
                Code::Unavailable,
                "NO_RANDOMNESS",
                "no new token can be made at present",
            )
        })?;
        // Another call may have ended the token since the layer looked at it.
        let (token, expiry) = rotated.ok_or_else(|| {
            Fault::unauthenticated("TOKEN_REJECTED", "failed to authenticate token")
        })?;
        tracing::info!(client = %caller.client, %namespace, "a token was rotated");
        Ok(Response::new(pb::RotateTokenResponse {
            token,
            expiry: Some(convert::timestamp(expiry)),
        }))
    }
}

/// Rules C3 and K1.
fn lease_required() -> Fault {
    let violation = Violation {
        field: "lease".to_owned(),
        description: "required".to_owned(),
    };
    Fault::invalid_argument("FIELD_REQUIRED", "lease is required").with_violation(violation)
}

/// A filter of a list request (rules N5, N8, N10); an empty one lets everything through.
fn filter(field: &'static str, text: &str) -> Result<Selector, Fault> {
    Selector::parse(text).map_err(|error| {
        let violation = Violation {
            field: names::json_name(field),
            description: error.to_string(),
        };
        Fault::invalid_argument("INVALID_FILTER", format!("invalid {field}: {error}"))
            .with_violation(violation)
    })
}

/// A filter on tags, whose keys stand without their prefix (rules N10, N11).
fn tag_filter(text: &str) -> Result<Selector, Fault> {
    let selector = filter("tag_filter", text)?;
    for requirement in selector.requirements() {
        let key = format!("{TAG_PREFIX}{}", requirement.key());
        let faults = label_key_faults(&key);
        if !faults.is_empty() {
            let why = format!("key: Invalid value: {key:?}: {}", faults.join("; "));
            let violation = Violation {
                field: "tagFilter".to_owned(),
                description: why.clone(),
            };
            let message = format!("invalid tag_filter requirement: {why}");
            return Err(
                Fault::invalid_argument("INVALID_FILTER", message).with_violation(violation)
            );
        }
    }
    Ok(selector)
}
