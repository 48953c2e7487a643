//! Media types, and how headers list things (RFC 9110, sections 5.6 and 8.3).

use http::HeaderValue;

/// A media type, or a range of them, and its parameters.
pub struct Media<'a> {
    pub kind: &'a str,
    pub subtype: &'a str,
    /// Names, and values without the quotes around them.
    pub parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Media<'a> {
    /// None where the text is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = items(text, ';');
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let parameters = parts.filter(|part| !part.is_empty()).map(parameter);
        let parameters = parameters.collect::<Option<_>>()?;
        (is_token(kind) && is_token(subtype)).then_some(Self {
            kind,
            subtype,
            parameters,
        })
    }

    /// True for `application/json` and `application/*+json` (RFC 6839, section 3.1).
    pub fn is_json(&self) -> bool {
        let subtype = self.subtype.to_ascii_lowercase();
        let is_json = subtype == "json" || subtype.ends_with("+json");
        self.kind.eq_ignore_ascii_case("application") && is_json
    }
}

/// The parameter says that text is in UTF-8.
pub fn is_utf8((name, value): (&str, &str)) -> bool {
    name.eq_ignore_ascii_case("charset") && value.eq_ignore_ascii_case("utf-8")
}

/// What stands between separators. One inside quotes belongs to its item.
pub fn items(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separates(separator)).map(str::trim)
}

/// The same of a header that may hold other bytes than ASCII. An item that does is `?`, which names
/// nothing; the others are what they are.
pub fn items_of(value: &HeaderValue, separator: char) -> impl Iterator<Item = &str> {
    let mut separates = separates(separator);
    let items = value
        .as_bytes()
        .split(move |byte| separates(char::from(*byte)));
    items.map(|item| match str::from_utf8(item) {
        Ok(text) if text.is_ascii() => text.trim(),
        _ => "?",
    })
}

/// A character of a list, told one after the other, stands between two items.
fn separates(separator: char) -> impl FnMut(char) -> bool {
    let (mut is_quoted, mut is_escaped) = (false, false);
    move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => return character == separator && !is_quoted,
        }
        false
    }
}

fn parameter(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => Some(value).filter(|value| is_token(value))?,
    };
    is_token(name).then_some((name, value))
}

fn is_token(text: &str) -> bool {
    let is_in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_in_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_together() {
        let list = items(r#"a, "b,\" c" ;d, ,"e"#, ',').collect::<Vec<_>>();
        assert_eq!(list, ["a", r#""b,\" c" ;d"#, "", r#""e"#]);
        let value = HeaderValue::from_bytes(b"a, \xe4/b, \"\xe4,\", c").unwrap();
        assert_eq!(
            items_of(&value, ',').collect::<Vec<_>>(),
            ["a", "?", "?", "c"]
        );
        let media = Media::parse(r#"a/b; c="d;e=f" ;; g = h"#).unwrap();
        assert_eq!(media.parameters, [("c", "d;e=f"), ("g", "h")]);
    }

    #[test]
    fn what_is_no_media_type_is_told() {
        for text in [
            "",
            "json",
            "a/",
            "/b",
            "a/b c",
            "a/b; c",
            "a/b; c=\"d",
            "a/b; c=d\"",
            "a/b; c=\"",
            "a/b; =d",
            "a/b; c=",
        ] {
            assert!(Media::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn json_has_many_names() {
        let is_json = |text| Media::parse(text).is_some_and(|media| media.is_json());
        for text in [
            "application/json",
            "Application/JSON",
            "application/merge-patch+json",
        ] {
            assert!(is_json(text), "{text}");
        }
        for text in ["text/json", "application/jsonp", "application/foo bar+json"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
