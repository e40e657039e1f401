//! Receipts: what the world says later of a message, from a provider's webhook or from a platform that hears of it.

use followupd_channel::{smtp, twilio, whatsapp};
use followupd_domain::channel::Transport;
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::reaction::Reaction;

use crate::api::ReceiptCall;
use crate::record::Facts;

/// What a receipt says, with what follows from its code where that is not said: each provider has codes of its own.
pub(crate) fn read(told: &ReceiptCall, facts: &Facts) -> Receipt {
    if told.receipt != Receipt::Failed(None) {
        return told.receipt;
    }
    let sent = facts.enrollment().sent(told.send);
    let channel = sent.and_then(|sent| facts.loaded.scope.channels.get(&sent.channel));
    Receipt::Failed(channel.and_then(|channel| reaction(&channel.transport, &told.code)))
}

fn reaction(transport: &Transport, code: &str) -> Option<Reaction> {
    let number = || code.parse().ok();
    match transport {
        Transport::Meta(_) => whatsapp::reaction(number()?),
        Transport::Twilio(_) => twilio::reaction(number()?),
        Transport::Smtp(_) => smtp::bounced(code),
        Transport::Outbox | Transport::Http(_) | Transport::Chatwoot(_) => None,
    }
}
