//! What the generator writes, for a review to look at: the rows of `ClientService`.
//! `UPDATE_GOLDEN=1` rewrites the copy.

use std::path::Path;
use std::{env, fs};

const GENERATED: &str = include_str!(concat!(
    env!("OUT_DIR"),
    "/jumpstarter/jumpstarter.client.v1.http.rs"
));

const HEADING: &str = "//! A copy of what the build writes for `ClientService`, for readers and reviews. Nothing uses it.\n\n";

#[test]
fn the_rows_are_those_that_were_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/client_service.http.rs");
    let generated = [HEADING, GENERATED].concat();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let reviewed = fs::read_to_string(&path).unwrap();
    let differs = generated
        .lines()
        .zip(reviewed.lines())
        .find(|(new, old)| new != old);
    assert!(
        generated == reviewed,
        "{} is not what the build writes, first at {differs:?}; rewrite it with UPDATE_GOLDEN=1",
        path.display()
    );
}
