//! Rendering: a step's text with a contact's values, and nothing sent when a value is missing.
//!
//! Templates are Jinja (minijinja), run on fuel. Known roots are closed, so that `contact.emial` is a fault when a
//! sequence is put; `attributes` and what a target carries are open.

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::contact::Contact;
use crate::content::{self, Parameter, Rich};
use crate::enrollment::SendFailure;
use crate::gate::View;
use crate::limits;
use crate::name;
use crate::sequence::Step;

/// A rendered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Subject line; empty for channels without one.
    pub subject: String,
    /// The text; empty where something else is sent.
    pub body: String,
    /// What is sent instead of the text, or with it.
    pub rich: Option<Rich>,
}

impl Message {
    /// What it says, where only text can be shown: what an approved template says only its provider knows.
    #[must_use]
    pub fn text(&self) -> String {
        let mut parts: Vec<String> =
            [&self.body].into_iter().filter(|body| !body.is_empty()).cloned().collect();
        match &self.rich {
            None => {}
            Some(Rich::Template(template)) => {
                parts.push(format!("[template {} {}]", template.name, template.language));
                let mut part = |_: &str, text: &str| {
                    parts.push(text.to_owned());
                    Ok::<String, Infallible>(String::new())
                };
                let mut labelled = template.clone();
                for parameter in labelled.header.iter_mut().chain(&mut labelled.body) {
                    if let Parameter::Named { name, text } = parameter {
                        *text = format!("{name}: {text}");
                    }
                }
                let Ok(_) = labelled.with(&mut part);
            }
            Some(Rich::Media(media)) => {
                parts.push(format!("[{} {}]", media.kind.word(), media.link));
                parts.extend(media.caption.clone());
            }
            Some(Rich::Buttons(buttons)) => {
                parts.extend(buttons.iter().map(|button| format!("[{}]", button.title)));
            }
        }
        parts.join("\n")
    }

    /// One of a text alone.
    #[must_use]
    pub fn of(subject: impl Into<String>, body: impl Into<String>) -> Message {
        Message { subject: subject.into(), body: body.into(), rich: None }
    }
}

/// The roots a template may use, and the fields of those that are closed.
const ROOTS: [(&str, Option<&[&str]>); 4] = [
    ("contact", Some(&["id", "name", "email", "phone", "time_zone"])),
    ("tenant", Some(&["name"])),
    ("target", None),
    ("attributes", None),
];

/// What every rendering has.
const ALWAYS: [&str; 4] = ["contact.id", "tenant.name", "target.id", "target.kind"];

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(limits::RENDER_FUEL));
    environment
}

/// Checks a template when it is put: it parses, and uses only what there can be.
///
/// # Errors
/// Says where it is wrong, or which variable there is not and which was probably meant.
pub fn check(template: &str) -> Result<(), String> {
    if template.len() > limits::CONTENT_BYTES {
        return Err(format!("has {} bytes: at most {} are allowed", template.len(), limits::CONTENT_BYTES));
    }
    let environment = environment();
    let template = environment.template_from_str(template).map_err(|error| describe(&error))?;
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort();
    used.iter().try_for_each(|variable| check_variable(variable))
}

fn check_variable(variable: &str) -> Result<(), String> {
    let mut path = variable.split('.');
    let root = path.next().unwrap_or_default();
    let Some((_, fields)) = ROOTS.iter().find(|(known, _)| *known == root) else {
        let known = ROOTS.map(|(known, _)| known);
        return Err(format!("there is no variable {root:?}: {}", advice(root, &known)));
    };
    match (fields, path.next()) {
        (Some(fields), Some(field)) if !fields.contains(&field) => {
            Err(format!("{root} has no {field:?}: {}", advice(field, fields)))
        }
        _ => Ok(()),
    }
}

/// The values a template cannot do without, such as `contact.name`: where one is missing, the step fails. What there
/// always is, is not among them.
#[must_use]
pub fn needed(template: &str) -> Vec<String> {
    let environment = environment();
    let Ok(parsed) = environment.template_from_str(template) else { return Vec::new() };
    let mut used: Vec<String> = parsed.undeclared_variables(true).into_iter().collect();
    used.sort();
    let fails_without = |missing: &&String| {
        let mut roots: BTreeMap<&str, BTreeMap<&str, &str>> =
            ROOTS.iter().map(|(root, _)| (*root, BTreeMap::new())).collect();
        for variable in used.iter().filter(|variable| variable != missing) {
            if let Some((root, field)) = variable.split_once('.') {
                roots.entry(root).or_default().insert(field, "x");
            }
        }
        let rendered = parsed.render(Value::from_pairs(roots));
        rendered.is_err_and(|error| error.kind() == ErrorKind::UndefinedError)
    };
    let optional = used.iter().filter(|variable| !ALWAYS.contains(&variable.as_str()));
    optional.filter(fails_without).cloned().collect()
}

/// What could have been meant, and what there is.
fn advice(word: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match name::nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}? There are {all}"),
        None => format!("there are {all}"),
    }
}

fn describe(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    format!("{}{line}", error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
}

/// Renders a step for the enrollment in `view`; while the contact's service window is closed, with the template that
/// goes instead.
///
/// # Errors
/// [`SendFailure::NeedsTemplate`] when the window is closed and the step has no approved template,
/// [`SendFailure::MissingVariable`] when a value without a default is missing or leaves a template's place empty,
/// [`SendFailure::Render`] when the template fails for another reason, runs out of fuel or grows beyond
/// [`limits::RENDERED_BYTES`].
pub fn render(view: &View<'_>, step: &Step) -> Result<Message, SendFailure> {
    let environment = environment();
    let values = values(view);
    let one = |template: &str| {
        let rendered = environment.render_str(template, &values).map_err(|error| {
            let missing = error.kind() == ErrorKind::UndefinedError;
            if missing { SendFailure::MissingVariable } else { SendFailure::Render }
        })?;
        if rendered.len() > limits::RENDERED_BYTES { Err(SendFailure::Render) } else { Ok(rendered) }
    };
    let rich = match (&step.rich, &step.fallback) {
        (rich @ Some(Rich::Template(_)), _) => rich.clone(),
        (rich, _) if is_open(view, step) => rich.clone(),
        (_, Some(fallback)) => Some(Rich::Template(fallback.clone())),
        (_, None) => return Err(SendFailure::NeedsTemplate),
    };
    // A template says it all.
    let has_text = !matches!(rich, Some(Rich::Template(_)));
    let mut part = |place: &str, text: &str| match one(text) {
        Ok(rendered) if !has_text && content::is_one_line(place) => in_one_line(&rendered),
        rendered => rendered,
    };
    let rich = rich.map(|rich| rich.with(&mut part)).transpose()?;
    let text = |template: &str| if has_text { one(template) } else { Ok(String::new()) };
    Ok(Message { subject: text(&step.subject)?, body: text(&step.body)?, rich })
}

/// What fills a place of an approved template: Meta refuses line breaks, tabs and more than four spaces in a row there,
/// and a place that is left empty.
fn in_one_line(rendered: &str) -> Result<String, SendFailure> {
    let line = rendered.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { Err(SendFailure::MissingVariable) } else { Ok(line) }
}

/// Whether anything may be sent, by a call that begins as late as it may: outside the 24 h after a contact's last message
/// WhatsApp takes only approved templates. Where it has said so of this step, it knows better.
fn is_open(view: &View<'_>, step: &Step) -> bool {
    let windowed = view.channel(step).filter(|channel| channel.transport.has_service_window());
    let Some(channel) = windowed else { return true };
    let closes_at = view.contact.inbound.get(&channel.kind).map(|last| *last + limits::SERVICE_WINDOW);
    let is_known_open = closes_at.is_some_and(|closes_at| view.now + limits::INTENT_LIFE < closes_at);
    is_known_open && !view.enrollment.found_shut()
}

fn values(view: &View<'_>) -> Value {
    let mut target: BTreeMap<&str, &str> =
        view.target.map(|target| open(&target.attributes)).unwrap_or_default();
    if let Some(reference) = &view.enrollment.target {
        target.insert("id", &reference.id);
        target.insert("kind", reference.kind.word());
    }
    let tenant = [("name", view.scope.tenant.name.as_str())];
    Value::from_pairs([
        ("contact", Value::from_pairs(contact_values(view.contact, &view.enrollment.contact))),
        ("tenant", Value::from_pairs(tenant)),
        ("target", Value::from_pairs(target)),
        ("attributes", Value::from_pairs(open(&view.contact.attributes))),
    ])
}

fn open(attributes: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// What is not known stays undefined, so that a template without a default for it fails.
fn contact_values<'a>(contact: &'a Contact, id: &'a str) -> BTreeMap<&'a str, &'a str> {
    let known = [
        ("id", Some(id)),
        ("name", contact.name.as_deref()),
        ("email", contact.email.as_deref()),
        ("phone", contact.phone.as_deref()),
        ("time_zone", contact.zone.map(crate::calendar::Zone::name)),
    ];
    known.into_iter().filter_map(|(field, value)| value.map(|value| (field, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Kind;
    use crate::content::{Button, ButtonFill, ButtonParameter, Template};
    use crate::decide::samples;
    use crate::sequence::ChannelRef;
    use crate::time::Span;

    fn rendered(body: &str) -> Result<String, SendFailure> {
        let mut sample = samples::Sample::enrolled();
        sample.contact.name = Some("Zoë".into());
        sample.contact.attributes.insert("plan".into(), "gold".into());
        let step = Step { body: body.into(), ..sample.version().steps[0].clone() };
        render(&sample.view(), &step).map(|message| message.body)
    }

    #[test]
    fn values_are_put_in() {
        let body = "{{ contact.name }}/{{ contact.id }}/{{ attributes.plan }}/{{ tenant.name }}";
        assert_eq!(rendered(body), Ok("Zoë/ana/gold/acme".into()));
    }

    #[test]
    fn a_missing_value_without_a_default_sends_nothing() {
        assert_eq!(rendered("{{ contact.phone }}"), Err(SendFailure::MissingVariable));
        assert_eq!(rendered("{{ attributes.none }}"), Err(SendFailure::MissingVariable));
        assert_eq!(rendered("{{ attributes.none | default('friend') }}"), Ok("friend".into()));
    }

    #[test]
    fn a_template_that_never_ends_runs_out_of_fuel() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert_eq!(rendered(endless), Err(SendFailure::Render));
    }

    #[test]
    fn a_variable_there_cannot_be_is_a_fault_when_it_is_put() {
        assert_eq!(check("{{ contact.name }} {{ target.amount }} {{ attributes.anything }}"), Ok(()));
        let fault = check("{{ contact.emial }}").unwrap_err();
        assert!(fault.contains("did you mean \"email\"?"), "{fault}");
        assert!(check("{{ contcat.email }}").unwrap_err().contains("\"contact\""));
        assert!(check("{{ contact.name").is_err());
    }

    #[test]
    fn what_a_template_cannot_do_without_is_known() {
        let text = "{{ contact.name }} {{ attributes.plan | default('free') }} {{ target.id }} \
                    {% if attributes.vip is defined %}!{% endif %} {{ target.amount }}";
        assert_eq!(needed(text), ["contact.name", "target.amount"]);
        assert!(needed("{{ contact.name").is_empty());
    }

    /// What `step` is sent as by a number of WhatsApp, the contact having written so long ago.
    fn by_whatsapp(step: &Step, wrote: Option<Span>) -> Result<Message, SendFailure> {
        let mut sample = samples::Sample::enrolled();
        let step = Step { channel: ChannelRef::OfKind(Kind::Whatsapp), ..step.clone() };
        sample.contact.name = Some("Zoë".into());
        sample.contact.inbound = wrote.map(|ago| (Kind::Whatsapp, sample.now - ago)).into_iter().collect();
        samples::add_whatsapp(&mut sample.scope);
        render(&sample.view(), &step)
    }

    #[test]
    fn outside_the_service_window_only_an_approved_template_goes() {
        let template = |text: &str| Template {
            name: "aula".into(),
            language: "pt_BR".into(),
            body: vec![Parameter::Text(text.into())],
            ..Template::default()
        };
        let text = Step {
            body: "Oi {{ contact.name }}".into(),
            ..samples::Sample::enrolled().version().steps[0].clone()
        };
        let late = Span(limits::SERVICE_WINDOW.0 - limits::INTENT_LIFE.0);
        let (inside, outside) = (Some(Span(late.0 - 1)), Some(late));
        assert_eq!(by_whatsapp(&text, inside).unwrap().body, "Oi Zoë");
        for wrote in [None, outside] {
            assert_eq!(by_whatsapp(&text, wrote), Err(SendFailure::NeedsTemplate));
        }
        let caught = Step { fallback: Some(template("{{ contact.name }}")), ..text.clone() };
        assert_eq!(by_whatsapp(&caught, inside).unwrap().rich, None);
        let sent = by_whatsapp(&caught, outside).unwrap();
        assert_eq!((sent.body.as_str(), &sent.rich), ("", &Some(Rich::Template(template("Zoë")))));
        assert_eq!(sent.text(), "[template aula pt_BR]\nZoë");
        let own = Step { rich: Some(Rich::Template(template("x"))), body: String::new(), ..text.clone() };
        assert!(by_whatsapp(&own, None).is_ok());
        let missing = Step { rich: Some(Rich::Template(template("{{ attributes.none }}"))), ..own };
        assert_eq!(by_whatsapp(&missing, None), Err(SendFailure::MissingVariable));
        let buttons = vec![Button { id: "yes".into(), title: "Sim, {{ contact.name }}".into() }];
        let asked = Step { rich: Some(Rich::Buttons(buttons)), ..text };
        assert_eq!(by_whatsapp(&asked, inside).unwrap().text(), "Oi Zoë\n[Sim, Zoë]");
        assert_eq!(by_whatsapp(&asked, outside), Err(SendFailure::NeedsTemplate));
    }

    #[test]
    fn what_fills_a_template_is_one_line_and_never_empty() {
        let with = |parameter: Parameter, button: ButtonFill| {
            let template = Template {
                name: "aula".into(),
                language: "pt_BR".into(),
                header: vec![Parameter::Text("{{ contact.name }}\n{{ contact.id }}".into())],
                body: vec![parameter],
                buttons: vec![ButtonParameter { index: 0, fills: button }],
            };
            let own = Some(Rich::Template(template));
            let step = samples::Sample::enrolled().version().steps[0].clone();
            by_whatsapp(&Step { rich: own, body: String::new(), ..step }, None)
        };
        let payload = || ButtonFill::Payload("a\n\tb".into());
        let ragged = "  {{ contact.name }},\r\n\n\t see      you  ";
        let sent = with(Parameter::Text(ragged.into()), payload()).unwrap();
        assert_eq!(
            sent.text(),
            "[template aula pt_BR]\nZoë ana\nZoë, see you\na\n\tb",
            "a payload stays as it is"
        );
        let named = Parameter::Named { name: "greeting".into(), text: ragged.into() };
        let sent = with(named, ButtonFill::UrlEnd(" a/{{ contact.id }}\n".into())).unwrap();
        assert_eq!(sent.text(), "[template aula pt_BR]\nZoë ana\ngreeting: Zoë, see you\na/ana");
        let empty = "{{ attributes.none | default(' \n') }}";
        let nothing = Err(SendFailure::MissingVariable);
        assert_eq!(with(Parameter::Text(empty.into()), payload()), nothing);
        assert_eq!(with(Parameter::Text("x".into()), ButtonFill::UrlEnd(empty.into())), nothing);
    }

    #[test]
    fn a_value_is_never_a_template_itself() {
        let mut sample = samples::Sample::enrolled();
        sample.contact.name = Some("{{ contact.id }}".into());
        let step = Step { body: "{{ contact.name }}".into(), ..sample.version().steps[0].clone() };
        assert_eq!(render(&sample.view(), &step).unwrap().body, "{{ contact.id }}");
    }
}
