//! The numbers that routes are known by while they are counted, and the steps that note them: the rows
//! of the API, then everything else that is served, in groups, then the rpcs over gRPC. No path that a
//! client has made up is ever a route.

use std::sync::LazyLock;

use axum::body::Body;
use http::{Method, Request};

use super::bindings;
use crate::auth::{Caller, Peer};
use crate::call::{self, Actor, Deed};
use crate::transcode::Binding;

/// A step on a request's way.
pub type Step = fn(Request<Body>) -> Request<Body>;

/// What is served beside the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    Documentation,
    Health,
    Metrics,
    /// Nothing is served there, or it was refused before anybody looked.
    Unknown,
}

/// How the groups are shown, in order.
const GROUPS: [&str; 4] = ["documentation", "health", "metrics", "unknown"];

/// Methods that are told apart in groups; all others are one.
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];

/// Every row, once for each rpc: what native gRPC calls.
static RPCS: LazyLock<Vec<&'static Binding>> = LazyLock::new(|| {
    let mut rpcs: Vec<&'static Binding> = Vec::new();
    for row in bindings() {
        if rpcs.iter().all(|known| known.rpc != row.rpc) {
            rpcs.push(row);
        }
    }
    rpcs
});

/// Method and route of each HTTP route, by number.
pub fn http() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = bindings().map(|row| (row.method, row.template));
    let groups = GROUPS.into_iter();
    rows.chain(groups.flat_map(|group| METHODS.map(|method| (method, group))))
}

/// Service and method of each rpc, in the order of their numbers, which follow those of [`http`]. The
/// last one stands for all that is not the API: health, reflection, and what there is not.
pub fn rpcs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let names = RPCS.iter().filter_map(|row| row.rpc.split_once('/'));
    names.chain([("other", "other")])
}

/// The number is that of an rpc.
pub fn is_rpc(route: usize) -> bool {
    route >= first_rpc()
}

/// What the number stands for: method and route, or service and method.
#[cfg(feature = "otlp")]
pub fn names(route: usize) -> Option<(&'static str, &'static str)> {
    http().chain(rpcs()).nth(route)
}

/// The number of a group, for one method.
pub fn group(group: Group, method: &Method) -> usize {
    let known = METHODS.iter().position(|one| *one == method.as_str());
    bindings().len() + group as usize * METHODS.len() + known.unwrap_or(METHODS.len() - 1)
}

/// Notes the row that a request was found to belong to.
pub fn note_row(row: &'static Binding, request: &Request<Body>) {
    call::note_route(row.index, || deed(row, request));
}

/// The path is that of an rpc.
pub fn has_rpc(path: &str) -> bool {
    rpc(path).is_some()
}

/// The place of an rpc among all of them.
fn rpc(path: &str) -> Option<usize> {
    let rpc = path.strip_prefix('/').unwrap_or(path);
    RPCS.iter().position(|row| row.rpc == rpc)
}

/// Notes the rpc that a native gRPC call is for.
pub fn note_rpc(request: Request<Body>) -> Request<Body> {
    let known = rpc(request.uri().path());
    let row = known.and_then(|index| RPCS.get(index));
    let number = first_rpc() + known.unwrap_or(RPCS.len());
    call::note_route(number, || row.and_then(|row| deed(row, &request)));
    request
}

/// Notes that a gRPC call was refused before anybody looked what it is for.
pub fn note_other_rpc() {
    call::note_route(first_rpc() + RPCS.len(), || None);
}

/// Notes that what is asked for belongs to a group.
pub fn note_documentation(request: Request<Body>) -> Request<Body> {
    call::note_route(group(Group::Documentation, request.method()), || None);
    request
}

/// See [`note_documentation`].
pub fn note_health(request: Request<Body>) -> Request<Body> {
    call::note_route(group(Group::Health, request.method()), || None);
    request
}

/// See [`note_documentation`].
pub fn note_metrics(request: Request<Body>) -> Request<Body> {
    call::note_route(group(Group::Metrics, request.method()), || None);
    request
}

/// Notes the caller that authentication found.
pub fn note_actor(request: &Request<Body>) {
    call::note_actor(|| {
        let caller = request.extensions().get::<Caller>()?;
        let token = caller.identity.as_ref();
        Some(Actor {
            client: caller.client.clone(),
            namespace: caller.namespace.clone(),
            token: token.map(|token| (token.holder.to_string(), token.id.clone())),
            is_admin: caller.is_admin,
        })
    });
}

/// The same, as a step on a request's way.
pub fn with_actor(request: Request<Body>) -> Request<Body> {
    note_actor(&request);
    request
}

/// What changes something is told of one by one.
fn deed(row: &'static Binding, request: &Request<Body>) -> Option<Deed> {
    (row.method != "GET").then(|| Deed {
        rpc: row.rpc,
        peer: request.extensions().get().map(|Peer(address)| *address),
        ..Deed::default()
    })
}

fn first_rpc() -> usize {
    bindings().len() + GROUPS.len() * METHODS.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for (number, row) in bindings().enumerate() {
            assert_eq!(row.index, number, "{}", row.template);
        }
        let names: Vec<_> = http().chain(rpcs()).collect();
        let put = names[group(Group::Health, &Method::PUT)];
        assert_eq!(put, ("PUT", "health"));
        let odd = names[group(Group::Unknown, &Method::TRACE)];
        assert_eq!(odd, ("other", "unknown"));
        assert_eq!(names[first_rpc() - 1], odd);
        assert_eq!(names[first_rpc() + RPCS.len()], ("other", "other"));
        let rpc = (
            "jumpstarter.client.v1.ClientService",
            RPCS[0].rpc.rsplit('/').next().unwrap(),
        );
        assert_eq!(names[first_rpc()], rpc);
    }
}
