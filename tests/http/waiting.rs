//! Waiting for a lease in one request, its place in the queue, and reads of what is known already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Mutex;

use crate::harness::{Answer, Gateway, answer, client, is};

const LEASES: &str = "/v1/namespaces/default/leases";
const BODY: &str = r#"{"selector": "board=rpi4", "duration": "1800s"}"#;

/// Longer than any test takes.
const LONG: &str = "wait=300";

fn path(lease: &Value) -> String {
    format!("/v1/{}", lease["name"].as_str().unwrap())
}

/// Creates a lease with a preference.
async fn create(gateway: &Gateway, prefer: &str) -> Answer {
    let request = gateway.request("POST", LEASES).header("prefer", prefer);
    answer(
        request
            .header("content-type", "application/json")
            .body(BODY),
    )
    .await
}

async fn get(gateway: &Gateway, path: &str, prefer: &str) -> Answer {
    answer(gateway.request("GET", path).header("prefer", prefer)).await
}

/// Returns once the list of active leases satisfies a condition.
async fn until(gateway: &Gateway, what: &str, condition: impl Fn(&[Value]) -> bool) {
    let mut revisions = gateway.store.revisions();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let list = gateway.get(LEASES).await.value();
        if condition(list["leases"].as_array().unwrap()) {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let changed = tokio::time::timeout(left, revisions.changed()).await;
        assert!(changed.is_ok(), "waited in vain until {what}: {list}");
    }
}

#[tokio::test]
async fn what_is_ready_is_not_waited_for() {
    let gateway = Gateway::demo().await;
    let ready = create(&gateway, LONG).await;
    is(&ready.value(), "Ready", "True", "Ready");
    assert_eq!(ready.header("preference-applied"), LONG);
    assert_eq!(ready.header("jumpstarter-queue-position"), "");
    let read = get(&gateway, &path(&ready.value()), "wait=999999").await;
    assert_eq!(
        read.header("preference-applied"),
        "wait=600",
        "the default cap"
    );
    let plain = get(&gateway, &path(&ready.value()), "wait=soon, respond-async").await;
    assert_eq!(
        (plain.status, plain.header("preference-applied")),
        (200, "")
    );
    let hopeless = r#"{"selector": "board=cray", "duration": "60s"}"#;
    let hopeless = gateway
        .request("POST", LEASES)
        .header("prefer", LONG)
        .body(hopeless);
    let hopeless = answer(hopeless.header("content-type", "application/json")).await;
    is(&hopeless.value(), "Unsatisfiable", "True", "NoMatch");
}

#[tokio::test]
async fn a_wait_ends_when_its_time_is_over() {
    let gateway = Gateway::demo().await;
    let holder = gateway.lease(BODY).await;
    let waiting = create(&gateway, "wait=1").await;
    is(&waiting.value(), "Pending", "True", "NotAvailable");
    assert_eq!(waiting.header("preference-applied"), "wait=1");
    assert_eq!(waiting.header("jumpstarter-queue-position"), "1");
    let start = waiting.header("jumpstarter-estimated-start");
    let begin = holder["effectiveBeginTime"].as_str().unwrap();
    assert!(
        start > begin && start.ends_with('Z'),
        "{start} against {begin}"
    );
    let second = gateway.lease(BODY).await;
    let second = get(&gateway, &path(&second), "wait=0").await;
    assert_eq!(
        second.header("jumpstarter-queue-position"),
        "2",
        "{second:?}"
    );
    assert_eq!(second.header("preference-applied"), "wait=0");
    gateway
        .get("/v1/namespaces/default/leases/none")
        .await
        .refused(404, 5, "LEASE_NOT_FOUND", "");
}

#[tokio::test]
async fn twenty_who_wait_get_one_board_in_order_and_never_two_at_once() {
    let gateway = Gateway::demo().await;
    let holder = gateway.lease(BODY).await;
    let mut leases = vec![];
    for _ in 0..20 {
        leases.push(gateway.lease(BODY).await["name"].clone());
    }
    let served = Arc::new(Mutex::new(vec![]));
    let waiting: Vec<_> = leases
        .iter()
        .map(|name| {
            let (gateway, served, name) = (gateway.clone(), served.clone(), name.clone());
            tokio::spawn(async move {
                let path = format!("/v1/{}", name.as_str().unwrap());
                let lease = get(&gateway, &path, LONG).await.value();
                is(&lease, "Ready", "True", "Ready");
                let list = gateway
                    .get(&format!(
                        "{LEASES}?filter=gateway.jumpstarter.dev%2Fstate%3Dready"
                    ))
                    .await
                    .value();
                assert_eq!(list["leases"].as_array().unwrap().len(), 1, "{list}");
                served.lock().await.push(name);
                assert_eq!(gateway.send("DELETE", &path).await.status, 200);
            })
        })
        .collect();
    gateway.send("DELETE", &path(&holder)).await;
    for waiting in waiting {
        waiting.await.unwrap();
    }
    assert_eq!(*served.lock().await, leases);
}

#[tokio::test]
async fn a_create_can_release_what_does_not_come_in_time() {
    let gateway = Gateway::demo().await;
    let holder = gateway.lease(BODY).await;
    let late = create(&gateway, "wait=1, on-timeout=release").await;
    let error = late.refused(504, 4, "WAIT_TIMED_OUT", "already leased");
    assert_eq!(
        late.header("preference-applied"),
        "wait=1, on-timeout=release"
    );
    let metadata = &error["details"][0]["metadata"];
    assert_eq!(metadata["pendingReason"], "NotAvailable", "{error}");
    let lease = metadata["lease"].as_str().unwrap();
    is(
        &gateway.get(&format!("/v1/{lease}")).await.value(),
        "Ready",
        "False",
        "Released",
    );

    let waiting = tokio::spawn({
        let gateway = gateway.clone();
        async move { create(&gateway, "wait=300, on-timeout=release").await }
    });
    until(&gateway, "two are there", |leases| leases.len() == 2).await;
    gateway.send("DELETE", &path(&holder)).await;
    let ready = waiting.await.unwrap();
    is(&ready.value(), "Ready", "True", "Ready");
    until(&gateway, "it is still there", |leases| leases.len() == 1).await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() {
    let http2 = reqwest::Client::builder()
        .no_proxy()
        .http2_prior_knowledge();
    for leaving in [client(), http2.build().unwrap()] {
        let gateway = Gateway::demo().await;
        gateway.lease(BODY).await;
        let leaving = leaving
            .post(gateway.url(LEASES))
            .header("prefer", "wait=300, on-timeout=release")
            .header("content-type", "application/json")
            .body(BODY);
        let leaving = tokio::spawn(answer(leaving));
        until(&gateway, "two are there", |leases| leases.len() == 2).await;
        let staying = tokio::spawn({
            let gateway = gateway.clone();
            async move { create(&gateway, LONG).await }
        });
        until(&gateway, "three are there", |leases| leases.len() == 3).await;
        leaving.abort();
        until(&gateway, "one has gone", |leases| leases.len() == 2).await;
        // Without on-timeout=release a lease keeps its place, whoever leaves.
        staying.abort();
        let list = gateway.get(LEASES).await.value();
        let stayed = get(&gateway, &path(&list["leases"][1]), "wait=0").await;
        assert_eq!(
            stayed.header("jumpstarter-queue-position"),
            "1",
            "{stayed:?}"
        );
    }
}

#[tokio::test]
async fn refusals_come_at_once() {
    let gateway = Gateway::demo().await;
    let request = gateway
        .request("POST", LEASES)
        .header("prefer", "wait=300, on-timeout=release");
    let refused = answer(
        request
            .header("content-type", "application/json")
            .body("{\"duration\": \"60s\"}"),
    )
    .await;
    assert_eq!(refused.status, 400, "{refused:?}");
    get(&gateway, "/v1/namespaces/default/leases/none", LONG)
        .await
        .refused(404, 5, "LEASE_NOT_FOUND", "");
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let gateway = Gateway::demo().await;
    let lease = gateway.lease(BODY).await;
    let path = path(&lease);
    let etag = gateway.get(&path).await.header("etag").to_owned();
    let read = async |method: &str, known: &str| {
        answer(
            gateway
                .request(method, &path)
                .header("if-none-match", known),
        )
        .await
    };
    for known in [&etag, &format!("W/{etag}"), &format!("\"x\", {etag}"), "*"] {
        let same = read("GET", known).await;
        assert_eq!((same.status, same.text.as_str()), (304, ""), "{known}");
        assert_eq!(
            (same.header("etag"), same.header("content-type")),
            (etag.as_str(), ""),
            "{known}"
        );
    }
    assert_eq!(read("HEAD", &etag).await.status, 304);
    assert_eq!(read("GET", "\"x\"").await.status, 200);
    let patch = gateway.json("PATCH", &path, r#"{"duration": "60s"}"#).await;
    assert_eq!(patch.status, 200, "{patch:?}");
    let changed = read("GET", &etag).await;
    assert_eq!(
        (changed.status, changed.value()["duration"].clone()),
        (200, "60s".into())
    );
    assert_ne!(changed.header("etag"), etag);
}
