//! `event`: one event, or one receipt, from the command line.

use clap::{Args, Subcommand};

use crate::cli::ask::answer;
use crate::cli::{Shared, time};
use crate::exit::{Code, Failure};
use followupd_proto::v1;

/// Commands of events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// Take in one event.
    Send(Options),
    /// Take in what became of a message.
    Receipt(ReceiptOptions),
}

/// One receipt.
#[derive(Debug, Args)]
pub(crate) struct ReceiptOptions {
    /// Which message, `snd_…`; timelines show it.
    send: String,
    /// How far it got.
    #[arg(value_parser = ["sent", "delivered", "read", "failed"])]
    status: String,
    /// Why it failed: the provider's code, or of a mail that came back its status, such as `5.1.1`.
    #[arg(long, default_value = "")]
    code: String,
    /// The mailbox or number it went to, where the contact may have another by now.
    #[arg(long, default_value = "")]
    address: String,
    /// When it was so; now by default.
    #[arg(long, value_name = "RFC3339", value_parser = time::parse)]
    at: Option<buffa_types::google::protobuf::Timestamp>,
}

/// One event.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What happened, such as `message.received` or `charge.paid`.
    r#type: String,
    /// The source's id of it; the same id again is a repeat.
    #[arg(long)]
    id: String,
    /// Who says it.
    #[arg(long, default_value = "cli")]
    source: String,
    /// The contact it is about.
    #[arg(long)]
    contact: Option<String>,
    /// What else it is about, such as `charge/ch-1`.
    #[arg(long, value_name = "KIND/ID", value_parser = target)]
    target: Option<v1::Target>,
    /// The text of an inbound message.
    #[arg(long, default_value = "")]
    text: String,
    /// When it happened; now by default.
    #[arg(long, value_name = "RFC3339", value_parser = time::parse)]
    at: Option<buffa_types::google::protobuf::Timestamp>,
    /// The kind of channel it came through; an opt-out without one is from all.
    #[arg(long, value_name = "KIND", default_value = "")]
    channel: String,
    /// It is an automatic reply, which ends nothing.
    #[arg(long)]
    automatic: bool,
}

/// A target from its text.
///
/// # Errors
/// Says how one is written.
pub(super) fn target(text: &str) -> Result<v1::Target, String> {
    match text.split_once('/') {
        Some((kind, id)) if !kind.is_empty() && !id.is_empty() => {
            Ok(v1::Target { kind: kind.to_owned(), id: id.to_owned(), ..Default::default() })
        }
        _ => Err("write its kind and id, such as charge/ch-1".to_owned()),
    }
}

/// Sends it.
pub(crate) async fn run(shared: &Shared, command: EventCommand) -> Result<(), Failure> {
    let options = match command {
        EventCommand::Send(options) => options,
        EventCommand::Receipt(options) => return receipt(shared, options).await,
    };
    let event = v1::Event {
        source: options.source,
        id: options.id,
        r#type: options.r#type,
        occurred_at: options.at.into(),
        contact: options.contact.unwrap_or_default(),
        target: options.target.into(),
        text: options.text,
        automatic: options.automatic,
        channel: options.channel,
        ..Default::default()
    };
    let server = shared.server()?;
    let request = v1::SendRequest { tenant: shared.tenant()?, event: event.into(), ..Default::default() };
    let sent = answer(&server, server.events().send(request)).await?;
    shared.answer(&sent, || text(&sent.result))
}

/// Takes in one receipt.
async fn receipt(shared: &Shared, options: ReceiptOptions) -> Result<(), Failure> {
    let ReceiptOptions { send: send_id, status, code, address, at } = options;
    let occurred_at = at.into();
    let receipts = vec![v1::Receipt { send_id, status, code, address, occurred_at, ..Default::default() }];
    let server = shared.server()?;
    let request = v1::SendReceiptsRequest { tenant: shared.tenant()?, receipts, ..Default::default() };
    let sent = answer(&server, server.events().send_receipts(request)).await?;
    let Some(result) = sent.results.first() else {
        return Err(Failure::other("the daemon answered nothing to a receipt"));
    };
    match result.outcome.as_known() {
        Some(v1::ReceiptOutcome::Refused) => Err(Failure::new(Code::Refused, result.problem.clone())),
        Some(v1::ReceiptOutcome::Unchanged) => {
            shared.answer(&sent, || "nothing new: nothing changed\n".to_owned())
        }
        Some(v1::ReceiptOutcome::TakenIn | v1::ReceiptOutcome::Unspecified) | None => {
            shared.answer(&sent, || "taken in\n".to_owned())
        }
    }
}

fn text(result: &v1::EventResult) -> String {
    let mut text = match result.outcome.as_known() {
        Some(v1::EventOutcome::Duplicate) => "taken in before: nothing changed\n".to_owned(),
        Some(v1::EventOutcome::Refused) => format!("refused: {}\n", result.problem),
        Some(v1::EventOutcome::Accepted | v1::EventOutcome::Unspecified) | None => "taken in\n".to_owned(),
    };
    for exited in &result.exited {
        text.push_str(&format!("{} exited: {}\n", exited.enrollment_id, exited.reason));
    }
    for send in &result.in_flight_send_ids {
        text.push_str(&format!("{send} had begun before and ends by itself\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn a_target_is_a_kind_and_an_id() {
        let charge = target("charge/ch/1").unwrap();
        assert_eq!((charge.kind.as_str(), charge.id.as_str()), ("charge", "ch/1"));
        assert!(target("ch-1").is_err() && target("charge/").is_err());
    }

    #[derive(Debug, Parser)]
    struct Receipted {
        #[command(flatten)]
        options: ReceiptOptions,
    }

    #[test]
    fn a_status_that_there_is_not_ends_as_every_mistaken_call_does() {
        let status = |word: &str| Receipted::try_parse_from(["receipt", "snd_1", word]);
        for word in ["sent", "delivered", "read", "failed"] {
            assert_eq!(status(word).unwrap().options.status, word);
        }
        let mistaken = status("deliverd").unwrap_err();
        assert_eq!(mistaken.exit_code(), 2);
        assert!(mistaken.to_string().contains("delivered"), "{mistaken}");
    }
}
