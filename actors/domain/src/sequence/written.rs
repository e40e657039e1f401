//! Versions as a caller would write them: the way back from what [`super::draft::compile`] made.
//!
//! What was left out comes back as its default in words, so that the text says everything there is to the version.

use crate::calendar::{MinuteOfDay, Wait};
use crate::lane::Weight;
use crate::sequence::{
    ChannelRef, Draft, DraftStep, Late, OnFailure, OnReply, Reentry, Step, UniquePer, Version,
};
use crate::time::Span;

impl Version {
    /// The draft that compiles to this version, of a sequence of this weight.
    #[must_use]
    pub fn written(&self, weight: Weight) -> Draft {
        Draft {
            target: self.target.word().to_owned(),
            class: self.class.word().to_owned(),
            weight: Some(weight.get()),
            unique_per: match self.unique_per {
                UniquePer::Target => "target".to_owned(),
                UniquePer::Contact => "contact".to_owned(),
            },
            reentry: match self.reentry {
                Reentry::Never => "never".to_owned(),
                Reentry::Always => "always".to_owned(),
                Reentry::After(span) => exact(span),
            },
            exit_on_reply: match self.exits.on_reply {
                OnReply::Any => "any".to_owned(),
                OnReply::Conversation => "conversation".to_owned(),
                OnReply::Ignore => "ignore".to_owned(),
            },
            stay_on_resolved: !self.exits.on_resolved,
            stay_on_goal: !self.exits.on_goal,
            max_lifetime: exact(self.max_lifetime),
            steps: self.steps.iter().map(step).collect(),
        }
    }
}

fn step(step: &Step) -> DraftStep {
    let (wait, at) = wait_text(&step.wait);
    DraftStep {
        wait,
        at: at.map(|at| at.to_string()).unwrap_or_default(),
        channel: match &step.channel {
            ChannelRef::Named(name) => name.to_string(),
            ChannelRef::OfKind(kind) => kind.word().to_owned(),
        },
        subject: step.subject.clone(),
        body: step.body.clone(),
        rich: step.rich.clone(),
        fallback: step.fallback.clone(),
        useless_after: step.useless_after.map(exact).unwrap_or_default(),
        late: match step.late {
            Late::Skip => "skip".to_owned(),
            Late::Exit => "exit".to_owned(),
        },
        on_failure: match step.on_failure {
            OnFailure::Continue => "continue".to_owned(),
            OnFailure::Exit => "exit".to_owned(),
        },
        business_days_only: step.hours.business_days_only,
    }
}

/// A wait and its `at`, as their two fields.
fn wait_text(wait: &Wait) -> (String, Option<MinuteOfDay>) {
    match *wait {
        Wait::None => (String::new(), None),
        Wait::Span(_) => (wait.to_string(), None),
        Wait::Days { days, at } => (Wait::Days { days, at: None }.to_string(), at),
        Wait::BusinessDays { days, at } => (Wait::BusinessDays { days, at: None }.to_string(), at),
    }
}

/// A span of exact length, where a day has 24 hours.
fn exact(span: Span) -> String {
    let day = Span::days(1).0;
    match span.0 / day {
        0 => Wait::Span(span).to_string(),
        1 if span.0 == day => "1 day".to_owned(),
        days if span.0 % day == 0 => format!("{days} days"),
        _ => Wait::Span(span).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::decide::samples;
    use crate::ids::VersionNo;
    use crate::lane::Weight;
    use crate::sequence::draft::compile;

    #[test]
    fn a_version_reads_back_from_what_it_is_written_as() {
        let mut draft = samples::draft();
        let waits = ["45 seconds", "90 minutes", "3 days", "1 business day"];
        for (n, wait) in waits.into_iter().enumerate() {
            let mut step = draft.steps[0].clone();
            step.wait = wait.into();
            step.business_days_only = n % 2 == 1;
            step.late = if n % 2 == 1 { "exit".into() } else { String::new() };
            step.useless_after = if n == 2 { "2 hours".into() } else { String::new() };
            draft.steps.push(step);
        }
        let mut next_such = draft.steps[0].clone();
        (next_such.wait, next_such.at) = ("0 days".into(), "09:30".into());
        draft.steps.push(next_such);
        for (unique_per, reentry) in
            [("contact", "never"), ("target", "always"), ("", "36 hours"), ("", "7 days")]
        {
            (draft.unique_per, draft.reentry) = (unique_per.into(), reentry.into());
            let version = compile(&draft, VersionNo(3), &samples::scope()).unwrap();
            let written = version.written(Weight::new(7).unwrap());
            assert_eq!(written.weight().map(Weight::get), Ok(7));
            assert_eq!(compile(&written, VersionNo(3), &samples::scope()), Ok(version));
        }
    }
}
