//! Labels and label selectors as Kubernetes objects write them. Knows nothing of the objects.

use crate::lease::grammar::{label_key_faults, label_value_faults};
use crate::lease::{Labels, Selector};

use super::reader::Field;

/// Labels that Kubernetes would take too; the others are reported and left out.
pub fn labels(field: &Field) -> Labels {
    let label = |(key, value): (&str, Field)| {
        let faults = label_key_faults(key);
        if !faults.is_empty() {
            value.key_error(format!("is no label key: {}", faults.join("; ")));
        }
        let text = value.checked_text(label_value_faults)?.to_owned();
        faults.is_empty().then(|| (key.to_owned(), text))
    };
    field.entries().filter_map(label).collect()
}

/// A `LabelSelector`; an empty one matches everything (rule I5).
pub fn selector(field: &Field) -> Selector {
    field.expect_fields(&["matchLabels", "matchExpressions"]);
    let wanted = field.get("matchLabels");
    let wanted = wanted.as_ref().map(labels).unwrap_or_default();
    let expressions = field.get("matchExpressions");
    let expressions: Vec<Expression> = expressions
        .iter()
        .flat_map(Field::items)
        .filter_map(|item| expression(&item))
        .collect();
    Selector::from_label_selector(&wanted, &expressions).unwrap_or_else(|fault| {
        field.error(fault.to_string());
        Selector::default()
    })
}

/// Key, operator and values.
type Expression = (String, String, Vec<String>);

fn expression(field: &Field) -> Option<Expression> {
    field.expect_fields(&["key", "operator", "values"]);
    let key = field.required("key");
    let key = key.and_then(|key| Some(key.checked_text(label_key_faults)?.to_owned()));
    let operator = field.required("operator");
    let operator = operator.and_then(|operator| Some(operator.text()?.to_owned()));
    let values = field.get("values");
    // In two steps, so that the first bad value does not hide the others.
    let values: Vec<Option<String>> = values
        .iter()
        .flat_map(Field::items)
        .map(|value| Some(value.checked_text(label_value_faults)?.to_owned()))
        .collect();
    let values: Option<Vec<String>> = values.into_iter().collect();
    let expression = (key?, operator?, values?);
    // By itself first, so that a fault in how its parts go together has this place.
    match Selector::from_label_selector(&Labels::new(), std::slice::from_ref(&expression)) {
        Ok(_) => Some(expression),
        Err(fault) => {
            field.error(fault.to_string());
            None
        }
    }
}
