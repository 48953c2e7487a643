//! Pages of a list, AIP-158. A page token says after which name the next page starts, and which
//! request it belongs to; it holds no state of the server, and so works for ever (rules N13-N17).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::fault::{Fault, Violation};

const DEFAULT_SIZE: usize = 100;
const LARGEST_SIZE: usize = 1000;

/// The first byte of every token; another layout takes another byte.
const VERSION: u8 = 1;

/// Which part of a list is asked for.
#[derive(Debug)]
pub struct Page<'r> {
    size: usize,
    after: Option<String>,
    bound: &'r [&'r str],
}

impl<'r> Page<'r> {
    /// Reads `page_size` and `page_token`. `bound` are the request's other fields, which a token
    /// must not be taken away from.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: a negative size, or a token that is not one or belongs to another request.
    pub fn new(size: i32, token: &str, bound: &'r [&'r str]) -> Result<Self, Fault> {
        let mut page = Self {
            size: length(size)?,
            after: None,
            bound,
        };
        if !token.is_empty() {
            page.after = Some(page.read(token)?);
        }
        Ok(page)
    }

    /// How many items the page holds at most.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The name that the page starts behind.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Cuts one item more than fits into the page and the token of the next one, which is empty
    /// where this is the last.
    pub fn cut<T>(&self, mut found: Vec<T>, name: impl Fn(&T) -> &str) -> (Vec<T>, String) {
        let more = found.len() > self.size;
        found.truncate(self.size);
        let last = found.last().filter(|_| more);
        let token = last.map(|last| self.token(name(last)));
        (found, token.unwrap_or_default())
    }

    /// What tells the request from others. Most pages are the only one, and have no use for it.
    fn binding(&self) -> [u8; 8] {
        let mut digest = Sha256::new();
        for field in self.bound {
            digest.update((field.len() as u64).to_le_bytes());
            digest.update(field);
        }
        let mut binding = [0; 8];
        binding.copy_from_slice(&digest.finalize()[..8]);
        binding
    }

    fn token(&self, after: &str) -> String {
        let bytes = [&[VERSION], &self.binding()[..], after.as_bytes()].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(&self, token: &str) -> Result<String, Fault> {
        let fault = || {
            invalid(
                "pageToken",
                "is no page token; use a nextPageToken as it was given",
            )
        };
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| fault())?;
        let (&[VERSION], bytes) = bytes.split_first_chunk().ok_or_else(fault)? else {
            return Err(fault());
        };
        let (binding, after) = bytes.split_first_chunk::<8>().ok_or_else(fault)?;
        if *binding != self.binding() {
            return Err(invalid(
                "pageToken",
                "belongs to another request; only pageSize may differ from the request it came from",
            ));
        }
        String::from_utf8(after.to_vec()).map_err(|_| fault())
    }
}

/// How many items a page of `page_size` holds at most.
///
/// # Errors
/// INVALID_ARGUMENT where it is negative.
pub fn length(page_size: i32) -> Result<usize, Fault> {
    let description = "must not be negative; 0 leaves it to the server";
    match usize::try_from(page_size) {
        Err(_) => Err(invalid("pageSize", description)),
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(LARGEST_SIZE)),
    }
}

/// INVALID_ARGUMENT for a field that asks for a page.
pub fn invalid(field: &str, description: &str) -> Fault {
    let violation = Violation {
        field: field.to_owned(),
        description: description.to_owned(),
    };
    Fault::invalid_argument("INVALID_PAGE", format!("{field} {description}"))
        .with_violation(violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_on_and_only_where_it_came_from() {
        let page = Page::new(2, "", &["leases", "namespaces/lab"]).unwrap();
        let (items, token) = page.cut(vec!["a", "b", "c"], |item| item);
        assert_eq!(items, ["a", "b"]);
        let next = Page::new(5, &token, &["leases", "namespaces/lab"]).unwrap();
        assert_eq!(next.after(), Some("b"));
        assert_eq!(next.cut(vec!["c"], |item| item), (vec!["c"], String::new()));
        assert!(Page::new(5, &token, &["leases", "namespaces/lob"]).is_err());
        assert!(Page::new(5, "nonsense", &[]).is_err());
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(Page::new(0, "", &[]).unwrap().size(), 100);
        assert_eq!(Page::new(5000, "", &[]).unwrap().size(), 1000);
        assert!(Page::new(-1, "", &[]).is_err());
    }
}
