//! Exit codes, and the failures of a command that lead to them.

use std::fmt;
use std::process::ExitCode;

/// What a command came to, for scripts. The numbers are a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// It failed for a reason without a code of its own.
    Failed = 1,
    /// The command line, a settings file or the input is wrong; nothing was done.
    Input = 2,
    /// No daemon answers at the address, or the connection broke.
    Unreachable = 3,
    /// The daemon refused: not found, invalid, not allowed in this state, or too busy.
    Refused = 4,
    /// `serve`: the address cannot be listened on.
    Address = 5,
    /// `serve`, `check-config`, `restore`, `store verify`: a folder is in use by another process or cannot be written.
    Folder = 6,
    /// `enroll --csv`: done, and some rows were rejected.
    Rejected = 7,
    /// `diff`: something differs.
    Differs = 8,
    /// `store verify`, `restore`: what is looked at is damaged.
    Damaged = 9,
    /// Stopped by a second signal, before it was finished.
    Interrupted = 130,
}

/// The table of `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    done
  1    failed for a reason without a code of its own
  2    the command line, a settings file or the input is wrong; nothing was done
  3    no daemon answers at the address, or the connection broke
  4    the daemon refused: not found, invalid, not allowed in this state, or too busy
  5    serve: the address cannot be listened on
  6    serve, check-config, restore, store verify: a folder is in use by another process or cannot be written
  7    enroll --csv: done, and some rows were rejected
  8    diff: something differs
  9    store verify, restore: what is looked at is damaged
  130  stopped by a signal before it was finished";

/// Why a command did not do what it was asked, in words for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What scripts see.
    pub(crate) code: Code,
    /// What people see: what is wrong, and what would be right.
    pub(crate) says: String,
}

impl Failure {
    /// A failure of this code.
    pub(crate) fn new(code: Code, says: impl fmt::Display) -> Failure {
        Failure { code, says: says.to_string() }
    }

    /// One of the input.
    pub(crate) fn input(says: impl fmt::Display) -> Failure {
        Failure::new(Code::Input, says)
    }

    /// One without a code of its own.
    pub(crate) fn other(says: impl fmt::Display) -> Failure {
        Failure::new(Code::Failed, says)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_in_the_table() {
        let all = [
            Code::Failed,
            Code::Input,
            Code::Unreachable,
            Code::Refused,
            Code::Address,
            Code::Folder,
            Code::Rejected,
            Code::Differs,
            Code::Damaged,
            Code::Interrupted,
        ];
        for code in all {
            let line = format!("\n  {:<5}", code as u8);
            assert!(TABLE.contains(&line), "{code:?}");
        }
    }
}
