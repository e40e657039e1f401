//! Values for the fields of a request: mostly such as could be meant, often enough such as nobody would mean.

use blackbox::seed::Seed;
use serde_json::{Map, Value, json};

use super::protos::{Field, Label, Protos};

/// Messages within messages are filled to here.
const DEEPEST: usize = 5;

/// Texts that have broken something somewhere.
const HOSTILE: [&str; 16] = [
    "",
    " ",
    "\u{0}",
    "line\nbreak",
    "../../etc/passwd",
    "' OR 1=1 --",
    "{{ 7 * '7' }}",
    "{% for x in range(100000000) %}x{% endfor %}",
    "\u{202e}\u{feff}\u{1f600}é",
    "null",
    "-1",
    "99999999999999999999",
    "NaN",
    "%s%n%x",
    "enr_00000000000000000000",
    "ffffffffffffffff00",
];

/// Texts that mean something in one field or another.
const MEANT: [&str; 34] = [
    "acme",
    "acme",
    "welcome",
    "ana",
    "bo",
    "mail",
    "email",
    "sms",
    "outbox",
    "charge",
    "contact",
    "ch-1",
    "active",
    "exited",
    "replied",
    "ana@mail.example",
    "+15550100",
    "Europe/Berlin",
    "UTC",
    "2 hours",
    "80 days",
    "3 business days",
    "09:30",
    "20:00",
    "mon-fri",
    "2026-12-25",
    "message.received",
    "contact.opted_out",
    "charge.paid",
    "custom.thing",
    "STOP",
    "normal",
    "never",
    "skip",
];

const MOMENTS: [&str; 7] = [
    "2026-03-01T09:30:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "1969-12-31T23:59:59.999Z",
    "2026-02-30T00:00:00Z",
    "tomorrow",
    "",
];

const SPANS: [&str; 6] = ["1s", "0s", "-5s", "315576000000s", "0.000000001s", "soon"];

/// Makes requests.
pub(crate) struct Maker<'a> {
    protos: &'a Protos,
    seed: Seed,
    enrollment: String,
}

impl<'a> Maker<'a> {
    pub(crate) fn new(protos: &'a Protos, seed: Seed, enrollment: String) -> Maker<'a> {
        Maker { protos, seed, enrollment }
    }

    /// Whether something happens that does once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.seed.below(times) == 0
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.seed.below(bound as u64) as usize
    }

    /// One of these.
    pub(crate) fn pick<'b>(&mut self, from: &[&'b str]) -> &'b str {
        from[self.seed.below(from.len() as u64) as usize]
    }

    /// A message of this name.
    pub(crate) fn message(&mut self, name: &str, depth: usize) -> Value {
        let Some(fields) = self.protos.messages.get(name) else { return json!({}) };
        let chosen = self.seed.below(fields.iter().filter(|field| field.one_of).count() as u64);
        let (mut message, mut one_ofs) = (Map::new(), 0);
        for field in fields {
            if field.one_of {
                one_ofs += 1;
                if one_ofs - 1 != chosen && !self.once_in(20) {
                    continue;
                }
            }
            // The tenant is nearly always named: without it nothing else is looked at.
            let left_out = if field.name == "tenant" { self.once_in(12) } else { self.once_in(3) };
            if !left_out {
                let value = self.field(field, depth);
                message.insert(field.name.clone(), value);
            }
        }
        if self.once_in(60) {
            message.insert("unknown".to_owned(), json!(1));
        }
        Value::Object(message)
    }

    fn field(&mut self, field: &Field, depth: usize) -> Value {
        if self.once_in(80) {
            return self.of_another_type();
        }
        match field.label {
            Label::Single => self.value(field, depth),
            Label::Repeated => {
                let many = if self.once_in(100) { 1_001 } else { self.seed.below(4) };
                (0..many).map(|_| self.value(field, depth)).collect()
            }
            Label::Map => {
                let pairs = (0..self.seed.below(4)).map(|_| (self.text("key"), self.value(field, depth)));
                Value::Object(pairs.collect())
            }
        }
    }

    fn of_another_type(&mut self) -> Value {
        let all =
            [Value::Null, json!(true), json!(-1), json!(1.5), json!([]), json!({}), json!("x"), json!(1e300)];
        all[self.seed.below(all.len() as u64) as usize].clone()
    }

    fn value(&mut self, field: &Field, depth: usize) -> Value {
        match field.kind.as_str() {
            "string" => json!(self.text(&field.name)),
            "bool" => json!(self.once_in(2)),
            "uint32" | "int32" | "uint64" | "int64" => {
                let all = [0, 1, 2, 7, 100, 1_000, 1_001, 65_536, i64::from(u32::MAX), -1, i64::MAX];
                json!(all[self.seed.below(all.len() as u64) as usize])
            }
            "double" | "float" => json!(self.seed.below(1_000) as f64 / 7.0),
            "bytes" => json!("aGVsbG8="),
            "google.protobuf.Timestamp" => json!(self.pick(&MOMENTS)),
            "google.protobuf.Duration" => json!(self.pick(&SPANS)),
            message if self.protos.messages.contains_key(message) => {
                if depth >= DEEPEST {
                    json!({})
                } else {
                    self.message(message, depth + 1)
                }
            }
            name => {
                let words = self.protos.enums.get(name).cloned().unwrap_or_default();
                let place = self.seed.below(words.len() as u64 + 2) as usize;
                words.get(place).map_or_else(|| json!(99), |word| json!(word))
            }
        }
    }

    /// A text for the field of this name.
    pub(crate) fn text(&mut self, field: &str) -> String {
        match self.seed.below(10) {
            0 => self.pick(&HOSTILE).to_owned(),
            1 => self.pick(&MEANT).to_owned(),
            2 if self.once_in(4) => "x".repeat([64, 129, 300, 20_000][self.seed.below(4) as usize]),
            _ => match field {
                "tenant" => "acme".to_owned(),
                "sequence" => "welcome".to_owned(),
                "channel" => "mail".to_owned(),
                "contact" => self.pick(&["ana", "bo", "cy"]).to_owned(),
                "enrollmentId" => self.enrollment.clone(),
                "id" => format!("id-{}", self.seed.below(50)),
                "name" | "keyTenant" => self.pick(&["acme", "welcome", "mail", "other"]).to_owned(),
                "email" => "ana@mail.example".to_owned(),
                "address" => self.pick(&["ana@mail.example", "+15550100"]).to_owned(),
                "timeZone" => "UTC".to_owned(),
                "type" => self.pick(&["message.received", "contact.opted_out", "charge.paid"]).to_owned(),
                _ => self.pick(&MEANT).to_owned(),
            },
        }
    }
}
