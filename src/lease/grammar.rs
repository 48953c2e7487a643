//! What names, label keys and label values may be, and the sentences that say what is wrong with
//! them. The grammar and its texts are Kubernetes' own (rules C8, D6, D7, E21-E23, R1): people and
//! scripts know them.

/// The longest label value and the longest name part of a label key, in bytes.
const LABEL_LIMIT: usize = 63;

/// The longest object name and the longest prefix of a label key, in bytes.
const SUBDOMAIN_LIMIT: usize = 253;

const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
    '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const QUALIFIED_NAME: &str = "a qualified name must consist of alphanumeric characters, '-', '_' \
    or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  \
    or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with \
    an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What is wrong with `name` as the name of an object: a DNS-1123 subdomain of at most 253 bytes
/// (rule R1). Empty: nothing.
pub fn object_name_faults(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > SUBDOMAIN_LIMIT {
        faults.push(too_long(SUBDOMAIN_LIMIT));
    }
    if !name
        .as_bytes()
        .split(|byte| *byte == b'.')
        .all(is_subdomain_part)
    {
        faults.push(SUBDOMAIN.to_owned());
    }
    faults
}

/// What is wrong with `key` as the key of a label: `[prefix/]name` (rule E21). Empty: nothing.
pub fn label_key_faults(key: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let name = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => return vec![QUALIFIED_NAME.to_owned()],
        Some(("", name)) => {
            faults.push("prefix part must be non-empty".to_owned());
            name
        }
        Some((prefix, name)) => {
            let of_prefix = object_name_faults(prefix);
            faults.extend(of_prefix.iter().map(|fault| format!("prefix part {fault}")));
            name
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_LIMIT {
        faults.push(format!("name part {}", too_long(LABEL_LIMIT)));
    }
    if !is_label_word(name) {
        faults.push(NAME_PART.to_owned());
    }
    faults
}

/// What is wrong with `value` as the value of a label (rule E23). Empty: nothing.
pub fn label_value_faults(value: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if value.len() > LABEL_LIMIT {
        faults.push(too_long(LABEL_LIMIT));
    }
    if !value.is_empty() && !is_label_word(value) {
        faults.push(LABEL_VALUE.to_owned());
    }
    faults
}

/// `text` in double quotes, as the error texts show what was sent.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0'..' ' | '\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            '\u{80}'..'\u{a0}' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_label_word(text: &str) -> bool {
    let within = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(within)
}

/// Lower-case letters, digits and `-`, with a letter or digit at both ends.
fn is_subdomain_part(bytes: &[u8]) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_names_are_lower_case_subdomains() {
        let longest = "a".repeat(SUBDOMAIN_LIMIT);
        for name in ["a", "0", "rpi4-01", "a.b-c.d", &longest] {
            assert_eq!(object_name_faults(name), [""; 0], "{name}");
        }
        let too_long = "a".repeat(SUBDOMAIN_LIMIT + 1);
        for name in [
            "", "A", "-a", "a-", "a..b", ".a", "a_b", "a%b", ".", "..", "é", &too_long,
        ] {
            assert_eq!(object_name_faults(name).len(), 1, "{name}");
        }
    }

    #[test]
    fn label_keys_may_have_a_prefix() {
        let longest = format!(
            "{}/{}",
            "p".repeat(SUBDOMAIN_LIMIT),
            "n".repeat(LABEL_LIMIT)
        );
        for key in ["a", "A_b.c-d", "example.com/board", &longest] {
            assert_eq!(label_key_faults(key), [""; 0], "{key}");
        }
        for (key, count) in [
            ("", 2),
            ("/a", 1),
            ("a/", 2),
            ("a/b/c", 1),
            ("A/b", 1),
            ("-", 1),
        ] {
            assert_eq!(
                label_key_faults(key).len(),
                count,
                "{key}: {:?}",
                label_key_faults(key)
            );
        }
    }

    #[test]
    fn label_values_are_at_most_63_bytes() {
        for (value, count) in [
            ("", 0),
            ("a", 0),
            ("A_1.b-c", 0),
            ("-a", 1),
            ("a b", 1),
            ("é", 1),
        ] {
            assert_eq!(label_value_faults(value).len(), count, "{value}");
        }
        assert_eq!(label_value_faults(&"x".repeat(LABEL_LIMIT)), [""; 0]);
        assert_eq!(
            label_value_faults(&"x".repeat(LABEL_LIMIT + 1)),
            ["must be no more than 63 characters"]
        );
    }

    #[test]
    fn quoting_shows_what_cannot_be_seen() {
        assert_eq!(quoted("a\"b\\c\x01\né"), r#""a\"b\\c\x01\né""#);
    }
}
