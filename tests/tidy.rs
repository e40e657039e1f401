//! The style guide as a test: what CI holds over every Rust file of the tree, and over the paths named in any file.
//!
//! The rules are functions from one file to its findings; the first half of the tests runs them over the tree, the
//! second shows each of them failing on a bad sample. What a rule forbids is spelt in two halves here (`concat!`), or
//! this file would break its own rules. rustc and clippy hold the rest.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest file, not counting its tests.
const FILE_LINES_MAX: usize = 500;
/// The longest function, from the line of its `fn` to that of its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Where the pure core lives.
const CORE: &str = "actors/domain/src/";

/// Not in code, tests included: what it is, what to do instead.
const LEFT_BEHIND: [(&str, &str); 5] = [
    (concat!("to", "do!("), "write it, or leave the case out"),
    (concat!("un", "implemented!("), "write it, or leave the case out"),
    (concat!("#[", "ignore"), "make the test run, or take it out"),
    (concat!("#[", "allow("), "mend it, or say why with #[expect(.., reason = \"..\")]"),
    (concat!("#![", "allow("), "mend it, or say why with #![expect(.., reason = \"..\")]"),
];
/// Not anywhere, comments and strings included.
const MARKERS: [&str; 2] = [concat!("FIX", "ME"), concat!("TO", "DO")];
/// Not in code that ships.
const PANICS: [&str; 2] = [".unwrap()", ".expect("];
/// Not in the core, its tests included: they run on the same given time and seed.
const IMPURE: [(&str, &str); 16] = [
    ("Instant::now", "pass the time in"),
    ("SystemTime::now", "pass the time in"),
    ("Utc::now", "pass the time in"),
    ("Local::now", "pass the time in"),
    ("rand", "pass the seed in"),
    ("tokio", "decide here, act in the runtime"),
    ("tracing", "return what happened, the runtime says it"),
    ("println!", "return what happened, the runtime says it"),
    ("eprintln!", "return what happened, the runtime says it"),
    ("dbg!", "return what happened, the runtime says it"),
    ("HashMap", "its order is random: use BTreeMap"),
    ("HashSet", "its order is random: use BTreeSet"),
    ("std::fs", "decide here, act in the runtime"),
    ("std::net", "decide here, act in the runtime"),
    // What a grouped import, `use std::{fs, net}`, leads to.
    ("fs::", "decide here, act in the runtime"),
    ("net::", "decide here, act in the runtime"),
];
/// Not in any text file: these exist on one machine only.
const MACHINE_PATHS: [&str; 2] = [concat!("/wor", "k/main"), concat!("/root", "/.")];

// ------------------------------------------------------------------------------------------------ reading the tree

/// One Rust file: as written, and as code alone.
struct Source {
    /// From the root of the tree, with `/` between its parts.
    path: String,
    /// The lines as written.
    raw: Vec<String>,
    /// The same lines with comments and the insides of literals blanked out.
    code: Vec<String>,
    /// Which lines are test code.
    test: Vec<bool>,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (raw, code) = (lines(text), lines(&code_of(text)));
        let test = if is_test_file(path) { vec![true; raw.len()] } else { test_lines(&code) };
        Source { path: path.to_owned(), raw, code, test }
    }

    fn finding(&self, index: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line: index + 1, what: what.into() }
    }
}

/// What is wrong on one line, and what is right.
struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// The root of the tree: this crate lies in `tests/`.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file under `dir` that belongs to the tree, as paths from it, sorted.
fn files_under(dir: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        let here = dir.join(&folder);
        let has_manifest = here.join("Cargo.toml").exists();
        for entry in fs::read_dir(&here)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type()?;
            // cargo's output lies beside a manifest; a module may be called target too. `data` is a daemon's own.
            let built = name == ".git" || (name == "target" && has_manifest) || path == "data";
            if kind.is_dir() && !built {
                open.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every Rust file of the tree.
fn sources() -> io::Result<Vec<Source>> {
    let root = root();
    let paths = files_under(&root)?.into_iter().filter(|path| path.ends_with(".rs"));
    paths.map(|path| Ok(Source::new(&path, &fs::read_to_string(root.join(&path))?))).collect()
}

/// Whether a whole file is test code, by its name.
fn is_test_file(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let by_name = ["tests.rs", "benches.rs"].contains(&name)
        || name.ends_with("_test.rs")
        || name.ends_with("_tests.rs");
    by_name || folders.split('/').any(|folder| folder == "tests" || folder == "benches")
}

// ------------------------------------------------------------------------------------------------ reading Rust

/// `text` with comments and the insides of literals blanked out, line for line.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = blank_until(&chars, at);
        match end {
            Some(end) => code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' })),
            None => code.push(chars[at]),
        }
        at = end.unwrap_or(at + 1);
    }
    code
}

/// Where the comment or literal that begins at `at` ends; nothing if none begins there.
fn blank_until(chars: &[char], at: usize) -> Option<usize> {
    let peek = |ahead: usize| chars.get(at + ahead).copied();
    match (chars[at], peek(1)) {
        ('/', Some('/')) => Some(find(chars, at, |c| c == '\n')),
        ('/', Some('*')) => Some(block_comment_end(chars, at)),
        ('"', _) => Some(quoted_end(chars, at, '"')),
        // A lifetime or a label has no quote after its first letter.
        ('\'', Some('\\')) => Some(quoted_end(chars, at, '\'')),
        ('\'', _) if peek(2) == Some('\'') => Some(at + 3),
        ('r', Some('"' | '#')) => raw_string_end(chars, at),
        _ => None,
    }
}

/// The first index from `at` on whose character satisfies `is`, or the end.
fn find(chars: &[char], at: usize, is: impl Fn(char) -> bool) -> usize {
    chars[at..].iter().position(|c| is(*c)).map_or(chars.len(), |n| at + n)
}

/// After a block comment; they nest.
fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0usize;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

/// After a literal between `quote`s with backslash escapes.
fn quoted_end(chars: &[char], open: usize, quote: char) -> usize {
    let mut at = open + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// After `r"…"` or `r#"…"#`; nothing for a name that ends in r, and for `r#name`. `br` and `cr` come here at their r.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let prefix = if at > 0 && matches!(chars[at - 1], 'b' | 'c') { at - 1 } else { at };
    if prefix > 0 && is_name(chars[prefix - 1]) {
        return None;
    }
    let quote = find(chars, at + 1, |c| c != '#');
    if chars.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - at - 1;
    let hashes_after = |from: usize| chars[from + 1..].iter().take_while(|c| **c == '#').count();
    let close = (quote + 1..chars.len()).find(|from| chars[*from] == '"' && hashes_after(*from) >= hashes);
    Some(close.map_or(chars.len(), |close| close + 1 + hashes))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `needle` stands in `line` as a word: its ends do not run on into a longer name.
fn has_word(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        let named = |c: Option<char>| c.is_some_and(is_name);
        let before = named(needle.chars().next()) && named(line[..at].chars().next_back());
        let after = named(needle.chars().next_back()) && named(line[at + needle.len()..].chars().next());
        !before && !after
    })
}

/// The last line of the item that begins on line `from` at or after column `column`: that of its closing brace, or of
/// its semicolon.
fn item_end(code: &[String], from: usize, column: usize) -> usize {
    let (mut braces, mut brackets) = (0usize, 0usize);
    for (index, line) in code.iter().enumerate().skip(from) {
        let skipped = if index == from { column } else { 0 };
        for c in line[skipped..].chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => braces += 1,
                '}' if braces <= 1 => return index,
                '}' => braces -= 1,
                ';' if braces == 0 && brackets == 0 => return index,
                _ => {}
            }
        }
    }
    code.len().saturating_sub(1)
}

/// Which lines belong to items under `#[cfg(test)]`: a module, a function, an import.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mark = "#[cfg(test)]";
    let mut test = vec![false; code.len()];
    for (index, line) in code.iter().enumerate() {
        if line.trim_start().starts_with("#![cfg(test)]") {
            return vec![true; code.len()];
        }
        if let Some(at) = line.find(mark).filter(|_| !test[index]) {
            let end = item_end(code, index, at + mark.len());
            test[index..=end].fill(true);
        }
    }
    test
}

/// Where the names of functions begin on a line, by column; `fn(u8)`, a type, is none.
fn function_columns(line: &str) -> Vec<usize> {
    let starts = |at: usize| !line[..at].chars().next_back().is_some_and(is_name);
    line.match_indices("fn ").map(|(at, _)| at).filter(|at| starts(*at)).collect()
}

// ------------------------------------------------------------------------------------------------ the rules

fn opening(file: &Source) -> Vec<Finding> {
    let opens = file.raw.first().is_some_and(|line| line.starts_with("//!"));
    let finding = || file.finding(0, "open the file with //!: what lives here, and what does not");
    if opens { Vec::new() } else { vec![finding()] }
}

fn file_length(file: &Source) -> Vec<Finding> {
    let shipped: Vec<usize> = (0..file.raw.len()).filter(|index| !file.test[*index]).collect();
    let lines = shipped.len();
    let what = format!("{lines} lines before its tests; at most {FILE_LINES_MAX}: one idea per file");
    shipped.get(FILE_LINES_MAX).map(|first_over| file.finding(*first_over, what)).into_iter().collect()
}

fn function_length(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in file.code.iter().enumerate().filter(|(index, _)| !file.test[*index]) {
        for column in function_columns(line) {
            let lines = item_end(&file.code, index, column) - index + 1;
            if lines > FUNCTION_LINES_MAX {
                let what =
                    format!("a function of {lines} lines; at most {FUNCTION_LINES_MAX}: name its parts");
                found.push(file.finding(index, what));
            }
        }
    }
    found
}

fn nothing_left_behind(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, (raw, code)) in file.raw.iter().zip(&file.code).enumerate() {
        for (needle, right) in LEFT_BEHIND.iter().filter(|(needle, _)| has_word(code, needle)) {
            found.push(file.finding(index, format!("{needle}: {right}")));
        }
        for marker in MARKERS.iter().filter(|marker| has_word(raw, marker)) {
            found.push(file.finding(index, format!("{marker}: do it now, or write it down as an issue")));
        }
    }
    found
}

fn no_panics(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, code) in file.code.iter().enumerate().filter(|(index, _)| !file.test[*index]) {
        for needle in PANICS.iter().filter(|needle| code.contains(**needle)) {
            let what = format!("{needle} outside tests: return the error, or make it impossible");
            found.push(file.finding(index, what));
        }
    }
    found
}

fn module_name(file: &Source) -> Vec<Finding> {
    let named = file.path == "mod.rs" || file.path.ends_with("/mod.rs");
    let finding = || file.finding(0, "no mod.rs: foo.rs beside the folder foo/");
    if named { vec![finding()] } else { Vec::new() }
}

fn purity(file: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, code) in file.code.iter().enumerate().filter(|_| file.path.starts_with(CORE)) {
        for (needle, right) in IMPURE.iter().filter(|(needle, _)| has_word(code, needle)) {
            found.push(file.finding(index, format!("{needle} in the pure core: {right}")));
        }
    }
    found
}

fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for needle in MACHINE_PATHS.iter().filter(|needle| line.contains(**needle)) {
            let what = format!("{needle} exists on one machine only: start from the root of the tree");
            found.push(Finding { path: path.to_owned(), line: index + 1, what });
        }
    }
    found
}

// ------------------------------------------------------------------------------------------------ the tree

/// Runs a rule over the tree; fails with every finding.
#[track_caller]
fn holds(rule: fn(&Source) -> Vec<Finding>) {
    let files = sources();
    assert!(files.is_ok(), "the tree cannot be read: {:?}", files.err());
    none_of(files.iter().flatten().flat_map(rule));
}

#[track_caller]
fn none_of(findings: impl Iterator<Item = Finding>) {
    let found: Vec<String> = findings.map(|finding| format!("  {finding}")).collect();
    assert!(found.is_empty(), "{} to mend:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_file_opens_by_saying_what_lives_in_it() {
    holds(opening);
}

#[test]
fn every_file_is_at_most_500_lines_before_its_tests() {
    holds(file_length);
}

#[test]
fn every_function_is_at_most_70_lines() {
    holds(function_length);
}

#[test]
fn nothing_is_left_behind_in_the_tree() {
    holds(nothing_left_behind);
}

#[test]
fn code_that_ships_returns_its_errors() {
    holds(no_panics);
}

#[test]
fn no_module_is_called_mod() {
    holds(module_name);
}

#[test]
fn the_core_reaches_for_nothing_outside() {
    let files = sources().unwrap();
    let core = files.iter().filter(|file| file.path.starts_with(CORE)).count();
    assert!(core > 0, "no core in {CORE}: this rule would hold nothing");
    holds(purity);
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let root = root();
    let read = |path: &String| fs::read_to_string(root.join(path)).ok(); // what is not UTF-8 is not text
    let found = |path: &String| read(path).map(|text| machine_paths(path, &text)).unwrap_or_default();
    none_of(files_under(&root).unwrap().iter().flat_map(found));
}

// ------------------------------------------------------------------------------------------------ the rules themselves

/// The lines a rule finds fault with in a file of the daemon.
fn faults(rule: fn(&Source) -> Vec<Finding>, text: &str) -> Vec<usize> {
    faults_in("daemon/src/sample.rs", rule, text)
}

fn faults_in(path: &str, rule: fn(&Source) -> Vec<Finding>, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
}

/// A function of so many lines.
fn function(lines: usize) -> String {
    format!("fn sample() {{\n{}}}\n", "    step();\n".repeat(lines - 2))
}

#[test]
fn a_finding_names_file_line_and_what_is_right() {
    let found = module_name(&Source::new("daemon/src/api/mod.rs", "//! A sample.\n"));
    assert_eq!(found[0].to_string(), "daemon/src/api/mod.rs:1: no mod.rs: foo.rs beside the folder foo/");
}

#[test]
fn a_file_that_opens_with_anything_else_is_found() {
    assert_eq!(faults(opening, "//! A sample.\n"), []);
    assert_eq!(faults(opening, "// A sample.\n"), [1]);
    assert_eq!(faults(opening, "use std::fs;\n//! Too late.\n"), [1]);
    assert_eq!(faults(opening, ""), [1]);
}

#[test]
fn a_file_is_too_long_from_its_501st_line_on() {
    let (fits, long) = ("let a = 1;\n".repeat(500), "let a = 1;\n".repeat(501));
    assert_eq!(faults(file_length, &fits), []);
    assert_eq!(faults(file_length, &long), [501]);
    assert_eq!(faults(file_length, &format!("{fits}#[cfg(test)]\nmod tests {{\n{long}}}\n")), []);
}

#[test]
fn code_after_an_item_for_tests_still_counts() {
    let long = "let a = 1;\n".repeat(501);
    assert_eq!(faults(file_length, &format!("#[cfg(test)]\nmod tests;\n{long}")), [503]);
    assert_eq!(faults(file_length, &format!("#[cfg(test)]\nuse std::{{\n    fs,\n}};\n{long}")), [505]);
    assert_eq!(faults(no_panics, "#[cfg(test)]\nmod tests {\n    a.unwrap()\n}\nb.unwrap()\n"), [5]);
}

#[test]
fn files_of_tests_may_be_long() {
    let long = "let a = 1;\n".repeat(501);
    let exempt = [
        "tests/a.rs",
        "daemon/benches/b.rs",
        "actors/store/src/ledger/tests.rs",
        "a_test.rs",
        "src/a_tests.rs",
    ];
    for path in exempt {
        assert_eq!(faults_in(path, file_length, &long), [], "{path}");
    }
    for path in ["daemon/src/contests.rs", "daemon/src/latest/a.rs", "loadtest/src/main.rs"] {
        assert_eq!(faults_in(path, file_length, &long), [501], "{path}");
    }
}

#[test]
fn a_function_is_too_long_from_its_71st_line_on() {
    assert_eq!(faults(function_length, &function(70)), []);
    assert_eq!(faults(function_length, &format!("\n{}", function(71))), [2]);
    assert_eq!(faults(function_length, &format!("#[cfg(test)]\n{}", function(71))), []);
    let method = format!("impl A {{\npub async {}}}\n", function(71));
    assert_eq!(faults(function_length, &method), [2]);
}

#[test]
fn a_signature_without_a_body_ends_at_its_semicolon() {
    let after = "    step();\n".repeat(80);
    assert_eq!(faults(function_length, &format!("fn a(b: [u8; 4]) -> [u8; 4];\nmod c {{\n{after}}}\n")), []);
    assert_eq!(faults(function_length, &format!("type A = fn(u8);\nmod c {{\n{after}}}\n")), []);
    let spread = format!("fn a(\n    b: [u8; 4],\n) -> u8 {{\n{}}}\n", "    step();\n".repeat(67));
    assert_eq!(faults(function_length, &spread), [1]);
}

#[test]
fn braces_in_literals_and_comments_do_not_end_a_function() {
    let oddities = [
        r#"let a = "}";"#,
        r#"let a = "\"}";"#,
        r##"let a = r"\";"##,
        r###"let a = r#"}"}"#;"###,
        r###"let a = br#"}"#;"###,
        r##"let a = b"}";"##,
        r"let a = '}';",
        r"let a = b'}';",
        r"let a = '\'';",
        r"let a = '\u{7d}';",
        "let a = '\"';",
        "// }",
        "/* } /* } */ } */",
        "let r#type: &'static str = loop_r(a);",
        "'outer: loop { break 'outer; }",
        "fn inner<'a>(b: &'a str) -> char { '}' }",
    ];
    for oddity in oddities {
        let sample = |lines: usize| function(lines).replacen("step();", oddity, 1);
        assert_eq!(faults(function_length, &sample(71)), [1], "{oddity}");
        assert_eq!(faults(function_length, &format!("{}{}", sample(40), function(40))), [], "{oddity}");
    }
}

#[test]
fn what_is_left_behind_is_found() {
    for (needle, _) in LEFT_BEHIND {
        assert_eq!(faults(nothing_left_behind, &format!("\n{needle}")), [2], "{needle}");
        let only_said = format!("// never {needle}\nlet a = \"{needle}\";\n");
        assert_eq!(faults(nothing_left_behind, &only_said), [], "{needle}");
        assert_eq!(faults_in("tests/a.rs", nothing_left_behind, needle), [1], "{needle}");
    }
    for marker in MARKERS {
        assert_eq!(faults(nothing_left_behind, &format!("// {marker}: later\n")), [1], "{marker}");
        assert_eq!(faults(nothing_left_behind, &format!("let a{marker} = 1;\n")), [], "{marker}");
    }
}

#[test]
fn an_unwrap_is_found_outside_tests_only() {
    for needle in PANICS {
        let text = format!("let a = b\n    {needle};\n");
        assert_eq!(faults(no_panics, &text), [2], "{needle}");
        let shipped = format!("/// let a = b{needle};\n#[cfg(test)]\nmod tests {{\n{text}}}\n");
        assert_eq!(faults(no_panics, &shipped), [], "{needle}");
        assert_eq!(faults_in("daemon/tests/a.rs", no_panics, &text), [], "{needle}");
    }
    assert_eq!(faults(no_panics, "let a = b.unwrap_or(1);\nlet c = d.expect_err(\"\");\n"), []);
}

#[test]
fn a_module_called_mod_is_found() {
    assert_eq!(faults_in("daemon/src/api/mod.rs", module_name, ""), [1]);
    assert_eq!(faults_in("tests/common/mod.rs", module_name, ""), [1]);
    assert_eq!(faults_in("daemon/src/mod_rs.rs", module_name, ""), []);
}

#[test]
fn each_way_out_of_the_core_is_found_there_only() {
    for (needle, _) in IMPURE {
        let text = format!("//! Without {needle}.\nuse a::{needle};\n");
        assert_eq!(faults_in("actors/domain/src/due.rs", purity, &text).first(), Some(&2), "{needle}");
        assert_eq!(faults_in("actors/runtime/src/due.rs", purity, &text), [], "{needle}");
    }
    assert_eq!(faults_in("actors/domain/src/due.rs", purity, "let operand = brand(rand_like);\n"), []);
}

#[test]
fn a_path_of_one_machine_is_found_in_any_text() {
    for needle in MACHINE_PATHS {
        let found = machine_paths("README.md", &format!("Run\n    {needle}/run\n"));
        assert_eq!(found.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2], "{needle}");
    }
    assert!(machine_paths("README.md", "mkdir /tmp/demo\n").is_empty());
}

#[test]
fn the_walk_passes_by_what_is_built() {
    let files = files_under(&root()).unwrap();
    assert!(files.iter().any(|path| path == "tests/tidy.rs"));
    assert!(!files.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
}
