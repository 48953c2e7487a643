//! The form of exports: a line of JSON that says what follows, then one for each record. Field names
//! are those of `record.proto`, and as stable.

use std::io::{self, BufRead, Write};

use serde::de::DeserializeOwned;

use super::{Archive, Progress};
use crate::proto::gateway::store::v1 as pb;
use crate::proto::json::{self, Options};
use crate::store::form::{self, FormError, Reader, VERSION};

/// Writes all of it.
///
/// # Errors
/// Those of the writer, and a record that has no form in JSON.
pub fn write(archive: &Archive, to: &mut impl Write, progress: Progress<'_>) -> io::Result<()> {
    let total = archive.records.len() as u64;
    let header = pb::Header {
        format: u32::from(VERSION),
        revision: archive.revision,
        instance: archive.instance.clone(),
        records: total,
    };
    json::to_writer(&mut *to, &header)?;
    to.write_all(b"\n")?;
    for (index, record) in archive.records.iter().enumerate() {
        json::to_writer(&mut *to, &form::message(record))?;
        to.write_all(b"\n")?;
        progress(index as u64 + 1, total);
    }
    Ok(())
}

/// Reads all of it.
///
/// # Errors
/// The line, counted from 1, and what is wrong with it.
pub fn read(lines: impl BufRead, progress: Progress<'_>) -> Result<Archive, (u64, String)> {
    let mut lines = lines.lines();
    let header = lines.next().unwrap_or_else(|| Ok(String::new()));
    let header = header.map_err(|error| (1, error.to_string()))?;
    let header: pb::Header =
        parsed(&header).map_err(|error| (1, format!("this is no export: {error}")))?;
    match header.format {
        0 => {
            return Err((
                1,
                "this is no export: it does not say its format".to_owned(),
            ));
        }
        version if version > u32::from(VERSION) => {
            return Err((1, FormError::Newer(version).to_string()));
        }
        _ => {}
    }
    let mut reader = Reader::default();
    let mut records = Vec::new();
    for (number, line) in (2..).zip(lines) {
        let line = line.map_err(|error| (number, error.to_string()))?;
        let message = parsed(&line).map_err(|error| (number, error))?;
        let record = reader.from_message(message);
        records.push(record.map_err(|error| (number, error.to_string()))?);
        progress(records.len() as u64, header.records);
    }
    let found = records.len() as u64;
    if found != header.records {
        let fault = format!(
            "the export should have {} records, and it has {found}",
            header.records
        );
        return Err((found + 1, fault));
    }
    Ok(Archive {
        revision: header.revision,
        instance: header.instance,
        records,
    })
}

fn parsed<T: DeserializeOwned>(line: &str) -> Result<T, String> {
    json::from_slice(line.as_bytes(), Options::default()).map_err(|error| {
        // For whoever reads JSON there is one line only.
        let said = error.to_string();
        said.replace(" at line 1 column ", ", column ")
    })
}
