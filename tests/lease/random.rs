//! Random numbers, and people and exporters who do random things with them.

use std::sync::Arc;

use jumpstarter_gateway::lease::{
    Client, Command, CreateLease, DeclaredExporter, Duration, ExporterStatus, Labels, Lease,
    LeaseQuery, Policy, PolicyRule, Record, ReleaseLease, Selector, Timestamp, Unchanged,
    UpdateLease,
};

use crate::world::{World, name};

/// Numbers from a seed (SplitMix64): the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0..bound, and 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

const CLIENTS: [&str; 4] = ["anna", "ben", "cid", "dora"];
const EXPORTERS: [&str; 8] = ["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7"];
const SELECTORS: [&str; 14] = [
    "board=a",
    "board=b",
    "board=c",
    "board=a,site=x",
    "site=x",
    "site=y",
    "board in (a,b)",
    "board!=a",
    "board",
    "!board,site",
    "site,board notin (b)",
    "jumpstarter.dev/self=1",
    "nobody=has",
    "board=a,board=a",
];
const FILTERS: [&str; 14] = [
    "",
    "board=a",
    "board=a,site=x",
    "!board",
    "gateway.jumpstarter.dev/client=anna",
    "gateway.jumpstarter.dev/client in (anna,ben)",
    "gateway.jumpstarter.dev/client!=anna",
    "gateway.jumpstarter.dev/exporter=e1",
    "!gateway.jumpstarter.dev/exporter",
    "gateway.jumpstarter.dev/state=ready",
    "gateway.jumpstarter.dev/state=pending,gateway.jumpstarter.dev/client=ben",
    "gateway.jumpstarter.dev/state notin (ended)",
    "jumpstarter.dev/lease-ended=true",
    "metadata.jumpstarter.dev/build=1",
];
const TAG_FILTERS: [&str; 4] = ["", "build=1", "build=1,team", "!team"];
const STATUSES: [ExporterStatus; 8] = [
    ExporterStatus::Unspecified,
    ExporterStatus::Offline,
    ExporterStatus::Available,
    ExporterStatus::Available,
    ExporterStatus::Available,
    ExporterStatus::LeaseReady,
    ExporterStatus::AfterLeaseHook,
    ExporterStatus::AfterLeaseHookFailed,
];

/// Everybody who does something in one world.
pub struct Actor {
    /// Whether there are ever access policies.
    has_policies: bool,
    /// How many leases have been created.
    created: u64,
    has_lab: bool,
}

impl Actor {
    pub fn new(random: &mut Random) -> Self {
        Self {
            has_policies: random.one_in(2),
            created: 0,
            has_lab: false,
        }
    }

    /// What somebody asks for next.
    pub fn command(&mut self, random: &mut Random, world: &World) -> Command {
        if !self.has_lab {
            self.has_lab = true;
            return self.lab(random);
        }
        match random.below(100) {
            0..35 => Command::CreateLease(self.create(random, world.now)),
            35..50 => update(random, world),
            50..70 => release(random, world),
            70 => self.lab(random),
            71 => let_go(random, world),
            72..78 => Command::RegisterExporter {
                name: name(random.of(&EXPORTERS)),
                labels: own(random),
            },
            78..88 => Command::ReportStatus {
                name: name(random.of(&EXPORTERS)),
                status: random.of(&STATUSES),
                message: String::new(),
            },
            88..97 => Command::ExporterSeen {
                name: name(random.of(&EXPORTERS)),
            },
            97 => Command::ExporterConnected {
                name: name(random.of(&EXPORTERS)),
            },
            98 if random.one_in(3) => Command::UnregisterExporter {
                name: name(random.of(&EXPORTERS)),
                reason: String::new(),
            },
            _ => Command::ExporterSeen {
                name: name(random.of(&EXPORTERS)),
            },
        }
    }

    /// Something to filter leases by.
    pub fn query(&self, random: &mut Random) -> LeaseQuery {
        LeaseQuery {
            filter: Selector::parse(random.of(&FILTERS)).unwrap(),
            tag_filter: Selector::parse(random.of(&TAG_FILTERS)).unwrap(),
            only_active: random.one_in(2),
        }
    }

    fn create(&mut self, random: &mut Random, now: Timestamp) -> CreateLease {
        self.created += 1;
        // Names out of order, and now and then one that is taken.
        let number = self.created.wrapping_mul(7_919) % 10_007;
        let id = if random.one_in(20) {
            self.created / 2
        } else {
            number
        };
        let by_name = random.one_in(4);
        let selector = if by_name && random.one_in(2) {
            ""
        } else {
            random.of(&SELECTORS)
        };
        let mut tags = Labels::new();
        if random.one_in(3) {
            tags.insert("build", random.below(3).to_string());
        }
        if random.one_in(4) {
            tags.insert("team", "x");
        }
        let (begin, end, duration) = times(random, now);
        CreateLease {
            name: name(&format!("lease-{id:05}")),
            named: random.one_in(2),
            client: Arc::from(random.of(&CLIENTS)),
            selector: selector.to_owned(),
            exporter_name: by_name.then(|| random.of(&EXPORTERS).to_owned()),
            allow_disabled: random.one_in(3),
            begin,
            end,
            duration,
            tags,
            context: Labels::new(),
            if_revision: None,
        }
    }

    fn lab(&self, random: &mut Random) -> Command {
        let mut exporters = Vec::new();
        for id in EXPORTERS {
            if random.one_in(8) {
                continue;
            }
            let mut labels = Labels::new();
            if !random.one_in(6) {
                labels.insert("board", random.of(&["a", "a", "b", "c"]));
            }
            if random.one_in(2) {
                labels.insert("site", random.of(&["x", "y"]));
            }
            let (enabled, is_static) = (!random.one_in(6), random.one_in(2));
            exporters.push(DeclaredExporter {
                name: name(id),
                labels,
                enabled,
                is_static,
            });
        }
        let clients = CLIENTS.iter().filter(|_| !random.one_in(10)).map(|id| {
            let labels = Labels::from([("client", *id)]);
            Client {
                name: name(id),
                labels,
                username: None,
                uid: None,
                provisioned: false,
                revision: 0,
            }
        });
        let clients = clients.collect();
        let count = if self.has_policies {
            random.below(4)
        } else {
            0
        };
        let policies = (0..count).map(|index| policy(random, index)).collect();
        Command::ReplaceLab {
            exporters,
            clients,
            policies,
        }
    }
}

fn policy(random: &mut Random, index: u64) -> Policy {
    let exporters = random.of(&["", "board=a", "site=x", "board in (a,b)", "!site"]);
    let rules = (0..=random.below(3)).map(|_| PolicyRule {
        from: (0..=random.below(2))
            .map(|_| random.of(&["", "client=anna", "client in (ben,cid)", "client!=ben"]))
            .map(|text| Selector::parse(text).unwrap())
            .collect(),
        priority: random.below(3) as i64,
        maximum_duration: random
            .one_in(3)
            .then(|| Duration::from_seconds(600 * random.below(6) as i64)),
        spot_access: random.one_in(5),
        description: String::new(),
    });
    Policy {
        name: name(&format!("policy-{index}")),
        exporters: Selector::parse(exporters).unwrap(),
        rules: rules.collect(),
        revision: 0,
    }
}

fn times(
    random: &mut Random,
    now: Timestamp,
) -> (Option<Timestamp>, Option<Timestamp>, Option<Duration>) {
    let point = |random: &mut Random| {
        let offset = random.below(7_200) as i64 - 600;
        now + Duration::new(offset, random.below(1_000) as i32)
    };
    let span = Duration::from_seconds(random.below(3_000) as i64 - 20);
    match random.below(12) {
        0 => (Some(point(random)), None, Some(span)),
        1 => (Some(point(random)), Some(point(random)), None),
        2 => (None, Some(point(random)), Some(span)),
        3 => {
            let begin = point(random);
            (Some(begin), Some(begin + span), Some(span))
        }
        4 if random.one_in(4) => (Some(point(random)), None, None),
        _ => (None, None, Some(span)),
    }
}

fn update(random: &mut Random, world: &World) -> Command {
    let Some(lease) = any_lease(random, world) else {
        return Command::ExporterSeen { name: name("e0") };
    };
    let (begin, end, duration) = times(random, world.now);
    let caller = if random.one_in(20) {
        Arc::from(random.of(&CLIENTS))
    } else {
        lease.client
    };
    let clears = random.one_in(6);
    Command::UpdateLease(UpdateLease {
        name: lease.name,
        caller,
        if_revision: random.one_in(10).then(|| Box::new(lease.revision.into())),
        begin: (begin.is_some() || clears && random.one_in(2)).then_some(begin),
        end: (end.is_some() || clears && random.one_in(2)).then_some(end),
        duration: (duration.is_some() || clears && random.one_in(2)).then_some(duration),
        transfer_to: random.one_in(5).then(|| Arc::from(random.of(&CLIENTS))),
        unchanged: Unchanged::default(),
    })
}

fn release(random: &mut Random, world: &World) -> Command {
    let Some(lease) = any_lease(random, world) else {
        return Command::ExporterSeen { name: name("e0") };
    };
    let caller = if random.one_in(20) {
        Arc::from(random.of(&CLIENTS))
    } else {
        lease.client
    };
    Command::ReleaseLease(ReleaseLease {
        name: lease.name,
        caller,
        if_revision: None,
    })
}

fn let_go(random: &mut Random, world: &World) -> Command {
    match any_lease(random, world) {
        Some(lease) => {
            let exporter = name(lease.exporter.as_deref().unwrap_or("e0"));
            Command::ReleaseHeldLease {
                exporter,
                lease: lease.name.id,
            }
        }
        None => Command::ExporterSeen { name: name("e0") },
    }
}

/// Mostly one that has not ended.
fn any_lease(random: &mut Random, world: &World) -> Option<Lease> {
    let with_ended = random.one_in(10);
    let leases = world.published.records().filter_map(|record| match record {
        Record::Lease(lease) if with_ended || lease.ended.is_none() => Some(lease),
        _ => None,
    });
    let leases: Vec<Arc<Lease>> = leases.collect();
    (!leases.is_empty()).then(|| random.of(&leases).as_ref().clone())
}

/// What an exporter says of itself when it registers.
fn own(random: &mut Random) -> Labels {
    if random.one_in(4) {
        Labels::from([("jumpstarter.dev/self", "1")])
    } else {
        Labels::new()
    }
}
