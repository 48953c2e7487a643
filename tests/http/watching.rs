//! Following leases and exporters as they change.

use jumpstarter_gateway::lab;
use jumpstarter_gateway::lease::{Command, Name};
use serde_json::Value;

use crate::harness::{Gateway, answer, is};

const LEASES: &str = "/v1/namespaces/default/leases";
const EXPORTERS: &str = "/v1/namespaces/default/exporters";
const BODY: &str = r#"{"selector": "board=rpi4", "duration": "1800s"}"#;

/// A stream of Server-Sent Events, read one by one.
struct Watch {
    response: reqwest::Response,
    text: String,
    /// The last id that came.
    id: Option<String>,
}

impl Watch {
    async fn open(gateway: &Gateway, path: &str) -> Self {
        Self::resume(gateway, path, None).await
    }

    async fn resume(gateway: &Gateway, path: &str, id: Option<&str>) -> Self {
        let request = gateway
            .request("GET", path)
            .header("accept", "text/event-stream");
        let request = match id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self {
            response,
            text: String::new(),
            id: None,
        }
    }

    /// The name and the data of the next event; none at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let (mut name, mut data) = ("message".to_owned(), None);
                for line in event.lines() {
                    match line.split_once(": ") {
                        Some(("event", value)) => name = value.to_owned(),
                        Some(("id", value)) => self.id = Some(value.to_owned()),
                        Some(("data", value)) => data = Some(serde_json::from_str(value).unwrap()),
                        _ => assert_eq!(line, ":", "{event}"),
                    }
                }
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return Some((name, data));
                }
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event, which has this name.
    async fn expect(&mut self, name: &str) -> Value {
        let (found, data) = self.next().await.unwrap();
        assert_eq!(found, name, "{data}");
        data
    }
}

fn path(lease: &Value) -> String {
    format!("/v1/{}", lease["name"].as_str().unwrap())
}

#[tokio::test]
async fn a_watcher_sees_creation_assignment_and_release_in_order() {
    let gateway = Gateway::demo().await;
    let first = gateway.lease(BODY).await;
    let mut watch = Watch::open(&gateway, LEASES).await;
    let present = watch.expect("added").await;
    assert_eq!(
        (&present["name"], &present["conditions"]),
        (&first["name"], &first["conditions"])
    );
    assert_eq!(watch.id, None, "what is not complete cannot be resumed");
    assert_eq!(watch.expect("sync").await, serde_json::json!({}));
    assert!(watch.id.is_some());

    let second = gateway.lease(BODY).await;
    let added = watch.expect("added").await;
    assert_eq!(added["name"], second["name"]);
    is(&added, "Pending", "True", "NotAvailable");

    let before = watch.id.clone();
    gateway.send("DELETE", &path(&first)).await;
    let removed = watch.expect("removed").await;
    is(&removed, "Ready", "False", "Released");
    assert_eq!(watch.id, before, "more of this commit is to come");
    let assigned = watch.expect("modified").await;
    assert_eq!(assigned["name"], second["name"]);
    is(&assigned, "Ready", "True", "Ready");
    assert_ne!(watch.id, before);
}

#[tokio::test]
async fn two_last_ids_are_none_to_resume_behind() {
    let gateway = Gateway::demo().await;
    let request = gateway.request("GET", LEASES);
    let request = request.header("accept", "text/event-stream");
    let request = request.header("last-event-id", "x");
    let request = request.header("last-event-id", "y");
    let events = answer(request.header("x-request-timeout", "0.05")).await;
    assert!(events.text.contains("event: reset\n"), "{}", events.text);
}

#[tokio::test]
async fn a_watch_is_resumed_without_loss() {
    let gateway = Gateway::demo().await;
    let all = format!("{LEASES}?onlyActive=false");
    let mut watch = Watch::open(&gateway, &all).await;
    watch.expect("sync").await;
    let mut names = vec![];
    for _ in 0..5 {
        names.push(gateway.lease(BODY).await["name"].clone());
    }
    let mut seen = vec![];
    seen.push(watch.expect("added").await["name"].clone());
    seen.push(watch.expect("added").await["name"].clone());
    let id = watch.id.take().unwrap();
    drop(watch);
    gateway
        .send("DELETE", &format!("/v1/{}", names[0].as_str().unwrap()))
        .await;
    let mut watch = Watch::resume(&gateway, &all, Some(&id)).await;
    for _ in 0..3 {
        seen.push(watch.expect("added").await["name"].clone());
    }
    assert_eq!(seen, names);
    assert_eq!(watch.expect("modified").await["name"], names[0]);
    assert_eq!(watch.expect("modified").await["name"], names[1]);
    // Nothing has happened since: nothing comes, until something does.
    let id = watch.id.take().unwrap();
    let mut watch = Watch::resume(&gateway, &all, Some(&id)).await;
    let next = gateway.lease(BODY).await;
    assert_eq!(watch.expect("added").await["name"], next["name"]);
}

#[tokio::test]
async fn a_watch_that_cannot_be_resumed_begins_again() {
    let gateway = Gateway::demo().await;
    let mut watch = Watch::open(&gateway, LEASES).await;
    watch.expect("sync").await;
    let old = watch.id.take().unwrap();
    let lease = gateway.lease(BODY).await;
    gateway.lease(BODY).await;
    let _ = gateway.store.clone().with_history(1);
    for id in [&old, "nonsense", "18446744073709551615"] {
        let mut watch = Watch::resume(&gateway, LEASES, Some(id)).await;
        assert_eq!(watch.expect("reset").await, serde_json::json!({}), "{id}");
        assert_eq!(watch.expect("added").await["name"], lease["name"]);
        watch.expect("added").await;
        watch.expect("sync").await;
    }
}

#[tokio::test]
async fn one_lease_is_followed_to_its_end() {
    let gateway = Gateway::demo().await;
    let lease = gateway.lease(BODY).await;
    let path = path(&lease);
    let mut watch = Watch::open(&gateway, &path).await;
    is(&watch.expect("added").await, "Ready", "True", "Ready");
    watch.expect("sync").await;
    let id = watch.id.clone().unwrap();
    assert_eq!(gateway.get(&path).await.header("etag"), format!("\"{id}\""));
    gateway.lease(BODY).await;
    gateway.json("PATCH", &path, r#"{"duration": "60s"}"#).await;
    assert_eq!(watch.expect("modified").await["duration"], "60s");
    gateway.send("DELETE", &path).await;
    is(
        &watch.expect("modified").await,
        "Ready",
        "False",
        "Released",
    );
    let mut resumed = Watch::resume(&gateway, &path, Some(&id)).await;
    assert_eq!(resumed.expect("modified").await["duration"], "60s");
    is(
        &resumed.expect("modified").await,
        "Ready",
        "False",
        "Released",
    );
}

#[tokio::test]
async fn filters_hold_for_what_comes_later() {
    let gateway = Gateway::demo().await;
    let ready = "filter=gateway.jumpstarter.dev%2Fstate%3Dready";
    let mut watch = Watch::open(&gateway, &format!("{LEASES}?{ready}&tagFilter=job%3D1")).await;
    watch.expect("sync").await;
    let tagged = r#"{"selector": "board=rpi4", "duration": "60s", "tags": {"job": "1"}}"#;
    let other = gateway.lease(BODY).await;
    let own = gateway.lease(tagged).await;
    gateway.send("DELETE", &path(&other)).await;
    let added = watch.expect("added").await;
    assert_eq!(
        added["name"], own["name"],
        "its exporter came, so it matches now"
    );
    gateway.send("DELETE", &path(&own)).await;
    assert_eq!(watch.expect("removed").await["name"], own["name"]);
}

#[tokio::test]
async fn exporters_are_followed_as_the_lab_changes() {
    let gateway = Gateway::demo().await;
    let mut watch = Watch::open(&gateway, &format!("{EXPORTERS}?filter=board%3Drpi4")).await;
    assert_eq!(
        watch.expect("added").await["name"],
        "namespaces/default/exporters/rpi4-01"
    );
    watch.expect("sync").await;
    let mut lab = lab::demo().unwrap();
    let name = Name::new("default", "rpi4-01");
    // It shows nothing that anybody sees.
    gateway
        .store
        .submit(Command::ExporterSeen { name: name.clone() })
        .await
        .unwrap();
    for exporter in &mut lab.exporters {
        exporter.enabled = false;
    }
    gateway
        .store
        .submit(lab.clone().into_command())
        .await
        .unwrap();
    assert_eq!(watch.expect("modified").await["enabled"], false);
    lab.exporters.retain(|exporter| exporter.name != name);
    gateway.store.submit(lab.into_command()).await.unwrap();
    let removed = watch.expect("removed").await;
    assert_eq!(
        (&removed["enabled"], &removed["labels"]["board"]),
        (&false.into(), &"rpi4".into())
    );
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    let gateway = Gateway::demo().await;
    let follow = async |method: &str, path: &str| {
        answer(
            gateway
                .request(method, path)
                .header("accept", "text/event-stream"),
        )
        .await
    };
    let page = gateway
        .get(&format!("{EXPORTERS}?pageSize=1"))
        .await
        .value();
    let token = page["nextPageToken"].as_str().unwrap();
    let paged = follow("GET", &format!("{EXPORTERS}?pageToken={token}")).await;
    paged.refused(400, 3, "INVALID_PAGE", "whole list");
    for list in [EXPORTERS, LEASES] {
        let paged = follow("GET", &format!("{list}?pageSize=-1")).await;
        paged.refused(400, 3, "INVALID_PAGE", "negative");
    }
    let filter = follow("GET", &format!("{LEASES}?filter=%3D%3D")).await;
    filter.refused(400, 3, "INVALID_FILTER", "");
    follow("GET", &format!("{LEASES}/none"))
        .await
        .refused(404, 5, "LEASE_NOT_FOUND", "");
    let exporter = format!("{EXPORTERS}/rpi4-01");
    follow("GET", &exporter)
        .await
        .refused(406, 3, "NOT_ACCEPTABLE", "");
    let either = gateway.request("GET", &exporter);
    let either = either.header("accept", "text/event-stream, application/json;q=0.5");
    let shown = answer(either).await;
    assert_eq!(shown.value(), gateway.get(&exporter).await.value());
}
