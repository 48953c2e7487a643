//! The domain: who holds which exporter, until when, and who is next.
//!
//! [`Book`] is a plain value. It is told the time, it is told what is asked for, and it answers
//! with what changes; it reads no clock, does no I/O, and knows nothing of HTTP, protobuf or JSON.
//! This room uses the standard library alone.
//!
//! In the order in which a command walks through it:
//!
//! - `command`: what can be asked, and how the book says no
//! - `book`: the way in; every change is decided or settled, then applied
//! - `decide`: from a command to the changes it makes
//! - `namespace`: one namespace's records and what has to be looked at; of
//!   `exporters`, `leases` (and `lists` of them), `access` (policies) and `queue` (who waits)
//! - `claim`: what one lease wants and may have, and which exporter is the best for it
//! - `settle`: what follows from state and time; `verdict` says who can never be served
//! - `query`: what lists are filtered by
//! - `view`: records as they are shown at a moment; `outlook` is what a waiting lease can expect;
//!   `census` counts them
//! - `record`, `life`: what is kept, and the steps of a lease's life
//! - `selector`, `grammar`, `labels`, `time`, `named`, `index`, `sorted`, `hash`: what the rest is made of

mod access;
mod book;
mod census;
mod claim;
mod command;
mod decide;
mod exporters;
pub mod grammar;
pub mod hash;
mod index;
mod labels;
mod leases;
mod life;
mod lists;
mod named;
mod namespace;
mod outlook;
mod plans;
mod query;
mod queue;
mod record;
mod selector;
mod settle;
mod sorted;
mod time;
mod verdict;
mod view;

pub use book::{Book, Purpose, Settings};
pub use census::Census;
pub use command::*;
pub use labels::Labels;
pub use life::{Ending, LeaseState, REASONS, known_message, known_reason};
pub use query::{CLIENT_KEY, EXPORTER_KEY, LeaseQuery, STATE_KEY};
pub use record::*;
pub use selector::{Operator, Requirement, Selector, SelectorError};
pub use time::{Duration, Timestamp};
pub use view::{ExporterView, LeaseView, Views};
