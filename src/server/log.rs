//! The log: one line for each event, with the request that it belongs to. A span for each request
//! would cost every request what only those pay that have something to tell.

use std::fmt;
use std::io::IsTerminal as _;

use serde_json::json;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, reload};

use crate::call;
use crate::config::{LogFormat, Settings};

/// The log of this process.
pub struct Log(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl Log {
    /// From now on what is logged is what these directives name.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn filter(&self, directives: &str) -> Result<(), String> {
        (self.0)(filter(directives)?).map_err(|error| format!("log: {error}"))
    }
}

/// The filter that directives describe.
///
/// # Errors
/// They cannot be read.
pub fn filter(directives: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(directives).map_err(|error| {
        format!(
            "log: {error}; it is a level (error, warn, info, debug, trace) or directives such as \
             info,jumpstarter_gateway::store=debug"
        )
    })
}

/// Begins to log what happens to the standard error.
///
/// # Errors
/// The filter cannot be read, or something logs already.
pub fn start_log(settings: &Settings) -> Result<Log, String> {
    let filter = filter(&settings.log)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let (log, started): (Log, _) = match settings.log_format {
        LogFormat::Text => {
            let colourful = std::io::stderr().is_terminal();
            // The event's format writes into a string, and has to be told itself.
            let log = log
                .with_ansi(colourful)
                .map_event_format(|events| Lines {
                    events: events.with_ansi(colourful),
                    form: LogFormat::Text,
                })
                .with_filter_reloading();
            let handle = log.reload_handle();
            let reload = Log(Box::new(move |filter| handle.reload(filter)));
            (reload, log.try_init())
        }
        LogFormat::Json => {
            let log = log
                .json()
                .map_event_format(|events| Lines {
                    events,
                    form: LogFormat::Json,
                })
                .with_filter_reloading();
            let handle = log.reload_handle();
            let reload = Log(Box::new(move |filter| handle.reload(filter)));
            (reload, log.try_init())
        }
    };
    started.map_err(|error| format!("log: {error}"))?;
    Ok(log)
}

/// Another format's lines, with the request behind them; where they are JSON objects, as a member.
struct Lines<F> {
    events: F,
    form: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
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
        self.events
            .format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        let told = call::present(|call| {
            let (id, method) = (call.id(), call.method().as_str());
            let path = call.path();
            match self.form {
                LogFormat::Text => {
                    let trace = call.trace().map(|trace| format!(" trace={trace}"));
                    let trace = trace.unwrap_or_default();
                    format!("{line} request={id}{trace} {method} {path}")
                }
                LogFormat::Json => {
                    let mut request =
                        json!({ "id": id.to_string(), "method": method, "path": path });
                    if let Some(trace) = call.trace() {
                        request["trace"] = trace.into();
                    }
                    let open = line.strip_suffix('}').unwrap_or(line);
                    format!("{open},\"request\":{request}}}")
                }
            }
        });
        writeln!(writer, "{}", told.as_deref().unwrap_or(line))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt;
    use http::{HeaderValue, Request};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::call::{Call, Id};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Written {
        /// What `happen` logs, inside of a request and outside of one.
        fn of(self, log: impl Subscriber + Send + Sync) -> String {
            let request = Request::get("/v1/x?secret=1").body(()).unwrap();
            let id = Id::Brought(HeaderValue::from_static("seven"));
            let call = Call::new(&request, id, 0).traced(Some("one".to_owned()));
            tracing::subscriber::with_default(log, || {
                tracing::info!(answer = 42, "inside");
                call.scope(async { tracing::info!(answer = 42, "inside") })
                    .now_or_never();
            });
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn lines_say_which_request_they_belong_to() {
        let lines = Written::default();
        let log = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_ansi(false)
            .without_time()
            .map_event_format(|events| Lines {
                events,
                form: LogFormat::Text,
            })
            .finish();
        let target = module_path!();
        assert_eq!(
            lines.of(log),
            format!(
                " INFO {target}: inside answer=42\n \
                 INFO {target}: inside answer=42 request=seven trace=one GET /v1/x\n"
            )
        );
    }

    #[test]
    fn objects_have_the_request_as_a_member() {
        let lines = Written::default();
        let log = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .json()
            .map_event_format(|events| Lines {
                events,
                form: LogFormat::Json,
            })
            .finish();
        let text = lines.of(log);
        let objects: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), 2, "{text}");
        assert!(objects[0].get("request").is_none(), "{text}");
        assert_eq!(objects[1]["fields"]["answer"], 42, "{text}");
        let request = json!({ "id": "seven", "method": "GET", "path": "/v1/x", "trace": "one" });
        assert_eq!(objects[1]["request"], request, "{text}");
    }
}
