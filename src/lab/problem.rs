//! What is wrong in a lab file, and where. Knows nothing of YAML, of Kubernetes or of leases.

use std::fmt;
use std::sync::Arc;

/// A position in a file; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// One thing that is wrong or odd: where, in which field, and what would be right.
///
/// Its text is `FILE:LINE:COLUMN: FIELD: MESSAGE`, without the parts that do not apply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file as the reader would name it.
    pub file: Arc<str>,
    /// None where the file as a whole is meant (it cannot be read).
    pub place: Option<Place>,
    /// The way from the document's root (`spec.policies[0].priority`); empty where no field is meant.
    pub field: String,
    /// A sentence without the full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(Place { line, column }) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a lab cannot be used: every error of every file, and the warnings beside them, since a
/// misspelt field is often what an error comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabErrors {
    /// Never empty; in the order of the files, inside a file by place.
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

impl fmt::Display for LabErrors {
    /// One line for each error, then one for each warning.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.errors.iter().map(|error| ("error", error));
        let warnings = self.warnings.iter().map(|warning| ("warning", warning));
        for (index, (level, problem)) in errors.chain(warnings).enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{level}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LabErrors {}

/// The known word that was most likely meant, if any is near enough.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &str| {
        strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase())
    };
    let (best, distance) = known
        .iter()
        .map(|candidate| (*candidate, distance(candidate)))
        .min_by_key(|(_, distance)| *distance)?;
    (distance <= best.chars().count().div_ceil(4)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_named_and_a_stranger_is_not() {
        let known = ["labels", "annotations", "name", "namespace"];
        assert_eq!(nearest("lables", &known), Some("labels"));
        assert_eq!(nearest("Namespace", &known), Some("namespace"));
        assert_eq!(nearest("nmae", &known), Some("name"));
        assert_eq!(nearest("credentials", &known), None);
        assert_eq!(nearest("labels", &[]), None);
    }

    #[test]
    fn a_problem_leaves_out_what_it_does_not_know() {
        let mut problem = Problem {
            file: "lab.yaml".into(),
            place: Some(Place { line: 3, column: 5 }),
            field: "spec.enabled".into(),
            message: "must be true or false".into(),
        };
        assert_eq!(
            problem.to_string(),
            "lab.yaml:3:5: spec.enabled: must be true or false"
        );
        problem.field.clear();
        problem.place = None;
        assert_eq!(problem.to_string(), "lab.yaml: must be true or false");
    }
}
