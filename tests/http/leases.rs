//! A day in the life of a lease, by HTTP.

use serde_json::{Value, json};

use crate::harness::{Gateway, condition, is};

const LEASES: &str = "/v1/namespaces/default/leases";

fn path(lease: &Value) -> String {
    format!("/v1/{}", lease["name"].as_str().unwrap())
}

#[tokio::test]
async fn exporters_are_found_by_filter() {
    let gateway = Gateway::demo().await;
    let list = gateway
        .get("/v1/namespaces/default/exporters?filter=board%3Drpi4")
        .await
        .value();
    let exporters = list["exporters"].as_array().unwrap();
    assert_eq!(exporters.len(), 1, "{list}");
    let exporter = &exporters[0];
    assert_eq!(exporter["name"], "namespaces/default/exporters/rpi4-01");
    assert_eq!(exporter["labels"]["board"], "rpi4");
    assert_eq!(exporter["online"], true);
    assert_eq!(exporter["status"], "EXPORTER_STATUS_AVAILABLE");
    assert_eq!(exporter["enabled"], true);
    assert_eq!(list["nextPageToken"], "");
    let one = gateway
        .get("/v1/namespaces/default/exporters/rpi4-01")
        .await
        .value();
    assert_eq!(&one, exporter);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let gateway = Gateway::demo().await;
    let all = gateway
        .get("/v1/namespaces/default/exporters")
        .await
        .value();
    let (mut names, mut token) = (vec![], String::new());
    loop {
        let page = gateway
            .get(&format!(
                "/v1/namespaces/default/exporters?pageSize=2&page_token={token}"
            ))
            .await
            .value();
        let exporters = page["exporters"].as_array().unwrap();
        assert!(exporters.len() <= 2);
        names.extend(exporters.iter().map(|exporter| exporter["name"].clone()));
        token = page["nextPageToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    let expected: Vec<Value> = all["exporters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert!(expected.len() > 4);
    assert_eq!(names, expected);
}

#[tokio::test]
async fn a_lease_that_can_be_granted_is_ready_in_the_first_answer() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "1800s"}"#)
        .await;
    is(&lease, "Ready", "True", "Ready");
    assert_eq!(condition(&lease, "Pending"), None);
    assert_eq!(lease["exporter"], "namespaces/default/exporters/rpi4-01");
    assert_eq!(lease["client"], "namespaces/default/clients/demo");
    assert_eq!(lease["duration"], "1800s");
    assert!(lease["effectiveBeginTime"].is_string(), "{lease}");
    assert_eq!(lease.get("effectiveEndTime"), None, "{lease}");
    let read = gateway.get(&path(&lease)).await;
    assert_eq!(read.value()["conditions"], lease["conditions"]);
    assert!(read.header("etag").starts_with('"'), "{read:?}");
}

#[tokio::test]
async fn the_next_in_the_queue_is_served_when_an_exporter_frees() {
    let gateway = Gateway::demo().await;
    let body = r#"{"selector": "board=rpi4", "duration": "1800s"}"#;
    let first = gateway.lease(body).await;
    let second = gateway.lease(body).await;
    let third = gateway.lease(body).await;
    is(&second, "Pending", "True", "NotAvailable");
    let message = condition(&second, "Pending").unwrap()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("rpi4-01"), "{message}");
    assert_eq!(second.get("exporter"), None, "{second}");

    let released = gateway.send("DELETE", &path(&first)).await;
    assert_eq!((released.status, released.text.as_str()), (200, "{}"));
    let second = gateway.get(&path(&second)).await.value();
    is(&second, "Ready", "True", "Ready");
    is(&second, "Pending", "False", "Ready");
    assert_eq!(second["exporter"], "namespaces/default/exporters/rpi4-01");
    is(
        &gateway.get(&path(&third)).await.value(),
        "Pending",
        "True",
        "NotAvailable",
    );

    let first = gateway.get(&path(&first)).await.value();
    is(&first, "Ready", "False", "Released");
    assert!(first["effectiveEndTime"].is_string(), "{first}");
    assert_eq!(first["exporter"], "namespaces/default/exporters/rpi4-01");
    gateway.send("DELETE", &path(&first)).await.refused(
        400,
        9,
        "ALREADY_RELEASED",
        "has already been released",
    );
}

#[tokio::test]
async fn a_scheduled_lease_waits_for_its_time() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(
            r#"{"selector": "board=rpi4", "beginTime": "2100-01-01T00:00:00Z", "duration": "60s"}"#,
        )
        .await;
    is(&lease, "Pending", "True", "Scheduled");
    assert_eq!(lease["beginTime"], "2100-01-01T00:00:00Z");
    is(
        &gateway
            .lease(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
            .await,
        "Ready",
        "True",
        "Ready",
    );
}

#[tokio::test]
async fn what_nothing_matches_says_so_and_ends() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=cray", "duration": "60s"}"#)
        .await;
    is(&lease, "Unsatisfiable", "True", "NoMatch");
    assert!(lease["effectiveEndTime"].is_string(), "{lease}");
    let missing = gateway
        .lease(r#"{"exporterName": "rpi9-01", "duration": "60s"}"#)
        .await;
    is(&missing, "Unsatisfiable", "True", "ExporterNotFound");
    assert_eq!(missing["exporterName"], "rpi9-01");
    assert_eq!(missing["selector"], "");
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "1800s", "tags": {"job": "42"}}"#)
        .await;
    let path = path(&lease);
    let patched = gateway
        .json(
            "PATCH",
            &format!("{path}?updateMask=duration"),
            r#"{"duration": "3600s"}"#,
        )
        .await;
    assert_eq!(patched.value()["duration"], "3600s", "{patched:?}");
    assert_eq!(patched.value()["tags"], json!({"job": "42"}));
    // Without a mask the body's keys are the mask.
    let patched = gateway
        .json("PATCH", &path, r#"{"duration": "5400.5s"}"#)
        .await;
    assert_eq!(patched.value()["duration"], "5400.500s", "{patched:?}");
    // What was read can be sent back.
    let whole = gateway.json("PATCH", &path, patched.text.clone()).await;
    assert_eq!(whole.status, 200, "{whole:?}");
    let changed = gateway
        .json("PATCH", &path, r#"{"selector": "board=rpi5"}"#)
        .await;
    let error = changed.refused(400, 3, "FIELD_IMMUTABLE", "selector");
    assert_eq!(
        error["details"][1]["fieldViolations"][0]["field"],
        "lease.selector"
    );
    gateway
        .json("PATCH", &format!("{path}?updateMask=colour"), "{}")
        .await
        .refused(400, 3, "INVALID_UPDATE_MASK", "colour");
}

/// Rule D13, AIP-203: empty is a change too, unless it was empty before.
#[tokio::test]
async fn what_cannot_be_changed_cannot_be_emptied() {
    let gateway = Gateway::demo().await;
    let full = r#"{"selector": "board=rpi4", "exporterName": "rpi4-01", "allowDisabled": true,
        "tags": {"a": "b"}, "context": {"a": "b"}, "duration": "60s"}"#;
    let full = path(&gateway.lease(full).await);
    let bare = r#"{"exporterName": "rpi5-01", "duration": "60s"}"#;
    let bare = path(&gateway.lease(bare).await);
    let emptied = [
        (r#"{"selector": ""}"#, "selector"),
        (r#"{"selector": null}"#, "selector"),
        (r#"{"exporterName": ""}"#, "exporterName"),
        (r#"{"allowDisabled": false}"#, "allowDisabled"),
        (r#"{"tags": {}}"#, "tags"),
        (r#"{"context": {}}"#, "context"),
    ];
    for (body, field) in emptied {
        let answers = [
            gateway.json("PATCH", &full, body).await,
            gateway
                .json("PATCH", &format!("{full}?updateMask={field}"), "{}")
                .await,
        ];
        for answer in answers {
            let error = answer.refused(400, 3, "FIELD_IMMUTABLE", "immutable after creation");
            assert_eq!(
                error["details"][1]["fieldViolations"][0]["field"],
                format!("lease.{field}")
            );
        }
        if field != "exporterName" {
            let unchanged = gateway.json("PATCH", &bare, body).await;
            assert_eq!(unchanged.status, 200, "{unchanged:?}");
        }
    }
    // Who says "everything" means nothing of what is not there.
    let all = format!("{full}?updateMask=*");
    let whole = gateway.json("PATCH", &all, r#"{"duration": "90s"}"#).await;
    assert_eq!(whole.value()["duration"], "90s", "{whole:?}");
    let other = r#"{"duration": "90s", "tags": {"a": "c"}}"#;
    let changed = gateway.json("PATCH", &all, other).await;
    changed.refused(400, 3, "FIELD_IMMUTABLE", "tags");
}

#[tokio::test]
async fn a_stale_etag_is_refused() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "1800s"}"#)
        .await;
    let etag = gateway.get(&path(&lease)).await.header("etag").to_owned();
    let patch = |body: &'static str| {
        let request = gateway
            .request("PATCH", &path(&lease))
            .header("if-match", &etag);
        crate::harness::answer(
            request
                .header("content-type", "application/json")
                .body(body),
        )
    };
    assert_eq!(patch(r#"{"duration": "60s"}"#).await.status, 200);
    patch(r#"{"duration": "120s"}"#)
        .await
        .refused(412, 10, "ETAG_MISMATCH", "");
    let release = gateway
        .request("DELETE", &path(&lease))
        .header("if-match", &etag);
    crate::harness::answer(release)
        .await
        .refused(412, 10, "ETAG_MISMATCH", "");
    let now = gateway.get(&path(&lease)).await.header("etag").to_owned();
    for (tag, status, code, reason) in [
        ("\"x\"", 412, 10, "ETAG_MISMATCH"),
        ("\"\"", 412, 10, "ETAG_MISMATCH"),
        // The comparison is a strong one.
        (&format!("W/{now}"), 412, 10, "ETAG_MISMATCH"),
        ("x", 400, 3, "INVALID_ETAG"),
        // An ETag that somebody meant to send, perhaps.
        ("", 400, 3, "INVALID_ETAG"),
        ("\"1\" \"2\"", 400, 3, "INVALID_ETAG"),
        ("\"1\", \"2\"", 412, 10, "ETAG_MISMATCH"),
    ] {
        for method in ["GET", "PATCH", "DELETE"] {
            let request = gateway.request(method, &path(&lease));
            let answer = crate::harness::answer(request.header("if-match", tag)).await;
            answer.refused(status, code, reason, "");
        }
        if status == 400 {
            for read in [LEASES, &path(&lease)] {
                let request = gateway.request("GET", read).header("if-none-match", tag);
                let answer = crate::harness::answer(request).await;
                answer.refused(status, code, reason, "");
            }
        }
    }
    // RFC 9110, section 13.1: any of a list will do; what must not be there is, whatever is asked for.
    let send = async |method, header, tags: &str| {
        let request = gateway.request(method, &path(&lease)).header(header, tags);
        crate::harness::answer(request).await
    };
    let packed = now.replace("\"", "-gzip\"").replacen("-gzip", "", 1);
    for tags in ["*", &now, &format!("\"1\", {now}"), &packed] {
        for method in ["PATCH", "DELETE"] {
            let refused = send(method, "if-none-match", tags).await;
            refused.refused(412, 10, "ETAG_MISMATCH", "");
        }
    }
    send("GET", "if-match", "\"zzz\"")
        .await
        .refused(412, 10, "ETAG_MISMATCH", "");
    let either = format!("\"1\", , {now}, W/\"2\",");
    assert_eq!(send("GET", "if-match", &either).await.status, 200);
    assert_eq!(send("DELETE", "if-match", &either).await.status, 200);
}

/// RFC 9110, section 13.1: what is to be created is not there to have an ETag.
#[tokio::test]
async fn a_create_has_preconditions_too() {
    let gateway = Gateway::demo().await;
    let create = async |query: &str, header: &str, tags: &str| {
        let request = gateway.request("POST", &format!("{LEASES}{query}"));
        let request = request.header("content-type", "application/json");
        let request = request.body(r#"{"selector": "board=rpi4", "duration": "60s"}"#);
        crate::harness::answer(request.header(header, tags)).await
    };
    for tags in ["*", "\"7\""] {
        for query in ["", "?leaseId=a"] {
            let refused = create(query, "if-match", tags).await;
            refused.refused(412, 10, "ETAG_MISMATCH", "is to be created");
        }
    }
    let error = create("", "if-none-match", "7").await;
    let error = error.refused(400, 3, "INVALID_ETAG", "if-none-match takes ETags");
    assert_eq!(
        error["details"][1]["fieldViolations"][0]["field"],
        "if-none-match"
    );
    let first = create("?leaseId=a", "if-none-match", "*").await;
    assert_eq!(first.status, 200, "{first:?}");
    for tags in ["*", first.header("etag")] {
        let again = create("?leaseId=a", "if-none-match", tags).await;
        again.refused(412, 10, "ETAG_MISMATCH", "lease a is there");
    }
    let replayed = create("?leaseId=a", "if-none-match", "\"7\"").await;
    assert_eq!(replayed.status, 200, "{replayed:?}");
    assert_eq!(create("", "if-none-match", "*").await.status, 200);
}

/// A list has no ETag, but it is there; and so is a stream.
#[tokio::test]
async fn what_has_no_etag_has_preconditions_too() {
    let gateway = Gateway::demo().await;
    for accept in ["application/json", "text/event-stream"] {
        let get = async |header: &str, tags: &str| {
            let request = gateway.request("GET", LEASES).header("accept", accept);
            let response = request.header(header, tags).send().await.unwrap();
            response.status().as_u16()
        };
        assert_eq!(get("if-match", "\"7\"").await, 412, "{accept}");
        assert_eq!(get("if-match", "*").await, 200, "{accept}");
        assert_eq!(get("if-none-match", "*").await, 304, "{accept}");
        assert_eq!(get("if-none-match", "\"7\"").await, 200, "{accept}");
    }
}

/// A lease that is watched has the preconditions of one that is read; the stream has no ETag of its own.
#[tokio::test]
async fn a_watch_of_one_lease_has_preconditions() {
    let gateway = Gateway::demo().await;
    let lease = gateway.lease(r#"{"selector": "board=rpi4", "duration": "1800s"}"#);
    let path = format!("/v1/{}", lease.await["name"].as_str().unwrap());
    let read = gateway.get(&path).await;
    let etag = read.headers["etag"].to_str().unwrap();
    for (header, tags, status) in [
        ("if-match", etag, 200),
        ("if-match", "\"x\"", 412),
        ("if-none-match", etag, 304),
        ("if-none-match", "\"x\"", 200),
    ] {
        let request = gateway.request("GET", &path).header(header, tags);
        let request = request.header("accept", "text/event-stream");
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{header} {tags}");
        let is_stream = status == 200;
        assert!(
            !is_stream || !response.headers().contains_key("etag"),
            "{header} {tags}"
        );
    }
}

#[tokio::test]
async fn a_lease_with_an_id_can_be_asked_for_twice() {
    let gateway = Gateway::demo().await;
    let body = r#"{"selector": "board=rpi4", "duration": "1800s"}"#;
    let create = || {
        gateway.json(
            "POST",
            "/v1/namespaces/default/leases?leaseId=nightly",
            body,
        )
    };
    let (first, second) = (create().await, create().await);
    assert_eq!(first.value()["name"], "namespaces/default/leases/nightly");
    assert_eq!(
        (second.status, second.value()["name"].clone()),
        (200, first.value()["name"].clone()),
        "{second:?}"
    );
    let other = r#"{"selector": "board=rpi5", "duration": "1800s"}"#;
    let other = gateway
        .json(
            "POST",
            "/v1/namespaces/default/leases?lease_id=nightly",
            other,
        )
        .await;
    other.refused(
        409,
        6,
        "LEASE_ALREADY_EXISTS",
        "leases.jumpstarter.dev \"nightly\" already exists",
    );
    let upper = gateway
        .json(
            "POST",
            "/v1/namespaces/default/leases?leaseId=Nightly",
            body,
        )
        .await;
    upper.refused(400, 3, "INVALID_LEASE_ID", "RFC 1123");
}

#[tokio::test]
async fn leases_are_listed_without_the_ended_ones() {
    let gateway = Gateway::demo().await;
    let one = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "60s", "tags": {"job": "1"}}"#)
        .await;
    let two = gateway
        .lease(r#"{"selector": "board=rpi5", "duration": "60s", "tags": {"job": "2"}}"#)
        .await;
    gateway.send("DELETE", &path(&one)).await;
    let names = async |query: &str| -> Vec<Value> {
        let list = gateway.get(&format!("{LEASES}{query}")).await.value();
        list["leases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|lease| lease["name"].clone())
            .collect()
    };
    assert_eq!(names("").await, [two["name"].clone()]);
    assert_eq!(
        names("?onlyActive=false").await,
        [one["name"].clone(), two["name"].clone()]
    );
    assert_eq!(
        names("?onlyActive=false&tagFilter=job%3D1").await,
        [one["name"].clone()]
    );
    assert_eq!(names("?filter=board%3Drpi5").await, [two["name"].clone()]);
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let list = Gateway::demo().await.get(LEASES).await;
    assert_eq!(list.text, r#"{"leases":[],"nextPageToken":""}"#);
}

#[tokio::test]
async fn no_sum_of_times_leads_beyond_what_can_be_told() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
        .await;
    let path = format!("/v1/{}", lease["name"].as_str().unwrap());
    let end = r#"{"endTime": "2100-01-01T00:00:00Z"}"#;
    let moved = gateway.json("PATCH", &path, end).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    let beyond = r#"{"duration": "315576000000s"}"#;
    let refused = gateway.json("PATCH", &path, beyond).await;
    refused.refused(400, 3, "TIME_OUT_OF_RANGE", "out of range");
    assert_eq!(gateway.get(&path).await.status, 200);
}
