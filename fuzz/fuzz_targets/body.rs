//! Any body is read or refused; what is read can be written, and is the same when it is read again.

#![no_main]

use jumpstarter_gateway::proto::json;
use jumpstarter_gateway::proto::jumpstarter::client::v1::{CreateLeaseRequest, UpdateLeaseRequest};
use jumpstarter_gateway::server;
use jumpstarter_gateway::transcode::{Binding, bind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let create = row("CreateLease");
    let captures = || ["namespaces/a"].into_iter();
    match bind::<CreateLeaseRequest>(create, captures(), None, body) {
        Ok(request) => {
            let written = json::to_vec(&request.lease).expect("what was read can be written");
            let again = bind::<CreateLeaseRequest>(create, captures(), None, &written);
            assert_eq!(again.expect("what was written can be read"), request);
        }
        Err(fault) => assert!(fault.to_string().len() < 5_000, "{fault}"),
    }
    // With a field that the path sets inside the body, and a mask made of the keys.
    let captures = ["namespaces/a/leases/b"].into_iter();
    if let Ok(request) = bind::<UpdateLeaseRequest>(row("UpdateLease"), captures, None, body) {
        let name = request.lease.map(|lease| lease.name);
        assert_eq!(name.as_deref(), Some("namespaces/a/leases/b"));
    }
});

fn row(method: &str) -> &'static Binding {
    let mut rows = server::bindings();
    rows.find(|row| row.rpc.ends_with(&format!("/{method}")))
        .expect("it exists")
}
