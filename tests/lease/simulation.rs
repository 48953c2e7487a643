//! Thousands of random commands in random worlds with a jumping clock, and after each of them the
//! question whether the rules still hold. What should hold is worked out here from the records
//! alone, by looking at everything, and shares no code with the engine.
//!
//! `SIMULATION_STEPS` and `SIMULATION_SEED` say how many steps and which ones. A failure prints the
//! command that shows it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use jumpstarter_gateway::lease::{Book, Change, Duration, Lease, Record, Settings, Timestamp};

use crate::model::Model;
use crate::random::{Actor, Random};
use crate::world::{EPOCH, World};

/// How many steps a world lives.
const LIFETIME: u64 = 1_000;

#[test]
fn nothing_that_can_happen_breaks_the_rules() {
    let number = |name: &str, otherwise: u64| match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    };
    let steps = number("SIMULATION_STEPS", 60_000);
    let first = number("SIMULATION_SEED", 1);
    for seed in first..first + steps.div_ceil(LIFETIME) {
        let length = steps.min(LIFETIME);
        let mut life = Life::new(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..length {
                life.step();
            }
        }));
        if let Err(cause) = outcome {
            let past: Vec<&str> = life.past.iter().map(String::as_str).collect();
            println!("the last steps:\n  {}", past.join("\n  "));
            println!(
                "to see it again: SIMULATION_SEED={seed} SIMULATION_STEPS={length} cargo test"
            );
            println!("    --release --test lease simulation");
            resume_unwind(cause);
        }
    }
}

/// One random world.
struct Life {
    world: World,
    random: Random,
    actor: Actor,
    /// The leases that have ended, as they were then.
    ended: BTreeMap<Arc<str>, Arc<Lease>>,
    /// The leases that have been given an exporter.
    held: BTreeSet<Arc<str>>,
    past: VecDeque<String>,
    steps: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let settings = Settings {
            retention: Duration::from_seconds(random.below(4 * 3_600) as i64),
            minimum_duration: random.one_in(3).then_some(Duration::from_seconds(60)),
            maximum_duration: random
                .one_in(3)
                .then_some(Duration::from_seconds(3 * 3_600)),
            ..Settings::default()
        };
        let actor = Actor::new(&mut random);
        let (ended, held, past) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        let world = World::new(settings);
        Self {
            world,
            random,
            actor,
            ended,
            held,
            past,
            steps: 0,
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        match self.random.below(20) {
            0..4 => self.let_time_pass(),
            4 if self.random.one_in(4) => self.sleep(),
            5 if self.random.one_in(10) => self.restart(),
            _ => self.command(),
        }
        if self.steps.is_multiple_of(16) {
            self.look_closely();
        }
    }

    fn command(&mut self) {
        let command = self.actor.command(&mut self.random, &self.world);
        self.note(format!("{command:?}"));
        match self.world.submit(&command) {
            Ok(()) => self.check(),
            Err(refusal) => {
                self.note(format!("  refused: {}", refusal.message));
                assert!(
                    !refusal.message.to_lowercase().contains("expired"),
                    "{refusal:?}"
                );
            }
        }
    }

    /// Awake at every deadline.
    fn let_time_pass(&mut self) {
        let to = self.world.now + Duration::from_seconds(self.random.below(900) as i64);
        self.note(format!("at {to}"));
        while let Some(deadline) = self.world.writer.next_deadline().filter(|at| *at <= to) {
            self.nothing_happens_before(deadline);
            self.world.now = self.world.now.max(deadline);
            self.settle();
        }
        self.nothing_happens_before(to);
        self.world.now = to;
        self.settle();
    }

    /// The clock jumps, and whoever comes first finds what has become of it all. Now and then it is
    /// set back; after that everything is looked at again, as exporters may seem to have been heard
    /// of just now.
    fn sleep(&mut self) {
        let span = match self.random.below(6) {
            0 => -(self.random.below(600) as i64),
            1 => self.random.below(100_000) as i64,
            _ => self.random.below(7_200) as i64,
        };
        self.world.now = (self.world.now + Duration::from_seconds(span)).max(EPOCH);
        self.note(format!("jump to {}", self.world.now));
        if span < 0 {
            self.restart();
        } else if self.random.one_in(2) {
            self.settle();
        }
    }

    fn restart(&mut self) {
        self.note("restart".to_owned());
        self.world.restart();
        self.check();
    }

    fn settle(&mut self) {
        self.world.settle();
        self.check();
    }

    /// What must hold whenever the book has settled.
    fn check(&mut self) {
        let model = Model::of(&self.world.published, self.world.now);
        model.one_holder_each();
        model.conditions_are_sound();
        for change in std::mem::take(&mut self.world.changes) {
            match change {
                Change::Put(Record::Lease(lease)) => {
                    self.ended_stay_ended(&lease);
                    let id = lease.name.id.clone();
                    if lease.exporter.is_some() && self.held.insert(id.clone()) {
                        model.nobody_was_overtaken_by(&lease);
                    }
                    if lease.ended.is_some() {
                        self.ended.insert(id, lease);
                    }
                }
                Change::Remove(_, name) => {
                    self.ended.remove(&name.id);
                    self.held.remove(&name.id);
                }
                Change::Put(_) => {}
            }
        }
        model.nobody_waits_for_nothing();
        model.nobody_has_outlived_its_end();
        model.census_is_true(&self.world.published);
    }

    fn ended_stay_ended(&self, lease: &Lease) {
        if let Some(ended) = self.ended.get(&lease.name.id) {
            let expected = Lease {
                released: lease.released,
                generation: lease.generation,
                revision: lease.revision,
                ..Lease::clone(ended)
            };
            assert_eq!(*lease, expected, "an ended lease has changed");
            assert!(
                lease.released || !ended.released,
                "{}: a release was taken back",
                lease.name
            );
        }
    }

    /// A book that is asked too early has nothing to say.
    fn nothing_happens_before(&mut self, then: Timestamp) {
        if !self.random.one_in(8) || then <= self.world.now {
            return;
        }
        let span = (then - self.world.now).seconds().unsigned_abs();
        let between = self.world.now + Duration::from_seconds(self.random.below(span + 1) as i64);
        if between < then {
            let changes = self.world.writer.clone().settle(between);
            assert!(
                changes.is_empty(),
                "the deadline was {then}; at {between}: {changes:#?}"
            );
        }
    }

    /// What is too dear to be looked at after every step.
    fn look_closely(&mut self) {
        let World {
            writer,
            published,
            now,
            settings,
            ..
        } = &self.world;
        let records = |book: &Book| book.records().map(|record| format!("{record:?}")).collect();
        let (of_writer, of_published): (BTreeSet<String>, BTreeSet<String>) =
            (records(writer), records(published));
        assert_eq!(
            of_writer, of_published,
            "the changes do not make the same book"
        );

        let mut settled = writer.clone();
        settled.settle(*now);
        let changes = settled.settle(*now);
        assert!(
            changes.is_empty(),
            "settled, and yet there is more: {changes:#?}"
        );

        let mut rebuilt = Book::new(settings.clone());
        for record in settled.records() {
            rebuilt.apply(&Change::Put(record));
        }
        let changes = rebuilt.settle(*now);
        assert!(
            changes.is_empty(),
            "a rebuilt book finds more to do: {changes:#?}"
        );
        assert_eq!(
            rebuilt.next_deadline(),
            settled.next_deadline(),
            "when there is more to do"
        );

        let model = Model::of(&settled, *now);
        model.places_are_true(&settled);
        model.places_are_true(&rebuilt);
        let query = self.actor.query(&mut self.random);
        model.lists_are_true(&settled, &query);
        model.lists_are_true(&rebuilt, &query);
    }

    fn note(&mut self, what: String) {
        if self.past.len() >= 40 {
            self.past.pop_front();
        }
        self.past.push_back(what);
    }
}
