//! Any query string is read or refused, in an answer that does not grow with it; what is read does
//! not depend on the spelling of its escapes.

#![no_main]

use std::fmt::Write as _;

use jumpstarter_gateway::proto::jumpstarter::client::v1::ListLeasesRequest;
use jumpstarter_gateway::server;
use jumpstarter_gateway::transcode::{Binding, bind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|query: &str| {
    let row = server::bindings()
        .find(|row| row.rpc.ends_with("/ListLeases"))
        .expect("it exists");
    match read(row, query) {
        Ok(request) => assert_eq!(read(row, &escaped(query)).ok(), Some(request)),
        Err(message) => assert!(message.len() < 5_000, "{message}"),
    }
});

fn read(row: &'static Binding, query: &str) -> Result<ListLeasesRequest, String> {
    bind(row, ["namespaces/a"].into_iter(), Some(query), b"").map_err(|fault| fault.to_string())
}

/// The same with every letter and digit outside of escapes escaped.
fn escaped(query: &str) -> String {
    let mut text = String::new();
    let mut kept = 0_u8;
    for character in query.chars() {
        match character {
            '%' => kept = 3,
            _ if kept == 0 && character.is_ascii_alphanumeric() => {
                let _ = write!(text, "%{:02x}", u32::from(character));
                continue;
            }
            _ => {}
        }
        kept = kept.saturating_sub(1);
        text.push(character);
    }
    text
}
