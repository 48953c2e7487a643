//! A book with a clock and a shell around it, as the store has one: a writer's book that decides and
//! settles, and a published one that is only ever applied to.

use jumpstarter_gateway::lease::{
    Book, Change, Command, Duration, Exporter, Lease, LeaseView, Name, Purpose, Record, Refusal,
    Settings, Timestamp,
};

pub const NAMESPACE: &str = "lab";

/// 2026-01-01T00:00:00Z: what scripts count from.
pub const EPOCH: Timestamp = Timestamp::new(1_767_225_600, 0);

pub struct World {
    pub settings: Settings,
    pub writer: Book,
    pub published: Book,
    pub now: Timestamp,
    /// The changes of the last command, with what settling made of it.
    pub changes: Vec<Change>,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let writer = Book::new(settings.clone());
        Self {
            published: writer.clone().serving(Purpose::Show),
            writer: writer.serving(Purpose::Decide),
            settings,
            now: EPOCH,
            changes: Vec::new(),
        }
    }

    /// Carries out a command and all that follows from it.
    pub fn submit(&mut self, command: &Command) -> Result<(), Refusal> {
        let decided = self.writer.decide(self.now, command)?;
        for change in &decided {
            self.writer.apply(change);
        }
        let followed = self.writer.settle(self.now);
        self.commit(decided.into_iter().chain(followed).collect());
        Ok(())
    }

    /// Lets time pass as a shell does that wakes at every deadline.
    pub fn advance(&mut self, to: Timestamp) {
        while let Some(deadline) = self
            .writer
            .next_deadline()
            .filter(|deadline| *deadline <= to)
        {
            assert!(
                deadline > self.now,
                "settled at {}, and due again at {deadline}",
                self.now
            );
            self.now = deadline;
            self.settle();
        }
        self.now = to;
        self.settle();
    }

    /// Moves the clock with nobody awake.
    pub fn jump(&mut self, to: Timestamp) {
        self.now = to;
    }

    pub fn settle(&mut self) {
        let changes = self.writer.settle(self.now);
        self.commit(changes);
    }

    /// Forgets everything but what was committed, and comes back.
    pub fn restart(&mut self) {
        let mut book = Book::new(self.settings.clone());
        for record in self.published.records() {
            book.apply(&Change::Put(record));
        }
        book.committed(self.published.revision());
        self.published = book.clone().serving(Purpose::Show);
        self.writer = book.serving(Purpose::Decide);
        self.settle();
    }

    pub fn lease(&self, id: &str) -> Option<&Lease> {
        self.published.lease(&name(id)).map(|lease| &**lease)
    }

    pub fn exporter(&self, id: &str) -> Option<&Exporter> {
        self.published
            .exporter(&name(id))
            .map(|exporter| &**exporter)
    }

    /// A lease as readers see it. The writer's own book must show the same.
    pub fn view(&self, lease: &Lease) -> LeaseView {
        let view = self.published.view_lease(self.now, lease);
        assert_eq!(
            view,
            self.writer.view_lease(self.now, lease),
            "{}: two books differ",
            lease.name
        );
        view
    }

    fn commit(&mut self, changes: Vec<Change>) {
        let revision = self.writer.revision() + u64::from(!changes.is_empty());
        for change in Change::last_of_each(changes.clone()) {
            self.published.apply(&change);
        }
        for change in &changes {
            if let Change::Put(record) = change {
                assert_eq!(revision_of(record), revision, "{change:?}");
            }
        }
        self.writer.committed(revision);
        self.published.committed(revision);
        self.changes = changes;
    }
}

pub fn name(id: &str) -> Name {
    Name::new(NAMESPACE, id)
}

pub fn seconds(count: i64) -> Duration {
    Duration::from_seconds(count)
}

fn revision_of(record: &Record) -> u64 {
    match record {
        Record::Exporter(exporter) => exporter.revision,
        Record::Client(client) => client.revision,
        Record::Policy(policy) => policy.revision,
        Record::Lease(lease) => lease.revision,
    }
}
