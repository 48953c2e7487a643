//! What the lease engine costs, in memory and on one core: `cargo bench --bench lease`.
//!
//! Every command takes the way that the store's writer takes it: decided, applied, settled,
//! committed. Figures are of this machine at this moment; the ratios are what to look at.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark reports and may fail"
)]

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use jumpstarter_gateway::lease::{
    Book, Change, Client, Command, CreateLease, DeclaredExporter, Duration, Labels, Lease,
    LeaseQuery, Name, Policy, PolicyRule, Purpose, ReleaseLease, Selector, Settings, Timestamp,
};

const NAMESPACE: &str = "lab";
const CLIENTS: usize = 100;
/// Exporters share a board a hundred at a time.
const PER_BOARD: usize = 100;

fn main() {
    println!("create and release, {CLIENTS} clients, 1,000 leases waiting");
    let mut rates = Vec::new();
    for exporters in [1_000, 10_000, 100_000] {
        let plain = cycles(exporters, 1_000, false);
        println!("  {exporters:>7} exporters                {plain:>9.0} cycles/s");
        rates.push(plain);
    }
    let ratio = rates
        .first()
        .zip(rates.last())
        .map_or(0.0, |(few, many)| few / many);
    println!("  from 1,000 to 100,000 exporters       {ratio:>9.2} times the cost");
    println!(
        "   10,000 exporters, with policies {:>9.0} cycles/s",
        cycles(10_000, 1_000, true)
    );

    println!("\nfrom a release to the next holder, 10,000 leases waiting");
    for (what, boards, policies) in [
        ("for one board", 1, false),
        ("for 100 boards", 100, false),
        ("for 100 boards, with policies", 100, true),
    ] {
        let mut spans = hand_overs(boards, policies);
        spans.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            spans
                .get((spans.len() as f64 * q) as usize)
                .copied()
                .unwrap_or(0.0)
        };
        println!(
            "  {what:<32} p50 {:>7.1} µs  p99 {:>7.1} µs  max {:>7.1} µs",
            quantile(0.5),
            quantile(0.99),
            quantile(1.0 - f64::EPSILON)
        );
    }

    println!("\n1,000,000 ended and 100,000 active leases");
    let before = resident();
    let started = clock();
    let mut lab = Lab::new(10_000, false);
    lab.fill(1_000_000, 100_000);
    let count = 1_100_000.0;
    println!(
        "  made in                              {:>9.1} s",
        clock() - started
    );
    println!(
        "  memory per lease, one book            {:>9.0} bytes",
        (resident() - before) / count
    );
    let before = resident();
    let mut deciding = Book::new(Settings::default()).serving(Purpose::Decide);
    for record in lab.book.records() {
        deciding.apply(&Change::Put(record));
    }
    println!(
        "  and for a book that only decides      {:>9.0} bytes",
        (resident() - before) / count
    );
    drop(deciding);
    let rate = lab.cycles(100_000);
    println!("  create and release                    {rate:>9.0} cycles/s");
    let mut small = Lab::new(10_000, false);
    small.fill(910, 90);
    println!("  a page of 100                     1,000 leases      1,100,000 leases");
    for (what, filter, tags, only_active) in [
        ("all", "", "", false),
        ("active", "", "", true),
        (
            "of one client",
            "gateway.jumpstarter.dev/client=client-7",
            "",
            false,
        ),
        (
            "of one client, active",
            "gateway.jumpstarter.dev/client=client-7",
            "",
            true,
        ),
        ("of one tag", "", "build=7", false),
        ("of one board", "board=b5", "", false),
        ("pending", "gateway.jumpstarter.dev/state=pending", "", true),
    ] {
        let query = LeaseQuery {
            filter: Selector::parse(filter).expect("a filter"),
            tag_filter: Selector::parse(tags).expect("a filter"),
            only_active,
        };
        let (few, many) = (small.page(&query), lab.page(&query));
        println!(
            "    {what:<24} {:>9.1} µs ({:>3})   {:>9.1} µs ({:>3})   {:>5.2} times",
            few.0,
            few.1,
            many.0,
            many.1,
            many.0 / few.0
        );
    }
    let started = clock();
    let mut rebuilt = Book::new(Settings::default());
    for record in lab.book.records() {
        rebuilt.apply(&Change::Put(record));
    }
    rebuilt.settle(lab.now);
    println!(
        "  loaded again and settled in          {:>9.1} s",
        clock() - started
    );
    println!(
        "\none exporter heard of, of 10,000       {:>9.2} µs",
        lab.ticks()
    );
}

fn cycles(exporters: usize, waiting: usize, policies: bool) -> f64 {
    let mut lab = Lab::new(exporters, policies);
    lab.wait(waiting, 1);
    lab.cycles(50_000);
    lab.cycles(300_000)
}

/// How long it takes, in microseconds, from the release of a lease to the next one being Ready.
fn hand_overs(boards: usize, policies: bool) -> Vec<f64> {
    let mut lab = Lab::new(10_000, policies);
    lab.wait(10_000, boards);
    let mut spans = Vec::new();
    for _ in 0..5_000 {
        let Some(holder) = lab.holders.pop() else {
            break;
        };
        let release = lab.release(holder);
        let started = Instant::now();
        let changes = lab.submit(&release);
        spans.push(started.elapsed().as_secs_f64() * 1e6);
        let granted = changes
            .iter()
            .rev()
            .find_map(granted)
            .expect("somebody waits");
        lab.holders.insert(0, granted);
    }
    spans
}

struct Lab {
    book: Book,
    now: Timestamp,
    created: usize,
    holders: Vec<Arc<Lease>>,
    /// How many boards there are, and how many of the first have no exporter to spare.
    boards: usize,
    busy: usize,
}

impl Lab {
    fn new(exporters: usize, has_policies: bool) -> Self {
        let mut lab = Self {
            book: Book::new(Settings::default()),
            now: Timestamp::new(1_767_225_600, 0),
            created: 0,
            holders: Vec::new(),
            boards: exporters / PER_BOARD,
            busy: 0,
        };
        let exporters = (0..exporters).map(|index| DeclaredExporter {
            name: Name::new(NAMESPACE, format!("exporter-{index:06}")),
            labels: Labels::from([
                ("board".to_owned(), format!("b{}", index / PER_BOARD)),
                ("arch".to_owned(), "arm64".to_owned()),
                ("site".to_owned(), format!("s{}", index % 7)),
                ("vendor".to_owned(), format!("v{}", index % 13)),
                ("serial".to_owned(), format!("{index}")),
            ]),
            enabled: true,
            is_static: true,
        });
        let clients = (0..CLIENTS).map(|index| Client {
            name: Name::new(NAMESPACE, format!("client-{index}")),
            labels: Labels::from([("team".to_owned(), format!("t{}", index % 10))]),
            username: None,
            uid: None,
            provisioned: false,
            revision: 0,
        });
        let policies = (0..if has_policies { 5 } else { 0 }).map(|index| Policy {
            name: Name::new(NAMESPACE, format!("policy-{index}")),
            exporters: selector(["", "arch=arm64", "site=s1", "board", "site in (s2,s3)"][index]),
            rules: vec![PolicyRule {
                from: vec![selector(
                    ["", "team=t1", "team=t2", "team in (t3,t4)", ""][index],
                )],
                priority: index as i64,
                maximum_duration: None,
                spot_access: false,
                description: String::new(),
            }],
            revision: 0,
        });
        let (exporters, clients) = (exporters.collect(), clients.collect());
        let policies = policies.collect();
        lab.submit(&Command::ReplaceLab {
            exporters,
            clients,
            policies,
        });
        lab
    }

    /// Takes every exporter of the first boards, and puts `count` more leases into line for them.
    fn wait(&mut self, count: usize, boards: usize) {
        self.busy = boards;
        for index in 0..boards * PER_BOARD + count {
            let create = self.create(index % boards, 1_000_000_000);
            let changes = self.submit(&create);
            self.holders.extend(changes.iter().find_map(granted));
        }
    }

    /// Leases as they add up in a year: ended ones, and some that hold or wait.
    fn fill(&mut self, ended: usize, active: usize) {
        self.busy = self.boards * 9 / 10;
        for index in 0..ended + active {
            let create = self.create(index % self.busy, 1_000_000_000);
            let changes = self.submit(&create);
            if index < ended {
                let holder = changes.iter().find_map(granted).expect("something is free");
                let release = self.release(holder);
                self.submit(&release);
            }
        }
    }

    /// Creates and releases, and how many times a second. What clients send is made beforehand.
    fn cycles(&mut self, count: usize) -> f64 {
        const BATCH: usize = 10_000;
        let (busy, free) = (self.busy, self.boards - self.busy);
        let mut spent = 0.0;
        for _ in 0..count / BATCH {
            let boards = (0..BATCH).map(|index| busy + index % free);
            let creates: Vec<Command> = boards.map(|board| self.create(board, 3_600)).collect();
            let started = clock();
            for create in &creates {
                let changes = self.submit(create);
                let holder = changes.iter().find_map(granted).expect("something is free");
                let release = self.release(holder);
                self.submit(&release);
            }
            spent += clock() - started;
        }
        (count / BATCH * BATCH) as f64 / spent
    }

    /// How long a page of leases takes with everything that is shown of them, in microseconds, and
    /// how many there are.
    fn page(&self, query: &LeaseQuery) -> (f64, usize) {
        let middle = format!("{:08x}", self.created / 3);
        let rounds = 2_000;
        let mut shown = 0;
        let started = clock();
        for round in 0..rounds {
            let after = (round % 2 == 1).then_some(middle.as_str());
            let leases = self.book.leases(self.now, NAMESPACE, query, after, 100);
            let mut views = self.book.views(self.now);
            let views = leases.iter().map(|lease| views.lease(lease));
            shown = shown.max(views.filter(|view| !view.conditions.is_empty()).count());
        }
        ((clock() - started) * 1e6 / f64::from(rounds), shown)
    }

    fn ticks(&mut self) -> f64 {
        let count = 100_000;
        let started = clock();
        for index in 0..count {
            let name = Name::new(NAMESPACE, format!("exporter-{:06}", index % 10_000));
            self.now = self.now + Duration::new(0, 1);
            self.submit(&Command::ExporterSeen { name });
        }
        (clock() - started) * 1e6 / f64::from(count)
    }

    fn create(&mut self, board: usize, seconds: i64) -> Command {
        self.created += 1;
        let id = format!("{:08x}-0000-7000-8000-000000000000", self.created);
        Command::CreateLease(CreateLease {
            name: Name::new(NAMESPACE, id),
            named: false,
            client: Arc::from(format!("client-{}", self.created % CLIENTS)),
            selector: format!("board=b{board}"),
            exporter_name: None,
            allow_disabled: false,
            begin: None,
            end: None,
            duration: Some(Duration::from_seconds(seconds)),
            tags: Labels::from([
                ("build".to_owned(), format!("{}", self.created / 100)),
                ("job".to_owned(), "nightly".to_owned()),
            ]),
            context: Labels::new(),
            if_revision: None,
        })
    }

    fn release(&self, lease: Arc<Lease>) -> Command {
        let (name, caller) = (lease.name.clone(), lease.client.clone());
        Command::ReleaseLease(ReleaseLease {
            name,
            caller,
            if_revision: None,
        })
    }

    fn submit(&mut self, command: &Command) -> Vec<Change> {
        self.now = self.now + Duration::new(0, 1_000);
        let mut changes = self
            .book
            .decide(self.now, command)
            .expect("a command that can be done");
        for change in &changes {
            self.book.apply(change);
        }
        changes.append(&mut self.book.settle(self.now));
        self.book.committed(self.book.revision() + 1);
        changes
    }
}

fn granted(change: &Change) -> Option<Arc<Lease>> {
    match change {
        Change::Put(jumpstarter_gateway::lease::Record::Lease(lease)) => {
            (lease.exporter.is_some() && lease.ended.is_none()).then(|| lease.clone())
        }
        _ => None,
    }
}

fn selector(text: &str) -> Selector {
    Selector::parse(text).expect("a selector")
}

/// The time that this thread has been running, in seconds; on a system that does not say, the time
/// that has passed. Others who use the machine do not count.
fn clock() -> f64 {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    let started = *STARTED.get_or_init(Instant::now);
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = spent.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    spent.map_or_else(|| started.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

/// The memory this process holds, in bytes; 0 where the system does not say.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4_096.0
}
