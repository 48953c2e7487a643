//! Why a command failed: what the server said of it, and what to do. Knows nothing of the commands.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::exit::Exit;

/// A failure, in lines for people.
#[derive(Clone, Debug)]
pub struct Problem {
    pub exit: Exit,
    /// The stable word for it, where the server gave one.
    pub reason: Box<str>,
    message: Box<str>,
    /// Fields of the request that are wrong, each with why.
    violations: Vec<Violation>,
    /// What whoever runs the gateway finds in its log.
    request_id: Option<Box<str>>,
    advice: Option<&'static str>,
    /// Trying again may help, but not before so long.
    pub retry_after: Option<Duration>,
    /// Nothing has come of the request.
    pub is_certain: bool,
}

/// A `google.rpc.Status` in JSON, as much of it as is of use here. Details of other types pass.
#[derive(Deserialize)]
struct Status {
    code: i32,
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    reason: Option<Box<str>>,
    #[serde(default)]
    field_violations: Vec<Violation>,
    request_id: Option<Box<str>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Violation {
    field: String,
    description: String,
}

/// How much of an answer is shown that cannot be read.
const EXCERPT: usize = 200;

impl Problem {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            reason: Box::default(),
            message: message.into().into(),
            violations: vec![],
            request_id: None,
            advice: None,
            retry_after: None,
            is_certain: false,
        }
    }

    #[must_use]
    pub fn with_advice(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// What an answer of this HTTP status says is wrong. `retry_after` is its header, in seconds.
    pub fn of_answer(http_status: u16, retry_after: Option<u64>, body: &str) -> Self {
        let retry_after = retry_after.map(Duration::from_secs);
        let Ok(status) = serde_json::from_str::<Status>(body) else {
            // Most likely it comes from a proxy on the way.
            let exit = match http_status {
                429 | 502..=504 => Exit::Unreachable,
                _ => Exit::Broken,
            };
            let excerpt: String = body.trim().chars().take(EXCERPT).collect();
            let message =
                format!("HTTP status {http_status}, and no answer of this API: {excerpt}");
            return Self {
                retry_after,
                ..Self::new(exit, message).with_advice(WHERE)
            };
        };
        // 8 is RESOURCE_EXHAUSTED both for a body that is too large and for too many requests.
        let exit = match http_status {
            413 => Exit::Rejected,
            _ => Exit::of_code(status.code),
        };
        let mut problem = Self {
            retry_after,
            is_certain: true,
            advice: advice(status.code),
            ..Self::new(exit, status.message)
        };
        for detail in status.details {
            problem.reason = detail.reason.unwrap_or(problem.reason);
            problem.violations.extend(detail.field_violations);
            problem.request_id = detail.request_id.or(problem.request_id);
        }
        problem
    }

    /// No answer at all came from `server`.
    pub fn of_transport(server: &str, error: &reqwest::Error) -> Self {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let what = if error.is_timeout() {
            "does not answer in time"
        } else if error.is_connect() {
            "cannot be reached"
        } else {
            "broke off"
        };
        let message = format!("{server} {what}: {cause}");
        Self {
            is_certain: error.is_connect(),
            ..Self::new(Exit::Unreachable, message).with_advice(WHERE)
        }
    }

    /// The sentence alone.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is the gateway itself that says so.
    #[must_use]
    pub fn is_of_server(&self) -> bool {
        !self.reason.is_empty()
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.exit == Exit::Unreachable
    }
}

const WHERE: &str = "--server or JUMPSTARTER_GATEWAY_URL says where the gateway is; --cacert names \
                     the certificate of a private one";

/// What helps, where the message alone may not say it.
fn advice(code: i32) -> Option<&'static str> {
    match tonic::Code::from(code) {
        tonic::Code::Unauthenticated => Some(
            "give your token in JUMPSTARTER_GATEWAY_TOKEN, or in a file that --token-file names",
        ),
        tonic::Code::Internal => Some("tell who runs the gateway; its log has the request id"),
        _ => None,
    }
}

impl fmt::Display for Problem {
    /// Lines that begin with `error: `, and perhaps one more with `hint: `.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.violations[..] {
            [only] if *only.description == *self.message => {
                write!(f, "error: {}: {}", only.field, only.description)?;
            }
            violations => {
                write!(f, "error: {}", self.message)?;
                // Once is enough.
                let untold = |one: &&Violation| !self.message.contains(&one.description);
                for Violation { field, description } in violations.iter().filter(untold) {
                    write!(f, "\nerror: {field}: {description}")?;
                }
            }
        }
        if let (Exit::Broken, Some(id)) = (self.exit, &self.request_id) {
            write!(f, "\nerror: the request's id is {id}")?;
        }
        match self.advice {
            Some(advice) => write!(f, "\nhint: {advice}"),
            None => Ok(()),
        }
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_field_by_field() {
        let body = r#"{"code": 3, "message": "two things are wrong", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "WRONG", "domain": "x"},
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                {"field": "lease.selector", "description": "required"},
                {"field": "lease.tags", "description": "too many"}]},
            {"@type": "type.googleapis.com/not.known", "value": 7}]}"#;
        let problem = Problem::of_answer(400, None, body);
        assert_eq!((problem.exit, &*problem.reason), (Exit::Rejected, "WRONG"));
        assert_eq!(
            problem.to_string(),
            "error: two things are wrong\nerror: lease.selector: required\nerror: lease.tags: too many"
        );
    }

    #[test]
    fn what_the_message_says_is_not_told_twice() {
        let body = r#"{"code": 3, "message": "lease.endTime: expected a time", "details": [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                {"field": "lease.endTime", "description": "expected a time"}]}]}"#;
        let problem = Problem::of_answer(400, None, body);
        assert_eq!(problem.to_string(), "error: lease.endTime: expected a time");
    }

    #[test]
    fn what_is_no_answer_of_ours_is_shown() {
        let problem = Problem::of_answer(502, Some(3), "<h1>Bad Gateway</h1>\n");
        assert!(problem.is_passing());
        assert_eq!(problem.retry_after, Some(Duration::from_secs(3)));
        assert!(problem.to_string().contains("HTTP status 502"), "{problem}");
        assert!(
            problem.to_string().contains("<h1>Bad Gateway</h1>"),
            "{problem}"
        );
        assert_eq!(Problem::of_answer(404, None, "").exit, Exit::Broken);
    }
}
