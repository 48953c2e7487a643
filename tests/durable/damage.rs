//! A database file that was damaged is opened with what was in it, or refused with its name: never
//! with something else, and never with a crash.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jumpstarter_gateway::lease::{Change, Client, Labels, Name, Record};
use jumpstarter_gateway::store::embedded::{self, Database};

use crate::Random;
use crate::server::Server;

const RECORDS: usize = 400;

#[test]
fn a_damaged_file_is_refused_or_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (
        folder.path().join("good.redb"),
        folder.path().join("bad.redb"),
    );
    let mut left = vec![];
    let fill = |database: &mut Database| {
        let records = records();
        let (most, last) = records.split_at(RECORDS - 1);
        database.write(2, most)?;
        database.write(3, last)?;
        // As it is found after a crash.
        left = fs::read(good.with_extension("unfinished")).unwrap();
        Ok(())
    };
    embedded::create(&good, 1, fill).unwrap();
    let closed = fs::read(&good).unwrap();
    let expected = read(&good).unwrap();
    assert_eq!(expected.1.len(), RECORDS);
    assert_ne!(left, closed);
    let mut random = Random::new();
    let mut below = |below: usize| usize::try_from(random.next(below as u64)).unwrap();
    let (mut refused, mut harmless) = (0, 0);
    for attempt in 0..400 {
        let bytes = if attempt % 8 < 4 { &closed } else { &left };
        let mut damaged = bytes.clone();
        let how = match attempt % 4 {
            0 => {
                let length = below(bytes.len());
                damaged.truncate(length);
                format!("truncated to {length}")
            }
            1 => {
                let place = below(bytes.len());
                damaged[place] ^= 1 << below(8);
                format!("a bit changed at {place}")
            }
            2 => {
                // The head of the file, where everything begins.
                let place = below(512);
                damaged[place] ^= u8::try_from(1 + below(255)).unwrap();
                format!("a byte changed at {place}")
            }
            _ => {
                let (start, length) = (below(bytes.len()), 1 + below(8_192));
                let end = bytes.len().min(start + length);
                damaged[start..end].fill(0);
                format!("zeroes from {start} to {end}")
            }
        };
        fs::write(&bad, &damaged).unwrap();
        match read(&bad) {
            Err(said) => {
                assert!(said.contains("bad.redb"), "{how}: {said}");
                refused += 1;
            }
            Ok(found) => {
                // A last commit that the process did not live to see the end of, and that is not
                // whole, is one that never ended: nobody can tell the difference.
                let before = (2, &expected.1[..RECORDS - 1]);
                let is_before = attempt % 8 >= 4 && (found.0, &*found.1) == before;
                assert!(
                    found == expected || is_before,
                    "{how}: it opens with something else"
                );
                harmless += 1;
            }
        }
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(
        refused > 50 && harmless > 0,
        "{refused} refused, {harmless} harmless"
    );
}

#[test]
fn a_server_says_what_to_do_about_a_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.redb");
    Server::start(folder.path()).stop();
    for content in [&b""[..], b"something else", &[0xA5; 100_000]] {
        fs::write(&file, content).unwrap();
        let (code, said) = Server::refusal(folder.path());
        assert_eq!(code, 1, "{said}");
        let is_clear =
            said.contains("gateway.redb") && said.contains("jumpstarter-gateway restore");
        assert!(is_clear && !said.contains("panicked"), "{said}");
    }
}

fn records() -> Vec<Change> {
    let client = |number: usize| {
        let text = "x".repeat(number % 300);
        Change::Put(Record::Client(Arc::new(Client {
            name: Name::new("lab", format!("client-{number:03}")),
            labels: Labels::from([("text", text.as_str())]),
            username: None,
            uid: None,
            provisioned: false,
            revision: 2,
        })))
    };
    (0..RECORDS).map(client).collect()
}

fn read(path: &Path) -> Result<(u64, Vec<Record>), String> {
    let read = || {
        let snapshot = embedded::open(path)?.load(|_, _| {})?;
        Ok((snapshot.revision, snapshot.records))
    };
    read().map_err(|cause: embedded::Cause| cause.to_string())
}
