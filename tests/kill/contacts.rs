//! The contacts of the kill test: their CSV, and what the sequence must make of each.

use std::fmt::Write;

use blackbox::seed::Seed;

/// The wait before the second and the third step, as [`SEQUENCE_YAML`] has it.
pub(crate) const WAIT_MS: i64 = 4_000;

/// How many steps it has.
pub(crate) const STEPS: usize = 3;

/// The sequence. [`Contact::subject`] and [`Contact::body`] say what it renders.
pub(crate) const SEQUENCE_YAML: &str = r#"
exit_on_reply: any
steps:
  - channel: mail
    subject: "{{ attributes.plan }}: welcome"
    body: |
      Dear {{ contact.name | default("friend") }},
      your plan is {{ attributes.plan }}, your number {{ contact.id }}. This is message 1 of 3.
  - wait: 4 seconds
    channel: mail
    subject: "{{ attributes.plan }}: a reminder"
    body: |
      Dear {{ contact.name | default("friend") }},
      your plan is {{ attributes.plan }}, your number {{ contact.id }}. This is message 2 of 3.
  - wait: 4 seconds
    channel: mail
    subject: "{{ attributes.plan }}: the last word"
    body: |
      Dear {{ contact.name | default("friend") }},
      your plan is {{ attributes.plan }}, your number {{ contact.id }}. This is message 3 of 3.
"#;

/// Names as people have them; some need quoting in a CSV.
const NAMES: [&str; 12] = [
    "Ana",
    "Zoë Ångström",
    "O'Brien, Pat",
    "Lê \"Tí\" Minh",
    "山田太郎",
    "",
    "محمد",
    "Jean-Luc",
    "D’Arcy & Søn",
    "Ελένη",
    "<b>Bold</b>",
    "{{ contact.id }}",
];

const PLANS: [&str; 5] = ["gold", "silver & more", "prata, mensal", "10 % off", "Über"];

/// One row of the CSV.
#[derive(Clone, Debug)]
pub(crate) struct Contact {
    /// The platform's id.
    pub(crate) id: String,
    /// Where mails go.
    pub(crate) email: String,
    name: String,
    plan: String,
}

/// So many contacts.
pub(crate) fn generate(count: usize, seed: &mut Seed) -> Vec<Contact> {
    let pick = |from: &[&str], seed: &mut Seed| from[seed.below(from.len() as u64) as usize].to_owned();
    let one = |number: usize| {
        let mut name = pick(&NAMES, seed);
        if !name.is_empty() && seed.below(2) == 0 {
            let _ = write!(name, " {number}");
        }
        let domain = pick(&["mail.example", "post.test"], seed);
        let plan = format!("{} {}", pick(&PLANS, seed), seed.below(1_000));
        Contact { id: format!("ct-{number:05}"), email: format!("c{number}@{domain}"), name, plan }
    };
    (0..count).map(one).collect()
}

/// The contacts as a file.
pub(crate) fn csv(contacts: &[Contact]) -> String {
    let mut text = String::from("contact,email,name,plan\n");
    for contact in contacts {
        let cells = [&contact.id, &contact.email, &contact.name, &contact.plan].map(|cell| quoted(cell));
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

impl Contact {
    /// The subject of a step.
    pub(crate) fn subject(&self, step: usize) -> String {
        format!("{}: {}", self.plan, ["welcome", "a reminder", "the last word"][step])
    }

    /// The text of a step, without white space at its end.
    pub(crate) fn body(&self, step: usize) -> String {
        let name = if self.name.is_empty() { "friend" } else { &self.name };
        format!(
            "Dear {name},\nyour plan is {}, your number {}. This is message {} of 3.",
            self.plan,
            self.id,
            step + 1
        )
    }
}
