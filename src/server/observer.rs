//! Who is told of calls and commits, and what: the metrics always, the audit log and traces where they
//! are wanted.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use http::Request;
use tonic::{Code, Status};

use super::routes;
use super::trace::{Span, Traces};
use crate::audit::{Audit, CallLine, Line};
use crate::call::{self, Call, Deed};
use crate::fault::code_name;
use crate::metrics::Metrics;
use crate::store::{self, Attempt, Commit};
use crate::transcode::refusal;

/// What a call is counted as whose client left before the answer.
const CLIENT_LEFT: usize = 499;

/// Everybody who is told; clones share them.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Listeners>);

#[derive(Debug)]
struct Listeners {
    metrics: Arc<Metrics>,
    audit: Option<Audit>,
    traces: Option<Traces>,
}

impl Default for Observer {
    /// Counts, and tells nobody.
    fn default() -> Self {
        Self::new(Self::counting(), None, None)
    }
}

impl Observer {
    /// Counts there; where there is an audit log, or somewhere to send traces, it tells them too.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, audit: Option<Audit>, traces: Option<Traces>) -> Self {
        Self(Arc::new(Listeners {
            metrics,
            audit,
            traces,
        }))
    }

    /// A count of everything that is served, of which there has been nothing yet.
    #[must_use]
    pub fn counting() -> Arc<Metrics> {
        Arc::new(Metrics::new(routes::http(), routes::rpcs()))
    }

    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    #[must_use]
    pub fn audit(&self) -> Option<&Audit> {
        self.0.audit.as_ref()
    }

    /// Everything that was told is where it belongs; what comes later may be lost.
    pub(super) async fn stop(&self) {
        let listeners = self.0.clone();
        // Both wait for others.
        let stopped = tokio::task::spawn_blocking(move || {
            if let Some(traces) = &listeners.traces {
                traces.stop();
            }
            if let Some(audit) = &listeners.audit {
                audit.line(Line::Stopped {
                    at: super::system_time(),
                });
                audit.flush();
            }
        });
        // Where it panicked, the log has told.
        let _ = stopped.await;
    }

    /// The span of a request, where it is traced.
    pub(super) fn span(&self, request: &Request<Body>) -> Option<Box<Span>> {
        self.0.traces.as_ref()?.begin(request).map(Box::new)
    }

    /// A call begins. It has to be the present one until it has been answered.
    pub(super) fn begin(self, span: Option<Box<Span>>) -> UnderWay {
        self.0.metrics.calls.begin();
        UnderWay {
            observer: self,
            began: Instant::now(),
            span,
            is_answered: false,
        }
    }

    fn answered(&self, call: &Call, began: Instant, outcome: &Outcome, span: Option<Box<Span>>) {
        let took = (!call.has_waited()).then(|| began.elapsed());
        let route = call.route();
        let counted = if routes::is_rpc(route) {
            outcome.code.map_or(0, |code| code as usize)
        } else {
            outcome.status
        };
        self.0.metrics.calls.answered(route, counted, took);
        if let Some(reason) = &outcome.reason
            && is_stranger(outcome)
        {
            self.0.metrics.calls.refused(reason);
        }
        if let Some(span) = span {
            span.end(call, outcome);
        }
        if let (Some(audit), Some(deed)) = (&self.0.audit, call.take_deed()) {
            audit.call(line(call, *deed, outcome));
        }
    }
}

impl store::Observer for Observer {
    fn published(&self, commit: &Arc<Commit>) {
        self.0.metrics.leases.committed(commit);
        if let Some(audit) = &self.0.audit {
            audit.committed(commit);
        }
    }

    fn attempted(&self, attempt: &Attempt) {
        self.0.metrics.commits.attempted(attempt);
    }
}

/// A call that has not been answered yet. Where this is dropped, its client has left.
pub struct UnderWay {
    observer: Observer,
    began: Instant,
    /// Boxed, because most calls have none, and every call has room for one.
    span: Option<Box<Span>>,
    is_answered: bool,
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    /// Of HTTP; gRPC's is of no account.
    pub status: usize,
    /// None for what went well over HTTP.
    pub code: Option<Code>,
    pub reason: Option<String>,
}

impl UnderWay {
    pub fn answered(mut self, response: &Response) {
        self.tell(|call| Outcome::of(call, response));
    }

    fn tell(&mut self, outcome: impl FnOnce(&Call) -> Outcome) {
        self.is_answered = true;
        let span = self.span.take();
        call::present(|call| {
            let outcome = outcome(call);
            self.observer.answered(call, self.began, &outcome, span);
        });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.observer.0.metrics.calls.end();
        if !self.is_answered {
            self.tell(|_| Outcome {
                status: CLIENT_LEFT,
                code: Some(Code::Cancelled),
                reason: Some("CLIENT_LEFT".to_owned()),
            });
        }
    }
}

impl Outcome {
    fn of(call: &Call, response: &Response) -> Self {
        let status = usize::from(response.status().as_u16());
        if routes::is_rpc(call.route()) {
            let refused = Status::from_header_map(response.headers());
            let refused = refused.filter(|status| status.code() != Code::Ok);
            let reason = refused
                .as_ref()
                .and_then(|status| crate::fault::reason(status.details()));
            let code = Some(refused.map_or(Code::Ok, |status| status.code()));
            return Self {
                status,
                code,
                reason,
            };
        }
        if status < 400 {
            let (code, reason) = (None, None);
            return Self {
                status,
                code,
                reason,
            };
        }
        let (code, reason) = refusal(response).unzip();
        Self {
            status,
            code,
            reason: reason.flatten(),
        }
    }
}

/// Nobody knows who called: there was no token, or none that is good.
fn is_stranger(outcome: &Outcome) -> bool {
    let is_throttled = |reason: &String| reason == "TOO_MANY_FAILURES";
    outcome.code == Some(Code::Unauthenticated) || outcome.reason.as_ref().is_some_and(is_throttled)
}

fn line(call: &Call, deed: Deed, outcome: &Outcome) -> CallLine {
    let is_rpc = routes::is_rpc(call.route());
    CallLine {
        at: super::system_time(),
        rpc: deed.rpc,
        code: code_name(outcome.code.unwrap_or(Code::Ok)),
        status: u16::try_from(outcome.status).ok().filter(|_| !is_rpc),
        reason: outcome.reason.clone(),
        actor: deed.actor,
        peer: deed.peer,
        lease: deed.lease,
        revision: call.commit().map(|commit| commit.revision),
        request: call.id().to_string(),
        trace: call.trace().map(str::to_owned),
        explanation: deed.reason,
        left_out: 0,
    }
}
