//! The log: one line for each event, with the request that it belongs to. A span for each request
//! would cost every request what only those pay that have something to tell.

use std::fmt;
use std::io::IsTerminal as _;

use http::{HeaderValue, Method, Request};
use serde_json::json;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogFormat, Settings};

tokio::task_local! {
    /// The request that is being answered.
    pub static REQUEST: Subject;
}

/// What a log line tells of a request.
pub struct Subject {
    method: Method,
    uri: http::Uri,
    id: HeaderValue,
}

impl Subject {
    pub fn new<B>(request: &Request<B>, id: HeaderValue) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            id,
        }
    }

    fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// Begins to log what happens to the standard error.
///
/// # Errors
/// The filter cannot be read, or something logs already.
pub fn start_log(settings: &Settings) -> Result<(), String> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| format!("log: {error}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => {
            let colourful = std::io::stderr().is_terminal();
            // The event's format writes into a string, and has to be told itself.
            log.with_ansi(colourful)
                .map_event_format(|format| Text(format.with_ansi(colourful)))
                .try_init()
        }
        LogFormat::Json => log.json().map_event_format(Json).try_init(),
    };
    started.map_err(|error| format!("log: {error}"))
}

/// Lines for people, with the request behind them.
struct Text<F>(F);

/// JSON objects, with the request as a member.
struct Json<F>(F);

impl<S, N, F> FormatEvent<S, N> for Text<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(line.trim_end_matches('\n'))?;
        if let Ok(request) = REQUEST.try_with(|request| {
            let (method, path) = (&request.method, request.uri.path());
            format!(" request={} {method} {path}", request.id())
        }) {
            writer.write_str(&request)?;
        }
        writer.write_char('\n')
    }
}

impl<S, N, F> FormatEvent<S, N> for Json<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let request = REQUEST.try_with(|request| {
            let (method, path) = (request.method.as_str(), request.uri.path());
            json!({ "id": request.id(), "method": method, "path": path })
        });
        let Ok(request) = request else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0
            .format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end().strip_suffix('}').unwrap_or(&line);
        writeln!(writer, "{open},\"request\":{request}}}")
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Lines {
        /// What `happen` logs, inside of a request and outside of one.
        fn of(self, log: impl Subscriber + Send + Sync) -> String {
            let request = Request::get("/v1/x?secret=1").body(()).unwrap();
            let subject = Subject::new(&request, HeaderValue::from_static("seven"));
            tracing::subscriber::with_default(log, || {
                tracing::info!(answer = 42, "inside");
                REQUEST.sync_scope(subject, || tracing::info!(answer = 42, "inside"));
            });
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn lines_say_which_request_they_belong_to() {
        let lines = Lines::default();
        let log = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(false)
            .without_time()
            .map_event_format(Text)
            .finish();
        let target = module_path!();
        assert_eq!(
            lines.of(log),
            format!(
                " INFO {target}: inside answer=42\n \
                 INFO {target}: inside answer=42 request=seven GET /v1/x\n"
            )
        );
    }

    #[test]
    fn objects_have_the_request_as_a_member() {
        let lines = Lines::default();
        let log = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .json()
            .map_event_format(Json)
            .finish();
        let text = lines.of(log);
        let objects: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), 2, "{text}");
        assert!(objects[0].get("request").is_none(), "{text}");
        assert_eq!(objects[1]["fields"]["answer"], 42, "{text}");
        let request = json!({ "id": "seven", "method": "GET", "path": "/v1/x" });
        assert_eq!(objects[1]["request"], request, "{text}");
    }
}
