//! The selector grammar: tokens, and requirements made of them (section E). Every error text is
//! the one that clients of Kubernetes know.

use super::{Operator, Requirement, check_key};

/// The longest selector, in bytes (rule E26).
const LONGEST: usize = 4096;

/// Reads requirements in the order they were written.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    if text.len() > LONGEST {
        return Err(format!("must be no more than {LONGEST} bytes"));
    }
    if text.contains('\0') {
        return Err("must not contain a NUL byte".to_owned());
    }
    let mut tokens = Tokens::new(text);
    if tokens.peek() == Token::End {
        return Ok(Vec::new());
    }
    // Exact for one requirement, which is what nearly every lease has.
    let mut requirements = Vec::with_capacity(1);
    loop {
        match tokens.peek() {
            Token::Word(_) | Token::Not => {}
            other if requirements.is_empty() => {
                return Err(format!(
                    "found '{other}', expected: !, identifier, or 'end of string'"
                ));
            }
            other => return Err(format!("found '{other}', expected: identifier after ','")),
        }
        let requirement = requirement(&mut tokens)
            .map_err(|fault| format!("unable to parse requirement: {fault}"))?;
        requirements.push(requirement);
        match tokens.next() {
            Token::End => return Ok(requirements),
            Token::Comma => {}
            other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    let negated = tokens.peek() == Token::Not;
    if negated {
        tokens.next();
    }
    let key = match tokens.next() {
        Token::Word(key) => key,
        other => return Err(format!("found '{other}', expected: identifier")),
    };
    check_key(key)?;
    if negated {
        return Requirement::of_key(key, Operator::DoesNotExist, Vec::new());
    }
    let operator = match tokens.peek() {
        Token::End | Token::Comma => return Requirement::of_key(key, Operator::Exists, Vec::new()),
        Token::Word("in") => Operator::In,
        Token::Word("notin") => Operator::NotIn,
        Token::Equals => Operator::Equals,
        Token::DoubleEquals => Operator::DoubleEquals,
        Token::NotEquals => Operator::NotEquals,
        Token::Greater => Operator::GreaterThan,
        Token::Less => Operator::LessThan,
        other => {
            return Err(format!(
                "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
            ));
        }
    };
    tokens.next();
    let values = match operator {
        Operator::In | Operator::NotIn => value_list(tokens)?,
        _ => vec![single_value(tokens)?],
    };
    Requirement::of_key(key, operator, values)
}

/// One value; nothing at all is the empty value (rule E12).
fn single_value(tokens: &mut Tokens<'_>) -> Result<String, String> {
    match tokens.peek() {
        Token::End | Token::Comma => Ok(String::new()),
        Token::Word(value) => {
            tokens.next();
            Ok(value.to_owned())
        }
        other => Err(format!("found '{other}', expected: identifier")),
    }
}

/// Values in parentheses. A missing value is the empty value (rules E12, E13).
fn value_list(tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    match tokens.next() {
        Token::Open => {}
        other => return Err(format!("found '{other}' expected: '('")),
    }
    let mut values = Vec::new();
    match tokens.peek() {
        Token::Close => {
            tokens.next();
            return Ok(vec![String::new()]);
        }
        Token::Word(_) | Token::Comma => {}
        other => return Err(format!("found '{other}', expected: ',', ')' or identifier")),
    }
    loop {
        match tokens.next() {
            Token::Word(value) => {
                values.push(value.to_owned());
                match tokens.peek() {
                    Token::Comma => {}
                    Token::Close => break,
                    other => return Err(format!("found '{other}', expected: ',' or ')'")),
                }
            }
            Token::Comma => {
                if values.is_empty() {
                    values.push(String::new());
                }
                match tokens.peek() {
                    Token::Close => {
                        values.push(String::new());
                        break;
                    }
                    Token::Comma => {
                        tokens.next();
                        values.push(String::new());
                    }
                    _ => {}
                }
            }
            other => return Err(format!("found '{other}', expected: ',', or identifier")),
        }
    }
    tokens.next();
    Ok(values)
}

/// `in` and `notin` are words too: they are operators only where one is looked for (rule E14).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    Word(&'a str),
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    Open,
    Close,
    Comma,
    End,
}

/// A text read token by token.
struct Tokens<'a> {
    next: Token<'a>,
    rest: &'a str,
}

const SYMBOLS: [(&str, Token<'static>); 9] = [
    ("==", Token::DoubleEquals),
    ("!=", Token::NotEquals),
    ("=", Token::Equals),
    ("!", Token::Not),
    (">", Token::Greater),
    ("<", Token::Less),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
];

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        let (next, rest) = split(text);
        Self { next, rest }
    }

    fn peek(&self) -> Token<'a> {
        self.next
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.next;
        (self.next, self.rest) = split(self.rest);
        token
    }
}

/// The first token, and what is behind it.
fn split(text: &str) -> (Token<'_>, &str) {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let is_symbol = |byte: u8| b"=!><(),".contains(&byte);
    let text = text.trim_start_matches([' ', '\t', '\r', '\n']);
    let word_end = text
        .bytes()
        .position(|byte| is_space(byte) || is_symbol(byte));
    match word_end.unwrap_or(text.len()) {
        0 => {
            let symbol = |(symbol, token)| Some((token, text.strip_prefix(symbol)?));
            SYMBOLS
                .into_iter()
                .find_map(symbol)
                .unwrap_or((Token::End, text))
        }
        end => {
            let (word, rest) = text.split_at(end);
            (Token::Word(word), rest)
        }
    }
}

impl std::fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let symbol = SYMBOLS
            .iter()
            .find(|(_, token)| token == self)
            .map(|(symbol, _)| *symbol);
        f.write_str(match self {
            Self::Word(word) => word,
            _ => symbol.unwrap_or_default(),
        })
    }
}
