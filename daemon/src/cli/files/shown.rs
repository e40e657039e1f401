//! The way back: what a daemon answers, as the files that would put it.

use super::outside::{Chatwoot, Http, Meta, Smtp, Twilio};
use super::{Account, Channel, KillSwitch, QuietHours, Rate, Rest, Sequence, Step, Tenant, WarmUp, rich};
use followupd_proto::v1;
use std::num::NonZeroU32;

impl From<v1::TenantSettings> for Tenant {
    fn from(shown: v1::TenantSettings) -> Tenant {
        let quiet = |quiet: v1::QuietHours| QuietHours { days: quiet.days, from: quiet.from, to: quiet.to };
        Tenant {
            on: shown.on,
            time_zone: shown.time_zone,
            contact_time_zone: shown.contact_time_zone,
            quiet_hours: shown.quiet_hours.into_iter().map(quiet).collect(),
            business_days: shown.business_days,
            holidays: shown.holidays,
            stop_words: shown.stop_words,
            contact_per_day: NonZeroU32::new(shown.contact_per_day),
            contact_per_week: NonZeroU32::new(shown.contact_per_week),
            opt_out_of_all: shown.opt_out_of_all,
            default_channels: shown.default_channels.into_iter().collect(),
        }
    }
}

impl From<v1::AccountSettings> for Account {
    fn from(shown: v1::AccountSettings) -> Account {
        Account { new_recipients: NonZeroU32::new(shown.new_recipients) }
    }
}

impl From<v1::KillSwitch> for KillSwitch {
    fn from(shown: v1::KillSwitch) -> KillSwitch {
        KillSwitch {
            signal: shown.signal,
            percent: shown.percent,
            after: shown.after,
            report_only: shown.report_only,
        }
    }
}

impl From<v1::ChannelSettings> for Channel {
    fn from(shown: v1::ChannelSettings) -> Channel {
        // Nothing is shown with its preset, so none is none.
        let switches: Vec<KillSwitch> = shown.kill_switches.into_iter().map(KillSwitch::from).collect();
        let rate =
            |rate: v1::Rate| Rate { count: rate.count, per: rate.per, burst: NonZeroU32::new(rate.burst) };
        Channel {
            kind: shown.kind,
            transport: shown.transport,
            preset: shown.preset,
            without: shown.without,
            rate: shown.rate.into_option().map(rate),
            gap: shown.gap,
            jitter: shown.jitter,
            per_minute: NonZeroU32::new(shown.per_minute),
            per_hour: NonZeroU32::new(shown.per_hour),
            per_day: NonZeroU32::new(shown.per_day),
            rest: shown.rest.into_option().map(|rest| Rest { after: rest.after, span: rest.span }),
            warm_up: shown.warm_up.into_option().map(|given| WarmUp { days: given.days, from: given.from }),
            recipient_gap: shown.recipient_gap,
            new_recipients: NonZeroU32::new(shown.new_recipients),
            ignores_quiet_hours: shown.ignores_quiet_hours,
            in_doubt: shown.in_doubt,
            kill_switches: Some(switches).filter(|switches| !switches.is_empty()),
            account: shown.account,
            smtp: shown.smtp.into_option().map(Smtp::from),
            http: shown.http.into_option().map(Http::from),
            meta: shown.meta.into_option().map(Meta::from),
            twilio: shown.twilio.into_option().map(Twilio::from),
            chatwoot: shown.chatwoot.into_option().map(Chatwoot::from),
        }
    }
}

impl From<v1::Draft> for Sequence {
    fn from(shown: v1::Draft) -> Sequence {
        Sequence {
            target: shown.target,
            class: shown.class,
            weight: shown.weight,
            unique_per: shown.unique_per,
            reentry: shown.reentry,
            exit_on_reply: shown.exit_on_reply,
            stay_on_resolved: shown.stay_on_resolved,
            stay_on_goal: shown.stay_on_goal,
            max_lifetime: shown.max_lifetime,
            steps: shown.steps.into_iter().map(Step::from).collect(),
        }
    }
}

impl From<v1::Step> for Step {
    fn from(shown: v1::Step) -> Step {
        Step {
            wait: shown.wait,
            at: shown.at,
            channel: shown.channel,
            subject: shown.subject,
            body: shown.body,
            template: shown.template.into_option().map(rich::Template::from),
            media: shown.media.into_option().map(rich::Media::from),
            buttons: shown.buttons.into_iter().map(rich::Button::from).collect(),
            fallback: shown.fallback.into_option().map(rich::Template::from),
            useless_after: shown.useless_after,
            late: shown.late,
            on_failure: shown.on_failure,
            business_days_only: shown.business_days_only,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Example, parse};
    use super::*;

    #[test]
    fn what_a_file_says_survives_its_message_and_its_text() {
        let tenant: Tenant = parse(Example::Tenant.text(), "t").unwrap();
        let shown = Tenant::from(v1::TenantSettings::from(tenant));
        let again: Tenant = parse(&serde_norway::to_string(&shown).unwrap(), "t").unwrap();
        assert_eq!(again, shown);
        let more = "time_zone: UTC\nopt_out_of_all: true\ndefault_channels: { email: mail, sms: short }\n";
        let more: Tenant = parse(more, "t").unwrap();
        let text = serde_norway::to_string(&more).unwrap();
        assert_eq!(Tenant::from(v1::TenantSettings::from(more)), parse(&text, "t").unwrap());
        let channel: Channel = parse(Example::Channel.text(), "c").unwrap();
        let shown = Channel::from(v1::ChannelSettings::from(channel));
        let again: Channel = parse(&serde_norway::to_string(&shown).unwrap(), "c").unwrap();
        assert_eq!(again, shown);
        let gentle = "preset: whatsapp-web\nwithout: [per_hour]\ngap: 45 seconds\njitter: 75 seconds\nper_day: 200\nrest: { after: 30, span: 20 minutes }\nwarm_up: { days: 14, from: 20 }\nin_doubt: leave\nkill_switches:\n  - { signal: replied, percent: 10, after: 50, report_only: true }\n";
        let gentle: Channel = parse(gentle, "c").unwrap();
        let text = serde_norway::to_string(&gentle).unwrap();
        assert_eq!(Channel::from(v1::ChannelSettings::from(gentle)), parse(&text, "c").unwrap());
        let rich = "steps:\n  - channel: whatsapp\n    body: Vem?\n    buttons: [{ id: yes, title: Sim }]\n    fallback:\n      name: aula\n      language: pt_BR\n      header_media: { kind: image, link: 'https://cdn.example/a.png' }\n      body: ['{{ contact.name }}']\n      buttons: [{ index: 0, payload: yes }]\n  - channel: whatsapp\n    template:\n      name: aula\n      language: pt_BR\n      header_text: Oi\n      header_name: title\n      named_body: [{ name: student, text: '{{ contact.name }}' }]\n";
        let rich: Sequence = parse(rich, "s").unwrap();
        let text = serde_norway::to_string(&rich).unwrap();
        assert_eq!(Sequence::from(v1::Draft::from(rich)), parse(&text, "s").unwrap());
        let sequence: Sequence = parse(Example::Sequence.text(), "s").unwrap();
        let shown = Sequence::from(v1::Draft::from(sequence));
        let text = serde_norway::to_string(&shown).unwrap();
        assert_eq!(parse::<Sequence>(&text, "s").unwrap(), shown);
        assert!(!text.contains("on_failure: ''"), "what says nothing is left out: {text}");
    }
}
