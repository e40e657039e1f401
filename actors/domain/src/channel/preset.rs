//! Presets: words that stand for a set of limits, from what providers allow and what operators keep to.

use super::Kind;
use crate::ledger::{Limits, Rate, Rest, WarmUp};
use crate::signal::{KillSwitch, Signal};
use crate::time::Span;

/// A set of limits by its word. It is not kept: a channel has the limits that it stood for when it was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preset {
    /// A number of the WhatsApp Cloud API: 80 messages in any second, in and out together, one contact every 6 s, and of
    /// people outside a service window so many in a moving 24 h as its portfolio's tier says (Meta, "Throughput", "Pair
    /// rate limits", "Messaging limits"). Numbers of one portfolio share that tier: where there are several, put them in
    /// one account with its cap.
    WhatsappCloud(Tier),
    /// A number paired by QR code. WhatsApp publishes no limit for it; the risk is a ban. What operators keep to: 45 to
    /// 120 s apart, 40 an hour, a first day of 20, some 150 a day after two weeks and 200 at most, 20 minutes' rest after
    /// 30, 5 new people a day.
    WhatsappWeb,
    /// A US long code: one segment a second (Twilio, "Message queueing and throughput"). A message counts as its
    /// segments.
    SmsLongCode,
    /// A short code: 100 segments in any second (as above).
    SmsShortCode,
    /// One person's mailbox. Two thirds of the 30 a minute that Exchange Online takes ("Exchange Online limits"), and a
    /// quarter of the 2,000 in 24 h of Google Workspace ("Gmail sending limits"), so that two calendar days that meet
    /// in one moving day stay below too. A new one begins with 50.
    Mailbox,
}

/// How many people a portfolio may write to in a moving 24 h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// 250.
    T250,
    /// 2,000.
    T2k,
    /// 10,000.
    T10k,
    /// 100,000.
    T100k,
    /// Any number.
    Unlimited,
}

impl Preset {
    /// All of them.
    pub const ALL: [Preset; 9] = [
        Preset::WhatsappCloud(Tier::T250),
        Preset::WhatsappCloud(Tier::T2k),
        Preset::WhatsappCloud(Tier::T10k),
        Preset::WhatsappCloud(Tier::T100k),
        Preset::WhatsappCloud(Tier::Unlimited),
        Preset::WhatsappWeb,
        Preset::SmsLongCode,
        Preset::SmsShortCode,
        Preset::Mailbox,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Preset::WhatsappCloud(Tier::T250) => "whatsapp-cloud-250",
            Preset::WhatsappCloud(Tier::T2k) => "whatsapp-cloud-2k",
            Preset::WhatsappCloud(Tier::T10k) => "whatsapp-cloud-10k",
            Preset::WhatsappCloud(Tier::T100k) => "whatsapp-cloud-100k",
            Preset::WhatsappCloud(Tier::Unlimited) => "whatsapp-cloud-unlimited",
            Preset::WhatsappWeb => "whatsapp-web",
            Preset::SmsLongCode => "sms-long-code",
            Preset::SmsShortCode => "sms-short-code",
            Preset::Mailbox => "mailbox",
        }
    }

    /// The preset of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Preset> {
        Preset::ALL.into_iter().find(|preset| preset.word() == word)
    }

    /// The kind of channel whose senders it is about.
    #[must_use]
    pub fn serves(self) -> Kind {
        match self {
            Preset::WhatsappCloud(_) | Preset::WhatsappWeb => Kind::Whatsapp,
            Preset::SmsLongCode | Preset::SmsShortCode => Kind::Sms,
            Preset::Mailbox => Kind::Email,
        }
    }

    /// The limits it stands for. A second may hold a burst and what the rate adds to it: together no more than the
    /// provider takes.
    #[must_use]
    pub fn limits(self) -> Limits {
        let a_second = |count, burst| Some(Rate { count, per: Span::seconds(1), burst });
        match self {
            Preset::WhatsappCloud(tier) => Limits {
                rate: a_second(60, 20),
                recipient_gap: Some(Span::seconds(6)),
                new_recipients: match tier {
                    Tier::T250 => Some(250),
                    Tier::T2k => Some(2_000),
                    Tier::T10k => Some(10_000),
                    Tier::T100k => Some(100_000),
                    Tier::Unlimited => None,
                },
                ..Limits::default()
            },
            Preset::WhatsappWeb => Limits {
                gap: Some(Span::seconds(45)),
                jitter: Some(Span::seconds(75)),
                per_hour: Some(40),
                per_day: Some(200),
                rest: Some(Rest { after: 30, span: Span::minutes(20) }),
                // 146 on the day that two weeks have passed.
                warm_up: Some(WarmUp { days: 20, from: 20 }),
                new_recipients: Some(5),
                ..Limits::default()
            },
            Preset::SmsLongCode => Limits { rate: a_second(1, 1), ..Limits::default() },
            Preset::SmsShortCode => Limits { rate: a_second(80, 20), ..Limits::default() },
            Preset::Mailbox => Limits {
                gap: Some(Span::seconds(2)),
                jitter: Some(Span::seconds(2)),
                per_minute: Some(20),
                per_day: Some(500),
                warm_up: Some(WarmUp { days: 14, from: 50 }),
                ..Limits::default()
            },
        }
    }
}

impl Preset {
    /// The kill switches it stands for. Operators of numbers paired by QR code stop after 5 failures in a row, where fewer
    /// than a tenth answer after 50 messages, or where fewer than 60 % arrive after 20; the last only says so here, since
    /// not every platform tells what arrives.
    #[must_use]
    pub fn kill_switches(self) -> Vec<KillSwitch> {
        let switch = |signal, percent, after| KillSwitch { signal, percent, after, report_only: false };
        match self {
            Preset::WhatsappWeb => vec![
                switch(Signal::Failed, 20, 20),
                switch(Signal::FailedInARow, 0, 5),
                switch(Signal::Replied, 10, 50),
                KillSwitch { report_only: true, ..switch(Signal::Delivered, 60, 20) },
            ],
            Preset::WhatsappCloud(_) | Preset::SmsLongCode | Preset::SmsShortCode | Preset::Mailbox => {
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_holds_more_than_a_provider_takes() {
        let most = |preset: Preset| preset.limits().rate.map(|rate| (rate.count + rate.burst, rate.per));
        let second = Span::seconds(1);
        for tier in [Tier::T250, Tier::T2k, Tier::T10k, Tier::T100k, Tier::Unlimited] {
            assert_eq!(most(Preset::WhatsappCloud(tier)), Some((80, second)));
        }
        assert_eq!(most(Preset::SmsShortCode), Some((100, second)));
    }

    #[test]
    fn every_preset_has_a_word_and_limits_that_are_taken() {
        for preset in Preset::ALL {
            assert_eq!(Preset::parse(preset.word()), Some(preset));
            assert_eq!(preset.limits().problems(), [], "{}", preset.word());
            assert_ne!(preset.limits(), Limits::default());
        }
        assert_eq!(Preset::parse("whatsapp"), None);
    }
}
