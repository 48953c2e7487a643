//! With what status the commands end. Knows nothing of what they do.

/// How a command ended, other than with a status that COMMAND gave. Numbers are those of BSD's
/// `sysexits.h`, whose range programs and shells leave alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Something on this side, such as a file that cannot be read.
    Failed = 1,
    Rejected = 64,
    NotFound = 66,
    Unreachable = 69,
    Broken = 70,
    Conflict = 73,
    TimedOut = 75,
    Refused = 77,
    Unsatisfiable = 78,
}

/// The statuses and what they mean, as `--help` shows them.
pub const MEANINGS: &str = "\
Exit status:
  0    All went well.
  1    Something failed on this side, such as a file that cannot be read.
  2    The command line is wrong.
  64   The server rejects the request: a selector, a duration, a name is wrong.
  66   What was named is not there.
  69   The server cannot be reached, or is not ready to answer.
  70   The server failed, or what answered is no jumpstarter-gateway.
  73   What is there stands against it: the name is taken, the lease has ended.
  75   The lease was not acquired in time. Try again later.
  77   Who you are is not known or not enough: the token, or your rights.
  78   No exporter can satisfy the lease, however long one waits.
With COMMAND, its own status; 126 or 127 if it cannot be run, 128 and the signal's number if a
signal ended it or the wait before it.";

impl Exit {
    /// The status for a failure that the server tells, by its `google.rpc.Code`.
    #[must_use]
    pub fn of_code(code: i32) -> Self {
        match tonic::Code::from(code) {
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange => Self::Rejected,
            tonic::Code::NotFound => Self::NotFound,
            tonic::Code::AlreadyExists | tonic::Code::FailedPrecondition | tonic::Code::Aborted => {
                Self::Conflict
            }
            tonic::Code::DeadlineExceeded => Self::TimedOut,
            tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => Self::Refused,
            tonic::Code::Unavailable | tonic::Code::ResourceExhausted => Self::Unreachable,
            _ => Self::Broken,
        }
    }
}

/// What a shell shows for a process that a signal ended.
#[must_use]
pub fn of_signal(number: i32) -> u8 {
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_explained() {
        let all = [
            Exit::Failed,
            Exit::Rejected,
            Exit::NotFound,
            Exit::Unreachable,
            Exit::Broken,
            Exit::Conflict,
            Exit::TimedOut,
            Exit::Refused,
            Exit::Unsatisfiable,
        ];
        for exit in all {
            let number = format!("  {:<4} ", exit as u8);
            assert!(MEANINGS.contains(&number), "{exit:?} is not in --help");
        }
    }
}
