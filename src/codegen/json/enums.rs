//! BUILD TIME ONLY. Enums with several names for one number (`allow_alias`): pbjson-build knows
//! the first name only, and ProtoJSON reads them all.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::EnumDescriptor;
use syn::visit::Visit;
use syn::visit_mut::VisitMut;
use syn::{Arm, ItemImpl, Lit, Pat, parse_quote};

use super::Mended;

/// Lets an enum be read by the further names of its values too.
pub fn add_aliases<'a>(
    deserialize: impl Iterator<Item = &'a mut ItemImpl>,
    enumeration: &EnumDescriptor,
) -> Mended<()> {
    let mut first_names: BTreeMap<i32, &str> = BTreeMap::new();
    let mut aliases = Aliases(BTreeMap::new());
    for value in &enumeration.enum_descriptor_proto().value {
        match first_names.get(&value.number()) {
            None => {
                first_names.insert(value.number(), value.name());
            }
            Some(&first) => {
                aliases
                    .0
                    .entry(first.to_owned())
                    .or_default()
                    .push(value.name().to_owned());
            }
        }
    }
    if aliases.0.is_empty() {
        return Ok(());
    }
    // The code does not say which enum it is for, but it lists the names.
    let first_names: BTreeSet<_> = first_names.into_values().map(str::to_owned).collect();
    let mut found: Vec<_> = deserialize.filter(|it| names(it) == first_names).collect();
    match found.as_mut_slice() {
        [implementation] => {
            aliases.visit_item_impl_mut(implementation);
            Ok(())
        }
        found => Err(format!("{} implementations list its values", found.len()).into()),
    }
}

/// To the first name of a value, its further names.
struct Aliases(BTreeMap<String, Vec<String>>);

impl VisitMut for Aliases {
    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        if let Some(aliases) = text(&arm.pat).and_then(|name| self.0.get(&name)) {
            let name = &arm.pat;
            arm.pat = parse_quote!(#name #(| #aliases)*);
        }
    }
}

/// The texts that an implementation tells apart.
fn names(implementation: &ItemImpl) -> BTreeSet<String> {
    struct Names(BTreeSet<String>);

    impl Visit<'_> for Names {
        fn visit_arm(&mut self, arm: &Arm) {
            self.0.extend(text(&arm.pat));
        }
    }

    let mut names = Names(BTreeSet::new());
    names.visit_item_impl(implementation);
    names.0
}

fn text(pattern: &Pat) -> Option<String> {
    match pattern {
        Pat::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}
