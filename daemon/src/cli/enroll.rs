//! `enroll`: one contact, or a file of any size.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::cli::ask::answer;
use crate::cli::{Shared, event, time};
use crate::exit::Failure;
use followupd_proto::v1;

mod bar;
mod csv;
mod mark;
mod source;

/// Whom to enroll.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whom").required(true).args(["csv", "contact"]))]
pub(crate) struct Options {
    /// Into which sequence.
    #[arg(long, short, value_name = "NAME")]
    sequence: String,
    /// A file of contacts, `-` for stdin. Columns: contact (required), email, phone, name, time_zone; one of
    /// conversation, deal, appointment or charge for the id of what it is about; others are values for templates.
    /// The file is looked at as a whole first: nobody is enrolled from one without the column, of another encoding or
    /// without rows. Rejected rows go to FILE.rejected.csv.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Go on with a file whose upload was interrupted, where FILE.progress says it came to.
    #[arg(long, conflicts_with = "contact")]
    resume: bool,
    /// One contact, by the platform's id.
    #[arg(long, value_name = "ID")]
    contact: Option<String>,
    /// Of the one contact: its e-mail address.
    #[arg(long, conflicts_with = "csv", default_value = "", hide_default_value = true)]
    email: String,
    /// Of the one contact: its phone number, as +491511234567.
    #[arg(long, conflicts_with = "csv", default_value = "", hide_default_value = true)]
    phone: String,
    /// Of the one contact: what to call them.
    #[arg(long, conflicts_with = "csv", default_value = "", hide_default_value = true)]
    name: String,
    /// Of the one contact: its time zone.
    #[arg(long, conflicts_with = "csv", default_value = "", hide_default_value = true, value_name = "IANA")]
    time_zone: String,
    /// Of the one contact: what it is about, such as `charge/ch-1`.
    #[arg(long, conflicts_with = "csv", value_name = "KIND/ID", value_parser = event::target)]
    target: Option<v1::Target>,
    /// Of the one contact: a value for templates, as `key=value`; of the target where one is given.
    #[arg(long = "set", conflicts_with = "csv", value_name = "KEY=VALUE", value_parser = pair)]
    values: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Enrolls.
pub(crate) async fn run(shared: &Shared, mut options: Options) -> Result<(), Failure> {
    match (options.csv.take(), options.contact.take()) {
        (Some(path), _) => csv::run(shared, options.sequence, &path, options.resume).await,
        (None, Some(contact)) => one(shared, options, contact).await,
        (None, None) => Err(Failure::input("whom? Give --csv FILE or --contact ID")),
    }
}

async fn one(shared: &Shared, options: Options, contact: String) -> Result<(), Failure> {
    let mut profile = v1::Profile {
        name: options.name,
        email: options.email,
        phone: options.phone,
        time_zone: options.time_zone,
        ..Default::default()
    };
    let mut enroll = v1::Enroll { contact, ..Default::default() };
    let values =
        if options.target.is_some() { &mut enroll.target_attributes } else { &mut profile.attributes };
    values.extend(options.values);
    enroll.target = options.target.into();
    enroll.profile = profile.into();
    let server = shared.server()?;
    let request = v1::EnrollRequest {
        tenant: shared.tenant()?,
        sequence: options.sequence,
        enroll: enroll.into(),
        source: v1::Source::Manual.into(),
        ..Default::default()
    };
    let enrolled = answer(&server, server.enrollments().enroll(request)).await?;
    shared.answer(&enrolled, || {
        let result = &enrolled.result;
        match result.outcome.as_known() {
            Some(v1::EnrollOutcome::AlreadyEnrolled) => {
                format!("{} · was enrolled already", result.enrollment_id)
            }
            _ => {
                let first = time::utc(result.first_send_not_before.as_option());
                format!("{} · first send not before {first} UTC", result.enrollment_id)
            }
        }
    })
}
