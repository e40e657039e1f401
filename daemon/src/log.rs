//! Log lines of the process: where they go, in which form, and how many. What they say is said where it happens.

use std::fs::File;
use std::io;
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::LogFormat;
use crate::limits;
use crate::log::budget::{Budget, Dropped};
use crate::traces::Traces;

mod budget;

/// The budget of the process: what is left out is left out everywhere.
static BUDGET: OnceLock<Budget> = OnceLock::new();

/// The lines of the process, as they can be changed while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

impl Log {
    /// Writes the lines that pass this filter from now on.
    ///
    /// # Errors
    /// It is no filter.
    pub(crate) fn set(&self, level: &str) -> Result<(), String> {
        let filter = filter(level)?;
        let Some(handle) = &self.filter else { return Ok(()) };
        handle.reload(filter).map_err(|error| error.to_string())
    }

    /// The lines that were over the budget of their place since this was asked for the last time.
    pub(crate) fn dropped() -> Vec<Dropped> {
        BUDGET.get().map(Budget::dropped).unwrap_or_default()
    }
}

/// Writes log lines to stderr; stdout is for data.
///
/// Spans go to `traces` as well. `level` is a filter as of `tracing_subscriber::EnvFilter`; it was checked when the settings were read.
pub(crate) fn to_stderr(level: &str, format: LogFormat, traces: Option<&Traces>) -> Log {
    install(level, format, io::stderr, traces)
}

/// Writes log lines to a file.
pub(crate) fn to_file(level: &str, file: File) -> Log {
    install(level, LogFormat::Text, Mutex::new(file), None)
}

fn install<W: for<'a> MakeWriter<'a> + Send + Sync + 'static>(
    level: &str,
    format: LogFormat,
    writer: W,
    traces: Option<&Traces>,
) -> Log {
    let filter = filter(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let budget = BUDGET.get_or_init(|| Budget::new(limits::LOG_LINES_A_PLACE));
    let lines = fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second installation in one process is a test's; the first one stays.
    let lines = tracing_subscriber::registry().with(filter).with(budget).with(lines);
    let _ = lines.with(traces.map(Traces::layer)).try_init();
    Log { filter: Some(handle) }
}

/// The filter of a level; ractor's spans would wrap each of our lines in one per actor.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    // Any other word would be the name of a module, and everything else would go unsaid.
    let is_no_level = |word: &&str| !word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err();
    if let Some(word) = level.split(',').map(str::trim).find(|word| word.is_empty() || is_no_level(word)) {
        return Err(format!("{word:?} is no level"));
    }
    EnvFilter::try_new(format!("ractor=error,{level}")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use std::sync::Arc;

    /// Lines in memory.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_storm_of_one_line_is_cut_off_and_another_line_is_not() {
        let kept = Kept::default();
        let budget: &'static Budget = Box::leak(Box::new(Budget::new(NonZeroU32::new(3).unwrap())));
        let writer = kept.clone();
        let lines = fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(budget).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            for n in 0..100 {
                tracing::warn!(n, "a storm");
            }
            tracing::warn!("the line that counts");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        // A new second may have begun meanwhile, with a budget of its own.
        assert!((3..100).contains(&text.matches("a storm").count()), "{text}");
        assert!(text.contains("the line that counts"), "{text}");
        let dropped = budget.dropped();
        assert!(dropped[0].place.contains("log::tests") && dropped[0].lines > 0, "{dropped:?}");
        assert_eq!(dropped[0].lines as usize + text.matches("a storm").count(), 100);
        assert!(budget.dropped().is_empty(), "said once");
    }
}
