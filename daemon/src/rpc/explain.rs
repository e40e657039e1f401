//! Explanations as messages: words for programs, sentences for people.

use buffa::MessageField;
use followupd_domain::decide::explain::{Next, Said};
use followupd_domain::enrollment::{ExitReason, FailReason, SendFailure, SkipReason, State};
use followupd_domain::gate::{Binding, Verdict};
use followupd_domain::scope::HeldBy;
use followupd_runtime::{Caller, Error};

use crate::rpc::timeline::gate_word;
use crate::rpc::{Service, show, take};
use followupd_proto::v1;

impl Service {
    /// What an enrollment does next.
    pub(super) async fn explain(
        &self,
        caller: &Caller,
        tenant: &str,
        id: &str,
    ) -> Result<v1::ExplainResponse, Error> {
        let id = take::enrollment_id(id)?;
        let found = self.engine.explain(caller, tenant, id).await?;
        let names = self.engine.names(caller, tenant).await?;
        let show = show::Show { engine: &self.engine, names, now: self.env.wall() };
        let explained = &found.explained;
        let (action, reason, text) = match (explained.next, found.enrollment.state) {
            (Next::Over, State::Exited(reason)) => ("none", reason.word(), exited(reason)),
            (Next::Over, State::Failed(reason)) => ("none", reason.word(), ended(reason)),
            (Next::Over, State::Completed) => {
                ("none", "completed", "it is over: it went through all its steps")
            }
            (next, _) => action(next),
        };
        let over = explained.next == Next::Over;
        let channel = match explained.next {
            Next::Send(channel) | Next::Settle(channel) => show.channel(channel),
            Next::Skip(_)
            | Next::Fail(_)
            | Next::Exit(_)
            | Next::End(_)
            | Next::Held(_)
            | Next::Paused
            | Next::Over => String::new(),
        };
        Ok(v1::ExplainResponse {
            action: action.to_owned(),
            reason: reason.to_owned(),
            text: text.to_owned(),
            step: (!over).then_some(u32::from(found.enrollment.step.0)),
            channel,
            at: explained.at.map_or_else(MessageField::none, show::moment),
            estimated: explained.estimated,
            binding_gate: explained.binding.map(gate_word).unwrap_or_default().to_owned(),
            gates: explained
                .gates
                .iter()
                .map(|(gate, said)| state(*gate, *said, explained.code.as_deref()))
                .collect(),
            ahead: u32::try_from(found.ahead).unwrap_or(u32::MAX),
            ..Default::default()
        })
    }
}

/// The action, its reason, and both for people.
fn action(next: Next) -> (&'static str, &'static str, &'static str) {
    match next {
        Next::Send(_) => ("send", "", "the step is sent"),
        Next::Skip(reason) => ("skip", reason.word(), skipped(reason)),
        Next::Fail(failure) => ("fail", failure.word(), failed(failure)),
        Next::Exit(reason) => ("exit", reason.word(), exits(reason)),
        Next::End(reason) => ("end", reason.word(), ends(reason)),
        Next::Settle(_) => ("settle", "", "a send has begun: what comes of it decides"),
        Next::Held(by) => ("wait", by.word(), held(by)),
        Next::Paused => ("wait", "paused", "it is paused: resume it"),
        Next::Over => ("none", "", "it is over"),
    }
}

/// One gate; with the code of the attempt that came to nothing, where there was one.
fn state(gate: Binding, said: Said, code: Option<&str>) -> v1::GateState {
    let line = v1::GateState { gate: gate_word(gate).to_owned(), ..Default::default() };
    let says = |state: &str, reason: &str, text: &str, line: v1::GateState| v1::GateState {
        state: state.to_owned(),
        reason: reason.to_owned(),
        text: text.to_owned(),
        ..line
    };
    match said {
        Said::Exactly(Verdict::Open) => says("open", "", "", line),
        Said::Exactly(Verdict::Until(at)) => {
            let line = v1::GateState { until: show::moment(at), ..line };
            let text = match code.filter(|_| gate == Binding::Retry) {
                Some(code) => format!("an attempt came to nothing ({code}): the next one is made then"),
                None => waits_text(gate).to_owned(),
            };
            says("until", waits_for(gate), &text, line)
        }
        Said::About(at) => {
            let line = v1::GateState { until: show::moment(at), estimated: true, ..line };
            says("until", waits_for(gate), waits_text(gate), line)
        }
        Said::WhenSettled => {
            says("held", "open_sends", "sends that are out count: it opens when one of them is settled", line)
        }
        Said::Exactly(Verdict::Held(by)) => says("held", by.word(), held(by), line),
        Said::Exactly(Verdict::Skip(reason)) => says("skip", reason.word(), skipped(reason), line),
        Said::Exactly(Verdict::Fail(failure)) => says("fail", failure.word(), failed(failure), line),
        Said::Exactly(Verdict::Exit(reason)) => says("exit", reason.word(), exits(reason), line),
        Said::Exactly(Verdict::Broken(reason)) => says("end", reason.word(), ends(reason), line),
    }
}

/// What a gate that opens by itself waits for.
fn waits_for(gate: Binding) -> &'static str {
    match gate {
        Binding::PushedBack => "wait",
        Binding::Hours => "quiet_hours",
        Binding::Retry => "retry",
        Binding::Limits => "limit",
        Binding::RecipientGap => "recipient_gap",
        Binding::ContactCaps => "contact_caps",
        Binding::NewRecipients => "new_recipients",
        Binding::Line => "line",
        Binding::Channel
        | Binding::Target
        | Binding::Lifetime
        | Binding::Suppression
        | Binding::Address
        | Binding::Late
        | Binding::Hold
        | Binding::Queue => "",
    }
}

fn waits_text(gate: Binding) -> &'static str {
    match gate {
        Binding::PushedBack => "the wait of the step runs, with what holds have pushed it back by",
        Binding::Hours => "it falls in quiet hours, or outside the step's own hours",
        Binding::Retry => {
            "an attempt came to nothing, or the server it calls rests: the next one is made then"
        }
        Binding::Limits => "the limits of the channel are used up until then",
        Binding::Line => "others stand in line before it",
        Binding::RecipientGap => "the contact was sent something through this channel a short while ago",
        Binding::ContactCaps => "the contact has been sent as much as the tenant allows in a day or a week",
        Binding::NewRecipients => {
            "the channel, or its account, has written to as many new people as it may in 24 h"
        }
        Binding::Channel
        | Binding::Target
        | Binding::Lifetime
        | Binding::Suppression
        | Binding::Address
        | Binding::Late
        | Binding::Hold
        | Binding::Queue => "",
    }
}

fn held(by: HeldBy) -> &'static str {
    match by {
        HeldBy::Tenant => "the tenant is held or off: release it, or switch it on",
        HeldBy::Account => "the account of its channel is held: it goes on by itself, or when it is released",
        HeldBy::Channel => "the channel is held: release it",
        HeldBy::Sequence => "the sequence is held: release it",
        HeldBy::Quarantine => "it kept failing and is quarantined: release it when the cause is gone",
        HeldBy::Provider => {
            "what its provider says, or a kill switch, holds the channel: it goes on at the end that `holds` shows, or when it is released"
        }
        HeldBy::Step => "providers refuse what this step says: publish it anew, or release the sequence",
    }
}

fn skipped(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Late => "the step comes too late to be of use: it is skipped",
        SkipReason::NotDelivered => "the provider chose not to deliver it to this contact",
    }
}

fn failed(failure: SendFailure) -> &'static str {
    match failure {
        SendFailure::NoAddress => "the contact has no address of the channel's kind: the step fails",
        SendFailure::Suppressed => "the contact opted out of the channel's kind: the step fails",
        SendFailure::MissingVariable => "a variable of the text has no value: the step fails",
        SendFailure::Render => "the text cannot be rendered for this contact: the step fails",
        SendFailure::Refused => "the provider refused it for good",
        SendFailure::Attempts => "the provider refused it as often as it was tried",
        SendFailure::BadAddress => "the provider said that nothing sent to this address will arrive",
        SendFailure::NeedsTemplate => {
            "the provider takes only an approved template now, and the step has none"
        }
        SendFailure::Unusable => "the provider cannot reach this address just now",
    }
}

fn exits(reason: ExitReason) -> &'static str {
    match reason {
        ExitReason::Replied => "the contact wrote: it leaves",
        ExitReason::Resolved => "the conversation is resolved: it leaves",
        ExitReason::Goal => "the target has reached its goal: it leaves",
        ExitReason::OptedOut => "the contact opted out of every channel the steps left use: it leaves",
        ExitReason::Manual => "somebody took it out",
        ExitReason::TargetCancelled => "the target was lost, cancelled or deleted: it leaves",
        ExitReason::Expired => "it has lived its longest by then: it leaves",
        ExitReason::Archived => "its sequence was archived",
        ExitReason::Late => "the step comes too late to be of use, and says that this ends it",
        ExitReason::StepFailed => "the step fails, and says that this ends it",
        ExitReason::Erased => "the contact was erased",
    }
}

/// How it left.
fn exited(reason: ExitReason) -> &'static str {
    match reason {
        ExitReason::Replied => "it is over: the contact wrote",
        ExitReason::Resolved => "it is over: the conversation was resolved",
        ExitReason::Goal => "it is over: the target reached its goal",
        ExitReason::OptedOut => "it is over: the contact opted out",
        ExitReason::Manual => "it is over: somebody took it out",
        ExitReason::TargetCancelled => "it is over: the target was lost, cancelled or deleted",
        ExitReason::Expired => "it is over: it lived its longest",
        ExitReason::Archived => "it is over: its sequence was archived",
        ExitReason::Late => "it is over: a step came too late to be of use",
        ExitReason::StepFailed => "it is over: a step failed, and says that this ends it",
        ExitReason::Erased => "it is over: the contact was erased",
    }
}

/// Why it could not go on.
fn ended(reason: FailReason) -> &'static str {
    match reason {
        FailReason::NoChannel => "it is over: the channel of a step was gone",
    }
}

fn ends(reason: FailReason) -> &'static str {
    match reason {
        FailReason::NoChannel => "the step's channel is gone: it cannot go on",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::Moment;

    #[test]
    fn every_state_of_a_gate_has_its_word_and_says_why_unless_it_is_open() {
        let table = [
            (Binding::Target, Said::Exactly(Verdict::Open), "open"),
            (Binding::Hours, Said::Exactly(Verdict::Until(Moment(5))), "until"),
            (Binding::Line, Said::About(Moment(5)), "until"),
            (Binding::Limits, Said::WhenSettled, "held"),
            (Binding::Hold, Said::Exactly(Verdict::Held(HeldBy::Sequence)), "held"),
            (Binding::Late, Said::Exactly(Verdict::Skip(SkipReason::Late)), "skip"),
            (Binding::Address, Said::Exactly(Verdict::Fail(SendFailure::NoAddress)), "fail"),
            (Binding::Suppression, Said::Exactly(Verdict::Exit(ExitReason::OptedOut)), "exit"),
            (Binding::Channel, Said::Exactly(Verdict::Broken(FailReason::NoChannel)), "end"),
        ];
        for (gate, said, word) in table {
            let shown = state(gate, said, None);
            assert_eq!(shown.state, word);
            assert_eq!(shown.text.is_empty(), word == "open", "{shown:?}");
            assert_eq!(shown.until.is_set(), word == "until");
            assert_eq!(shown.estimated, matches!(said, Said::About(_)));
        }
        let waits = Said::Exactly(Verdict::Until(Moment(5)));
        assert!(state(Binding::Retry, waits, Some("connect")).text.contains("(connect)"));
        assert_eq!(state(Binding::Hours, waits, Some("connect")), state(Binding::Hours, waits, None));
    }
}
