//! Calls: a task of its own for each, outside every actor, and the way its outcome takes back.

use std::sync::{Arc, OnceLock};

use followupd_channel::{Answer, Call, Slot, Transport};
use followupd_domain::channel::Kind;
use followupd_domain::decide::outcome::Outcome;
use followupd_domain::decision::TraceId;
use followupd_domain::reaction::Reaction;
use followupd_domain::suppression::Address;
use followupd_domain::{Moment, SendId, Span, TenantNo};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::node::{CallUnderWay, Node, SendUnderWay};
use crate::shard::ShardMsg;

/// What came of a call, on its way to the enrollment.
pub(crate) struct CallEnded {
    pub(crate) tenant: TenantNo,
    pub(crate) send: SendId,
    /// Through what kind of channel, and to which mailbox or number.
    pub(crate) kind: Kind,
    pub(crate) address: Option<Address>,
    pub(crate) outcome: Outcome,
    /// When the call began, in engine time.
    pub(crate) began_at: Option<Moment>,
    /// Whether nothing of it left.
    pub(crate) unsent: bool,
    pub(crate) trace: TraceId,
    /// Held until the outcome is committed, so that a drain waits for it, and whoever is activated meanwhile knows that
    /// the call is out.
    pub(crate) _under_way: CallUnderWay,
}

/// When a call began, in engine time; empty until it has.
pub(crate) type Began = Arc<OnceLock<Moment>>;

/// What a send has before its intent, so that nothing waits between that and its call.
pub(crate) struct Ready {
    /// The way out of its channel, as the channel was.
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) slot: Slot,
    pub(crate) under_way: SendUnderWay,
}

/// What a call is made for.
pub(crate) struct For {
    pub(crate) tenant: TenantNo,
    /// It does not begin later.
    pub(crate) not_after: Moment,
    /// When its start is told, if it is not answered by then.
    pub(crate) told_after: Option<Span>,
}

/// Begins a call now, unless it is past `not_after`, before the moment its gates were asked for (the wall has jumped
/// back since, and they may be closed again), or all sending is stopped; its outcome goes to the enrollment through its shard.
pub(crate) fn begin(node: &Arc<Node>, call: Call, ready: Ready, made_for: For) {
    let Ready { transport, slot, under_way } = ready;
    let For { tenant, not_after, told_after } = made_for;
    let (node, noted) = (Arc::clone(node), Began::default());
    let (send, kind, trace) = (call.send, call.kind, call.trace);
    let address = Address::called(kind, &call.address);
    let under_way = under_way.calls(send, &noted);
    tokio::spawn(async move {
        // Looked at here, and nothing waits between this and the call.
        let (now, began_at) = (node.now(), node.engine_now());
        let too_early_or_late = now < call.at || now > not_after;
        let (outcome, began_at, unsent) = if too_early_or_late || node.stop.is_closed() {
            (Outcome::NotBegun, None, true)
        } else {
            noted.get_or_init(|| began_at);
            let call = transport.call(Call { at: now, ..call }, slot);
            let call = std::pin::pin!(made(call));
            let tell = || {
                let began = ShardMsg::CallBegan { tenant, send, at: began_at };
                node.tell(send.enrollment.shard(), began);
            };
            let answer = watched(call, told_after, tell).await;
            let unsent = matches!(answer, Answer::Unsent { .. });
            (outcome(&node, answer), Some(began_at), unsent)
        };
        node.stats.sent(kind, &outcome);
        let _under_way = under_way;
        let ended = CallEnded { tenant, send, kind, address, outcome, began_at, unsent, trace, _under_way };
        node.tell(send.enrollment.shard(), ShardMsg::CallEnded(ended));
    });
}

/// Waits for a call, and has its enrollment told that it has begun where that takes longer.
async fn watched(
    mut call: std::pin::Pin<&mut impl Future<Output = Answer>>,
    told_after: Option<Span>,
    tell: impl FnOnce(),
) -> Answer {
    let Some(told_after) = told_after else { return call.await };
    let told_after = std::time::Duration::from_millis(told_after.0.unsigned_abs());
    if let Ok(answer) = tokio::time::timeout(told_after, call.as_mut()).await {
        return answer;
    }
    tell();
    call.await
}

async fn made(call: BoxFuture<'_, Answer>) -> Answer {
    // A transport that panics has left nobody knows what behind.
    std::panic::AssertUnwindSafe(call).catch_unwind().await.unwrap_or(Answer::Uncertain)
}

fn outcome(node: &Node, answer: Answer) -> Outcome {
    match answer {
        Answer::Accepted => Outcome::Accepted { at: node.now() },
        Answer::Refused { code, reaction } => Outcome::Refused { code, reaction },
        Answer::Unsent { code } => Outcome::Refused { code, reaction: Reaction::HOST_RESTS },
        Answer::Uncertain => Outcome::Uncertain,
    }
}
