//! The form in which records are kept and exported: what `record.proto` says, and before every
//! record the version of that form. Knows nothing of where the bytes go.

mod read;
mod write;

use std::fmt;

use prost::Message;

use crate::lease::Record;
use crate::proto::gateway::store::v1 as pb;

pub use read::Reader;
pub use write::message;

/// The version that is written, and the newest one that can be read.
///
/// Version 1 is the first. Another one is needed only where a program of this version would take a
/// newer record for something that it is not: fields that mean nothing to it do no harm. Whoever
/// adds one keeps reading all before it, and adds files of it to `tests/kept/`.
pub const VERSION: u8 = 1;

/// Why something is no record to this program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FormError {
    /// It has this later version of the form.
    Newer(u32),
    Wrong(String),
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(version) => write!(
                f,
                "it has version {version} of the form of records, and this program knows versions \
                 up to {VERSION}: a later program wrote it, use that one"
            ),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for FormError {}

/// A record as bytes, the version first.
pub fn bytes(record: &Record) -> Vec<u8> {
    let message = message(record);
    let mut bytes = Vec::with_capacity(1 + message.encoded_len());
    bytes.push(VERSION);
    message.encode_raw(&mut bytes);
    bytes
}

impl Reader {
    /// The record that [`bytes()`] of this or an earlier version made.
    ///
    /// # Errors
    /// They are not that, or of a later version.
    pub fn record(&mut self, bytes: &[u8]) -> Result<Record, FormError> {
        match bytes.split_first() {
            Some((1, message)) => {
                let message = pb::Record::decode(message);
                self.from_message(message.map_err(|error| FormError::Wrong(error.to_string()))?)
            }
            Some((version, _)) if *version > VERSION => Err(FormError::Newer((*version).into())),
            _ => Err(FormError::Wrong("it is no record".to_owned())),
        }
    }
}
