//! Advice on a version that compiles: what is allowed and probably not meant.

use std::convert::Infallible;

use crate::calendar::Wait;
use crate::channel::Kind;
use crate::content::Rich;
use crate::render;
use crate::scope::Scope;
use crate::sequence::{FieldError, Step, Version};
use crate::time::Span;

/// What is probably not meant, each with its field and what would be better. Nothing of it stops a publication.
#[must_use]
pub fn advice(version: &Version, scope: &Scope) -> Vec<FieldError> {
    let mut advice = Vec::new();
    let mut waited = Span::ZERO;
    for (i, step) in version.steps.iter().enumerate() {
        let mut say = |name: &str, problem: String| {
            advice.push(FieldError { field: format!("steps[{i}].{name}"), problem });
        };
        waited = waited + least(&step.wait);
        if waited >= version.max_lifetime {
            let problem = "is never sent: the enrollment expires before; give a longer max_lifetime";
            say("wait", problem.to_owned());
        }
        let by_email = scope.channel(&step.channel).is_some_and(|channel| channel.kind == Kind::Email);
        if by_email && step.subject.trim().is_empty() {
            say("subject", "is empty: mail without one looks like spam".to_owned());
        }
        for (place, text) in texts(step) {
            for value in render::needed(&text) {
                let right = format!("write {{{{ {value} | default(\"…\") }}}}");
                say(&place, format!("fails where {value} is missing: {right}"));
            }
        }
        let channel = scope.channel(&step.channel);
        let has_window = channel.is_some_and(|channel| channel.transport.has_service_window());
        let has_template = matches!(step.rich, Some(Rich::Template(_))) || step.fallback.is_some();
        if has_window && !has_template {
            let problem =
                "is missing: who has not written within 24 hours gets an approved template, or nothing";
            say("fallback", problem.to_owned());
        }
        if over_a_weekend(step) {
            let problem = "is over before a weekend is: what is due on a Friday night is not sent";
            say("useless_after", problem.to_owned());
        }
    }
    advice
}

/// The texts of a step, each with the place it is written in.
fn texts(step: &Step) -> Vec<(String, String)> {
    let mut texts =
        vec![("subject".to_owned(), step.subject.clone()), ("body".to_owned(), step.body.clone())];
    let fallback = step.fallback.clone().map(Rich::Template);
    let own = step.rich.as_ref().map(|rich| (rich.field(), rich));
    for (field, rich) in own.into_iter().chain(fallback.as_ref().map(|rich| ("fallback", rich))) {
        let mut note = |place: &str, text: &str| {
            texts.push((format!("{field}{place}"), text.to_owned()));
            Ok::<String, Infallible>(String::new())
        };
        let Ok(_) = rich.with(&mut note);
    }
    texts
}

/// The least time a wait takes.
fn least(wait: &Wait) -> Span {
    match *wait {
        Wait::None => Span::ZERO,
        Wait::Span(span) => span,
        // One until a time of day can be up to a day shorter.
        Wait::Days { days, at } | Wait::BusinessDays { days, at } => {
            Span::days(i64::from(days) - i64::from(at.is_some() && days > 0))
        }
    }
}

fn over_a_weekend(step: &Step) -> bool {
    step.hours.business_days_only && step.useless_after.is_some_and(|span| span < Span::days(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Button, Template};
    use crate::decide::samples;
    use crate::ids::VersionNo;
    use crate::sequence::{Draft, draft};

    fn advised(change: impl FnOnce(&mut Draft)) -> Vec<String> {
        let (mut draft, mut scope) = (samples::draft(), samples::scope());
        samples::add_whatsapp(&mut scope);
        change(&mut draft);
        let version = draft::compile(&draft, VersionNo(1), &scope).unwrap();
        advice(&version, &scope).into_iter().map(|one| format!("{}: {}", one.field, one.problem)).collect()
    }

    #[test]
    fn there_is_nothing_to_say_about_the_sample() {
        assert_eq!(advised(|_| ()), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_is_probably_not_meant_is_named() {
        type Case = (fn(&mut Draft), &'static str);
        let buttons = |d: &mut Draft| {
            d.steps[1].channel = "whatsapp".into();
            let title = "{{ contact.name }}".to_owned();
            d.steps[1].rich = Some(Rich::Buttons(vec![Button { id: "yes".into(), title }]));
            d.steps[1].fallback =
                Some(Template { name: "a".into(), language: "en".into(), ..Template::default() });
        };
        let cases: [Case; 6] = [
            (|d| d.steps[1].channel = "whatsapp".into(), "steps[1].fallback: is missing"),
            (buttons, "steps[1].buttons[0].title: fails where contact.name"),
            (|d| d.max_lifetime = "2 hours".into(), "steps[1].wait: is never sent"),
            (|d| d.steps[0].subject.clear(), "steps[0].subject: is empty"),
            (|d| d.steps[1].body = "{{ contact.name }}".into(), "steps[1].body: fails where contact.name"),
            (
                |d| {
                    d.steps[1].business_days_only = true;
                    d.steps[1].useless_after = "12 hours".into();
                },
                "steps[1].useless_after: is over before a weekend",
            ),
        ];
        for (change, begins) in cases {
            let said = advised(change);
            assert!(said.len() == 1 && said[0].starts_with(begins), "{begins}: {said:?}");
        }
    }
}
