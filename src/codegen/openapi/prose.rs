//! The comments of proto files as prose for people who see JSON. Knows nothing of OpenAPI.

use std::collections::BTreeMap;

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

/// Reads comments. Field names in them appear as JSON spells them.
#[derive(Debug)]
pub struct Prose {
    /// From the proto name of every field that a reader may meet to its JSON name.
    names: BTreeMap<String, String>,
}

/// What a proto file can comment on.
pub trait Commented {
    fn file(&self) -> FileDescriptor;
    /// Its place in the file (`SourceCodeInfo.Location.path`).
    fn path(&self) -> &[i32];
}

macro_rules! commented {
    ($($descriptor:ident),*) => {$(
        impl Commented for $descriptor {
            fn file(&self) -> FileDescriptor {
                self.parent_file()
            }

            fn path(&self) -> &[i32] {
                $descriptor::path(self)
            }
        }
    )*};
}

commented!(
    ServiceDescriptor,
    MethodDescriptor,
    MessageDescriptor,
    FieldDescriptor,
    EnumDescriptor,
    EnumValueDescriptor
);

impl Prose {
    /// A reader for comments that speak of the fields of these messages.
    pub fn new<'a>(messages: impl Iterator<Item = &'a MessageDescriptor>) -> Self {
        let fields = messages.flat_map(MessageDescriptor::fields);
        let names = fields.map(|field| (field.name().to_owned(), field.json_name().to_owned()));
        Self {
            names: names.collect(),
        }
    }

    /// The comment before an element, as Markdown with one line for each paragraph or list item.
    /// Empty where there is none.
    pub fn of(&self, element: &impl Commented) -> String {
        self.json_names(&unwrapped(&comment(element)))
    }

    /// The same in two: the first sentence or paragraph without its full stop, and the rest.
    pub fn summary_and_rest(&self, element: &impl Commented) -> (String, String) {
        let text = self.of(element);
        let end = text
            .find(". ")
            .into_iter()
            .chain(text.find('\n'))
            .min()
            .unwrap_or(text.len());
        let (summary, rest) = text.split_at(end);
        (
            summary.trim_end_matches('.').to_owned(),
            rest.trim_start_matches('.').trim().to_owned(),
        )
    }

    /// Every canonical code (`ALREADY_EXISTS`, …) that a comment names as code.
    pub fn codes(&self, element: &impl Commented) -> Vec<String> {
        let text = comment(element);
        let code = |span: &&str| {
            span.len() > 3 && span.bytes().all(|b| b == b'_' || b.is_ascii_uppercase())
        };
        text.split('`')
            .skip(1)
            .step_by(2)
            .filter(code)
            .map(str::to_owned)
            .collect()
    }

    /// Field names between backticks: `lease_id` becomes `leaseId`.
    fn json_names(&self, text: &str) -> String {
        let spans = text.split('`').enumerate().map(|(index, span)| {
            let path = span
                .split('.')
                .map(|name| self.names.get(name).map(String::as_str));
            match path.collect::<Option<Vec<_>>>() {
                Some(names) if index % 2 == 1 => names.join("."),
                _ => span.to_owned(),
            }
        });
        spans.collect::<Vec<_>>().join("`")
    }
}

/// The comment before an element, as it stands in the file.
fn comment(element: &impl Commented) -> String {
    let file = element.file();
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let mut locations = info.into_iter().flat_map(|info| &info.location);
    let location = locations.find(|location| location.path == element.path());
    location
        .map(|location| location.leading_comments().to_owned())
        .unwrap_or_default()
}

/// Joins the lines of a paragraph and of a list item, because Swagger UI breaks lines where its
/// source does. Fenced code stays as it is.
fn unwrapped(comment: &str) -> String {
    let mut lines: Vec<String> = vec![];
    let mut fenced = false;
    for line in comment.lines() {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        let fence = line.starts_with("```");
        match lines.last_mut() {
            Some(last) if !fenced && !fence && continues(last, line) => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => lines.push(line.to_owned()),
        }
        fenced ^= fence;
    }
    lines.join("\n").trim().to_owned()
}

/// Whether a line goes on with the paragraph or the list item of the line before it.
fn continues(last: &str, line: &str) -> bool {
    let item = ["- ", "* ", "#", "|", ">"]
        .iter()
        .any(|start| line.trim_start().starts_with(start));
    let fence = last.starts_with("```");
    let closed = last.starts_with(['#', '|']);
    !last.is_empty() && !line.is_empty() && !item && !fence && !closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_items_become_single_lines() {
        let comment = " One\n *two*.\n\n - a\n   b\n - c\n\n ```\n x\n y\n ```\n End\n here.\n";
        assert_eq!(
            unwrapped(comment),
            "One *two*.\n\n- a b\n- c\n\n```\nx\ny\n```\nEnd here."
        );
    }

    #[test]
    fn field_names_appear_as_in_json_where_they_are_code() {
        let names = [
            ("lease_id", "leaseId"),
            ("author", "author"),
            ("display_name", "displayName"),
        ];
        let prose = Prose {
            names: names.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        };
        let text = "`lease_id`, `author.display_name` and `a_label`, but lease_id";
        assert_eq!(
            prose.json_names(text),
            "`leaseId`, `author.displayName` and `a_label`, but lease_id"
        );
    }
}
