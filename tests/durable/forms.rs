//! Files that earlier versions wrote: `tests/kept/N/` has a database that was made when the form of
//! records had version N, and the export of it. Whatever version this is, it reads them all.
//!
//! The files of a version are made once, with the program that has it, and never again:
//! `jumpstarter-gateway import --data /tmp/kept tests/kept/N/records.jsonl`, and then
//! `/tmp/kept/gateway.redb` is `tests/kept/N/gateway.redb`.

use std::fs;
use std::path::Path;

use jumpstarter_gateway::archive::Archive;
use jumpstarter_gateway::lease::{Record, Settings};
use jumpstarter_gateway::store::embedded::Embedded;
use jumpstarter_gateway::store::{Store, form};

fn kept() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kept"))
}

#[tokio::test]
async fn every_version_can_be_read() {
    for version in 1..=form::VERSION {
        let files = kept().join(version.to_string());
        let lines = files.join("records.jsonl");
        let export = fs::File::open(&lines).unwrap_or_else(|error| panic!("{lines:?}: {error}"));
        let export = Archive::of_lines("records.jsonl", export, &mut |_, _| {}).unwrap();
        // A database that is opened is written to.
        let folder = tempfile::tempdir().unwrap();
        fs::copy(
            files.join("gateway.redb"),
            folder.path().join("gateway.redb"),
        )
        .unwrap();
        let found = Archive::of(folder.path(), &mut |_, _| {}).unwrap();
        let sorted = |mut records: Vec<Record>| {
            records.sort_by_key(|record| (record.kind(), record.name().clone()));
            records
        };
        let count = found.records.len();
        assert!(count > 8, "version {version}: {count} records");
        assert_eq!(
            sorted(found.records),
            sorted(export.records),
            "version {version}"
        );
        // And a server can go on with them.
        let engine = Embedded::open(folder.path(), 0).unwrap();
        let clock = std::sync::Arc::new(jumpstarter_gateway::lease::Timestamp::default);
        let store = Store::open(engine, Settings::default(), clock)
            .await
            .unwrap();
        assert_eq!(store.read(|book, _| book.records().count()), count);
    }
}

/// Every field of every kind of record is in the newest files, and is read back as it was written.
#[test]
fn nothing_is_left_out_of_the_newest_files() {
    let lines = kept().join(form::VERSION.to_string()).join("records.jsonl");
    let text = fs::read_to_string(&lines).unwrap();
    let proto = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/proto/gateway/store/v1/record.proto"
    );
    for line in fs::read_to_string(proto).unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = match words[..] {
            [.., name, "=", number] if line.starts_with("  ") && number.ends_with(';') => name,
            _ => continue,
        };
        let is_value = name.chars().all(|it| it.is_ascii_uppercase() || it == '_');
        // Values that are 0 are never written.
        let wanted = match is_value {
            true if name.ends_with("_UNSPECIFIED") => continue,
            true => format!("\"{name}\""),
            false => format!("\"{}\":", json_name(name)),
        };
        assert!(
            text.contains(&wanted),
            "{} has no {wanted}",
            lines.display()
        );
    }
    let export = Archive::of_lines("records.jsonl", text.as_bytes(), &mut |_, _| {}).unwrap();
    let mut again = vec![];
    export.write_lines(&mut again, &mut |_, _| {}).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), text);
    let mut reader = form::Reader::default();
    for record in &export.records {
        assert_eq!(reader.record(&form::bytes(record)).as_ref(), Ok(record));
    }
}

#[test]
fn a_later_version_and_no_version_are_refused() {
    let mut reader = form::Reader::default();
    let said = reader
        .record(&[form::VERSION + 1, 1, 2, 3])
        .unwrap_err()
        .to_string();
    assert!(said.contains("a later program wrote it"), "{said}");
    for bytes in [&[][..], &[0], &[1], &[1, 0xff], &[1, 0x0a, 2, 0x0a, 0]] {
        assert!(reader.record(bytes).is_err(), "{bytes:?}");
    }
}

fn json_name(field: &str) -> String {
    let mut name = String::new();
    let mut upper = false;
    for letter in field.chars() {
        match letter {
            '_' => upper = true,
            _ if std::mem::take(&mut upper) => name.push(letter.to_ascii_uppercase()),
            _ => name.push(letter),
        }
    }
    name
}
