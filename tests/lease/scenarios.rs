//! Runs the scenarios: what each verb of the script does, and what it expects.
//!
//! | verb | what it does |
//! |---|---|
//! | `settings minimum= maximum= offline-after= retention= tags=` | first of all: the book's settings |
//! | `exporter NAME LABEL=VALUE.. [disabled] [process]` | declares one; static unless `process` |
//! | `client NAME LABEL=VALUE..`, `policy NAME exporters=SELECTOR` | declare these |
//! | `rule POLICY from=SELECTOR.. priority= max= description= [spot]` | adds a rule to a policy |
//! | `remove KIND NAME` | out of the lab |
//! | `at TIME` | lets time pass, waking at every deadline; from 0s, which is 2026-01-01T00:00:00Z |
//! | `jump TIME` | moves the clock with nobody awake; `settle` wakes somebody |
//! | `restart` | forgets all but what was committed, and settles |
//! | `create NAME by= [selector= exporter= for= begin= end= tag:K= context:K=] [allow-disabled] [unnamed]` | asks |
//! | `update NAME by= [for= begin= end= to= if= selector= exporter= allow-disabled= tag:K= context:K=]` | asks |
//! | `release NAME by= [if=]` | asks |
//! | `forge NAME by= for=` | puts a lease into the book that asks for nothing |
//! | `register`, `report`, `seen`, `connect`, `unregister`, `let-go` | what an exporter says |
//! | `refused CODE REASON ["message"] [field= KEY=]` | the last command was, and how |
//! | `nothing changed` | by the last command |
//! | `lease NAME STATE key=..` | expects; see [`Play::expect_lease`] |
//! | `seen-as NAME online=.. status=.. message=..` | expects of an exporter; `labels=` too |
//! | `list [filter= tags= after= limit=] [all] is=a,b`, `exporters [filter=..] is=a,b` | expects |
//! | `deadline TIME`, `deadline none` | expects |

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jumpstarter_gateway::lease::{
    Change, Client, Code, Command, CreateLease, DeclaredExporter, Duration, ExporterStatus, Labels,
    Lease, LeaseQuery, Policy, PolicyRule, Record, Refusal, ReleaseLease, Revisions, Selector,
    Settings, Timestamp, Unchanged, UpdateLease,
};

use crate::script::{Scenario, Step, scenarios, span};
use crate::world::{EPOCH, NAMESPACE, World, name};

#[test]
fn every_scenario_goes_as_it_is_written() {
    let mut failures = Vec::new();
    let scenarios = scenarios();
    for scenario in &scenarios {
        if let Err(failure) = play(scenario) {
            failures.push(failure);
        }
    }
    let (failed, all) = (failures.len(), scenarios.len());
    assert!(
        failures.is_empty(),
        "{failed} of {all} scenarios failed:\n{}",
        failures.join("\n")
    );
}

#[test]
fn no_two_scenarios_have_one_title() {
    let mut titles: Vec<String> = scenarios()
        .into_iter()
        .map(|scenario| scenario.title)
        .collect();
    titles.sort();
    let twice = titles.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None);
}

/// Plays a scenario; the error says which step failed and how.
fn play(scenario: &Scenario) -> Result<(), String> {
    let mut play = Play::new();
    for step in &scenario.steps {
        catch_unwind(AssertUnwindSafe(|| play.step(step))).map_err(|cause| {
            let message = cause.downcast_ref::<String>().cloned();
            let message = message.or_else(|| cause.downcast_ref::<&str>().map(|&text| text.into()));
            format!(
                "\n{}:{}: {}\n  {}\n    {}",
                scenario.file,
                step.line,
                scenario.title,
                step.text,
                message.unwrap_or_default().replace('\n', "\n    ")
            )
        })?;
    }
    play.no_refusal();
    Ok(())
}

struct Play {
    world: World,
    exporters: BTreeMap<String, DeclaredExporter>,
    clients: BTreeMap<String, Client>,
    policies: BTreeMap<String, Policy>,
    /// The lab has changed and the book has not been told.
    lab_changed: bool,
    refusal: Option<Refusal>,
}

impl Play {
    fn new() -> Self {
        Self {
            world: World::new(Settings::default()),
            exporters: BTreeMap::new(),
            clients: BTreeMap::new(),
            policies: BTreeMap::new(),
            lab_changed: false,
            refusal: None,
        }
    }

    fn step(&mut self, step: &Step) {
        let is_lab = ["exporter", "client", "policy", "rule", "remove"].contains(&&*step.verb);
        if is_lab {
            self.lab_changed = true;
        } else if std::mem::take(&mut self.lab_changed) {
            self.replace_lab();
        }
        if step.verb == "refused" {
            return self.expect_refusal(step);
        }
        self.no_refusal();
        match step.verb.as_str() {
            "settings" => self.world = World::new(settings(step)),
            "exporter" => self.declare_exporter(step),
            "client" => self.declare_client(step),
            "policy" => self.declare_policy(step),
            "rule" => self.declare_rule(step),
            "remove" => self.remove(step.word(0), step.word(1)),
            "at" => self.world.advance(time(step.word(0))),
            "jump" => self.world.jump(time(step.word(0))),
            "settle" => self.world.settle(),
            "restart" => self.world.restart(),
            "create" => self.submit(create(step)),
            "forge" => self.forge(step),
            "update" => {
                let update = self.update(step);
                self.submit(update);
            }
            "release" => self.submit(Command::ReleaseLease(ReleaseLease {
                name: name(step.word(0)),
                caller: step.option("by").expect("by=").into(),
                if_revision: self.revision(step),
            })),
            "register" | "report" | "seen" | "connect" | "unregister" | "let-go" => {
                self.submit(said(step));
            }
            "nothing" => assert!(self.world.changes.is_empty(), "{:#?}", self.world.changes),
            "lease" => self.expect_lease(step),
            "seen-as" => self.expect_exporter(step),
            "list" => self.expect_list(step),
            "exporters" => self.expect_exporters(step),
            "deadline" => {
                let expected = Some(step.word(0)).filter(|text| *text != "none").map(time);
                assert_eq!(self.world.writer.next_deadline(), expected);
            }
            verb => panic!("what does {verb:?} mean?"),
        }
    }

    /// Puts a lease into the books that no command would make: it asks for nothing.
    fn forge(&mut self, step: &Step) {
        let mut world = World::new(Settings::default());
        let Command::CreateLease(mut command) = create(step) else {
            unreachable!()
        };
        command.selector = "a=1".to_owned();
        world.submit(&Command::CreateLease(command)).unwrap();
        let made = world.changes.first().expect("a lease");
        let Change::Put(Record::Lease(lease)) = made else {
            panic!("{made:?} is no lease")
        };
        let lease = Lease {
            selector: Arc::default(),
            ..Lease::clone(lease)
        };
        let change = Change::Put(Record::Lease(Arc::new(lease)));
        self.world.writer.apply(&change);
        self.world.published.apply(&change);
    }

    fn submit(&mut self, command: Command) {
        self.world.changes.clear();
        self.refusal = self.world.submit(&command).err();
    }

    fn no_refusal(&self) {
        assert!(
            self.refusal.is_none(),
            "the step before was refused: {:#?}",
            self.refusal
        );
    }

    fn replace_lab(&mut self) {
        self.submit(Command::ReplaceLab {
            exporters: self.exporters.values().cloned().collect(),
            clients: self.clients.values().cloned().collect(),
            policies: self.policies.values().cloned().collect(),
        });
    }

    fn declare_exporter(&mut self, step: &Step) {
        let exporter = DeclaredExporter {
            name: name(step.word(0)),
            labels: labels(step, ""),
            enabled: !step.has("disabled"),
            is_static: !step.has("process"),
        };
        self.exporters.insert(step.word(0).to_owned(), exporter);
    }

    fn declare_client(&mut self, step: &Step) {
        let (name, labels) = (name(step.word(0)), labels(step, ""));
        let client = Client {
            name,
            labels,
            username: None,
            uid: None,
            provisioned: false,
            revision: 0,
        };
        self.clients.insert(step.word(0).to_owned(), client);
    }

    fn declare_policy(&mut self, step: &Step) {
        step.only(&["exporters"]);
        let exporters = selector(step.option("exporters").unwrap_or_default());
        let policy = Policy {
            name: name(step.word(0)),
            exporters,
            rules: Vec::new(),
            revision: 0,
        };
        self.policies.insert(step.word(0).to_owned(), policy);
    }

    fn declare_rule(&mut self, step: &Step) {
        step.only(&["from", "priority", "max", "description"]);
        let rule = PolicyRule {
            from: step.all("from").map(selector).collect(),
            priority: step
                .option("priority")
                .map_or(0, |text| text.parse().unwrap()),
            maximum_duration: step.option("max").map(span),
            spot_access: step.has("spot"),
            description: step.option("description").unwrap_or_default().to_owned(),
        };
        self.policies
            .get_mut(step.word(0))
            .expect("a policy")
            .rules
            .push(rule);
    }

    fn remove(&mut self, kind: &str, name: &str) {
        let was_there = match kind {
            "exporter" => self.exporters.remove(name).is_some(),
            "client" => self.clients.remove(name).is_some(),
            "policy" => self.policies.remove(name).is_some(),
            _ => false,
        };
        assert!(was_there, "there is no {kind} {name}");
    }

    fn update(&self, step: &Step) -> Command {
        step.only(&[
            "by",
            "if",
            "begin",
            "end",
            "for",
            "to",
            "selector",
            "exporter",
            "allow-disabled",
            "tag:*",
            "context:*",
        ]);
        let or_none = |key: &str| {
            step.option(key)
                .map(|text| (text != "none").then_some(text))
        };
        let some = |labels: Labels| (!labels.is_empty()).then_some(labels);
        Command::UpdateLease(UpdateLease {
            name: name(step.word(0)),
            caller: step.option("by").expect("by=").into(),
            if_revision: self.revision(step),
            begin: or_none("begin").map(|text| text.map(time)),
            end: or_none("end").map(|text| text.map(time)),
            duration: or_none("for").map(|text| text.map(span)),
            transfer_to: step.option("to").map(Arc::from),
            unchanged: Unchanged {
                selector: step.option("selector").map(str::to_owned),
                exporter_name: step.option("exporter").map(str::to_owned),
                allow_disabled: step.option("allow-disabled").map(|text| text == "true"),
                tags: some(labels(step, "tag:")),
                context: some(labels(step, "context:")),
            },
        })
    }

    /// `if=now` is the revision that the lease has, `if=old` one that it had,
    /// `if=either` both, and `if=other` all but the one it has.
    fn revision(&self, step: &Step) -> Option<Box<Revisions>> {
        let present = || self.world.lease(step.word(0)).expect("a lease").revision;
        step.option("if").map(|text| {
            Box::new(match text {
                "now" => present().into(),
                "old" => (present() - 1).into(),
                "either" => Revisions {
                    one_of: Some(vec![present() - 1, present()]),
                    ..Revisions::default()
                },
                "other" => Revisions {
                    none_of: vec![present()],
                    ..Revisions::default()
                },
                _ => panic!("if={text}: now, old, either or other?"),
            })
        })
    }

    fn expect_refusal(&mut self, step: &Step) {
        let refusal = self
            .refusal
            .take()
            .expect("the last command was carried out");
        let code = match refusal.code {
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::FailedPrecondition => "FAILED_PRECONDITION",
            Code::Aborted => "ABORTED",
        };
        assert_eq!(
            (code, refusal.reason),
            (step.word(0), step.word(1)),
            "{}",
            refusal.message
        );
        if let Some(message) = step.words.get(2) {
            assert_eq!(&refusal.message, message);
        }
        assert!(
            !refusal.message.to_lowercase().contains("expired"),
            "{}",
            refusal.message
        );
        for (key, value) in &step.options {
            let found: Vec<&str> = match key.as_str() {
                "field" => refusal
                    .violations
                    .iter()
                    .map(|one| one.field.as_str())
                    .collect(),
                _ => {
                    let facts = refusal.metadata.iter().filter(|(own, _)| own == key);
                    facts.map(|(_, value)| value.as_str()).collect()
                }
            };
            assert_eq!(found, [value], "{key}");
        }
    }

    /// `lease NAME STATE` and any of: `exporter`, `client`, `selector`, `begin`, `end`, `for` (what
    /// was asked for), `began`, `ended`, `lasted` (effective times), `until` (planned end), `ahead`,
    /// `start` (estimated), `generation`, `conditions` (`Pending=False/Ready Ready=True/Ready`, in
    /// order), `message` (of the last condition), `since` (its last transition). `none` is absence.
    fn expect_lease(&self, step: &Step) {
        let Some(lease) = self.world.lease(step.word(0)) else {
            assert_eq!(step.word(1), "gone", "there is no such lease");
            return;
        };
        let view = self.world.view(lease);
        assert_eq!(format!("{:?}", view.state), step.word(1), "{view:#?}");
        let (spans, times) = (|span: Duration| span.to_string(), |at: Timestamp| shown(at));
        for (key, value) in &step.options {
            let last = view.conditions.last().expect("conditions are never empty");
            let found = match key.as_str() {
                "exporter" => lease.exporter.as_ref().map(ToString::to_string),
                "client" => Some(lease.client.to_string()),
                "selector" => Some(lease.selector.to_string()),
                "begin" => lease.begin.map(times),
                "end" => lease.end.map(times),
                "for" => lease.duration.map(spans),
                "began" => view.effective_begin.map(times),
                "ended" => view.effective_end.map(times),
                "lasted" => view.effective_duration.map(spans),
                "until" => view.planned_end.map(times),
                "ahead" => view.ahead.map(|count| count.to_string()),
                "start" => view.estimated_start.map(times),
                "generation" => Some(lease.generation.to_string()),
                "message" => Some(last.message.to_string()),
                "since" => Some(shown(last.last_transition)),
                "observed" => Some(last.observed_generation.to_string()),
                "conditions" => {
                    let conditions = view.conditions.iter().map(|one| {
                        let status = if one.status { "True" } else { "False" };
                        format!("{:?}={status}/{}", one.kind, one.reason)
                    });
                    Some(conditions.collect::<Vec<_>>().join(" "))
                }
                _ => panic!("what is {key:?}?"),
            };
            let expected = match key.as_str() {
                _ if value == "none" => None,
                "begin" | "end" | "began" | "ended" | "until" | "start" | "since" => {
                    Some(shown(time(value)))
                }
                "for" | "lasted" => Some(span(value).to_string()),
                _ => Some(value.clone()),
            };
            assert_eq!(found, expected, "{key} of {view:#?}");
        }
    }

    fn expect_exporter(&self, step: &Step) {
        step.only(&["online", "status", "message", "labels"]);
        let exporter = self.world.exporter(step.word(0)).expect("an exporter");
        let view = self.world.published.view_exporter(self.world.now, exporter);
        for (key, value) in &step.options {
            let found = match key.as_str() {
                "online" => view.online.to_string(),
                "status" => format!("{:?}", view.status),
                "message" => view.status_message.clone(),
                _ => {
                    let pairs = exporter.labels.iter();
                    pairs
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect::<Vec<_>>()
                        .join(",")
                }
            };
            assert_eq!(&found, value, "{key}");
        }
    }

    fn expect_list(&self, step: &Step) {
        step.only(&["filter", "tags", "after", "limit", "is"]);
        let query = LeaseQuery {
            filter: selector(step.option("filter").unwrap_or_default()),
            tag_filter: selector(step.option("tags").unwrap_or_default()),
            only_active: !step.has("all"),
        };
        let limit = step
            .option("limit")
            .map_or(1_000, |text| text.parse().unwrap());
        let (after, now) = (step.option("after"), self.world.now);
        for book in [&self.world.published, &self.world.writer] {
            let found = book.leases(now, NAMESPACE, &query, after, limit);
            let found: Vec<&str> = found.iter().map(|lease| &*lease.name.id).collect();
            assert_eq!(found.join(","), step.option("is").expect("is="));
        }
    }

    fn expect_exporters(&self, step: &Step) {
        step.only(&["filter", "after", "limit", "is"]);
        let filter = selector(step.option("filter").unwrap_or_default());
        let limit = step
            .option("limit")
            .map_or(1_000, |text| text.parse().unwrap());
        let book = &self.world.published;
        let found = book.exporters(NAMESPACE, &filter, step.option("after"), limit);
        let found: Vec<&str> = found.iter().map(|exporter| &*exporter.name.id).collect();
        assert_eq!(found.join(","), step.option("is").expect("is="));
    }
}

fn settings(step: &Step) -> Settings {
    step.only(&["minimum", "maximum", "offline-after", "retention", "tags"]);
    let default = Settings::default();
    Settings {
        minimum_duration: step.option("minimum").map(span),
        maximum_duration: step.option("maximum").map(span),
        offline_after: step
            .option("offline-after")
            .map_or(default.offline_after, span),
        retention: step.option("retention").map_or(default.retention, span),
        max_tags: step
            .option("tags")
            .map_or(default.max_tags, |text| text.parse().unwrap()),
    }
}

fn create(step: &Step) -> Command {
    step.only(&[
        "by",
        "selector",
        "exporter",
        "begin",
        "end",
        "for",
        "tag:*",
        "context:*",
    ]);
    Command::CreateLease(CreateLease {
        name: name(step.word(0)),
        named: !step.has("unnamed"),
        client: step.option("by").expect("by=").into(),
        selector: step.option("selector").unwrap_or_default().to_owned(),
        exporter_name: step.option("exporter").map(str::to_owned),
        allow_disabled: step.has("allow-disabled"),
        begin: step.option("begin").map(time),
        end: step.option("end").map(time),
        duration: step.option("for").map(span),
        tags: labels(step, "tag:"),
        context: labels(step, "context:"),
        if_revision: step.has("if-new").then(|| {
            Box::new(Revisions {
                none: true,
                ..Revisions::default()
            })
        }),
    })
}

/// What an exporter says: `register X LABEL=VALUE..`, `report X STATUS ["message"]`, `seen X`,
/// `connect X`, `unregister X ["reason"]`, `let-go X LEASE`.
fn said(step: &Step) -> Command {
    let name = name(step.word(0));
    let second = || step.words.get(1).cloned().unwrap_or_default();
    match step.verb.as_str() {
        "register" => Command::RegisterExporter {
            name,
            labels: labels(step, ""),
        },
        "seen" => Command::ExporterSeen { name },
        "connect" => Command::ExporterConnected { name },
        "unregister" => Command::UnregisterExporter {
            name,
            reason: second(),
        },
        "let-go" => Command::ReleaseHeldLease {
            exporter: name,
            lease: second().into(),
        },
        _ => {
            let status = match step.word(1) {
                "Unspecified" => ExporterStatus::Unspecified,
                "Offline" => ExporterStatus::Offline,
                "Available" => ExporterStatus::Available,
                "BeforeLeaseHook" => ExporterStatus::BeforeLeaseHook,
                "LeaseReady" => ExporterStatus::LeaseReady,
                "AfterLeaseHook" => ExporterStatus::AfterLeaseHook,
                "AfterLeaseHookFailed" => ExporterStatus::AfterLeaseHookFailed,
                other => panic!("what status is {other:?}?"),
            };
            let message = step.words.get(2).cloned().unwrap_or_default();
            Command::ReportStatus {
                name,
                status,
                message,
            }
        }
    }
}

/// The options whose keys begin with `prefix`, without it.
fn labels(step: &Step, prefix: &str) -> Labels {
    let pairs = step
        .options
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())));
    pairs.collect()
}

fn selector(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn time(text: &str) -> Timestamp {
    EPOCH + span(text)
}

/// A point in time as scripts write it: from the beginning.
fn shown(at: Timestamp) -> String {
    (at - EPOCH).to_string()
}
