//! The protos, read as far as a generator of requests needs them: our own are written one field a line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How often a field stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Single,
    Repeated,
    Map,
}

/// A field of a message.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its name in JSON.
    pub(crate) name: String,
    /// The type of its value.
    pub(crate) kind: String,
    pub(crate) label: Label,
    /// Whether only one of it and its neighbours is set.
    pub(crate) one_of: bool,
}

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `Service/Method`.
    pub(crate) path: String,
    /// The name of its request.
    pub(crate) request: String,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Protos {
    /// The unary ones.
    pub(crate) calls: Vec<Call>,
    /// Those whose caller streams.
    pub(crate) streams: Vec<Call>,
    pub(crate) messages: BTreeMap<String, Vec<Field>>,
    /// The words of each enum.
    pub(crate) enums: BTreeMap<String, Vec<String>>,
}

/// What the lines read stand in.
enum Within {
    Nothing,
    Service(String),
    Message(String),
    Enum(String),
}

impl Protos {
    pub(crate) fn read() -> Protos {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/proto/followupd/v1");
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        let mut protos = Protos::default();
        for path in paths {
            protos.file(&fs::read_to_string(path).unwrap());
        }
        for call in protos.calls.iter().chain(&protos.streams) {
            assert!(protos.messages.contains_key(&call.request), "{call:?}");
        }
        protos
    }

    fn file(&mut self, text: &str) {
        let (mut within, mut one_of) = (Within::Nothing, false);
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let opens =
                |word: &str| line.strip_prefix(word)?.strip_suffix('{').map(|name| name.trim().to_owned());
            if let Some(name) = line.strip_prefix("message ").and_then(|line| line.strip_suffix(" {}")) {
                self.messages.insert(name.to_owned(), Vec::new());
            } else if line == "}" {
                match one_of {
                    true => one_of = false,
                    false => within = Within::Nothing,
                }
            } else if let Some(name) = opens("service ") {
                within = Within::Service(name);
            } else if let Some(name) = opens("message ") {
                self.messages.insert(name.clone(), Vec::new());
                within = Within::Message(name);
            } else if let Some(name) = opens("enum ") {
                within = Within::Enum(name);
            } else if line.starts_with("oneof ") {
                one_of = true;
            } else {
                self.line(line, &within, one_of);
            }
        }
    }

    fn line(&mut self, line: &str, within: &Within, one_of: bool) {
        match within {
            Within::Nothing => {}
            Within::Service(service) => {
                let Some((method, rest)) = line.strip_prefix("rpc ").and_then(|rest| rest.split_once('('))
                else {
                    return;
                };
                let request = rest.split(')').next().unwrap_or_default();
                let (path, streamed) = (format!("{service}/{method}"), request.strip_prefix("stream "));
                if let Some(request) = streamed {
                    self.streams.push(Call { path, request: request.to_owned() });
                } else if !line.contains("stream ") {
                    self.calls.push(Call { path, request: request.to_owned() });
                }
            }
            Within::Enum(name) => {
                if let Some((word, _)) = line.split_once(" = ") {
                    self.enums.entry(name.clone()).or_default().push(word.to_owned());
                }
            }
            Within::Message(message) => {
                if let Some(field) = field(line, one_of) {
                    self.messages.get_mut(message).unwrap().push(field);
                }
            }
        }
    }
}

fn field(line: &str, one_of: bool) -> Option<Field> {
    let (declared, _) = line.split_once(" = ")?;
    let (kind, name) = declared.rsplit_once(' ')?;
    let (label, kind) = match kind.split_once('<') {
        Some((_, pair)) => (Label::Map, pair.trim_end_matches('>').split_once(", ")?.1),
        None => match kind.strip_prefix("repeated ") {
            Some(kind) => (Label::Repeated, kind),
            None => (Label::Single, kind.strip_prefix("optional ").unwrap_or(kind)),
        },
    };
    Some(Field { name: camel(name), kind: kind.to_owned(), label, one_of })
}

/// `like_this` as `likeThis`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let mut letters = part.chars();
        let head = letters.next().map(|letter| letter.to_ascii_uppercase());
        text + &head.into_iter().chain(letters).collect::<String>()
    })
}
