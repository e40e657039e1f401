//! Enrollments as messages: ids as texts, numbers as the names they stand for.

use buffa::MessageField;
use buffa_types::google::protobuf::{Duration, Timestamp};
use followupd_domain::enrollment::{Enrollment, Send, SendStatus, State};
use followupd_domain::target::TargetRef;
use followupd_domain::{ChannelNo, Moment, SendId, SequenceNo, Span, StepNo};
use followupd_runtime::{Engine, Names};

use followupd_proto::v1;

/// A moment as a message.
pub(super) fn moment(at: Moment) -> MessageField<Timestamp, buffa::Inline<Timestamp>> {
    let nanos = i32::try_from(at.0.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    MessageField::some(Timestamp::from_unix(at.0.div_euclid(1_000), nanos))
}

/// A message as a moment; what lies within a millisecond is dropped.
pub(super) fn moment_of(at: &Timestamp) -> Moment {
    Moment(at.seconds.saturating_mul(1_000).saturating_add(i64::from(at.nanos) / 1_000_000))
}

/// A span as a message.
pub(super) fn span(span: Span) -> MessageField<Duration, buffa::Inline<Duration>> {
    let millis = u64::try_from(span.0).unwrap_or_default();
    MessageField::some(std::time::Duration::from_millis(millis).into())
}

/// What an enrollment is about, as a message.
pub(super) fn target(target: &TargetRef) -> v1::Target {
    v1::Target { kind: target.kind.word().to_owned(), id: target.id.clone(), ..Default::default() }
}

/// Why a send was skipped or failed, empty for others.
pub(super) fn why(status: SendStatus) -> &'static str {
    match status {
        SendStatus::Skipped(reason) => reason.word(),
        SendStatus::Failed(failure) => failure.word(),
        SendStatus::Pending
        | SendStatus::Uncertain
        | SendStatus::Sent
        | SendStatus::Delivered
        | SendStatus::Read
        | SendStatus::Replied => "",
    }
}

/// What it takes to show the things of one tenant.
pub(super) struct Show<'a> {
    /// Writes send ids.
    pub(super) engine: &'a Engine,
    /// What numbers stand for.
    pub(super) names: Names,
    /// When it is shown.
    pub(super) now: Moment,
}

impl Show<'_> {
    /// The name of a channel; the control lane has none.
    pub(super) fn channel(&self, no: ChannelNo) -> String {
        let found = self.names.channels.iter().find(|(known, _)| *known == no);
        found.map(|(_, name)| name.to_string()).unwrap_or_default()
    }

    /// The name of a sequence.
    pub(super) fn sequence(&self, no: SequenceNo) -> String {
        let found = self.names.sequences.iter().find(|(known, _)| *known == no);
        found.map(|(_, name)| name.to_string()).unwrap_or_default()
    }

    /// The text of a send's id.
    pub(super) fn send(&self, send: SendId) -> String {
        self.engine.send_text(send)
    }

    /// An enrollment.
    pub(super) fn enrollment(&self, state: &Enrollment) -> v1::Enrollment {
        let (reason, remaining) = match state.state {
            State::Active | State::Completed => ("", None),
            State::Paused { remaining } => ("", Some(remaining)),
            State::Exited(reason) => (reason.word(), None),
            State::Failed(reason) => (reason.word(), None),
        };
        v1::Enrollment {
            id: state.id.to_string(),
            sequence: self.sequence(state.sequence),
            version: state.version.0,
            contact: state.contact.clone(),
            target: state.target.as_ref().map(target).map_or_else(MessageField::none, MessageField::some),
            state: state.state.word().to_owned(),
            reason: reason.to_owned(),
            enrolled_at: moment(state.enrolled_at),
            expires_at: moment(state.expires_at),
            step: u32::from(state.step.0),
            step_due_at: match state.state.is_over() {
                true => MessageField::none(),
                false => moment(state.step_due_at),
            },
            next_look_at: state.wake.map_or_else(MessageField::none, |wake| moment(wake.due_at)),
            remaining: remaining.map_or_else(MessageField::none, span),
            in_flight_send_id: state.open.map(|open| self.send(open.send)).unwrap_or_default(),
            quarantine: state.quarantine.clone().unwrap_or_default(),
            sends: (0..).zip(&state.sends).map(|(place, send)| self.record(state, place, send)).collect(),
            ..Default::default()
        }
    }

    fn record(&self, state: &Enrollment, place: usize, send: &Send) -> v1::SendRecord {
        let pending = send.status == SendStatus::Pending && send.step == state.step;
        let status = if pending && state.is_scheduled(self.now) { "scheduled" } else { send.status.word() };
        v1::SendRecord {
            step: u32::from(send.step.0),
            status: status.to_owned(),
            reason: why(send.status).to_owned(),
            channel: self.channel(send.channel),
            at: moment(send.at),
            send_id: self.send(send_of(state, place, send.step)),
            ..Default::default()
        }
    }
}

/// The id of the send that stands at `place`: of those of its step each has its own.
fn send_of(state: &Enrollment, place: usize, step: StepNo) -> SendId {
    let before = state.sends.iter().take(place).filter(|send| send.step == step).count();
    SendId { step, occurrence: u16::try_from(before).unwrap_or(u16::MAX), ..state.send_id() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::enrollment::{SendFailure, SkipReason};
    use followupd_domain::{EnrollmentId, Shard, TenantNo, VersionNo};

    /// One of these sends, at the step of the last of them.
    fn enrollment(sends: &[(u16, SendStatus)]) -> Enrollment {
        let at = Moment(1_800_000_000_000);
        let sends = sends.iter().map(|(step, status)| {
            let (step, channel) = (StepNo(*step), ChannelNo(1));
            Send { step, status: *status, channel, at, sent_at: None }
        });
        let sends: Vec<Send> = sends.collect();
        Enrollment {
            id: EnrollmentId::new(at, Shard(1), 1),
            tenant: TenantNo(1),
            sequence: SequenceNo(1),
            version: VersionNo(1),
            contact: "ana".to_owned(),
            target: None,
            enrolled_at: at,
            expires_at: at,
            state: State::Active,
            step: sends[sends.len() - 1].step,
            step_due_at: at,
            settled_at: at,
            waits_from: at,
            attempts: 0,
            wake: None,
            open: None,
            sends,
            quarantine: None,
        }
    }

    #[test]
    fn each_send_of_a_step_that_came_again_has_its_own_id() {
        let failed = SendStatus::Failed(SendFailure::Refused);
        let known =
            [(0, failed), (1, SendStatus::Skipped(SkipReason::Late)), (0, SendStatus::Sent), (1, failed)];
        let state = enrollment(&known);
        let occurrences =
            (0..).zip(&state.sends).map(|(place, send)| send_of(&state, place, send.step).occurrence);
        assert_eq!(occurrences.collect::<Vec<_>>(), [0, 0, 1, 1]);
        assert_eq!(send_of(&state, 3, StepNo(1)), state.send_id(), "that of the step under way is the last");
        let single = enrollment(&[(0, SendStatus::Sent), (1, failed), (1, SendStatus::Pending)]);
        assert_eq!(send_of(&single, 0, StepNo(0)).occurrence, 0, "whatever the step under way has come to");
    }

    #[test]
    fn moments_survive_their_message() {
        for at in [0, 1_800_000_000_123, -1, -1_001] {
            let message = moment(Moment(at)).into_option().unwrap();
            assert_eq!(moment_of(&message), Moment(at));
        }
    }
}
