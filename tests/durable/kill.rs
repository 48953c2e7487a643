//! The program is killed while many clients change leases. What they were told holds afterwards;
//! what they were told nothing about has happened as a whole or not at all.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::server::{Server, client, list, send};
use crate::{Random, setting};

const CLIENTS: u64 = 12;
/// Boards of the demonstration lab, of which it has one or two each.
const BOARDS: [&str; 4] = ["rpi4", "rpi5", "visionfive2", "jetson-orin-nano"];

/// What a client knows of a lease.
#[derive(Clone, Debug)]
struct Known {
    selector: String,
    duration: u64,
    is_there: bool,
    is_released: bool,
    /// What it asked for last and was not answered.
    open: Option<Ask>,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Create,
    Lengthen(u64),
    Release,
}

/// What all clients share in one round.
struct Round {
    leases: String,
    answers: AtomicU64,
    /// So many answers bring the end.
    limit: u64,
    enough: Notify,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_holds_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut random = Random::new();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut answers = 0;
    for number in 0..setting("DURABLE_KILLS", 20) {
        let server = Server::start(&data);
        compare(&list(&client(), &server).await, &mut known, number);
        let round = Arc::new(Round {
            leases: server.leases(),
            answers: AtomicU64::new(0),
            limit: random.next(150),
            enough: Notify::new(),
        });
        let mut clients = JoinSet::new();
        for index in 0..CLIENTS {
            let name = format!("r{number}-c{index}");
            clients.spawn(work(
                round.clone(),
                name,
                Random(random.next(u64::MAX).max(1)),
            ));
        }
        if round.limit > 0 {
            round.enough.notified().await;
        }
        // An instant that nobody chose.
        for _ in 0..random.next(20_000) {
            std::hint::spin_loop();
        }
        server.kill();
        while let Some(done) = clients.join_next().await {
            known.extend(done.unwrap());
        }
        answers += round.answers.load(Ordering::Relaxed);
    }
    let server = Server::start(&data);
    compare(&list(&client(), &server).await, &mut known, u64::MAX);
    assert!(server.stop().success());
    println!("{answers} answers about {} leases hold", known.len());
}

/// Creates leases, lengthens and releases them, until there is no answer any more.
async fn work(round: Arc<Round>, name: String, mut random: Random) -> BTreeMap<String, Known> {
    let client = client();
    let mut known = BTreeMap::new();
    for number in 0.. {
        let id = format!("{name}-{number}");
        let board = BOARDS[usize::try_from(random.next(4)).unwrap()];
        let mut lease = Known {
            selector: format!("board={board}"),
            duration: 3_600,
            is_there: false,
            is_released: false,
            open: None,
        };
        let mut asks = vec![Ask::Create];
        if random.next(2) == 0 {
            asks.push(Ask::Lengthen(3_600 + random.next(1_000)));
        }
        if random.next(2) == 0 {
            asks.push(Ask::Release);
        }
        for ask in asks {
            lease.open = Some(ask);
            if !round.ask(&client, &id, &mut lease, ask).await {
                known.insert(id, lease);
                return known;
            }
            lease.open = None;
        }
        known.insert(id, lease);
    }
    known
}

impl Round {
    /// Asks and takes down the answer; false if there is none.
    async fn ask(&self, client: &reqwest::Client, id: &str, lease: &mut Known, ask: Ask) -> bool {
        let one = format!("{}/{id}", self.leases);
        let (method, url, body) = match ask {
            Ask::Create => {
                let body = json!({"selector": lease.selector, "duration": seconds(lease.duration)});
                let url = format!("{}?leaseId={id}", self.leases);
                (Method::POST, url, Some(body))
            }
            Ask::Lengthen(duration) => {
                let body = json!({"duration": seconds(duration)});
                let url = format!("{one}?updateMask=duration");
                (Method::PATCH, url, Some(body))
            }
            Ask::Release => (Method::DELETE, one, None),
        };
        let Ok((status, answer)) = send(client, method, url, body).await else {
            return false;
        };
        assert_eq!(status, 200, "{ask:?} of {id}: {answer}");
        took(lease, ask);
        if self.answers.fetch_add(1, Ordering::Relaxed) + 1 == self.limit {
            self.enough.notify_one();
        }
        true
    }
}

fn seconds(duration: u64) -> String {
    format!("{duration}s")
}

/// The lease after something was done that was asked for.
fn took(lease: &mut Known, ask: Ask) {
    match ask {
        Ask::Create => lease.is_there = true,
        Ask::Lengthen(duration) => lease.duration = duration,
        Ask::Release => lease.is_released = true,
    }
}

/// Holds what is there against what is known. What nobody was told is known from now on.
fn compare(leases: &[Value], known: &mut BTreeMap<String, Known>, round: u64) {
    let mut there: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut held = HashSet::new();
    for lease in leases {
        let id = lease["name"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(there.insert(id, lease).is_none(), "{id} is there twice");
        assert!(known.contains_key(id), "nobody asked for {lease}");
        if lease["effectiveEndTime"].is_null()
            && !lease["exporter"].as_str().unwrap_or("").is_empty()
        {
            assert!(held.insert(&lease["exporter"]), "a second holder: {lease}");
        }
    }
    for (id, lease) in known {
        let found = there.get(id.as_str());
        let is_as = |lease: &Known| match found {
            None => !lease.is_there,
            Some(found) => {
                lease.is_there
                    && found["selector"] == lease.selector
                    && found["duration"] == seconds(lease.duration)
                    && found["effectiveEndTime"].is_null() != lease.is_released
            }
        };
        if is_as(lease) {
            lease.open = None;
            continue;
        }
        let open = lease.open.take();
        let before = lease.clone();
        if let Some(ask) = open {
            took(lease, ask);
        }
        assert!(
            is_as(lease),
            "round {round}, {id}: {before:?}, unanswered {open:?}, and there is {found:?}"
        );
    }
}
