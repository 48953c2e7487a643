//! A lab file that is replaced again and again under load: no lease is lost, nothing is answered with a
//! fault of the server, and no half of a file is taken for a lab.
//!
//! `RUNNING_LABS` sets how often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::program::{PATIENCE, Server, answer, client, lab, replace};

/// Exporters that are in every lab, and those that come and go.
const STAYING: usize = 20;
const PASSING: usize = 200;

fn exporters(round: usize) -> Vec<(String, &'static str)> {
    let staying = (0..STAYING).map(|number| (format!("staying-{number}"), "staying"));
    let passing = (0..PASSING).filter(|number| (number + round).is_multiple_of(3));
    let passing = passing.map(|number| (format!("passing-{number}"), "passing"));
    staying.chain(passing).collect()
}

/// Leases and releases boards; the names of leases that must be there at the end.
async fn lease(leases: String, url: String, number: usize, enough: Arc<AtomicBool>) -> Vec<String> {
    let client = client();
    let mut held = vec![];
    let mut round = 0;
    // However fast the labs change, some leases stay.
    while !enough.load(Ordering::Relaxed) || held.is_empty() {
        round += 1;
        let board = if round % 2 == 0 { "staying" } else { "passing" };
        let id = format!("lease-{number}-{round}");
        let body = format!(r#"{{"selector": "board={board}", "duration": "3600s"}}"#);
        let request = client.post(format!("{leases}?leaseId={id}"));
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let (status, made) = answer(request).await.unwrap();
        assert_eq!(status, 200, "{id}: {made}");
        let name = made["name"].as_str().unwrap().to_owned();
        // Some stay, and wait or hold; most go again.
        if round % 10 == 0 {
            held.push(name);
        } else {
            let released = answer(client.delete(format!("{url}/v1/{name}"))).await;
            assert_eq!(released.unwrap().0, 200, "{name}");
        }
        let (status, shown) = answer(client.get(&leases)).await.unwrap();
        assert_eq!(status, 200, "{shown}");
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_is_replaced_under_load_loses_nothing() {
    let rounds = std::env::var("RUNNING_LABS").map_or(300, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab.yaml");
    std::fs::write(&file, lab(&exporters(0))).unwrap();
    let data = folder.path().join("data");
    let [lab_flag, data_flag] = [("lab", &file), ("data", &data)]
        .map(|(name, path)| format!("--{name}={}", path.display()));
    let mut server = Server::start(&[&lab_flag, &data_flag, "--no-auth", "--log=info"]);
    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (leases, url) = (server.leases(), server.url.clone());
            tokio::spawn(lease(leases, url, number, enough.clone()))
        })
        .collect();
    for round in 1..=rounds {
        let text = lab(&exporters(round));
        match round % 3 {
            // As an editor does, and as a shell does: the file is empty and half written meanwhile.
            0 => replace(&file, &text),
            1 => std::fs::write(&file, &text).unwrap(),
            _ => {
                // In the middle of an object, so that it cannot be taken for a whole lab however long
                // it lies there.
                let half = text.rfind("true").unwrap();
                std::fs::write(&file, &text[..half]).unwrap();
                tokio::task::yield_now().await;
                std::fs::write(&file, &text).unwrap();
            }
        }
        if round % 10 == 0 {
            server.signal("-HUP");
        }
        tokio::task::yield_now().await;
    }
    replace(&file, &lab(&exporters(0)));
    enough.store(true, Ordering::Relaxed);
    let mut held = BTreeSet::new();
    for client in clients {
        held.extend(client.await.unwrap());
    }
    // The last lab is there in the end, whole.
    let settled = async {
        let url = format!(
            "{}/v1/namespaces/default/exporters?pageSize=1000",
            server.url
        );
        loop {
            let (_, shown) = answer(client().get(&url)).await.unwrap();
            if shown["exporters"].as_array().unwrap().len() == exporters(0).len() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settled).await;
    settled.expect("the last lab is not taken over");
    assert!(!held.is_empty(), "nobody got that far");
    for name in &held {
        let url = format!("{}/v1/{name}", server.url);
        let (status, shown) = answer(client().get(&url)).await.unwrap();
        let is_there = status == 200 && shown.get("effectiveEndTime").is_none();
        if !is_there {
            let _ = server.process.kill();
            panic!("after {rounds} labs: {shown}\n{}", server.whole_log().await);
        }
    }
    let url = format!("{}?pageSize=1000", server.leases());
    let (_, shown) = answer(client().get(&url)).await.unwrap();
    let leases = shown["leases"].as_array().unwrap();
    let names = leases
        .iter()
        .map(|lease| lease["name"].as_str().unwrap().to_owned());
    let listed: BTreeSet<String> = names.collect();
    assert_eq!(listed, held, "after {rounds} labs");
    server.signal("-TERM");
    assert!(server.ended().success());
    let log = server.whole_log().await;
    assert!(!log.contains("panicked"), "{log}");
    println!("{rounds} labs, {} leases held", held.len());
}
