//! All that can be read of a daemon, as one value: what a refused call has to leave as it was.

use serde_json::{Value, json};

use crate::http::Client;

/// Everything an operator's key can read: settings, versions, holds, keys, the audit log, enrollments with their
/// timelines and their contacts. Nothing in it moves by itself while no step is due.
#[must_use]
pub fn everything(client: &mut Client) -> Value {
    let tenants = pages(client, "TenantService/ListTenants", &json!({}), "tenants");
    let names: Vec<String> = tenants.iter().map(|tenant| text(&tenant["name"])).collect();
    let of_tenants: Vec<Value> = names.iter().map(|tenant| of_tenant(client, tenant)).collect();
    json!({
        "tenants": tenants,
        "ofTenants": of_tenants,
        "keys": client.must("AccessService/ListKeys", &json!({})),
        "audit": pages(client, "AccessService/ListAudit", &json!({}), "entries"),
    })
}

fn of_tenant(client: &mut Client, tenant: &str) -> Value {
    let of = json!({ "tenant": tenant });
    let accounts = pages(client, "TenantService/ListAccounts", &of, "accounts");
    let channels = pages(client, "TenantService/ListChannels", &of, "channels");
    let sequences = pages(client, "SequenceService/ListSequences", &of, "sequences");
    let sequences: Vec<Value> = sequences
        .iter()
        .map(|one| {
            let asked = json!({ "tenant": tenant, "sequence": one["name"] });
            json!([
                client.must("SequenceService/GetSequence", &asked),
                client.must("SequenceService/GetFunnel", &asked),
            ])
        })
        .collect();
    let enrollments = pages(client, "EnrollmentService/ListEnrollments", &of, "enrollments");
    let enrollments: Vec<Value> = enrollments
        .iter()
        .map(|one| {
            let timeline = json!({ "tenant": tenant, "enrollmentId": one["id"] });
            let contact = json!({ "tenant": tenant, "contact": one["contact"] });
            json!([
                client.must("EnrollmentService/GetTimeline", &timeline),
                client.must("ContactService/GetContact", &contact),
            ])
        })
        .collect();
    json!({
        "accounts": accounts,
        "channels": channels,
        "sequences": sequences,
        "holds": client.must("TenantService/ListHolds", &of),
        "enrollments": enrollments,
        "audit": pages(client, "AccessService/ListAudit", &of, "entries"),
    })
}

/// All of a list, page by page.
fn pages(client: &mut Client, call: &str, request: &Value, field: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut request = request.clone();
    loop {
        let page = client.must(call, &request);
        all.extend(page[field].as_array().cloned().unwrap_or_default());
        match page["nextPageToken"].as_str() {
            Some(token) if !token.is_empty() => request["pageToken"] = json!(token),
            Some(_) | None => return all,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
