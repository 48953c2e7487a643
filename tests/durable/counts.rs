//! What metrics count after a restart: gauges show what is kept, and nothing is counted again.

use serde_json::json;

use crate::server::Server;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Asserts that the metrics have these lines.
async fn expect(server: &Server, lines: &[&str]) {
    let page = client().get(format!("{}/metrics", server.url)).send();
    let page = page.await.unwrap().text().await.unwrap();
    for line in lines {
        assert!(
            page.lines().any(|found| found == *line),
            "no {line} in\n{page}"
        );
    }
}

#[tokio::test]
async fn what_was_counted_before_a_restart_is_not_counted_again() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let wish = json!({ "selector": "board=rpi4", "duration": "3600s" });
    let created = client()
        .post(server.leases())
        .header("content-type", "application/json")
        .body(wish.to_string())
        .send();
    let created = created.await.unwrap().text().await.unwrap();
    let created: serde_json::Value = serde_json::from_str(&created).unwrap();
    let acquired = "jumpstarter_lease_acquisitions_total{result=\"success\"}";
    let held = "jumpstarter_leases{state=\"ready\"} 1.0";
    let one = format!("{acquired} 1");
    expect(&server, &["jumpstarter_leases_created_total 1", &one, held]).await;
    server.kill();

    let server = Server::start(data.path());
    let none = format!("{acquired} 0");
    expect(
        &server,
        &["jumpstarter_leases_created_total 0", &none, held],
    )
    .await;
    let lease = format!("{}/v1/{}", server.url, created["name"].as_str().unwrap());
    client().delete(lease).send().await.unwrap();
    let expected = [
        "jumpstarter_leases_ended_total{reason=\"released\"} 1",
        "jumpstarter_lease_hold_seconds_count 1",
        "jumpstarter_lease_wait_seconds_count 0",
        "jumpstarter_leases{state=\"ready\"} 0.0",
    ];
    expect(&server, &expected).await;
}
