//! A failure on its way out, before anybody knows whether HTTP or gRPC will carry it: a
//! `google.rpc.Status` in the making. Knows nothing of HTTP.

use std::error::Error;
use std::fmt;

use prost::{Message as _, Name as _};
use tonic::Code;

use crate::proto::google::rpc;
use crate::proto::wkt;

/// The `domain` of every `google.rpc.ErrorInfo` that comes from here.
pub const DOMAIN: &str = "jumpstarter.dev";

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
    /// sentence for people.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
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

    #[must_use]
    pub fn with_violation(mut self, violation: Violation) -> Self {
        self.violations.push(violation);
        self
    }

    /// A fact for programs (`ErrorInfo.metadata`).
    #[must_use]
    pub fn with_metadata(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
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

/// The reason in the details of a `google.rpc.Status` that came from here, encoded as gRPC carries it.
#[must_use]
pub fn reason(status: &[u8]) -> Option<String> {
    let status = rpc::Status::decode(status).ok()?;
    reason_of(&status)
}

/// The reason of a status.
#[must_use]
pub fn reason_of(status: &rpc::Status) -> Option<String> {
    let type_url = rpc::ErrorInfo::type_url();
    let info = status
        .details
        .iter()
        .find(|detail| detail.type_url == type_url)?;
    let info = rpc::ErrorInfo::decode(info.value.as_slice()).ok()?;
    Some(info.reason)
}

/// Tells in the details of an error by which id somebody who reports it can be told from others.
pub fn tell_request_id(status: &mut rpc::Status, id: &str) {
    status.details.push(wkt::Any::of(&rpc::RequestInfo {
        request_id: id.to_owned(),
        ..Default::default()
    }));
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
