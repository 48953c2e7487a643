//! The `Prefer` header (RFC 7240), as far as this service knows preferences: `wait=SECONDS`, and
//! `on-timeout=release` of a waiting create. All others, and those that are malformed, are passed
//! over, as the RFC says.

use std::time::Duration;

use http::HeaderName;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

use crate::transcode::items;

static PREFER: HeaderName = HeaderName::from_static("prefer");

/// The caller would rather wait for its lease than ask again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// For so long at most.
    pub longest: Duration,
    /// A lease that is not ready by then is to be released.
    pub or_release: bool,
}

impl Wait {
    /// The wait that a request prefers, not longer than `cap`; none where it prefers none.
    pub fn of(metadata: &MetadataMap, cap: Duration) -> Option<Self> {
        let mut values = metadata.as_ref().get_all(&PREFER).iter().peekable();
        values.peek()?;
        let mut preferences = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| items(value, ','))
            .filter_map(preference);
        // Only the first instance of a preference counts (section 2).
        let (mut wait, mut on_timeout) = (None, None);
        for (name, value) in &mut preferences {
            let place = match name.to_ascii_lowercase().as_str() {
                "wait" => &mut wait,
                "on-timeout" => &mut on_timeout,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        let longest = Duration::from_secs(seconds(wait?)?.min(cap.as_secs()));
        let or_release = on_timeout == Some("release");
        Some(Self {
            longest,
            or_release,
        })
    }

    /// Says in an answer, good or bad, what was waited for (`Preference-Applied`, section 3).
    pub fn applied<T>(self, answer: Result<Response<T>, Status>) -> Result<Response<T>, Status> {
        let seconds = self.longest.as_secs();
        let release = if self.or_release {
            ", on-timeout=release"
        } else {
            ""
        };
        let Ok(applied) = MetadataValue::try_from(format!("wait={seconds}{release}")) else {
            return answer;
        };
        match answer {
            Ok(mut response) => {
                let metadata = response.metadata_mut();
                metadata.insert("preference-applied", applied);
                Ok(response)
            }
            Err(mut status) => {
                let metadata = status.metadata_mut();
                metadata.insert("preference-applied", applied);
                Err(status)
            }
        }
    }
}

/// The request prefers something, whatever it is.
pub fn is_asked(metadata: &MetadataMap) -> bool {
    metadata.as_ref().contains_key(&PREFER)
}

/// The name and value of one preference; its parameters mean nothing here.
fn preference(text: &str) -> Option<(&str, &str)> {
    let (name, value) = items(text, ';').next()?.split_once('=')?;
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    Some((name.trim(), unquoted.unwrap_or(value)))
}

/// Whole seconds; more than can be counted are very many.
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(values: &[&str]) -> Option<(u64, bool)> {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("prefer", value.parse().unwrap());
        }
        let wait = Wait::of(&metadata, Duration::from_secs(600))?;
        Some((wait.longest.as_secs(), wait.or_release))
    }

    #[test]
    fn the_first_instance_of_a_preference_counts() {
        assert_eq!(wait(&["wait=10"]), Some((10, false)));
        assert_eq!(wait(&["Wait = \"10\"; x=1, WAIT=20"]), Some((10, false)));
        assert_eq!(
            wait(&["return=minimal, wait=5", "on-timeout=release"]),
            Some((5, true))
        );
        assert_eq!(wait(&["a=\", wait=1 \\\" \", wait=2"]), Some((2, false)));
        assert_eq!(wait(&["wait=3, on-timeout=keep"]), Some((3, false)));
    }

    #[test]
    fn a_wait_is_capped() {
        assert_eq!(wait(&["wait=601"]), Some((600, false)));
        assert_eq!(wait(&["wait=99999999999999999999"]), Some((600, false)));
        assert_eq!(wait(&["wait=0"]), Some((0, false)));
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        let malformed = [
            "wait",
            "wait=",
            "wait=soon",
            "wait=-1",
            "wait=+1",
            "wait=1.5",
            "wait=\"1",
        ];
        for text in malformed {
            assert_eq!(wait(&[text]), None, "{text}");
        }
        assert_eq!(wait(&["wait=x, wait=5"]), None, "the first one counts");
        assert_eq!(wait(&["on-timeout=release"]), None);
        assert_eq!(wait(&[]), None);
    }
}
