//! Looks at everything that a server with some settings would read, and changes nothing: all that is
//! wrong is found at once. Knows nothing of whether a server runs, and asks nobody over the network.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::log;
use super::run::{certificate_file_names, token_sources};
use super::tls::Certificates;
use crate::config::Settings;
use crate::lab::{self, Lab};
use crate::lease::Name;
use crate::store::embedded::DATABASE;

/// What was found, a sentence each.
#[derive(Debug, Default)]
pub struct Checked {
    pub good: Vec<String>,
    /// The server would start.
    pub warnings: Vec<String>,
    /// The server would not start, or not do what was meant.
    pub problems: Vec<String>,
}

/// Looks at the settings themselves, and at the lab, the tokens, the keys, the certificate and the data
/// directory that they name.
#[must_use]
pub fn check(settings: &Settings) -> Checked {
    let mut checked = Checked::default();
    if let Err(error) = settings.check() {
        checked.problems.push(error.to_string());
    }
    if let Err(problem) = log::filter(&settings.log) {
        checked.problems.push(problem);
    }
    let lab = checked.lab(settings);
    if !settings.demo && !settings.no_auth {
        checked.tokens(settings, lab.as_ref());
    }
    checked.certificate(settings);
    checked.data(settings);
    checked
}

impl Checked {
    fn lab(&mut self, settings: &Settings) -> Option<Lab> {
        let path = settings.lab.as_deref()?;
        match lab::load(path) {
            Ok(lab) => {
                self.warnings
                    .extend(lab.warnings.iter().map(ToString::to_string));
                self.good.push(lab_summary(path, &lab));
                Some(lab)
            }
            Err(errors) => {
                self.problems.push(errors.to_string());
                None
            }
        }
    }

    fn tokens(&mut self, settings: &Settings, lab: Option<&Lab>) {
        let mut present = settings.clone();
        if let Some(folder) = settings.security.keys.as_deref()
            && !folder.exists()
        {
            // To look for what is in it would make it.
            present.security.keys = None;
            let folder = folder.display();
            self.good.push(format!(
                "{folder}: not there yet; the server makes it, and keys in it"
            ));
        }
        let sources = match token_sources(&present) {
            Ok(sources) => sources,
            Err(error) => return self.problems.push(error.to_string()),
        };
        for file in sources.secret_files() {
            self.expect_private(&file);
        }
        let (clients, problems) = sources.look();
        if problems.is_empty() {
            for file in sources.files().iter().filter(|file| file.exists()) {
                self.good.push(format!("{}: right", file.display()));
            }
        }
        self.problems.extend(problems);
        let Some(lab) = lab else {
            return;
        };
        let known: BTreeSet<&Name> = lab.clients.iter().map(|client| &client.name).collect();
        let is_missing = |name: &&Name| !known.contains(*name);
        for name in clients.iter().filter(is_missing) {
            self.warnings.push(format!(
                "tokens: a token stands for the client {name}, which the lab does not have; it is refused{}",
                suggestion(name, &known)
            ));
        }
        let admins = settings.security.admins.iter();
        let admins = admins.filter_map(|admin| admin.split_once('/'));
        let admins: Vec<Name> = admins
            .map(|(namespace, id)| Name::new(namespace, id))
            .collect();
        for name in admins.iter().filter(is_missing) {
            self.warnings.push(format!(
                "admins: the lab does not have the client {name}{}",
                suggestion(name, &known)
            ));
        }
    }

    fn certificate(&mut self, settings: &Settings) {
        let Some(files) = certificate_file_names(settings) else {
            return;
        };
        let is_there = files.certificate.exists() && files.key.exists();
        if settings.security.tls_self_signed && !is_there {
            let certificate = files.certificate.display();
            self.good.push(format!(
                "{certificate}: not there yet; the server makes one"
            ));
            return;
        }
        self.expect_private(&files.key);
        let certificate = files.certificate.display().to_string();
        match Certificates::load(files) {
            Ok(_) => self.good.push(format!("{certificate}: right")),
            Err(error) => self.problems.push(error.to_string()),
        }
    }

    fn data(&mut self, settings: &Settings) {
        let Some(data) = settings.data.as_deref() else {
            return;
        };
        let database = data.join(DATABASE);
        let shown = data.display();
        if database.is_symlink() && !database.exists() {
            let target = std::fs::read_link(&database).unwrap_or_default();
            self.problems.push(format!(
                "data: {} leads to {}, which is not there; is a file system not mounted?",
                database.display(),
                target.display()
            ));
        } else if data.is_dir() {
            self.good.push(format!("{shown}: a directory"));
        } else if data.exists() {
            self.problems.push(format!("data: {shown} is no directory"));
        } else {
            self.good
                .push(format!("{shown}: not there yet; the server makes it"));
        }
    }

    /// Warns of a secret that others can read.
    fn expect_private(&mut self, file: &Path) {
        let Ok(metadata) = file.metadata() else {
            return;
        };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            let file = file.display();
            self.warnings.push(format!(
                "{file}: everybody on this machine can read it (mode {mode:03o}); chmod 600 {file}"
            ));
        }
    }
}

/// What a lab file that is right holds.
#[must_use]
pub fn lab_summary(path: &Path, lab: &Lab) -> String {
    format!(
        "{}: right; exporters: {}, clients: {}, policies: {}",
        path.display(),
        lab.exporters.len(),
        lab.clients.len(),
        lab.policies.len()
    )
}

/// The client that was probably meant.
fn suggestion(name: &Name, known: &BTreeSet<&Name>) -> String {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    match lab::nearest(&name.to_string(), &known) {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => String::new(),
    }
}
