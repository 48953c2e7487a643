//! The table that leads from every rule of the lease rules to what shows that it holds.
//!
//! `rules.tsv`: the rule; how it is shown; by what.
//!
//! | how | by what |
//! |---|---|
//! | `scenario` | titles of scenarios, with `; ` between them |
//! | `test` | test functions of this binary |
//! | `elsewhere` | the rule is not the lease engine's; the room it belongs to |
//! | `void` | why there is nothing to hold |

use std::collections::BTreeSet;

use crate::script::scenarios;

/// How many rules each section has.
const SECTIONS: [(char, usize); 21] = [
    ('A', 13),
    ('B', 18),
    ('C', 15),
    ('D', 17),
    ('E', 27),
    ('F', 14),
    ('G', 17),
    ('H', 34),
    ('I', 18),
    ('J', 17),
    ('K', 23),
    ('L', 13),
    ('M', 8),
    ('N', 21),
    ('O', 6),
    ('P', 21),
    ('Q', 8),
    ('R', 9),
    ('S', 32),
    ('T', 8),
    ('U', 7),
];

/// The tests that a rule may name.
const TESTS: [&str; 3] = [
    "selectors::leases_and_filters_read_selectors_as_the_vectors_say",
    "simulation::nothing_that_can_happen_breaks_the_rules",
    "scenarios::every_scenario_goes_as_it_is_written",
];

const TABLE: &str = include_str!("rules.tsv");

fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TABLE.lines().map(|row| {
        let mut columns = row.split('\t');
        let mut next = || {
            columns
                .next()
                .unwrap_or_else(|| panic!("{row:?} has no three columns"))
        };
        (next(), next(), next())
    })
}

#[test]
fn every_rule_is_in_the_table_once_and_in_order() {
    let expected = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| format!("{section}{number}")));
    let found: Vec<&str> = rows().map(|(rule, ..)| rule).collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn what_the_table_names_is_there() {
    let titles: BTreeSet<String> = scenarios().into_iter().map(|one| one.title).collect();
    let mut missing = Vec::new();
    for (rule, how, by) in rows() {
        let is_known = |name: &str| match how {
            "scenario" => titles.contains(name),
            "test" => TESTS.contains(&name),
            "elsewhere" | "void" => name.len() > 3,
            _ => false,
        };
        missing.extend(
            by.split("; ")
                .filter(|name| !is_known(name))
                .map(|name| format!("{rule}: {how}: {name}")),
        );
    }
    assert!(
        missing.is_empty(),
        "rules.tsv names what is not there:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_scenario_is_there_for_some_rule() {
    let named: BTreeSet<&str> = rows().flat_map(|(_, _, by)| by.split("; ")).collect();
    let titles = scenarios().into_iter().map(|one| one.title);
    let unnamed: Vec<String> = titles
        .filter(|title| !named.contains(title.as_str()))
        .collect();
    assert!(
        unnamed.is_empty(),
        "no rule in rules.tsv names:\n{}",
        unnamed.join("\n")
    );
}
