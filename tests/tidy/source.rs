//! A file of code as a flat list of tokens, without comments and without code for tests. Knows
//! nothing of the rules.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// One file of `src/`.
pub struct Source {
    /// How messages name the file.
    pub place: String,
    /// The first module of its path.
    pub room: String,
    /// How many modules its path has.
    depth: usize,
    tokens: Vec<String>,
    strings: Vec<String>,
    /// Modules that only tests have.
    test_modules: Vec<String>,
}

impl Source {
    /// Reads the text of a file that lies `depth` modules below the root.
    pub fn read(place: &str, room: &str, depth: usize, text: &str) -> Self {
        let stream: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        let (place, room) = (place.to_owned(), room.to_owned());
        let mut source = Self {
            place,
            room,
            depth,
            tokens: vec![],
            strings: vec![],
            test_modules: vec![],
        };
        source.take(stream);
        source
    }

    fn take(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            match tree {
                TokenTree::Punct(hash) if hash.as_char() == '#' => {
                    // `#!` stands before attributes of the file, its documentation among them.
                    let attribute = trees.find(|tree| matches!(tree, TokenTree::Group(_)));
                    let attribute = attribute.map(|tree| tree.to_string()).unwrap_or_default();
                    if attribute == "[cfg (test)]" || attribute == "[cfg(test)]" {
                        // The item it stands before: as far as `;` or the braces.
                        let mut item = vec![];
                        for tree in trees.by_ref() {
                            let text = tree.to_string();
                            if text == ";" || text.starts_with('{') {
                                break;
                            }
                            item.push(text);
                        }
                        self.test_modules.extend(item.last().cloned());
                    }
                }
                // What a macro writes into other code is no use of ours.
                TokenTree::Ident(name) if name == "quote" || name == "parse_quote" => {
                    trees.next();
                    trees.next();
                }
                TokenTree::Group(group) => {
                    self.tokens.push("(".to_owned());
                    self.take(group.stream());
                    self.tokens.push(")".to_owned());
                }
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if text.contains('"') {
                        self.strings
                            .push(text.trim_matches(['r', 'b', '#', '"']).to_owned());
                        self.tokens.push("\"".to_owned());
                    }
                }
                other => self.tokens.push(other.to_string()),
            }
        }
    }

    /// The rooms that the code names: `crate::room`, `crate::{room, ..}` and, in the program,
    /// `jumpstarter_gateway::room`.
    pub fn rooms_used(&self) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        for (index, token) in self.tokens.iter().enumerate() {
            let names_rooms =
                (token == "crate" || token == "jumpstarter_gateway") && self.is(index + 1, "::");
            if names_rooms && self.at(index + 3) == "(" {
                rooms.extend(self.group(index + 3));
            } else if names_rooms {
                rooms.insert(self.at(index + 3).to_owned());
            }
        }
        rooms
    }

    /// Which of these crates the code names.
    pub fn crates_used(&self, crates: &BTreeSet<String>) -> BTreeSet<String> {
        let named = self.tokens.iter().enumerate().filter(|(index, token)| {
            let begins_a_path = *index == 0 || !self.is(index.saturating_sub(2), "::");
            crates.contains(*token) && self.is(index + 1, "::") && begins_a_path
        });
        named.map(|(_, token)| token.clone()).collect()
    }

    /// It climbs by `super` to where all rooms are.
    pub fn leaves_its_room(&self) -> bool {
        let mut climbed = 0;
        let mut index = 0;
        while index < self.tokens.len() {
            climbed = if self.tokens[index] == "super" {
                climbed + 1
            } else {
                0
            };
            index += if climbed > 0 && self.is(index + 1, "::") {
                3
            } else {
                1
            };
            if climbed >= self.depth {
                return true;
            }
        }
        false
    }

    /// Its strings that contain `text`.
    pub fn strings_with(&self, text: &str) -> Vec<&str> {
        self.strings
            .iter()
            .map(String::as_str)
            .filter(|string| string.contains(text))
            .collect()
    }

    /// The texts that look like the reason of an error: capitals and underscores, four at least.
    pub fn reasons(&self) -> Vec<&str> {
        let is_reason = |text: &&str| {
            let letters = |letter: u8| letter.is_ascii_uppercase() || letter == b'_';
            text.len() > 3 && text.bytes().all(letters)
        };
        self.strings
            .iter()
            .map(String::as_str)
            .filter(is_reason)
            .collect()
    }

    /// Which of these the code holds, each written with a space between its tokens: `panic !`.
    pub fn holds<'c>(&self, calls: &[&'c str]) -> BTreeSet<&'c str> {
        let code = format!(" {} ", self.tokens.join(" "));
        calls
            .iter()
            .filter(|call| code.contains(&format!(" {call} ")))
            .copied()
            .collect()
    }

    /// Where the modules lie that only tests have, if this file is at `path`.
    pub fn test_files(&self, path: &Path) -> Vec<PathBuf> {
        let stem = path.file_stem().unwrap_or_default();
        let folder = if stem == "mod" {
            path.with_file_name("")
        } else {
            path.with_extension("")
        };
        self.test_modules
            .iter()
            .map(|module| folder.join(format!("{module}.rs")))
            .collect()
    }

    fn at(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", String::as_str)
    }

    /// Whether the text stands here, a token for each character.
    fn is(&self, index: usize, text: &str) -> bool {
        text.chars().enumerate().all(|(offset, character)| {
            self.at(index + offset) == character.encode_utf8(&mut [0; 4])
        })
    }

    /// The names that begin the parts of a group: `a` and `c` of `(a::b, c)`.
    fn group(&self, open: usize) -> Vec<String> {
        let mut names = vec![];
        let mut depth = 0;
        for index in open..self.tokens.len() {
            match self.at(index) {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && ["(", ","].contains(&self.at(index)) && self.at(index + 1) != ")" {
                names.push(self.at(index + 1).to_owned());
            }
        }
        names
    }
}
