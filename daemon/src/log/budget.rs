//! A budget of log lines: one place in the code writes so many a second, so that a storm of one warning fills no disk
//! and hides no other. What was left out is counted, and said by whoever asks for it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// What a budget is for.
const SECOND: Duration = Duration::from_secs(1);

/// The budget, as a layer before those that write.
#[derive(Debug)]
pub(crate) struct Budget {
    lines: NonZeroU32,
    /// One for each place that has written; there are as many as the program has.
    places: Mutex<HashMap<Identifier, Place>>,
}

#[derive(Debug)]
struct Place {
    metadata: &'static Metadata<'static>,
    since: Instant,
    written: u32,
    dropped: u64,
}

/// Lines of one place that were left out.
#[derive(Debug)]
pub(crate) struct Dropped {
    /// The place: its module and line.
    pub(crate) place: String,
    /// How many.
    pub(crate) lines: u64,
}

impl Budget {
    /// So many lines a second for each place.
    pub(crate) fn new(lines: NonZeroU32) -> Budget {
        Budget { lines, places: Mutex::default() }
    }

    /// Whether a place may write a line now.
    fn take(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(metadata.callsite()).or_insert(Place {
            metadata,
            since: now,
            written: 0,
            dropped: 0,
        });
        if now.duration_since(place.since) >= SECOND {
            (place.since, place.written) = (now, 0);
        }
        let within = place.written < self.lines.get();
        place.written += u32::from(within);
        place.dropped += u64::from(!within);
        within
    }

    /// What was left out since this was asked for the last time.
    pub(crate) fn dropped(&self) -> Vec<Dropped> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let over = places.values_mut().filter(|place| place.dropped > 0);
        let taken = over.map(|place| Dropped {
            place: format!("{}:{}", place.metadata.target(), place.metadata.line().unwrap_or_default()),
            lines: std::mem::take(&mut place.dropped),
        });
        taken.collect()
    }
}

impl<S: Subscriber> Layer<S> for &'static Budget {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        self.take(event.metadata(), Instant::now())
    }
}
