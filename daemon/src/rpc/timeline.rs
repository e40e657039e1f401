//! History entries as messages: which fields each kind of decision has, and which send it is about.

use followupd_domain::SendId;
use followupd_domain::decision::{Decision, Entry, Source, TraceId};
use followupd_domain::enrollment::Wake;
use followupd_domain::gate::Binding;

use crate::rpc::asked;
use crate::rpc::show::{self, Show};
use followupd_proto::v1;

/// All lines of a timeline.
pub(super) fn entries(show: &Show<'_>, history: &[Entry]) -> Vec<v1::TimelineEntry> {
    let mut begun = None;
    let line = |one: &Entry| {
        if let Decision::Intended(open) = &one.decision {
            begun = Some(open.send);
        }
        let line = entry(show, one);
        if is_of_send(&one.decision) { of_send(show, begun, line) } else { line }
    };
    history.iter().map(line).collect()
}

/// Whether a decision is about the send that began before it, and does not name it.
fn is_of_send(decision: &Decision) -> bool {
    match decision {
        Decision::Accepted { .. }
        | Decision::Refused { .. }
        | Decision::BackedOff { .. }
        | Decision::Withdrawn
        | Decision::Doubted { .. }
        | Decision::LeftUncertain => true,
        Decision::Enrolled(_)
        | Decision::Planned { .. }
        | Decision::Moved { .. }
        | Decision::Intended(_)
        | Decision::Skipped(_)
        | Decision::StepFailed(_)
        | Decision::Received { .. }
        | Decision::Code { .. }
        | Decision::Paused { .. }
        | Decision::Resumed { .. }
        | Decision::Completed
        | Decision::Exited(_)
        | Decision::Failed(_)
        | Decision::Quarantined { .. }
        | Decision::Released { .. }
        | Decision::Reopened { .. }
        | Decision::Closed
        | Decision::Begun { .. } => false,
    }
}

fn of_send(show: &Show<'_>, send: Option<SendId>, line: v1::TimelineEntry) -> v1::TimelineEntry {
    let Some(send) = send else { return line };
    v1::TimelineEntry { step: Some(u32::from(send.step.0)), send_id: show.send(send), ..line }
}

/// One line of a timeline.
fn entry(show: &Show<'_>, entry: &Entry) -> v1::TimelineEntry {
    let line = v1::TimelineEntry {
        at: show::moment(entry.at),
        trace_id: if entry.trace == TraceId::default() { String::new() } else { asked::hex(entry.trace) },
        kind: entry.decision.word().to_owned(),
        ..Default::default()
    };
    match &entry.decision {
        Decision::Enrolled(beginning) => v1::TimelineEntry {
            by: beginning.by.clone(),
            source: match beginning.source {
                Source::Api => "api",
                Source::Manual => "manual",
            }
            .to_owned(),
            ..line
        },
        Decision::Planned { step, due_at, wake } | Decision::Reopened { step, due_at, wake } => {
            v1::TimelineEntry {
                step: Some(u32::from(step.0)),
                due_at: show::moment(*due_at),
                ..standing(show, wake, line)
            }
        }
        Decision::Moved { wake, gate } => {
            v1::TimelineEntry { gate: gate_word(*gate).to_owned(), ..standing(show, wake, line) }
        }
        Decision::Intended(open) => v1::TimelineEntry {
            step: Some(u32::from(open.send.step.0)),
            channel: show.channel(open.channel),
            send_id: show.send(open.send),
            attempt: u32::from(open.attempt),
            ..line
        },
        Decision::Accepted { at } => v1::TimelineEntry { at: show::moment(*at), ..line },
        Decision::Refused { code, wake } | Decision::BackedOff { code, wake } => {
            v1::TimelineEntry { reason: code.clone(), ..standing(show, wake, line) }
        }
        Decision::Code { step, code } => {
            v1::TimelineEntry { step: Some(u32::from(step.0)), reason: code.clone(), ..line }
        }
        Decision::Skipped(reason) => v1::TimelineEntry { reason: reason.word().to_owned(), ..line },
        Decision::StepFailed(failure) => v1::TimelineEntry { reason: failure.word().to_owned(), ..line },
        Decision::Received { step, status } => v1::TimelineEntry {
            step: Some(u32::from(step.0)),
            status: status.word().to_owned(),
            reason: show::why(*status).to_owned(),
            ..line
        },
        Decision::Paused { remaining } => v1::TimelineEntry { remaining: show::span(*remaining), ..line },
        Decision::Resumed { due_at, wake } => {
            v1::TimelineEntry { due_at: show::moment(*due_at), ..standing(show, wake, line) }
        }
        Decision::Doubted { wake } | Decision::Released { wake } => standing(show, wake, line),
        Decision::Exited(reason) => v1::TimelineEntry { reason: reason.word().to_owned(), ..line },
        Decision::Failed(reason) => v1::TimelineEntry { reason: reason.word().to_owned(), ..line },
        Decision::Quarantined { reason, wake } => {
            v1::TimelineEntry { reason: reason.clone(), ..standing(show, wake, line) }
        }
        Decision::Withdrawn
        | Decision::LeftUncertain
        | Decision::Completed
        | Decision::Closed
        | Decision::Begun { .. } => line,
    }
}

fn standing(show: &Show<'_>, wake: &Wake, line: v1::TimelineEntry) -> v1::TimelineEntry {
    v1::TimelineEntry { next_look_at: show::moment(wake.due_at), channel: show.channel(wake.channel), ..line }
}

/// The word of a gate.
pub(super) fn gate_word(gate: Binding) -> &'static str {
    match gate {
        Binding::Channel => "channel",
        Binding::Target => "target",
        Binding::Lifetime => "lifetime",
        Binding::Suppression => "suppression",
        Binding::Address => "address",
        Binding::Late => "late",
        Binding::Hold => "hold",
        Binding::PushedBack => "wait",
        Binding::Queue => "queue",
        Binding::Hours => "hours",
        Binding::Retry => "retry",
        Binding::Limits => "limits",
        Binding::Line => "line",
        Binding::RecipientGap => "recipient_gap",
        Binding::ContactCaps => "contact_caps",
        Binding::NewRecipients => "new_recipients",
    }
}
