//! The routes of the service over REST, and what they answer without calling it: leases that stand,
//! alone or in lists, from encodings that are remembered. Everything else, and everything that goes
//! wrong, is left to the methods.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tonic::Request;

use super::lists::LeaseList;
use super::names::{self, LEASES};
use super::page::Page;
use super::{Clients, etag, prefer};
use crate::auth::Caller;
use crate::proto::jumpstarter::client::v1 as pb;
use crate::proto::jumpstarter::client::v1::client_service_http::{self, rpcs};
use crate::proto::jumpstarter::client::v1::client_service_server::ClientService;
use crate::transcode::{Prepared, Route};

/// Every row with what answers it. Leases and lists can be followed, too; a single exporter cannot.
pub fn routes(clients: &Arc<Clients>) -> impl Iterator<Item = Route> {
    let routes = client_service_http::routes(clients.clone()).into_iter();
    routes.map(|route| {
        let row = route.binding();
        match row.rpc {
            rpcs::GET_LEASE => {
                let method =
                    |clients: Arc<Clients>, call| async move { clients.get_lease(call).await };
                Route::prepared(row, clients, Clients::prepared_lease, method).followed()
            }
            rpcs::LIST_LEASES => {
                let method =
                    |clients: Arc<Clients>, call| async move { clients.list_leases(call).await };
                Route::prepared(row, clients, Clients::prepared_leases, method).followed()
            }
            rpcs::LIST_EXPORTERS => route.followed(),
            _ => route,
        }
    })
}

impl Clients {
    /// A lease that stands. One that waits shows more than its encoding.
    fn prepared_lease(&self, request: &Request<pb::GetLeaseRequest>) -> Option<Prepared> {
        if prefer::is_asked(request.metadata()) {
            return None;
        }
        let (namespace, id) = names::parts(&request.get_ref().name, LEASES).ok()?;
        Caller::of(request).ok()?.authorize(namespace).ok()?;
        let (json, revision) = self.store.read(|book, now| {
            let lease = book.lease_in(namespace, id);
            let lease = lease.filter(|lease| lease.stands(now))?;
            let json = self.encoder.lease(lease, &mut book.views(now));
            Some((json.ok()?, lease.revision))
        })?;
        let mut headers = HeaderMap::new();
        let etag = HeaderValue::from_maybe_shared(Bytes::from(etag(revision)));
        headers.insert(header::ETAG, etag.ok()?);
        Some(Prepared {
            headers,
            json: json.into(),
        })
    }

    /// A page of leases.
    fn prepared_leases(&self, request: &Request<pb::ListLeasesRequest>) -> Option<Prepared> {
        let caller = Caller::of(request).ok()?;
        let request = request.get_ref();
        let namespace = names::parent(&request.parent).ok()?;
        caller.authorize(&namespace).ok()?;
        let list = LeaseList::new(namespace, request).ok()?;
        let bound = list.bound(request);
        let page = Page::new(request.page_size, &request.page_token, &bound).ok()?;
        let json = self.store.read(|book, now| {
            let (found, next) = list.cut(book, now, &page);
            self.encoder.page(&found, &next, &mut book.views(now))
        });
        Some(Prepared {
            headers: HeaderMap::new(),
            json: json.ok()?.into(),
        })
    }
}
