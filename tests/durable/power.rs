//! The embedded engine on a disk that fails and loses power: what it acknowledged is there, what it
//! said had failed is not, and what it could not tell is there as a whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use jumpstarter_gateway::lease::{Change, Client, Kind, Labels, Name, Record};
use jumpstarter_gateway::store::embedded::{self, Cause, Database, Embedded};
use jumpstarter_gateway::store::{CommitError, Engine, Snapshot};

use crate::disk::Disk;
use crate::{Random, setting};

type Records = BTreeMap<(Kind, Name), Record>;

/// What may be kept: the first of these is what was acknowledged last.
struct Expected(Vec<(u64, Records)>);

#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_power_comes_back() {
    let mut random = Random::new();
    let disk = Disk::default();
    let make = || Ok(embedded::builder().create_with_backend(disk.open())?);
    drop(Database::make(make, 7).unwrap());
    let mut expected = Expected(vec![(7, Records::new())]);
    let (mut acknowledged, mut failed, mut unknown) = (0, 0, 0);
    for number in 0..setting("DURABLE_CRASHES", 150) {
        let mut engine = match open(&disk) {
            Ok(engine) => engine,
            Err(cause) => panic!("crash {number}: {cause}"),
        };
        expected.settle(
            engine.load().await.unwrap(),
            &format!("after crash {number}"),
        );
        for step in 0.. {
            let place = format!("crash {number}, step {step}");
            if random.next(4) == 0 {
                // A fault that passes, or one that stays until the power goes.
                let bad = (random.next(2) == 0).then(|| 1 + random.next(3));
                disk.fail(random.next(30), bad);
            }
            let (base, records) = expected.0[0].clone();
            let changes = changes(&mut random, base + 1, &records);
            let after = (base + 1, applied(records, &changes));
            match engine.commit(base, &changes).await {
                Ok(revision) => {
                    assert_eq!(revision, base + 1, "{place}");
                    expected.0 = vec![after];
                    acknowledged += 1;
                }
                Err(CommitError::Failed(_)) => failed += 1,
                Err(CommitError::Unknown(_)) => {
                    expected.0.push(after);
                    unknown += 1;
                }
                Err(CommitError::Conflict) => panic!("{place}: nobody else writes"),
            }
            match engine.load().await {
                Ok(snapshot) => expected.settle(snapshot, &place),
                Err(_) => break,
            }
            if random.next(12) == 0 {
                break;
            }
        }
        disk.crash(&mut random);
        drop(engine);
    }
    println!("{acknowledged} commits acknowledged, {failed} failed, {unknown} unknown");
    assert!(
        acknowledged > 0 && failed > 0,
        "the disk does not do its part"
    );
}

fn open(disk: &Disk) -> Result<Embedded, impl std::fmt::Display> {
    let disk = disk.clone();
    let open = move || -> Result<redb::Database, redb::Error> {
        Ok(embedded::builder().create_with_backend(disk.open())?)
    };
    Embedded::over(Arc::new(move || -> Result<Database, Cause> {
        Database::read(&open)
    }))
}

impl Expected {
    /// What is found is one of those, and from now on the only one.
    fn settle(&mut self, found: Snapshot, place: &str) {
        let records: Records = found.records.into_iter().map(keyed).collect();
        let found = (found.revision, records);
        let known = self.0.contains(&found);
        let expected = self
            .0
            .iter()
            .map(|(revision, records)| (revision, records.len()));
        let expected: Vec<_> = expected.collect();
        assert!(
            known,
            "{place}: found revision {} with {} records, expected one of {:?}",
            found.0,
            found.1.len(),
            expected
        );
        self.0 = vec![found];
    }
}

fn keyed(record: Record) -> ((Kind, Name), Record) {
    ((record.kind(), record.name().clone()), record)
}

/// A few records put and removed, some of them large.
fn changes(random: &mut Random, revision: u64, present: &Records) -> Vec<Change> {
    let mut changes = vec![];
    for _ in 0..=random.next(12) {
        let name = Name::new("lab", format!("client-{}", random.next(300)));
        if random.next(3) == 0 && present.contains_key(&(Kind::Client, name.clone())) {
            changes.push(Change::Remove(Kind::Client, name));
            continue;
        }
        let text = "x".repeat(usize::try_from(random.next(600)).unwrap());
        changes.push(Change::Put(Record::Client(Arc::new(Client {
            name,
            labels: Labels::from([("text", text.as_str())]),
            username: None,
            uid: None,
            provisioned: false,
            revision,
        }))));
    }
    changes
}

fn applied(mut records: Records, changes: &[Change]) -> Records {
    for change in changes {
        match change {
            Change::Put(record) => {
                records.extend([keyed(record.clone())]);
            }
            Change::Remove(kind, name) => {
                records.remove(&(*kind, name.clone()));
            }
        }
    }
    records
}
