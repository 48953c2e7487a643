//! The two text forms of a page of metrics, and which of them somebody wants.
//!
//! The encoder writes OpenMetrics 1.0. Prometheus' own, older form (0.0.4) has the same lines of
//! numbers, but a counter is called in its comments as in its lines, and other comments mean nothing.

/// A text form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    OpenMetrics,
    Prometheus,
}

impl Form {
    /// The form that an Accept header asks for: OpenMetrics where it is named, as Prometheus does.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// What was written as OpenMetrics, in this form.
    pub(super) fn of(self, written: String) -> String {
        if self == Self::OpenMetrics {
            return written;
        }
        let mut text = String::with_capacity(written.len());
        let mut lines = written.lines().peekable();
        while let Some(line) = lines.next() {
            // Help comes first, and its type on the next line.
            let is_counter = lines.peek().unwrap_or(&line).ends_with(" counter");
            let comment = line
                .strip_prefix("# ")
                .and_then(|rest| rest.split_once(' '));
            match comment {
                Some((kind @ ("HELP" | "TYPE"), rest))
                    if is_counter || line.ends_with(" counter") =>
                {
                    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    text.extend(["# ", kind, " ", name, "_total ", rest, "\n"]);
                }
                Some(("HELP" | "TYPE", _)) | None if line != "# EOF" => {
                    text.extend([line, "\n"]);
                }
                _ => {}
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_form_calls_counters_as_their_lines_do() {
        let written = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1.5\n\
                       # HELP b How often.\n# TYPE b counter\nb_total{x=\"# EOF\"} 2\n# EOF\n";
        let expected = "# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
                        # HELP b_total How often.\n# TYPE b_total counter\nb_total{x=\"# EOF\"} 2\n";
        assert_eq!(Form::Prometheus.of(written.to_owned()), expected);
        assert_eq!(Form::OpenMetrics.of(written.to_owned()), written);
    }

    #[test]
    fn who_names_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Form::accepted(prometheus), Form::OpenMetrics);
        assert_eq!(Form::accepted("*/*"), Form::Prometheus);
    }
}
