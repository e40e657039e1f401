//! Figures of one workload, as a table for people and one line of JSON for programs.

use std::time::Duration;

use blackbox::{row, table};
use serde_json::{Map, Value, json};

/// What was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    title: String,
    rows: Vec<(String, &'static str, Value)>,
}

impl Figures {
    /// Nothing yet, under a title.
    pub(crate) fn new(title: impl Into<String>) -> Figures {
        Figures { title: title.into(), rows: Vec::new() }
    }

    /// A count.
    pub(crate) fn count(&mut self, what: &str, key: &'static str, value: usize) {
        self.rows.push((what.to_owned(), key, json!(value)));
    }

    /// A number, with so many digits behind its point.
    pub(crate) fn number(&mut self, what: &str, key: &'static str, value: f64, digits: i32) {
        let scale = 10f64.powi(digits);
        self.rows.push((what.to_owned(), key, json!((value * scale).round() / scale)));
    }

    /// So many in so much time.
    pub(crate) fn rate(&mut self, what: &str, key: &'static str, count: usize, took: Duration) {
        self.number(what, key, count as f64 / took.as_secs_f64(), 0);
    }

    /// A time, in milliseconds.
    pub(crate) fn ms(&mut self, what: &str, key: &'static str, time: Duration) {
        self.number(what, key, time.as_secs_f64() * 1_000.0, 2);
    }

    /// What the daemon took of the processors for so many, in seconds for each thousand.
    pub(crate) fn cpu(&mut self, key: &'static str, count: usize, cpu: Duration) {
        self.number("CPU of the daemon, s per 1,000", key, 1_000.0 * cpu.as_secs_f64() / count as f64, 3);
    }

    /// Prints them.
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            let mut all: Map<String, Value> =
                self.rows.iter().map(|(_, key, value)| ((*key).to_owned(), value.clone())).collect();
            all.insert("workload".to_owned(), json!(self.title));
            println!("{}", Value::Object(all));
            return;
        }
        let rows: Vec<Vec<String>> = self.rows.iter().map(|(what, _, value)| row![what, value]).collect();
        table::print(&self.title, &rows);
    }
}

/// The value below which so many of a thousand lie, of values in order.
pub(crate) fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let at = (sorted.len().saturating_sub(1)) * per_mille / 1_000;
    sorted.get(at).copied().unwrap_or_default()
}
