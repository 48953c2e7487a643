//! A failure on its way out, before anybody knows whether HTTP or gRPC will carry it: a
//! `google.rpc.Status` in the making. Knows nothing of HTTP.

use std::error::Error;
use std::fmt;

use prost::Message as _;
use tonic::Code;

use crate::proto::google::rpc;
use crate::proto::wkt;

/// The `domain` of every `google.rpc.ErrorInfo` that comes from here.
pub const DOMAIN: &str = "jumpstarter.dev";

/// The longest text of a failure, in bytes. What is sent back must not grow with what was sent: gRPC has
/// it in headers, of which grpc-java takes 8 KiB, and the clients built on gRPC's C core hardly more.
const LONGEST_TEXT: usize = 1000;

/// The longest path of a field.
const LONGEST_FIELD: usize = 320;

/// Once so much is told of fields that are wrong, no more of them are.
const ENOUGH: usize = LONGEST_TEXT;

/// Why a call failed, as the caller is told. Causes go to the log, where they are met.
#[derive(Debug)]
pub struct Fault {
    code: Code,
    reason: &'static str,
    message: String,
    violations: Vec<Violation>,
    metadata: Vec<(&'static str, String)>,
    retry_after: Option<u32>,
}

/// A field of the request that is wrong (`google.rpc.BadRequest`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Its JSON path in the request, or the name of the query parameter or header.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub description: String,
}

impl Fault {
    /// A failure with a canonical code, a stable UPPER_SNAKE_CASE reason for programs, and a
    /// sentence for people. A text that is too long is cut here, as everywhere in a failure.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: shortened(message.into(), LONGEST_TEXT),
            violations: vec![],
            metadata: vec![],
            retry_after: None,
        }
    }

    /// The caller has to change the request.
    pub fn invalid_argument(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, reason, message)
    }

    /// The caller has to say who it is, with a token that is accepted.
    pub fn unauthenticated(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, reason, message)
    }

    /// Another field that is wrong. It is left out where enough is told of others.
    #[must_use]
    pub fn with_violation(mut self, violation: Violation) -> Self {
        let told = self.violations.iter();
        let told: usize = told
            .map(|one| one.field.len() + one.description.len())
            .sum();
        if told < ENOUGH {
            self.violations.push(Violation {
                field: shortened(violation.field, LONGEST_FIELD),
                description: shortened(violation.description, LONGEST_TEXT),
            });
        }
        self
    }

    /// A fact for programs (`ErrorInfo.metadata`).
    #[must_use]
    pub fn with_metadata(mut self, key: &'static str, value: impl Into<String>) -> Self {
        let value = shortened(value.into(), LONGEST_TEXT);
        self.metadata.push((key, value));
        self
    }

    /// Trying again helps, but not before so many seconds (`google.rpc.RetryInfo`, `Retry-After`).
    #[must_use]
    pub fn with_retry(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The canonical code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The stable reason, for programs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The status that goes on the wire.
    #[must_use]
    pub fn into_proto(self) -> rpc::Status {
        let info = rpc::ErrorInfo {
            reason: self.reason.to_owned(),
            domain: DOMAIN.to_owned(),
            metadata: self
                .metadata
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        };
        let mut details = vec![wkt::Any::of(&info)];
        if !self.violations.is_empty() {
            let violation = |violation: Violation| rpc::bad_request::FieldViolation {
                field: violation.field,
                description: violation.description,
                ..Default::default()
            };
            let field_violations = self.violations.into_iter().map(violation).collect();
            details.push(wkt::Any::of(&rpc::BadRequest { field_violations }));
        }
        if let Some(seconds) = self.retry_after {
            let retry_delay = Some(wkt::Duration {
                seconds: seconds.into(),
                nanos: 0,
            });
            details.push(wkt::Any::of(&rpc::RetryInfo { retry_delay }));
        }
        rpc::Status {
            code: self.code as i32,
            message: self.message,
            details,
        }
    }
}

/// A text that is longer than `length` bytes is no more than so much of it: its beginning, `…`, and its end,
/// which says what would be right.
#[must_use]
pub fn shortened(mut text: String, length: usize) -> String {
    if text.len() > length {
        let end = length / 4;
        let beginning = text.floor_char_boundary(length - end);
        let end = text.ceil_char_boundary(text.len() - end);
        text.replace_range(beginning..end, "…");
    }
    text
}

/// The reason in the details of a `google.rpc.Status` that came from here, encoded as gRPC carries it.
#[must_use]
pub fn reason(status: &[u8]) -> Option<String> {
    let status = rpc::Status::decode(status).ok()?;
    reason_of(&status)
}

/// The reason of a status.
#[must_use]
pub fn reason_of(status: &rpc::Status) -> Option<String> {
    Some(detail::<rpc::ErrorInfo>(status)?.reason)
}

/// The first detail of this type.
#[must_use]
pub fn detail<M: prost::Message + prost::Name + Default>(status: &rpc::Status) -> Option<M> {
    let type_url = M::type_url();
    let detail = status
        .details
        .iter()
        .find(|detail| detail.type_url == type_url)?;
    M::decode(detail.value.as_slice()).ok()
}

/// Tells in the details of an error how somebody who reports it can be told from others, once.
pub fn tell_request(status: &mut rpc::Status, info: &rpc::RequestInfo) {
    if detail::<rpc::RequestInfo>(status).is_none() {
        status.details.push(wkt::Any::of(info));
    }
}

/// What a status of a call says. One without details (tonic makes some, and details that cannot be read are
/// none) still has a reason: its code.
#[must_use]
pub fn proto_of(status: &tonic::Status) -> rpc::Status {
    // Details that cannot be read never change the code or the message.
    let details = rpc::Status::decode(status.details()).map(|status| status.details);
    match details.unwrap_or_default() {
        details if details.is_empty() => {
            Fault::new(status.code(), code_name(status.code()), status.message()).into_proto()
        }
        details => rpc::Status {
            code: status.code() as i32,
            message: status.message().to_owned(),
            details,
        },
    }
}

/// The code's name in `google.rpc.Code`.
#[must_use]
pub fn code_name(code: Code) -> &'static str {
    rpc::Code::try_from(code as i32)
        .unwrap_or(rpc::Code::Unknown)
        .as_str_name()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {}

impl From<Fault> for tonic::Status {
    /// The same in gRPC's form: the whole status, details included, goes into
    /// `grpc-status-details-bin`.
    fn from(fault: Fault) -> Self {
        let (code, message) = (fault.code, fault.message.clone());
        let details = fault.into_proto().encode_to_vec();
        Self::with_details(code, message, details.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_does_not_grow_with_its_request() {
        let long = "ä".repeat(500_000);
        let mut fault = Fault::invalid_argument("TEST", long.clone()).with_metadata("key", &long);
        for _ in 0..1_000 {
            fault = fault.with_violation(Violation {
                field: long.clone(),
                description: long.clone(),
            });
        }
        assert_eq!(fault.violations.len(), 1);
        let response = tonic::Status::from(fault).into_http::<()>();
        // As HTTP/2 counts them (RFC 9113, section 6.5.2).
        let headers = response.headers().iter();
        let size: usize = headers
            .map(|(name, value)| 32 + name.as_str().len() + value.len())
            .sum();
        assert!(size < 8_192, "{size} bytes");
    }
}
