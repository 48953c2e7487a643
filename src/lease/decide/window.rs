//! The times of a lease as they are asked for: begin, end and duration, of which two or one are
//! enough (section G).

use super::super::book::Settings;
use super::super::command::Refusal;
use super::super::time::{Duration, Timestamp};

/// Times that agree with each other. There is always a duration, and with an end, save for an
/// update's sake, always a begin: end = begin + duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Window {
    pub(super) begin: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) duration: Option<Duration>,
}

const BEGIN: &str = "lease.begin_time";
pub(super) const END: &str = "lease.end_time";
const DURATION: &str = "lease.duration";

impl Window {
    /// Completes what was sent, and refuses what contradicts itself (rules G1-G11, G17).
    pub(super) fn new(
        begin: Option<Timestamp>,
        end: Option<Timestamp>,
        duration: Option<Duration>,
    ) -> Result<Self, Refusal> {
        if let Some(duration) = duration {
            check_positive(duration, DURATION)?;
        }
        let window = match (begin, end, duration) {
            (_, None, Some(_)) => Self {
                begin,
                end,
                duration,
            },
            (None, Some(end), Some(span)) => Self {
                begin: Some(end - span),
                end: Some(end),
                duration,
            },
            (Some(begin), Some(end), None) => {
                check_positive(end - begin, END)?;
                Self {
                    begin: Some(begin),
                    end: Some(end),
                    duration: Some(end - begin),
                }
            }
            (Some(from), Some(to), Some(span)) if to - from == span => Self {
                begin,
                end,
                duration,
            },
            (Some(_), Some(_), Some(_)) => {
                return Err(duration_conflict());
            }
            (_, _, None) => {
                let message =
                    "duration is required (must specify Duration, or both BeginTime and EndTime)";
                return Err(Refusal::invalid("DURATION_REQUIRED", DURATION, message));
            }
        };
        window.check_range()?;
        Ok(window)
    }

    /// Rule G14.
    pub(super) fn check_length(&self, settings: &Settings) -> Result<(), Refusal> {
        let length = self.duration.unwrap_or_default();
        let (reason, message) = match (settings.minimum_duration, settings.maximum_duration) {
            (Some(least), _) if length < least => (
                "DURATION_TOO_SHORT",
                format!("duration must be at least {least}, got {length}"),
            ),
            (_, Some(most)) if length > most => (
                "DURATION_TOO_LONG",
                format!("duration must be at most {most}, got {length}"),
            ),
            _ => return Ok(()),
        };
        Err(Refusal::invalid(reason, DURATION, message))
    }

    /// Rule G13. A begin in the past is fine (rule G12), an end is not.
    pub(super) fn check_not_over(&self, now: Timestamp) -> Result<(), Refusal> {
        let end = self.end.or_else(|| Some(self.begin? + self.duration?));
        match end {
            Some(end) if end <= now => {
                let field = if self.end.is_some() { END } else { BEGIN };
                let message = format!("the lease would end at {end}, which is in the past");
                Err(Refusal::invalid("END_IN_THE_PAST", field, message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses times that came out of sums and cannot be written on the wire.
    pub(super) fn check_range(&self) -> Result<(), Refusal> {
        let range = Timestamp::MIN..=Timestamp::MAX;
        for (field, time) in [(BEGIN, self.begin), (END, self.end)] {
            if let Some(time) = time.filter(|time| !range.contains(time)) {
                let message = format!("the time {time} is out of range");
                return Err(Refusal::invalid("TIME_OUT_OF_RANGE", field, message));
            }
        }
        Ok(())
    }
}

/// Rules G3, G6, G8, G11.
pub(super) fn check_positive(span: Duration, field: &str) -> Result<(), Refusal> {
    if span.is_positive() {
        return Ok(());
    }
    let message = format!("duration must be positive, got {span}");
    Err(Refusal::invalid("DURATION_NOT_POSITIVE", field, message))
}

/// Rule G10.
pub(super) fn duration_conflict() -> Refusal {
    let message = "duration conflicts with begin_time and end_time";
    Refusal::invalid("DURATION_CONFLICT", DURATION, message)
}
