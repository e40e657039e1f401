//! A, one call for each contact, 64 in flight.

use std::io;
use std::path::Path;

use blackbox::dormant;
use followupd_proto::v1;

use crate::calls::{Calls, IN_FLIGHT, at_once};
use crate::figures::{Figures, quantile};

/// Enrolls each contact by a call of its own.
///
/// # Errors
/// A call fails.
pub(crate) async fn measure(folder: &Path, contacts: usize) -> io::Result<Figures> {
    let daemon = dormant::start(folder);
    let before = daemon.cpu();
    let client = Calls::of(&daemon)?.enrollments();
    let (times, took) = at_once(contacts, IN_FLIGHT, move |number| {
        let client = client.clone();
        async move {
            let answer = client.enroll(request(number)).await.map_err(io::Error::other)?.into_owned();
            let outcome = answer.result.outcome.as_known();
            let enrolled = outcome == Some(v1::EnrollOutcome::Enrolled);
            enrolled
                .then_some(())
                .ok_or_else(|| io::Error::other(format!("{number} is not enrolled: {outcome:?}")))
        }
    })
    .await?;
    let cpu = daemon.cpu().saturating_sub(before);
    daemon.stop();
    let mut figures = Figures::new("A: one call for each enroll, 64 in flight, every answer synced");
    figures.count("contacts", "contacts", contacts);
    figures.rate("enrolled a second", "enrolls_per_s", contacts, took);
    figures.cpu("cpu_s_per_1000", contacts, cpu);
    figures.ms("p50, ms", "p50_ms", quantile(&times, 500));
    figures.ms("p99, ms", "p99_ms", quantile(&times, 990));
    Ok(figures)
}

fn request(number: usize) -> v1::EnrollRequest {
    let profile = v1::Profile {
        email: format!("c{number}@mail.example"),
        name: format!("Contact {number}"),
        attributes: [("plan".to_owned(), format!("plan {}", number % 7))].into_iter().collect(),
        ..Default::default()
    };
    let enroll =
        v1::Enroll { contact: format!("ct-{number:07}"), profile: profile.into(), ..Default::default() };
    v1::EnrollRequest {
        tenant: dormant::TENANT.to_owned(),
        sequence: dormant::SEQUENCE.to_owned(),
        enroll: enroll.into(),
        ..Default::default()
    }
}
