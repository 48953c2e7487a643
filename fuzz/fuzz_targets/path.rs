//! Any path has one answer: a route that could have been written that way, or methods that are
//! found when they are tried.

#![no_main]

use std::sync::LazyLock;

use jumpstarter_gateway::server;
use jumpstarter_gateway::transcode::Matcher;
use libfuzzer_sys::fuzz_target;

static MATCHER: LazyLock<Matcher<()>> = LazyLock::new(|| {
    let mut matcher = Matcher::default();
    for binding in server::bindings() {
        matcher
            .insert(binding, ())
            .expect("no two routes are the same");
    }
    matcher
});

fuzz_target!(|path: &str| {
    for method in MATCHER.methods(path) {
        let found = MATCHER.find(method, path);
        assert!(found.is_some(), "{method}");
    }
    let Some(found) = MATCHER.find("GET", path) else {
        return;
    };
    for capture in found.split.captures(found.binding, path) {
        assert!(!capture.is_empty() && path.contains(capture), "{capture:?}");
        assert!(
            capture.split('/').all(|segment| !segment.is_empty()),
            "{capture:?}"
        );
    }
});
