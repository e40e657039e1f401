//! Drafts: a sequence as a caller writes it, all texts; and the compiler that makes a version of it.
//!
//! The compiler reports every fault at once, each with the path of its field and what would be right.

use serde::{Deserialize, Serialize};
use std::convert::Infallible;

use crate::calendar::{Hours, MinuteOfDay, Wait};
use crate::channel::Kind;
use crate::content::{self, Rich, Template};
use crate::ids::VersionNo;
use crate::lane::{PriorityClass, Weight};
use crate::limits;
use crate::name::{self, Name};
use crate::render;
use crate::scope::Scope;
use crate::sequence::{ChannelRef, ExitRules, Late, OnFailure, OnReply, Reentry, Step, UniquePer, Version};
use crate::target::TargetKind;
use crate::time::Span;

/// A sequence as written. An empty text means the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// What enrollments are about: `contact` (default), `conversation`, `deal`, `appointment`, `charge`.
    pub target: String,
    /// `transactional`, `normal` (default) or `bulk`.
    pub class: String,
    /// How much of a lane it gets beside others of its class: 1 to 100, by default 1.
    pub weight: Option<u32>,
    /// `target` (default) or `contact`.
    pub unique_per: String,
    /// `never`, `always` or a span such as `24 hours` (default).
    pub reentry: String,
    /// `any` (default), `conversation` (where that is the target) or `ignore`.
    pub exit_on_reply: String,
    /// Whether a resolved conversation does not end it.
    pub stay_on_resolved: bool,
    /// Whether a goal does not end it.
    pub stay_on_goal: bool,
    /// A span; 90 days by default.
    pub max_lifetime: String,
    /// What is sent, in order.
    pub steps: Vec<DraftStep>,
}

impl Draft {
    /// The weight of its sequence.
    ///
    /// # Errors
    /// What would be one.
    pub fn weight(&self) -> Result<Weight, String> {
        let most = limits::WEIGHT_MOST;
        let none = |given| {
            format!("{given} is no weight: write 1 to {most}; a sequence that is to send nothing is paused")
        };
        self.weight
            .map_or_else(|| Ok(Weight::default()), |given| Weight::new(given).ok_or_else(|| none(given)))
    }
}

/// One message as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftStep {
    /// Such as `2 hours`, `3 days`, `1 business day`; empty: at once.
    pub wait: String,
    /// Local time of day, with days and business days.
    pub at: String,
    /// The name of a channel, or a kind for the tenant's default of it.
    pub channel: String,
    /// Subject line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// What is sent instead of the text, or with it.
    pub rich: Option<Rich>,
    /// The approved template that goes instead while the service window is closed.
    pub fallback: Option<Template>,
    /// A span from the due time.
    pub useless_after: String,
    /// `skip` (default) or `exit`.
    pub late: String,
    /// `continue` (default) or `exit`.
    pub on_failure: String,
    /// Whether it goes out on business days only.
    pub business_days_only: bool,
}

/// One fault of a draft or request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where, such as `steps[2].wait`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// Faults gathered while the rest is read on.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn take<T: Default, E: ToString>(&mut self, field: impl Into<String>, read: Result<T, E>) -> T {
        read.unwrap_or_else(|error| {
            self.0.push(FieldError { field: field.into(), problem: error.to_string() });
            T::default()
        })
    }
}

/// Makes the version `no` of a draft, against the tenant's channels in `scope`.
///
/// # Errors
/// Every fault of the draft.
pub fn compile(draft: &Draft, no: VersionNo, scope: &Scope) -> Result<Version, Vec<FieldError>> {
    let mut faults = Faults::default();
    let count = match draft.steps.len() {
        0 => Err("a sequence needs at least one step".to_owned()),
        n if n > limits::STEPS => Err(format!("has {n} steps: at most {} are allowed", limits::STEPS)),
        _ => Ok(()),
    };
    faults.take("steps", count.and_then(|()| check_size(draft)));
    // The weight is the sequence's, not its version's.
    faults.take("weight", draft.weight());
    let target = word(&draft.target, &TargetKind::ALL.map(|kind| (kind.word(), kind)));
    let on_reply = on_reply(&draft.exit_on_reply, target.as_ref().ok().copied());
    let exits = ExitRules {
        on_reply: faults.take("exit_on_reply", on_reply.map(Some)).unwrap_or(OnReply::Any),
        on_resolved: !draft.stay_on_resolved,
        on_goal: !draft.stay_on_goal,
    };
    let classes = [PriorityClass::Normal, PriorityClass::Transactional, PriorityClass::Bulk];
    let version = Version {
        no,
        target: faults.take("target", target),
        class: faults.take("class", word(&draft.class, &classes.map(|class| (class.word(), class)))),
        unique_per: faults.take(
            "unique_per",
            word(&draft.unique_per, &[("target", UniquePer::Target), ("contact", UniquePer::Contact)]),
        ),
        reentry: faults.take("reentry", reentry(&draft.reentry)),
        exits,
        max_lifetime: match faults.take("max_lifetime", span(&draft.max_lifetime)) {
            Some(span) => span,
            None => limits::MAX_LIFETIME,
        },
        steps: draft
            .steps
            .iter()
            .enumerate()
            .map(|(i, step)| compile_step(i, step, scope, &mut faults))
            .collect(),
    };
    if faults.0.is_empty() { Ok(version) } else { Err(faults.0) }
}

/// Which replies end it. There is a linked conversation only where the target is one: elsewhere that rule would let
/// no reply end anything.
fn on_reply(text: &str, target: Option<TargetKind>) -> Result<OnReply, String> {
    let known = [("any", OnReply::Any), ("conversation", OnReply::Conversation), ("ignore", OnReply::Ignore)];
    match (word(text, &known)?, target) {
        (OnReply::Conversation, Some(kind)) if kind != TargetKind::Conversation => Err(format!(
            "\"conversation\" goes with the target conversation, and this one is a {}: write any or ignore",
            kind.word()
        )),
        (rule, _) => Ok(rule),
    }
}

fn check_size(draft: &Draft) -> Result<(), String> {
    let bytes: usize = draft.steps.iter().map(step_bytes).sum();
    let most = limits::SEQUENCE_BYTES;
    if bytes > most {
        Err(format!("have texts of {bytes} bytes together: at most {most} are allowed"))
    } else {
        Ok(())
    }
}

fn step_bytes(step: &DraftStep) -> usize {
    let mut bytes = step.subject.len() + step.body.len();
    let mut count = |_: &str, text: &str| {
        bytes += text.len();
        Ok::<String, Infallible>(String::new())
    };
    let (Ok(_), Ok(_)) = (
        step.rich.as_ref().map(|rich| rich.with(&mut count)).transpose(),
        step.fallback.as_ref().map(|fallback| fallback.with(&mut count)).transpose(),
    );
    bytes
}

/// What a step sends besides a text, and the channel it goes by, which must be one of WhatsApp.
fn check_rich(i: usize, step: &DraftStep, channel: &ChannelRef, scope: &Scope, faults: &mut Faults) {
    let fallback = step.fallback.clone().map(Rich::Template);
    let given =
        [step.rich.as_ref().map(|rich| (rich.field(), rich)), fallback.as_ref().map(|it| ("fallback", it))];
    for (field, rich) in given.into_iter().flatten() {
        let field = format!("steps[{i}].{field}");
        let kind = match channel {
            ChannelRef::OfKind(kind) => Some(*kind),
            ChannelRef::Named(_) => scope.channel(channel).map(|channel| channel.kind),
        };
        if let Some(kind) = kind.filter(|kind| *kind != Kind::Whatsapp) {
            let problem =
                format!("goes with channels of kind whatsapp, and this one is of kind {}", kind.word());
            faults.take(&field, Err::<(), _>(problem));
        }
        for (place, problem) in content::faults(rich) {
            faults.take(format!("{field}{place}"), Err::<(), _>(problem));
        }
    }
    let has_text = matches!(step.rich, None | Some(Rich::Buttons(_)));
    if has_text && step.body.trim().is_empty() {
        faults.take(format!("steps[{i}].body"), Err::<(), _>("a step needs a text: give a body"));
    }
    if !has_text && !step.body.trim().is_empty() {
        let problem = "is not sent with a template or a file: leave it out, or give the file a caption";
        faults.take(format!("steps[{i}].body"), Err::<(), _>(problem));
    }
}

fn compile_step(i: usize, step: &DraftStep, scope: &Scope, faults: &mut Faults) -> Step {
    let field = |name: &str| format!("steps[{i}].{name}");
    let at = (!step.at.is_empty()).then(|| MinuteOfDay::parse(&step.at)).transpose();
    let at = faults.take(field("at"), at);
    let wait =
        if step.wait.is_empty() && at.is_none() { Ok(Wait::None) } else { Wait::parse(&step.wait, at) };
    faults.take(field("subject"), render::check(&step.subject));
    faults.take(field("body"), render::check(&step.body));
    let channel = faults
        .take(field("channel"), channel(&step.channel, scope).map(Some))
        .unwrap_or(ChannelRef::OfKind(Kind::Whatsapp));
    check_rich(i, step, &channel, scope, faults);
    Step {
        wait: faults.take(field("wait"), wait),
        channel,
        subject: step.subject.clone(),
        body: step.body.clone(),
        rich: step.rich.clone(),
        fallback: step.fallback.clone(),
        hours: Hours { business_days_only: step.business_days_only, ..Hours::default() },
        useless_after: faults.take(field("useless_after"), span(&step.useless_after)),
        late: faults.take(field("late"), word(&step.late, &[("skip", Late::Skip), ("exit", Late::Exit)])),
        on_failure: faults.take(
            field("on_failure"),
            word(&step.on_failure, &[("continue", OnFailure::Continue), ("exit", OnFailure::Exit)]),
        ),
    }
}

/// One of a few words; empty is the first of them.
fn word<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = if text.is_empty() { known.first() } else { known.iter().find(|(word, _)| *word == text) };
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        format!("{text:?} is not one of {}", words.join(", "))
    })
}

/// A span of exact length, or nothing where nothing is written.
fn span(text: &str) -> Result<Option<Span>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match Wait::parse(text, None).map_err(|error| error.to_string())? {
        Wait::Span(span) => Ok(Some(span)),
        Wait::Days { days, .. } => Ok(Some(Span::days(i64::from(days)))),
        Wait::None | Wait::BusinessDays { .. } => {
            Err(format!("{text:?} has no exact length: write seconds, minutes, hours or days"))
        }
    }
}

fn reentry(text: &str) -> Result<Reentry, String> {
    match text {
        "never" => Ok(Reentry::Never),
        "always" => Ok(Reentry::Always),
        _ => span(text)
            .map(|span| span.map_or_else(Reentry::default, Reentry::After))
            .map_err(|problem| format!("{problem}; or write never or always")),
    }
}

fn channel(text: &str, scope: &Scope) -> Result<ChannelRef, String> {
    if text.is_empty() {
        return Err("a step needs a channel: give the name of one, or a kind".to_owned());
    }
    let known = scope.channels.values().map(|channel| channel.name.as_str());
    let wanted = match (Name::parse(text), Kind::parse(text)) {
        (Ok(name), _) if known.clone().any(|known| known == text) => ChannelRef::Named(name),
        (_, Some(kind)) => ChannelRef::OfKind(kind),
        _ => {
            let near = name::nearest(text, known.chain(Kind::ALL.map(Kind::word)));
            let near = near.map(|near| format!(": did you mean {near:?}?")).unwrap_or_default();
            return Err(format!("no channel is named {text:?}{near}"));
        }
    };
    match scope.channel(&wanted) {
        Some(_) => Ok(wanted),
        None => Err(format!("the tenant has no {text} channel: put one first")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples;

    fn faults(change: impl FnOnce(&mut Draft)) -> Vec<(String, String)> {
        let mut draft = samples::draft();
        change(&mut draft);
        let faults = compile(&draft, VersionNo(1), &samples::scope()).err().unwrap_or_default();
        faults.into_iter().map(|fault| (fault.field, fault.problem)).collect()
    }

    #[test]
    fn a_weight_is_1_to_100_and_a_written_zero_is_refused_with_advice() {
        for weight in [None, Some(1), Some(100)] {
            assert!(faults(|draft| draft.weight = weight).is_empty());
        }
        for weight in [0, 101, 257] {
            let found = faults(|draft| draft.weight = Some(weight));
            let [(field, problem)] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!(field, "weight");
            assert!(problem.contains(&format!("{weight} is no weight: write 1 to 100")), "{problem}");
        }
    }

    #[test]
    fn what_only_whatsapp_takes_goes_with_its_channels_and_with_no_text_beside_it() {
        let template = Template { name: "aula".into(), language: "en".into(), ..Template::default() };
        let faults_of = |channel: &str, body: &str, rich, fallback| {
            let step = DraftStep {
                channel: channel.into(),
                subject: "s".into(),
                body: body.into(),
                rich,
                fallback,
                ..DraftStep::default()
            };
            let draft = Draft { steps: vec![step], ..Draft::default() };
            let mut scope = samples::scope();
            samples::add_whatsapp(&mut scope);
            let faults = compile(&draft, VersionNo(1), &scope).err().unwrap_or_default();
            faults.into_iter().map(|fault| format!("{}: {}", fault.field, fault.problem)).collect::<Vec<_>>()
        };
        let own = || Some(Rich::Template(template.clone()));
        let none: Vec<String> = Vec::new();
        assert_eq!(faults_of("whatsapp", "", own(), None), none);
        assert_eq!(faults_of("whatsapp", "hi", None, Some(template.clone())), none);
        for (found, begins) in [
            (faults_of("whatsapp", "hi", own(), None), "steps[0].body: is not sent with a template"),
            (faults_of("email", "", own(), None), "steps[0].template: goes with channels of kind whatsapp"),
            (faults_of("email", "hi", None, Some(template.clone())), "steps[0].fallback: goes with channels"),
            (
                faults_of("whatsapp", "", None, Some(Template { name: String::new(), ..template.clone() })),
                "steps[0].fallback.name: is missing",
            ),
        ] {
            assert!(found.iter().any(|fault| fault.starts_with(begins)), "{begins}: {found:?}");
        }
    }

    #[test]
    fn the_sample_compiles() {
        assert_eq!(faults(|_| ()), []);
    }

    #[test]
    fn each_fault_names_its_field_and_what_would_be_right() {
        type Fault = (fn(&mut Draft), &'static str, &'static str);
        let table: [Fault; 12] = [
            (|d| d.steps.clear(), "steps", "at least one step"),
            (|d| d.steps[1].wait = "0 hours".into(), "steps[1].wait", "leave"),
            (|d| d.steps[1].wait = "3 fortnights".into(), "steps[1].wait", "seconds, minutes, hours, days"),
            (|d| d.steps[0].body = " ".into(), "steps[0].body", "needs a text"),
            (|d| d.steps[0].body = "{{ contact.emial }}".into(), "steps[0].body", "\"email\""),
            (|d| d.steps[0].body = "{{ contact.name".into(), "steps[0].body", "end of"),
            (|d| d.steps[0].channel = "emali".into(), "steps[0].channel", "\"email\""),
            (|d| d.steps[0].channel = "sms".into(), "steps[0].channel", "no sms channel"),
            (|d| d.target = "charges".into(), "target", "contact, conversation, deal"),
            (|d| d.exit_on_reply = "conversation".into(), "exit_on_reply", "a charge: write any or ignore"),
            (|d| d.reentry = "sometimes".into(), "reentry", "never or always"),
            (|d| d.steps[1].at = "25:00".into(), "steps[1].at", "25:00"),
        ];
        for (change, field, right) in table {
            let found = faults(change);
            let hit = found.iter().any(|(at, problem)| at == field && problem.contains(right));
            assert!(hit, "{field} {right}: {found:?}");
        }
    }

    #[test]
    fn a_reply_in_the_conversation_goes_with_that_target() {
        let found = faults(|draft| {
            draft.target = "conversation".into();
            draft.exit_on_reply = "conversation".into();
        });
        assert_eq!(found, []);
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let found = faults(|draft| {
            draft.class = "urgent".into();
            draft.steps[0].channel.clear();
            draft.steps[1].late = "later".into();
        });
        let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["class", "steps[0].channel", "steps[1].late"]);
    }
}
