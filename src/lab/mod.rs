//! The lab file: which exporters, clients and access policies there are, in the form that
//! Jumpstarter's Kubernetes objects have, so that existing manifests load unchanged.
//!
//! A file goes through `yaml` (text to a tree with places), `reader` (a tree to checked fields)
//! and `manifest` (fields to objects). All errors of all files are found in one go. This room
//! knows nothing of how a lab is stored or served.

mod duration;
mod labels;
mod manifest;
mod problem;
mod reader;
mod yaml;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lease::{Client, Command, DeclaredExporter, Name, Policy};

use manifest::Object;
pub use problem::{LabErrors, Place, Problem, nearest};
use reader::{Field, Report};

/// The most bytes that a lab file may have: 16 MiB, more than 10,000 exporters as kubectl prints
/// them.
const MAXIMUM_FILE_SIZE: usize = 16 * 1024 * 1024;

/// Everything that is declared of a lab.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lab {
    pub exporters: Vec<DeclaredExporter>,
    pub clients: Vec<Client>,
    pub policies: Vec<Policy>,
    /// What was passed over, each with its place.
    pub warnings: Vec<Problem>,
}

impl Lab {
    /// Nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exporters.is_empty() && self.clients.is_empty() && self.policies.is_empty()
    }

    /// The command that puts this lab in place of the one before; the warnings are dropped.
    #[must_use]
    pub fn into_command(self) -> Command {
        Command::ReplaceLab {
            exporters: self.exporters,
            clients: self.clients,
            policies: self.policies,
        }
    }
}

/// Reads a lab from a file, or from all `*.yaml` and `*.yml` files of a directory, in the order of
/// their names; not from directories inside it, nor from files whose name starts with a dot.
///
/// # Errors
///
/// All that is wrong in any of the files, also that one cannot be read.
pub fn load(path: &Path) -> Result<Lab, LabErrors> {
    let mut reading = Reading::default();
    match files(path) {
        Ok(files) if files.is_empty() => {
            reading.unreadable(path, "has no file whose name ends in .yaml or .yml");
        }
        Ok(files) => {
            for file in files {
                match File::open(&file).and_then(text) {
                    Ok(text) => reading.file(&file.to_string_lossy(), &text),
                    Err(error) => reading.unreadable(&file, &error.to_string()),
                }
            }
        }
        Err(error) => reading.unreadable(path, &error.to_string()),
    }
    reading.finish()
}

/// Reads a lab from texts, each with the name that its problems are reported under.
///
/// # Errors
///
/// All that is wrong in any of the texts.
pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Lab, LabErrors> {
    let mut reading = Reading::default();
    for (name, text) in files {
        reading.file(name, text);
    }
    reading.finish()
}

/// The lab of the demonstration mode: a handful of boards without processes, and two clients.
///
/// # Errors
///
/// None, as long as the file built in is a good one, which a test sees to.
pub fn demo() -> Result<Lab, LabErrors> {
    parse([("demo.yaml", include_str!("demo.yaml"))])
}

/// The path itself if it is a file, else the lab files in it.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let is_yaml = file
            .extension()
            .is_some_and(|it| it == "yaml" || it == "yml");
        let is_hidden = file
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        // Follows links: Kubernetes mounts the files of a ConfigMap as links.
        if is_yaml && !is_hidden && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn text(file: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(MAXIMUM_FILE_SIZE as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > MAXIMUM_FILE_SIZE {
        return Err(io::Error::other("is larger than 16 MiB; split it"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to());
        let line = good
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
            .count();
        io::Error::other(format!("is not UTF-8 in line {line}"))
    })
}

/// A lab while its files are being read.
#[derive(Default)]
struct Reading {
    lab: Lab,
    errors: Vec<Problem>,
    /// Where each object so far stands.
    known: HashMap<(&'static str, Name), (Arc<str>, Place)>,
}

impl Reading {
    fn file(&mut self, name: &str, text: &str) {
        let report = Report::new(name.into());
        let content = yaml::parse(text);
        for fault in content.faults {
            report.error(fault.place, fault.message);
        }
        for document in &content.documents {
            manifest::read(&Field::root(document, &report), &mut |field, object| {
                self.keep(field, object);
            });
        }
        let (mut errors, mut warnings) = report.into_parts();
        self.errors.append(&mut errors);
        self.lab.warnings.append(&mut warnings);
    }

    /// Takes an object in, unless there is one of its kind and name.
    fn keep(&mut self, field: &Field, object: Object) {
        let (kind, name) = object.identity();
        match self.known.entry((kind, name.clone())) {
            Entry::Occupied(_) if name.id.is_empty() => {}
            Entry::Occupied(earlier) => {
                let (file, Place { line, column }) = earlier.get();
                field.error(format!(
                    "{kind} {} of namespace {} stands already at {file}:{line}:{column}",
                    name.id, name.namespace
                ));
            }
            Entry::Vacant(place) => {
                place.insert(field.position());
            }
        }
        match object {
            Object::Exporter(exporter) => self.lab.exporters.push(exporter),
            Object::Client(client) => self.lab.clients.push(client),
            Object::Policy(policy) => self.lab.policies.push(policy),
        }
    }

    fn unreadable(&mut self, file: &Path, reason: &str) {
        self.errors.push(Problem {
            file: file.to_string_lossy().into(),
            place: None,
            field: String::new(),
            message: reason.to_owned(),
        });
    }

    fn finish(self) -> Result<Lab, LabErrors> {
        if self.errors.is_empty() {
            Ok(self.lab)
        } else {
            Err(LabErrors {
                errors: self.errors,
                warnings: self.lab.warnings,
            })
        }
    }
}

#[cfg(test)]
mod tests;
