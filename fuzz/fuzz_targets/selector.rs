//! Any selector is read or refused; what is read means the same when it is written and read again.

#![no_main]

use jumpstarter_gateway::lease::Selector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(selector) = Selector::parse(text) {
        let written = selector.to_string();
        assert_eq!(
            Selector::parse(&written).as_ref(),
            Ok(&selector),
            "{written:?}"
        );
    }
    let _ = Selector::parse_for_lease(text);
});
