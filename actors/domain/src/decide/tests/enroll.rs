//! Enrolling: refusals, uniqueness, re-entry, what is learned of the contact, and the first plan.

use super::other_charge;
use crate::channel::Kind;
use crate::contact::{Contact, Ended, Membership};
use crate::decide::enroll::{Enrolling, Facts, New, Profile, Refusal, Request, enroll, know};
use crate::decide::samples::{NOON, Sample, channel, draft, request, scope};
use crate::decision::Decision;
use crate::enrollment::{ExitReason, State};
use crate::ids::{ChannelNo, EnrollmentId, SequenceNo, Shard, VersionNo};
use crate::limits;
use crate::scope::Scope;
use crate::sequence::{Draft, draft as drafts};
use crate::target::{Target, TargetKind, TargetRef, Terminal, TerminalFact};
use crate::time::{Moment, Span};

/// What a wish is decided on.
struct Desk {
    scope: Scope,
    draft: Draft,
    request: Request,
    contact: Contact,
    target: Target,
    now: Moment,
}

impl Desk {
    fn new() -> Desk {
        let (contact, target) = (Contact::default(), Target::default());
        Desk { scope: scope(), draft: draft(), request: request(), contact, target, now: NOON }
    }

    fn ask(&self) -> Result<Enrolling, Refusal> {
        // A version outlives the channels it was published with.
        let mut published = self.scope.clone();
        published.channels = scope().channels;
        published.channels.insert(ChannelNo(2), channel(2, "texts", Kind::Sms));
        let version = drafts::compile(&self.draft, VersionNo(1), &published).unwrap();
        let facts = Facts {
            contact: &self.contact,
            target: self.request.target.as_ref().map(|_| &self.target),
            scope: &self.scope,
            sequence: SequenceNo(1),
            version: &version,
            now: self.now,
        };
        enroll(&self.request, &facts, EnrollmentId::new(self.now, Shard(9), 7))
    }

    fn refusal(&self) -> Option<Refusal> {
        self.ask().err()
    }

    fn new_one(&self) -> New {
        match self.ask().unwrap() {
            Enrolling::New(new) => *new,
            Enrolling::Already(id) => panic!("enrolled already: {id}"),
        }
    }

    /// Enrolls, and keeps what that leaves in the contact's row.
    fn enrolls(&mut self) -> EnrollmentId {
        let new = self.new_one();
        self.contact = new.contact;
        new.enrollment.id
    }

    fn ends(&mut self, id: EnrollmentId, at: Moment, reason: Option<ExitReason>) {
        self.contact.end(id, at, reason);
    }
}

#[test]
fn a_tenant_that_is_off_enrolls_nobody() {
    let mut desk = Desk::new();
    desk.scope.tenant.on = false;
    assert_eq!(desk.refusal(), Some(Refusal::TenantOff));
}

#[test]
fn a_sequence_that_is_unpublished_or_unknown_enrolls_nobody() {
    let mut desk = Desk::new();
    desk.scope.sequences.get_mut(&SequenceNo(1)).unwrap().latest = None;
    assert_eq!(desk.refusal(), Some(Refusal::Unpublished));
    desk.scope.sequences.clear();
    assert_eq!(desk.refusal(), Some(Refusal::Unpublished));
}

#[test]
fn a_paused_sequence_enrolls_nobody_but_knows_who_is_enrolled() {
    let mut desk = Desk::new();
    let pause = |desk: &mut Desk| {
        desk.scope.sequences.get_mut(&SequenceNo(1)).unwrap().holds.hold(NOON, "holiday");
    };
    pause(&mut desk);
    assert_eq!(desk.refusal(), Some(Refusal::Paused));
    let mut desk = Desk::new();
    let id = desk.enrolls();
    pause(&mut desk);
    assert_eq!(desk.ask(), Ok(Enrolling::Already(id)));
}

#[test]
fn a_held_tenant_or_channel_still_enrolls() {
    let mut desk = Desk::new();
    desk.scope.tenant.holds.hold(NOON, "stop-sending");
    desk.scope.channels.get_mut(&ChannelNo(1)).unwrap().holds.hold(NOON, "stop-sending");
    assert_eq!(desk.refusal(), None);
}

#[test]
fn a_first_step_without_its_channel_is_refused() {
    let mut desk = Desk::new();
    desk.scope.channels.clear();
    assert_eq!(desk.refusal(), Some(Refusal::NoChannel));
}

#[test]
fn a_contact_in_too_many_cadences_is_refused_unless_ended_ones_make_room() {
    let mut desk = Desk::new();
    desk.contact.enrollments = (0..limits::ENROLLMENTS_A_CONTACT)
        .map(|n| Membership {
            enrollment: EnrollmentId::new(Moment(n as i64), Shard(9), 0),
            sequence: SequenceNo(2),
            target: None,
            ended: None,
        })
        .collect();
    assert_eq!(desk.refusal(), Some(Refusal::TooMany));
    desk.contact.enrollments[5].ended = Some(Ended { at: NOON, opted_out: false });
    assert_eq!(desk.new_one().contact.enrollments.len(), limits::ENROLLMENTS_A_CONTACT);
}

#[test]
fn a_target_of_too_many_enrollments_takes_no_more_until_one_ends() {
    let mut desk = Desk::new();
    let id = |n: usize| EnrollmentId::new(Moment(n as i64), Shard(9), 0);
    desk.target.enrollments = (0..limits::ENROLLMENTS_A_TARGET).map(id).collect();
    assert_eq!(desk.refusal(), Some(Refusal::TargetFull));
    desk.target.enrollments.pop();
    let target = desk.new_one().target.unwrap();
    assert_eq!(target.enrollments.len(), limits::ENROLLMENTS_A_TARGET);
}

#[test]
fn an_archived_sequence_enrolls_nobody_though_it_has_a_version() {
    let mut desk = Desk::new();
    desk.scope.sequences.get_mut(&SequenceNo(1)).unwrap().archived_at = Some(NOON);
    assert_eq!(desk.refusal(), Some(Refusal::Archived));
}

#[test]
fn every_refusal_has_a_word_of_its_own() {
    let all = [
        Refusal::Archived,
        Refusal::TenantOff,
        Refusal::Unpublished,
        Refusal::Paused,
        Refusal::Target { wanted: TargetKind::Charge, given: None },
        Refusal::Reentry(None),
        Refusal::OptedOut,
        Refusal::GoalMet,
        Refusal::TargetClosed,
        Refusal::Suppressed,
        Refusal::NoChannel,
        Refusal::TooMany,
        Refusal::TargetFull,
        Refusal::AttributesTooLarge { whose: "contact", bytes: 20_000 },
    ];
    let words: std::collections::BTreeSet<&str> = all.iter().map(|refusal| refusal.word()).collect();
    assert_eq!(words.len(), all.len());
    assert!(words.contains("goal_met"), "the contract names this one");
    assert!(all.iter().all(|refusal| !refusal.to_string().is_empty()));
}

#[test]
fn an_enrollment_is_unique_per_target_unless_per_contact() {
    for (unique_per, other_target) in [("target", false), ("contact", true)] {
        let mut desk = Desk::new();
        desk.draft.unique_per = unique_per.into();
        let id = desk.enrolls();
        assert_eq!(desk.ask(), Ok(Enrolling::Already(id)), "{unique_per}");
        desk.request.target = Some(other_charge());
        assert_eq!(desk.ask() == Ok(Enrolling::Already(id)), other_target, "{unique_per}");
    }
}

#[test]
fn an_enrollment_in_another_sequence_is_in_nobody_s_way() {
    let mut desk = Desk::new();
    desk.enrolls();
    desk.contact.enrollments[0].sequence = SequenceNo(2);
    assert_eq!(desk.refusal(), None);
}

#[test]
fn re_entry_follows_its_rule_to_the_millisecond() {
    let refused = |reentry: &str, after: Span| {
        let mut desk = Desk::new();
        desk.draft.reentry = reentry.into();
        let id = desk.enrolls();
        desk.ends(id, NOON, None);
        desk.now = NOON + after;
        desk.refusal()
    };
    let day = Span::hours(24);
    assert_eq!(refused("never", Span::days(400)), Some(Refusal::Reentry(None)));
    assert_eq!(refused("always", Span::ZERO), None);
    for default in ["", "24 hours"] {
        assert_eq!(refused(default, Span(day.0 - 1)), Some(Refusal::Reentry(Some(NOON + day))));
        assert_eq!(refused(default, day), None, "the cool-down is over at its end");
    }
}

#[test]
fn a_cool_down_counts_from_the_latest_end() {
    let mut desk = Desk::new();
    for hours in [0, 30] {
        desk.now = NOON + Span::hours(hours);
        let id = desk.enrolls();
        desk.ends(id, desk.now, None);
    }
    desk.now = NOON + Span::hours(53);
    assert_eq!(desk.refusal(), Some(Refusal::Reentry(Some(NOON + Span::hours(54)))));
}

#[test]
fn who_opted_out_never_re_enters_by_itself() {
    let mut desk = Desk::new();
    desk.draft.reentry = "always".into();
    let first = desk.enrolls();
    // Two runs about one target: they began when the sequence was unique per target, and merged since.
    let mut second = desk.contact.enrollments[0].clone();
    second.enrollment = EnrollmentId::new(NOON, Shard(9), 8);
    desk.contact.enrollments.push(second.clone());
    desk.ends(first, NOON, Some(ExitReason::OptedOut));
    desk.ends(second.enrollment, NOON + Span::hours(1), Some(ExitReason::Manual));
    desk.now = NOON + Span::days(300);
    assert_eq!(desk.refusal(), Some(Refusal::OptedOut), "whatever ended later");
}

#[test]
fn re_entry_is_judged_when_the_row_has_no_room_for_what_ended_any_more() {
    let refused = |reentry: &str, unique_per: &str, reason: Option<ExitReason>| {
        let mut desk = Desk::new();
        desk.draft.reentry = reentry.into();
        desk.draft.unique_per = unique_per.into();
        let id = desk.enrolls();
        desk.ends(id, NOON, reason);
        for n in 1..=limits::ENROLLMENTS_A_CONTACT {
            let enrollment = EnrollmentId::new(NOON + Span(n as i64), Shard(9), 0);
            let (sequence, target) = (SequenceNo(2), None);
            desk.contact.enrollments.push(Membership { enrollment, sequence, target, ended: None });
            desk.ends(enrollment, NOON + Span(n as i64), reason);
        }
        assert!(
            desk.contact.enrollments.iter().all(|known| known.enrollment != id),
            "there is no room for it"
        );
        desk.now = NOON + Span::days(20);
        let same = desk.refusal();
        desk.request.target = Some(other_charge());
        (same, desk.refusal())
    };
    let never = Some(Refusal::Reentry(None));
    assert_eq!(refused("never", "target", None), (never, None));
    assert_eq!(refused("never", "contact", None), (never, never));
    let later = Some(Refusal::Reentry(Some(NOON + Span::days(30))));
    assert_eq!(refused("30 days", "target", None), (later, None));
    assert_eq!(refused("20 days", "target", None), (None, None));
    let opted_out = Some(Refusal::OptedOut);
    assert_eq!(refused("always", "target", Some(ExitReason::OptedOut)), (opted_out, None));
}

#[test]
fn a_target_that_is_done_with_is_refused_unless_the_rules_say_it_does_not_matter() {
    let refused = |terminal, stay: bool| {
        let mut desk = Desk::new();
        desk.draft.stay_on_goal = stay;
        desk.target.learn(TerminalFact { occurred_at: NOON, event: "e".into(), terminal });
        desk.refusal()
    };
    assert_eq!(refused(Terminal::Goal, false), Some(Refusal::GoalMet));
    assert_eq!(refused(Terminal::Goal, true), None);
    assert_eq!(refused(Terminal::Cancelled, true), Some(Refusal::TargetClosed));
    assert_eq!(refused(Terminal::Lost, false), Some(Refusal::TargetClosed));
}

#[test]
fn a_resolved_conversation_is_refused_until_a_later_message_reopens_it() {
    let mut desk = Desk::new();
    desk.draft.target = "conversation".into();
    desk.request.target = Some(TargetRef { kind: TargetKind::Conversation, id: "c-1".into() });
    let resolved = TerminalFact { occurred_at: NOON, event: "e".into(), terminal: Terminal::Resolved };
    desk.target.learn(resolved);
    assert_eq!(desk.refusal(), Some(Refusal::TargetClosed));
    desk.target.hears(NOON);
    assert_eq!(desk.refusal(), Some(Refusal::TargetClosed), "a message from before it reopens nothing");
    desk.target.hears(NOON + Span(1));
    assert_eq!(desk.refusal(), None);
}

#[test]
fn who_is_suppressed_everywhere_is_refused_and_on_one_kind_only_is_not() {
    let mut desk = Desk::new();
    desk.request.profile.phone = Some("+4930123456".into());
    desk.scope.channels.insert(ChannelNo(2), channel(2, "texts", Kind::Sms));
    desk.draft.steps[1].channel = "sms".into();
    desk.contact.suppressed.insert(Kind::Email);
    assert_eq!(desk.refusal(), None, "the second step can reach them");
    desk.contact.suppressed.insert(Kind::Sms);
    assert_eq!(desk.refusal(), Some(Refusal::Suppressed));
    desk.contact.suppressed.remove(&Kind::Sms);
    desk.request.profile.phone = None;
    assert_eq!(desk.refusal(), Some(Refusal::Suppressed), "a kind without an address reaches nobody");
}

#[test]
fn what_is_given_of_a_contact_replaces_and_what_is_not_stays() {
    let mut desk = Desk::new();
    let text = |text: &str| Some(text.to_owned());
    desk.contact.name = text("Ana");
    desk.contact.email = text("old@mail.example");
    desk.contact.phone = text("+4930123456");
    desk.contact.attributes = [("plan", "gold"), ("town", "Ulm")].map(|(k, v)| (k.into(), v.into())).into();
    desk.request.profile = Profile {
        email: text("new@mail.example"),
        attributes: [("plan".to_owned(), "silver".to_owned())].into(),
        ..Profile::default()
    };
    let known = desk.new_one().contact;
    assert_eq!((known.name, known.phone), (text("Ana"), text("+4930123456")));
    assert_eq!(known.email, text("new@mail.example"));
    assert_eq!(known.attributes["plan"], "silver");
    assert_eq!(known.attributes["town"], "Ulm");
}

#[test]
fn attributes_are_bounded_as_they_are_together() {
    let of = |name: &str, bytes: usize| [(name.to_owned(), "x".repeat(bytes - name.len()))].into();
    let most = limits::ATTRIBUTE_BYTES;
    let mut desk = Desk::new();
    desk.contact.attributes = of("a", most - 10);
    desk.request.profile.attributes = of("b", 10);
    assert_eq!(desk.refusal(), None, "the last byte fits");
    desk.request.profile.attributes = of("b", 11);
    let refusal = desk.refusal().unwrap();
    assert_eq!(refusal, Refusal::AttributesTooLarge { whose: "contact", bytes: most + 1 });
    assert!(refusal.to_string().contains("16385 bytes") && refusal.to_string().contains("at most 16384"));
    desk.request.profile.attributes = of("a", most);
    assert_eq!(desk.refusal(), None, "what is replaced does not count");
    desk.request.profile.attributes.clear();
    desk.target.attributes = of("a", most);
    desk.request.target_attributes = of("b", 5);
    assert_eq!(desk.refusal(), Some(Refusal::AttributesTooLarge { whose: "target", bytes: most + 5 }));
}

#[test]
fn a_profile_too_large_leaves_the_contact_as_it_was() {
    let mut contact = Contact { name: Some("Ana".into()), ..Contact::default() };
    let before = contact.clone();
    let large = [("a".to_owned(), "x".repeat(limits::ATTRIBUTE_BYTES))].into();
    let profile = Profile { name: Some("Anna".into()), attributes: large, ..Profile::default() };
    assert!(know(&mut contact, &profile).is_err());
    assert_eq!(contact, before);
    // One that has more than may be, from before there was a bound, can still be told what does not add to it.
    contact.attributes = profile.attributes.clone();
    assert_eq!(know(&mut contact, &profile), Ok(()));
    assert_eq!(contact.name.as_deref(), Some("Anna"));
}

#[test]
fn contact_and_target_index_the_new_enrollment() {
    let mut desk = Desk::new();
    desk.request.target_attributes = [("amount".to_owned(), "12 EUR".to_owned())].into();
    let new = desk.new_one();
    let id = new.enrollment.id;
    let membership = Membership {
        enrollment: id,
        sequence: SequenceNo(1),
        target: desk.request.target.clone(),
        ended: None,
    };
    assert_eq!(new.contact.enrollments, [membership]);
    let target = new.target.unwrap();
    assert_eq!(target.enrollments, [id]);
    assert_eq!(target.attributes["amount"], "12 EUR");
}

#[test]
fn a_target_of_another_kind_than_the_sequence_s_is_refused() {
    let mut desk = Desk::new();
    desk.request.target = None;
    let wanted = TargetKind::Charge;
    assert_eq!(desk.refusal(), Some(Refusal::Target { wanted, given: None }));
    let deal = TargetKind::Deal;
    desk.request.target = Some(TargetRef { kind: deal, id: "d-1".into() });
    let refusal = Refusal::Target { wanted, given: Some(deal) };
    assert_eq!(desk.refusal(), Some(refusal));
    assert_eq!(
        refusal.to_string(),
        "the sequence is about a charge: the target has to be of kind `charge`, not `deal`"
    );
}

#[test]
fn the_first_step_is_due_after_its_wait() {
    let due = |wait: &str, at: &str| {
        let sample = Sample::walking(|_, draft| {
            draft.steps[0].wait = wait.into();
            draft.steps[0].at = at.into();
        });
        assert_eq!(sample.row().due_at, sample.enrollment.step_due_at);
        sample.enrollment.step_due_at.since(NOON)
    };
    assert_eq!(due("", ""), Span::ZERO);
    assert_eq!(due("90 minutes", ""), Span::minutes(90));
    assert_eq!(due("2 days", ""), Span::days(2));
    assert_eq!(due("1 day", "09:30"), Span::minutes(21 * 60 + 30));
    assert_eq!(due("0 days", "09:30"), Span::minutes(21 * 60 + 30), "the next such time ahead");
    assert_eq!(due("0 days", "12:00"), Span::ZERO);
    assert_eq!(due("5 business days", ""), Span::days(7), "over a weekend");
}

#[test]
fn a_life_shorter_than_the_wait_ends_expired_by_the_control_lane() {
    let mut sample = Sample::walking(|_, draft| {
        draft.max_lifetime = "1 hour".into();
        draft.steps[0].wait = "2 hours".into();
    });
    assert_eq!(sample.enrollment.step_due_at, NOON + Span::hours(2));
    let row = sample.row();
    assert_eq!((row.lane.channel, row.due_at), (ChannelNo::CONTROL, NOON + Span::hours(1)));
    assert_eq!(sample.fire(), [Decision::Exited(ExitReason::Expired)]);
    assert_eq!(sample.enrollment.state, State::Exited(ExitReason::Expired));
    assert_eq!(sample.statuses(), []);
}

#[test]
fn a_wait_that_ends_as_the_life_does_is_too_long() {
    let lane = |life: &str| {
        let sample = Sample::walking(|_, draft| {
            draft.max_lifetime = life.into();
            draft.steps[0].wait = "2 hours".into();
        });
        sample.row().lane.channel
    };
    assert_eq!(lane("120 minutes"), ChannelNo::CONTROL);
    assert_eq!(lane("121 minutes"), ChannelNo(1));
}

#[test]
fn an_enrollment_about_nothing_has_no_target() {
    let mut desk = Desk::new();
    desk.draft.target = "contact".into();
    desk.request.target = None;
    let new = desk.new_one();
    assert_eq!((new.enrollment.target, new.target), (None, None));
}
