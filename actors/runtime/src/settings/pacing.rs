//! The limits of a channel, from what is put: its preset, and what is given beside it.

use followupd_domain::Span;
use followupd_domain::calendar::Wait;
use followupd_domain::calendar::wait::Error as WaitError;
use followupd_domain::channel::{Kind, Preset};
use followupd_domain::ledger::{Limits, Rate, Rest};
use followupd_domain::limits::LONGEST_WAIT;
use followupd_domain::name::not_one_of;

use super::Faults;
use crate::api::{ChannelSettings, RestSettings};

/// The limits that `settings` describe, for a channel of this kind: those of the preset, each replaced by the one that
/// is given beside it.
pub(super) fn limits(settings: &ChannelSettings, kind: Option<Kind>, faults: &mut Faults) -> Limits {
    let preset = faults.take("preset", preset(settings, kind));
    let mut preset = preset.map(Preset::limits).unwrap_or_default();
    let faulty = faults.0.len();
    let given = given(settings, faults);
    leave_out(settings, &given, &mut preset, faults);
    let limits = Limits {
        rate: given.rate.or(preset.rate),
        gap: given.gap.or(preset.gap),
        jitter: given.jitter.or(preset.jitter),
        per_minute: given.per_minute.or(preset.per_minute),
        per_hour: given.per_hour.or(preset.per_hour),
        per_day: given.per_day.or(preset.per_day),
        rest: given.rest.or(preset.rest),
        warm_up: given.warm_up.or(preset.warm_up),
        recipient_gap: given.recipient_gap.or(preset.recipient_gap),
        new_recipients: given.new_recipients.or(preset.new_recipients),
    };
    // What could not be read contradicts nothing yet.
    if faults.0.len() == faulty {
        for error in limits.problems() {
            faults.take(&error.field().to_string(), Err::<(), _>(error));
        }
    }
    limits
}

/// Takes one limit out.
type LeaveOut = fn(&mut Limits);

/// The limits of a preset, by the names they have in settings, and what takes each out of one.
const LIMITS: [(&str, LeaveOut); 10] = [
    ("rate", |limits| limits.rate = None),
    ("gap", |limits| limits.gap = None),
    ("jitter", |limits| limits.jitter = None),
    ("per_minute", |limits| limits.per_minute = None),
    ("per_hour", |limits| limits.per_hour = None),
    ("per_day", |limits| limits.per_day = None),
    ("rest", |limits| limits.rest = None),
    ("warm_up", |limits| limits.warm_up = None),
    ("recipient_gap", |limits| limits.recipient_gap = None),
    ("new_recipients", |limits| limits.new_recipients = None),
];

/// Takes out of a preset what its channel goes without.
fn leave_out(settings: &ChannelSettings, given: &Limits, preset: &mut Limits, faults: &mut Faults) {
    let is_given = |take_out: fn(&mut Limits)| {
        let mut less = given.clone();
        take_out(&mut less);
        less != *given
    };
    for (i, word) in settings.without.iter().enumerate() {
        let problem = match LIMITS.iter().find(|(known, _)| known == word) {
            None => Err(not_one_of(word, &LIMITS.map(|(known, _)| known))),
            Some(_) if settings.preset.is_empty() => Err("goes with a preset: leave it out".to_owned()),
            Some((_, take_out)) if is_given(*take_out) => {
                Err(format!("{word} is given too: leave it out here, or there"))
            }
            Some((_, take_out)) => {
                take_out(preset);
                Ok(())
            }
        };
        faults.take(&format!("without[{i}]"), problem);
    }
}

fn preset(settings: &ChannelSettings, kind: Option<Kind>) -> Result<Option<Preset>, String> {
    let word = settings.preset.as_str();
    if word.is_empty() {
        return Ok(None);
    }
    let preset = Preset::parse(word).ok_or_else(|| not_one_of(word, &Preset::ALL.map(Preset::word)))?;
    match kind.filter(|kind| *kind != preset.serves()) {
        None if preset == Preset::WhatsappWeb && settings.transport == "meta" => {
            Err(format!("{word} is for a number paired by QR code, not for meta: take one of whatsapp-cloud"))
        }
        Some(kind) => Err(format!("{word} is for {}, not for {}", preset.serves().word(), kind.word())),
        None => Ok(Some(preset)),
    }
}

fn given(settings: &ChannelSettings, faults: &mut Faults) -> Limits {
    let per = faults.take("rate.per", span(&settings.rate_per)).unwrap_or(Span::seconds(1));
    let burst = if settings.rate_burst == 0 { settings.rate_count } else { settings.rate_burst };
    let cap = |count: u32| (count > 0).then_some(count);
    Limits {
        rate: (settings.rate_count > 0).then_some(Rate { count: settings.rate_count, per, burst }),
        gap: faults.take("gap", span(&settings.gap)),
        jitter: faults.take("jitter", span(&settings.jitter)),
        per_minute: cap(settings.per_minute),
        per_hour: cap(settings.per_hour),
        per_day: cap(settings.per_day),
        rest: settings.rest.as_ref().map(|RestSettings { after, span: text }| Rest {
            after: *after,
            span: faults.take("rest.span", span(text)).unwrap_or_default(),
        }),
        warm_up: settings.warm_up,
        recipient_gap: faults.take("recipient_gap", span(&settings.recipient_gap)),
        new_recipients: cap(settings.new_recipients),
    }
}

fn span(text: &str) -> Result<Option<Span>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match Wait::parse(text, None) {
        Ok(Wait::Span(span)) => Ok(Some(span)),
        Ok(Wait::None | Wait::Days { .. } | Wait::BusinessDays { .. }) => Err(format!(
            "{text:?} has no exact length: write seconds, minutes or hours, such as \"36 hours\""
        )),
        // What a step would be told of its wait.
        Err(WaitError::Zero) => Err(format!("is {text}: leave it out, or give a second or more")),
        Err(WaitError::NoUnit(_)) => Err(format!(
            "{text:?} has no unit: write for example \"{text} seconds\" or \"{text} minutes\"",
            text = text.trim()
        )),
        Err(WaitError::UnknownUnit { unit, near: None }) => {
            Err(format!("unknown unit {unit:?}: write seconds, minutes or hours"))
        }
        Err(WaitError::TooLong(_)) => {
            let most = LONGEST_WAIT.0 / Span::hours(1).0;
            Err(format!("{text:?} is too long: at most {most} hours"))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::ledger::WarmUp;

    fn read(settings: &ChannelSettings) -> Result<Limits, String> {
        let mut faults = Faults::default();
        let limits = limits(settings, Some(Kind::Whatsapp), &mut faults);
        faults.none().map(|()| limits).map_err(|error| error.to_string())
    }

    fn web() -> ChannelSettings {
        ChannelSettings { preset: "whatsapp-web".into(), ..ChannelSettings::default() }
    }

    #[test]
    fn a_preset_stands_for_its_limits_and_each_can_be_replaced() {
        assert_eq!(read(&web()), Ok(Preset::WhatsappWeb.limits()));
        let slower = ChannelSettings {
            gap: "2 minutes".into(),
            per_hour: 9,
            rest: Some(RestSettings { after: 5, span: "1 hour".into() }),
            warm_up: Some(WarmUp { days: 30, from: 2 }),
            ..web()
        };
        let expected = Limits {
            gap: Some(Span::minutes(2)),
            per_hour: Some(9),
            rest: Some(Rest { after: 5, span: Span::hours(1) }),
            warm_up: Some(WarmUp { days: 30, from: 2 }),
            ..Preset::WhatsappWeb.limits()
        };
        assert_eq!(read(&slower), Ok(expected));
    }

    #[test]
    fn a_limit_of_a_preset_can_be_left_out_by_its_name() {
        let without = |words: &[&str]| ChannelSettings {
            without: words.iter().map(|word| (*word).to_owned()).collect(),
            ..web()
        };
        let expected = Limits { warm_up: None, new_recipients: None, ..Preset::WhatsappWeb.limits() };
        assert_eq!(read(&without(&["warm_up", "new_recipients"])), Ok(expected));
        let all = LIMITS.map(|(word, _)| word);
        assert_eq!(read(&without(&all)), Ok(Limits::default()));
        let unknown = read(&without(&["warmup"])).unwrap_err();
        assert!(unknown.contains("without[0]") && unknown.contains("did you mean \"warm_up\"?"), "{unknown}");
        let alone = ChannelSettings { preset: String::new(), ..without(&["gap"]) };
        assert!(read(&alone).unwrap_err().contains("goes with a preset"));
        let half = read(&without(&["gap"])).unwrap_err();
        assert!(half.contains("jitter goes with gap"), "{half}");
        let other = ChannelSettings { per_day: 50, ..without(&["per_day"]) };
        assert!(read(&other).unwrap_err().contains("per_day is given too"));
    }

    #[test]
    fn an_unknown_preset_names_the_near_one_and_one_of_another_kind_its_own() {
        let unknown = read(&ChannelSettings { preset: "whatsap-web".into(), ..web() }).unwrap_err();
        assert!(unknown.contains("did you mean \"whatsapp-web\"?"), "{unknown}");
        let other = read(&ChannelSettings { preset: "mailbox".into(), ..web() }).unwrap_err();
        assert!(other.contains("mailbox is for email, not for whatsapp"), "{other}");
        let official = read(&ChannelSettings { transport: "meta".into(), ..web() }).unwrap_err();
        assert!(official.contains("paired by QR code"), "{official}");
    }

    #[test]
    fn what_is_given_must_go_with_what_the_preset_says() {
        let tiny = read(&ChannelSettings { per_day: 10, ..web() }).unwrap_err();
        assert!(tiny.contains("rest.after 30") && tiny.contains("warm_up.from 20"), "both: {tiny}");
        let empty = read(&ChannelSettings { rest: Some(RestSettings::default()), ..web() }).unwrap_err();
        assert!(empty.contains("rest.after"), "{empty}");
    }

    #[test]
    fn every_fault_lies_under_a_field_that_there_is() {
        let fields = |settings: ChannelSettings| {
            let mut faults = Faults::default();
            limits(&settings, Some(Kind::Whatsapp), &mut faults);
            faults.0.into_iter().map(|fault| (fault.field, fault.problem)).collect::<Vec<_>>()
        };
        let paced = ChannelSettings { rate_count: 80, rate_per: "1 fortnight".into(), ..Default::default() };
        assert_eq!(fields(paced)[0].0, "rate.per");
        let alone = fields(ChannelSettings { jitter: "5 seconds".into(), ..Default::default() });
        assert_eq!(alone[0].0, "jitter");
        assert!(alone[0].1.contains("goes with gap"), "{alone:?}");
        let unread =
            fields(ChannelSettings { gap: "5".into(), jitter: "5 seconds".into(), ..Default::default() });
        assert_eq!(unread.len(), 1, "{unread:?}");
        let zero = fields(ChannelSettings { gap: "0 seconds".into(), ..Default::default() });
        assert_eq!(zero[0].1, "is 0 seconds: leave it out, or give a second or more");
    }
}
