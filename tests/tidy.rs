//! The rules of the house that a program can check: who may use whom, how files begin, what must
//! not be on a request's way, and that ARCHITECTURE.md tells of every room and every crate.
//!
//! The tables of ARCHITECTURE.md are the rules; this test reads them, and reads the code as tokens,
//! so that comments do not count and nothing is compiled. Code for tests is passed over.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test reports"
)]

#[path = "tidy/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// The longest file, in lines: more cannot be held in the head.
const LONGEST: usize = 600;

/// What stops a request where an error should have been answered; a space stands between tokens.
const FORBIDDEN: [&str; 8] = [
    ". unwrap ( )",
    ": unwrap )",
    ". unwrap_err ( )",
    ". expect ( \"",
    "panic !",
    "todo !",
    "unimplemented !",
    "unreachable !",
];

#[test]
fn rooms_use_only_whom_they_may() {
    let rooms = rooms();
    let mut wrong = vec![];
    let mut unused: BTreeMap<&str, BTreeSet<&str>> = rooms
        .iter()
        .map(|(name, room)| {
            (
                name.as_str(),
                room.uses.iter().map(String::as_str).collect(),
            )
        })
        .collect();
    for source in sources() {
        let Some(room) = rooms.get(&source.room) else {
            wrong.push(format!(
                "{}: ARCHITECTURE.md has no row for the room `{}`",
                source.place, source.room
            ));
            continue;
        };
        for used in source.rooms_used() {
            if used != source.room && !room.uses.contains(&used) {
                wrong.push(format!(
                    "{}: `{}` must not use `{used}`",
                    source.place, source.room
                ));
            }
            unused
                .get_mut(source.room.as_str())
                .unwrap()
                .remove(used.as_str());
        }
        if !room.crates {
            let used = source.crates_used(&dependencies());
            wrong.extend(used.iter().map(|name| {
                format!(
                    "{}: `{}` must not use the crate {name}",
                    source.place, source.room
                )
            }));
        }
        if source.leaves_its_room() {
            wrong.push(format!(
                "{}: leaves its room by `super`; write `crate::` and the room",
                source.place
            ));
        }
    }
    for (room, uses) in unused {
        wrong.extend(
            uses.iter()
                .map(|used| format!("ARCHITECTURE.md: `{room}` may use `{used}` and does not")),
        );
    }
    report(&wrong);
}

#[test]
fn a_wrong_import_is_seen() {
    let text = "//! x\nuse crate::{store::Store, lease};\nfn f() { quote! { crate::proto }; g(crate::auth::x()); }\n\
                #[cfg(test)]\nmod tests { use crate::server; fn f() { g.unwrap() } }\nuse tokio::net;\n\
                fn h() { let s = \"/v1/x\"; a.expect(\"\"); panic!(); b.expect(now) } #[expect(x)] fn i() { super::super::k() }";
    let source = Source::read("src/lab/mod.rs", "lab", 1, text);
    assert_eq!(
        source.rooms_used(),
        ["auth", "lease", "store"].map(str::to_owned).into()
    );
    assert_eq!(
        source.crates_used(&["tokio".to_owned(), "serde".to_owned()].into()),
        ["tokio".to_owned()].into()
    );
    assert!(source.leaves_its_room());
    assert_eq!(source.strings_with("/v1/"), ["/v1/x"]);
    assert_eq!(
        source.holds(&FORBIDDEN),
        [". expect ( \"", "panic !"].into()
    );
}

#[test]
fn files_begin_with_what_they_are_and_end_in_time() {
    let mut wrong = vec![];
    for folder in ["src", "tests", "benches"] {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let place = place(&path);
            if !text.starts_with("//! ") {
                wrong.push(format!(
                    "{place}: does not open with `//!`, what it is and what it must not know"
                ));
            }
            let lines = text.lines().count();
            if lines > LONGEST {
                wrong.push(format!("{place}: has {lines} lines, {LONGEST} is the most"));
            }
            // Spelt so that this file does not find itself.
            for mark in [
                concat!("TO", "DO"),
                concat!("FIX", "ME"),
                concat!("XX", "X"),
            ] {
                if text.contains(mark) {
                    wrong.push(format!(
                        "{place}: {mark}; do it, or write it down where users see it"
                    ));
                }
            }
        }
    }
    report(&wrong);
}

#[test]
fn nothing_on_a_requests_way_can_panic() {
    // Build time code may stop the build.
    let running = sources()
        .into_iter()
        .filter(|source| source.room != "codegen");
    let wrong = running.flat_map(|source| {
        let held = source.holds(&FORBIDDEN);
        held.into_iter()
            .map(|call| format!("{}: {call}", source.place))
            .collect::<Vec<_>>()
    });
    report(&wrong.collect::<Vec<_>>());
}

#[test]
fn no_path_of_the_api_is_named_in_code() {
    let wrong = sources().into_iter().flat_map(|source| {
        let strings = source.strings_with("/v1/");
        strings
            .iter()
            .map(|text| format!("{}: {text:?}; paths come from proto files", source.place))
            .collect::<Vec<_>>()
    });
    report(&wrong.collect::<Vec<_>>());
}

#[test]
fn every_crate_has_its_reason() {
    let told: BTreeSet<String> = table("## Crates")
        .into_iter()
        .flat_map(|row| names(&row[0]))
        .collect();
    let used: BTreeSet<String> = manifest_dependencies().into_iter().collect();
    let mut wrong: Vec<String> = used
        .difference(&told)
        .map(|name| format!("ARCHITECTURE.md does not say why there is {name}"))
        .collect();
    wrong
        .extend(told.difference(&used).map(|name| {
            format!("ARCHITECTURE.md tells of {name}, which Cargo.toml does not have")
        }));
    report(&wrong);
}

#[test]
fn every_reason_of_an_error_is_explained_to_users() {
    // The rooms in which errors are made.
    const ROOMS: [&str; 8] = [
        "auth",
        "fault",
        "lease",
        "load",
        "server",
        "service",
        "store",
        "transcode",
    ];
    const OTHERS: [&str; 6] = [
        "CARGO_PKG_VERSION",
        "DELETE",
        "HEAD",
        "OPTIONS",
        "PATCH",
        "POST",
    ];
    let sources = sources();
    let sources = sources
        .iter()
        .filter(|source| ROOMS.contains(&source.room.as_str()));
    let mut given: BTreeSet<&str> = sources.flat_map(Source::reasons).collect();
    given.retain(|text| !OTHERS.contains(text));
    assert!(given.len() > 40, "where are the reasons? {given:?}");
    let page = fs::read_to_string(root().join("docs/recipes/errors.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let told: BTreeSet<&str> = told
        .into_iter()
        .filter(|reason| !reason.contains(char::is_lowercase))
        .collect();
    let place = "docs/recipes/errors.md";
    let mut wrong: Vec<String> = given
        .difference(&told)
        .map(|reason| format!("{place} does not explain {reason}"))
        .collect();
    wrong.extend(
        told.difference(&given)
            .map(|reason| format!("{place} explains {reason}, which no code gives")),
    );
    report(&wrong);
}

#[test]
fn links_between_the_papers_lead_somewhere() {
    let mut pages: Vec<PathBuf> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    pages.extend(files(&root().join("docs")));
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    assert!(pages.len() > 5, "{pages:?}");
    let mut wrong = vec![];
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if !link.contains("://") && !page.with_file_name(target).exists() && !target.is_empty()
            {
                wrong.push(format!("{}: {link} is not there", place(&page)));
            }
        }
    }
    report(&wrong);
}

#[track_caller]
fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What ARCHITECTURE.md says of a room.
struct Room {
    uses: BTreeSet<String>,
    /// It may use crates, not the standard library alone.
    crates: bool,
}

fn rooms() -> BTreeMap<String, Room> {
    let mut rooms = BTreeMap::new();
    for row in table("## Rooms") {
        let room = Room {
            uses: names(&row[1]).into_iter().collect(),
            crates: row[2] != "none",
        };
        rooms.insert(names(&row[0]).concat(), room);
    }
    assert!(
        rooms.contains_key("lease"),
        "the table of rooms in ARCHITECTURE.md has no row `lease`"
    );
    rooms
}

/// The cells of the first table below a heading of ARCHITECTURE.md.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let below = text.lines().skip_while(|line| *line != heading);
    let rows = below
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    // The first two rows are the names of the columns and a line.
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    rows.skip(2).map(cells).collect()
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The library's and the program's files, without those that only tests are made of.
fn sources() -> Vec<Source> {
    let mut sources = vec![];
    for path in rust_files(&root().join("src")) {
        let inside = path
            .strip_prefix(root().join("src"))
            .unwrap()
            .with_extension("");
        let mut modules: Vec<String> = inside
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if modules.last().is_some_and(|last| last == "mod") {
            modules.pop();
        }
        let text = fs::read_to_string(&path).unwrap();
        if modules[0] != "lib" {
            sources.push((
                path.clone(),
                Source::read(&place(&path), &modules[0], modules.len(), &text),
            ));
        }
    }
    let for_tests: BTreeSet<PathBuf> = sources
        .iter()
        .flat_map(|(path, source)| source.test_files(path))
        .collect();
    sources.retain(|(path, _)| !for_tests.contains(path));
    assert!(sources.len() > 50, "where is the code?");
    sources.into_iter().map(|(_, source)| source).collect()
}

/// The names in Cargo.toml, as Cargo has them.
fn manifest_dependencies() -> Vec<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let sections = ["dependencies", "build-dependencies", "dev-dependencies"];
    let tables = sections
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// The same, as code has them.
fn dependencies() -> BTreeSet<String> {
    manifest_dependencies()
        .into_iter()
        .map(|name| name.replace('-', "_"))
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(folder);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path as a reader of the project would write it.
fn place(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}
