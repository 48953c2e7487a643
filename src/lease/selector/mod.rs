//! Label selectors: what a lease asks of an exporter, what a filter asks of an object, what a
//! policy speaks of. Knows text and labels, and nothing of exporters or leases.

mod parse;

use std::fmt;

use super::grammar::{label_key_faults, label_value_faults, quoted};
use super::labels::Labels;

/// Requirements that must all be met (rule F4). The empty selector is met by everything.
///
/// Requirements are sorted by key; those of one key keep their order (rules F5, F6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Selector {
    requirements: Box<[Requirement]>,
}

/// One requirement on the value of one key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Requirement {
    key: Box<str>,
    operator: Operator,
    /// Sorted, each once. One for the operators that compare with one, none for presence.
    values: Box<[Box<str>]>,
}

/// How a requirement compares. `==` is told from `=`, and `!=` from `notin`, because a filter is
/// written back as it was sent; a lease's selector knows only `=` and `notin` (rules E3, E4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operator {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// Why a text is no selector: a sentence, in the words of Kubernetes' own parser (section E).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectorError(String);

impl Selector {
    /// Reads the whole grammar, as list filters take it (rule N5).
    ///
    /// # Errors
    /// The parser's text, without a prefix (rules E8, E15-E23); also for more than 4 KiB (rule
    /// E26) and for a NUL byte (rule E24).
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::requirements(text)
            .map(Self::sorted)
            .map_err(SelectorError)
    }

    /// Reads what a lease may ask for, and brings it to its canonical form: `==` becomes `=`, and
    /// the `!=` of one key become one `notin` behind the key's other requirements (rules E2-E10).
    ///
    /// # Errors
    /// With the prefix `failed to parse label selector: ` where the text does not parse; `>` and
    /// `<` are refused (rule E7), and so are two different values for one key (rule E10).
    pub fn parse_for_lease(text: &str) -> Result<Self, SelectorError> {
        let parsed = Self::parse(text).map_err(|SelectorError(fault)| {
            SelectorError(format!("failed to parse label selector: {fault}"))
        })?;
        parsed.canonical().map_err(SelectorError)
    }

    /// From the parts of a Kubernetes `LabelSelector`: `matchLabels`, and `matchExpressions` as
    /// (key, operator, values) with the operators `In`, `NotIn`, `Exists` and `DoesNotExist`.
    ///
    /// # Errors
    /// For an unknown operator, a malformed key or value, values where there must be none, and
    /// none where there must be some.
    pub fn from_label_selector(
        match_labels: &Labels,
        match_expressions: &[(String, String, Vec<String>)],
    ) -> Result<Self, SelectorError> {
        let mut requirements = Vec::with_capacity(match_labels.len() + match_expressions.len());
        for (key, value) in match_labels {
            requirements.push((key, Operator::Equals, vec![value.to_owned()]));
        }
        for (key, operator, values) in match_expressions {
            let operator = match operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                _ => {
                    let fault = format!(
                        "{} is not a valid label selector operator: it must be In, NotIn, Exists \
                         or DoesNotExist",
                        quoted(operator)
                    );
                    return Err(SelectorError(fault));
                }
            };
            let wants_values = matches!(operator, Operator::In | Operator::NotIn);
            if wants_values == values.is_empty() {
                let rule = if wants_values {
                    "must have values"
                } else {
                    "must have no values"
                };
                return Err(SelectorError(format!("{}: {rule}", quoted(key))));
            }
            requirements.push((key, operator, values.clone()));
        }
        requirements
            .into_iter()
            .map(|(key, operator, values)| Requirement::new(key, operator, values))
            .collect::<Result<_, _>>()
            .map(Self::sorted)
            .map_err(SelectorError)
    }

    /// From the parts of requirements that were kept. What was once read is not checked again, so
    /// that a rule that has become stricter since loses nothing.
    pub fn from_kept(parts: impl IntoIterator<Item = (String, Operator, Vec<String>)>) -> Self {
        let requirements = parts.into_iter().map(|(key, operator, values)| {
            let values = values.into_iter().map(String::into_boxed_str).collect();
            Requirement {
                key: key.into(),
                operator,
                values: in_order(values),
            }
        });
        Self::sorted(requirements.collect())
    }

    /// True for the selector that everything meets.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// True if `labels` meet every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.accepts(labels.get(&requirement.key)))
    }

    /// The keys that must have one certain value, with it.
    pub fn equalities(&self) -> impl Iterator<Item = (&str, &str)> {
        self.requirements.iter().filter_map(Requirement::equality)
    }

    /// True if no key is there twice, and no operator that a lease does not know.
    fn is_canonical(&self) -> bool {
        use Operator::{DoesNotExist, Equals, Exists, In, NotIn};
        let is_kept =
            |one: &Requirement| matches!(one.operator, Equals | In | NotIn | Exists | DoesNotExist);
        let keys = self.requirements.windows(2);
        self.requirements.iter().all(is_kept)
            && keys.into_iter().all(|pair| match pair {
                [one, next] => one.key != next.key,
                _ => true,
            })
    }

    fn sorted(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        Self {
            requirements: requirements.into(),
        }
    }

    fn canonical(self) -> Result<Self, String> {
        if self.is_canonical() {
            return Ok(self);
        }
        let mut equal: Vec<Requirement> = Vec::new();
        let mut others = Vec::new();
        let mut unequal: Vec<Requirement> = Vec::new();
        for mut requirement in self.requirements.into_vec() {
            match requirement.operator {
                Operator::Equals | Operator::DoubleEquals => {
                    requirement.operator = Operator::Equals;
                    match equal.iter().find(|earlier| earlier.key == requirement.key) {
                        None => equal.push(requirement),
                        Some(earlier) if earlier.values == requirement.values => {}
                        Some(earlier) => {
                            return Err(format!(
                                "invalid selector: label {} cannot have multiple equality \
                                 requirements with different values ({} and {})",
                                earlier.key,
                                earlier.values.concat(),
                                requirement.values.concat()
                            ));
                        }
                    }
                }
                Operator::NotEquals => {
                    requirement.operator = Operator::NotIn;
                    match unequal
                        .iter_mut()
                        .find(|earlier| earlier.key == requirement.key)
                    {
                        None => unequal.push(requirement),
                        Some(earlier) => earlier.add_values(requirement.values),
                    }
                }
                Operator::GreaterThan | Operator::LessThan => {
                    let operator = requirement.operator.name();
                    return Err(format!("unsupported label selector operator: {operator}"));
                }
                _ => others.push(requirement),
            }
        }
        equal.append(&mut others);
        equal.append(&mut unequal);
        Ok(Self::sorted(equal))
    }
}

impl Requirement {
    /// The key it is about.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it compares.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it compares with, sorted, each once.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|value| &**value)
    }

    /// True if a key with this value, or without any, meets the requirement (rules F1-F3).
    pub fn accepts(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|one| **one == *value);
        let number = |text: &str| text.parse::<i64>().ok();
        let numbers = || Some((number(value?)?, number(self.values.first()?)?));
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => value.is_some_and(listed),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => numbers().is_some_and(|(value, bound)| value > bound),
            Operator::LessThan => numbers().is_some_and(|(value, bound)| value < bound),
        }
    }

    /// The key and the one value it must have, if there is just one.
    pub fn equality(&self) -> Option<(&str, &str)> {
        match (self.operator, &*self.values) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => {
                Some((&self.key, value))
            }
            _ => None,
        }
    }

    /// Checks the key and the values and puts the values in order (rules E8, E20-E23).
    fn new(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        check_key(key)?;
        Self::of_key(key, operator, values)
    }

    /// The same for a key that was checked.
    fn of_key(key: &str, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        let requirement = Self {
            key: key.into(),
            operator,
            values: in_order(values.into_iter().map(String::into_boxed_str).collect()),
        };
        let mut faults: Vec<String> = Vec::new();
        let indexed = || requirement.values.iter().enumerate();
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            faults.extend(indexed().filter(|(_, value)| value.parse::<i64>().is_err()).map(
                |(index, value)| {
                    format!(
                        "values[{index}]: Invalid value: {}: for 'Gt', 'Lt' operators, the value \
                         must be an integer",
                        quoted(value)
                    )
                },
            ));
        }
        for (index, value) in indexed() {
            let of_value = label_value_faults(value);
            if !of_value.is_empty() {
                faults.push(format!(
                    "values[{index}][{key}]: Invalid value: {}: {}",
                    quoted(value),
                    of_value.join("; ")
                ));
            }
        }
        match faults.len() {
            0 => Ok(requirement),
            1 => Err(faults.concat()),
            _ => Err(format!("[{}]", faults.join(", "))),
        }
    }

    fn add_values(&mut self, more: Box<[Box<str>]>) {
        let mut values = std::mem::take(&mut self.values).into_vec();
        values.extend(more);
        self.values = in_order(values);
    }
}

/// Sorted, each once.
fn in_order(mut values: Vec<Box<str>>) -> Box<[Box<str>]> {
    values.sort();
    values.dedup();
    values.into()
}

impl Operator {
    fn name(self) -> &'static str {
        match self {
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Exists => "exists",
            Self::DoesNotExist => "!",
            Self::GreaterThan => "gt",
            Self::LessThan => "lt",
        }
    }
}

/// Rule E20, without the path that is always empty there.
fn check_key(key: &str) -> Result<(), String> {
    let faults = label_key_faults(key);
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Invalid value: {}: {}",
        quoted(key),
        faults.join("; ")
    ))
}

impl fmt::Display for Selector {
    /// The canonical text (rules F5-F8); empty for the empty selector (rule F9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, name) = (&self.key, self.operator.name());
        match self.operator {
            Operator::Exists => return f.write_str(key),
            Operator::DoesNotExist => return write!(f, "!{key}"),
            Operator::In | Operator::NotIn => write!(f, "{key} {name} (")?,
            Operator::GreaterThan => write!(f, "{key}>")?,
            Operator::LessThan => write!(f, "{key}<")?,
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
                f.write_str(key)?;
                f.write_str(name)?;
            }
        }
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(value)?;
        }
        match self.operator {
            Operator::In | Operator::NotIn => f.write_str(")"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}
