//! Reads what strace wrote: system calls in the order in which they began and ended, across all threads.
//!
//! strace stops a thread at both ends of a call and writes a line before it lets the thread go on. So if one call is
//! the cause of another, its line stands first.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// One system call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Its name.
    pub(crate) name: String,
    /// Its arguments as strace writes them.
    pub(crate) arguments: String,
    /// What it returned; negative for an error.
    pub(crate) returned: i64,
    /// The place of its beginning among all lines.
    pub(crate) began: usize,
    /// The place of its end.
    pub(crate) ended: usize,
}

/// Options that make strace write what [`read`] reads, for these calls.
pub(crate) fn options(calls: &str, bytes: usize, to: &Path) -> Vec<String> {
    let program = ["strace", "-f", "-qq", "-xx", "-yy", "-e", "signal=none", "--seccomp-bpf"];
    let mut options: Vec<String> = program.map(str::to_owned).into();
    options.extend(["-s".to_owned(), bytes.to_string(), "-e".to_owned(), format!("trace={calls}")]);
    options.extend(["-o".to_owned(), to.display().to_string()]);
    options
}

/// Reads the calls that ended, in the order of their ends.
pub(crate) fn read(path: &Path) -> Vec<Call> {
    let mut lines = BufReader::new(File::open(path).unwrap());
    let (mut calls, mut open) = (Vec::new(), HashMap::new());
    let mut line = String::new();
    for place in 0.. {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        let Some((pid, says)) = line.trim_end().split_once(' ') else { continue };
        let says = says.trim_start();
        if let Some(begun) = says.strip_suffix("<unfinished ...>") {
            open.insert(pid.to_owned(), (begun.trim_end().to_owned(), place));
        } else if let Some(rest) = says.strip_prefix("<... ") {
            let Some((begun, began)) = open.remove(pid) else { continue };
            let rest = rest.split_once(" resumed>").map_or("", |(_, rest)| rest);
            calls.extend(call(&format!("{begun}{rest}"), began, place));
        } else {
            calls.extend(call(says, place, place));
        }
    }
    calls
}

/// A whole call, `name(arguments) = returned`; nothing for a line that is none.
fn call(says: &str, began: usize, ended: usize) -> Option<Call> {
    let (name, rest) = says.split_once('(')?;
    let (arguments, returned) = rest.rsplit_once(" = ")?;
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let digits = returned.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?;
    let returned = digits.parse().ok()?;
    Some(Call { name: name.to_owned(), arguments: arguments.to_owned(), returned, began, ended })
}

impl Call {
    /// What its first argument, a descriptor, stands for: `7</a/path>`, `9<TCP:[127.0.0.1:1->127.0.0.1:2]>`.
    pub(crate) fn path(&self) -> Option<String> {
        let (_, rest) = self.arguments.split_once('<')?;
        let ends = if rest.starts_with("TCP") { "]>" } else { ">" };
        let (path, _) = rest.split_once(ends)?;
        let is_hex = path.starts_with("\\x");
        Some(if is_hex { String::from_utf8_lossy(&unescaped(path)).into_owned() } else { path.to_owned() })
    }

    /// The descriptor of its first argument.
    pub(crate) fn descriptor(&self) -> Option<i64> {
        self.arguments.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// The bytes between the quotes of its arguments, one after another.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.texts().concat()
    }

    /// The bytes of each quoted argument.
    pub(crate) fn texts(&self) -> Vec<Vec<u8>> {
        // With -xx every byte is \x and two digits, so that a quote ends the text.
        self.arguments.split('"').skip(1).step_by(2).map(unescaped).collect()
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let digit =
        |c: u8| (c as char).to_digit(16).unwrap_or_else(|| panic!("not in hexadecimal: {text}")) as u8;
    text.as_bytes().chunks(4).map(|byte| digit(byte[2]) << 4 | digit(byte[3])).collect()
}
