//! The bar a person watches while a file is enrolled. Where stderr is no terminal nothing is drawn.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::upload::Totals;
use crate::table::{count, thousands};

/// A bar over the bytes of a file.
pub(super) struct Bar {
    bar: ProgressBar,
    /// When rows began to go out, and how many had gone before.
    since: Option<(Instant, u64)>,
}

impl Bar {
    /// One for a file of so many bytes.
    pub(super) fn over(bytes: u64) -> Bar {
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} %  {msg}  {eta} left");
        // A template that could not be read would show the bar as it comes.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        Bar { bar, since: None }
    }

    /// The file is looked at.
    pub(super) fn looks(&self, bytes: u64) {
        if self.bar.position() == 0 {
            self.bar.set_message("checking the file");
        }
        self.bar.set_position(bytes);
    }

    /// The rows so far have their results.
    pub(super) fn moves(&mut self, totals: &Totals, bytes: u64) {
        let (began, rows) = *self.since.get_or_insert_with(|| {
            // What was passed over, and the look at the file, say nothing about the pace.
            self.bar.reset();
            self.bar.set_position(bytes);
            self.bar.reset_eta();
            (Instant::now(), totals.rows)
        });
        self.bar.set_message(said(totals, rows, began.elapsed().as_secs_f64()));
        self.bar.set_position(bytes);
    }

    /// It is over: nothing of it stays.
    pub(super) fn ends(&self) {
        self.bar.finish_and_clear();
    }
}

/// How many rows, how fast since `before` of them, and how many were rejected.
fn said(totals: &Totals, before: u64, seconds: f64) -> String {
    let rows = count(totals.rows, "row", "rows");
    let rate = match seconds > 0.0 && totals.rows > before {
        true => format!(", {} a second", thousands(((totals.rows - before) as f64 / seconds) as u64)),
        false => String::new(),
    };
    let rejected = match totals.rejected {
        0 => String::new(),
        rejected => format!(", {} rejected", thousands(rejected)),
    };
    format!("{rows}{rate}{rejected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_rows_pace_and_what_was_rejected() {
        let totals = Totals { rows: 12_000, rejected: 3, ..Totals::default() };
        assert_eq!(said(&totals, 2_000, 2.0), "12,000 rows, 5,000 a second, 3 rejected");
        assert_eq!(said(&Totals { rows: 1, ..Totals::default() }, 1, 0.0), "1 row");
    }
}
