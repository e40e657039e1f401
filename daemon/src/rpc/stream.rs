//! Streams of batches: an engine with too much to do holds the stream back instead of ending it.

use std::future::Future;
use std::time::Duration;

use connectrpc::{ConnectError, RequestContext};
use followupd_domain::access::{AccessKey, Denied, KeyId};
use followupd_domain::decision::TraceId;
use followupd_runtime::{Engine, Error};

use crate::limits;
use crate::rpc::{refusal, take};

/// The key a stream was opened with: one that is taken away while the stream is open ends it with its next batch.
#[derive(Clone)]
pub(super) struct Standing {
    engine: Engine,
    key: Option<KeyId>,
    trace: TraceId,
}

impl Standing {
    /// That of a call.
    pub(super) fn of(ctx: &RequestContext, engine: &Engine, trace: TraceId) -> Standing {
        let key = ctx.extensions().get::<AccessKey>().map(|key| key.id);
        Standing { engine: engine.clone(), key, trace }
    }

    /// Whether it still stands.
    ///
    /// # Errors
    /// It was revoked, its tenant deleted, or its time is over.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let stands = self.key.ok_or(Denied::Missing).and_then(|key| self.engine.key_stands(key));
        stands.map_err(|denied| refusal::denied(denied, self.trace))
    }
}

/// Asks again while the engine has as much to do as it takes on. A stream is held back by not being read, so its
/// client needs no retry of its own.
///
/// # Errors
/// Those of the call; [`Error::Overloaded`] when it stayed so for [`limits::STREAM_RETRIES`] tries.
pub(super) async fn patiently<A, F>(mut call: impl FnMut() -> F) -> Result<A, Error>
where
    F: Future<Output = Result<A, Error>>,
{
    let mut tries = 0;
    loop {
        match call().await {
            Err(Error::Overloaded { retry_after }) if tries < limits::STREAM_RETRIES => {
                tries += 1;
                let wait = u64::try_from(retry_after.0).unwrap_or_default().max(1);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            other => return other,
        }
    }
}

/// Keeps what only the first message of a stream has to say.
///
/// # Errors
/// The first message leaves it out, or a later one says something else.
pub(super) fn keep(field: &str, kept: &mut String, said: &str) -> Result<(), Error> {
    if kept.is_empty() {
        said.clone_into(kept);
    }
    if kept.is_empty() {
        Err(take::invalid(field, "is missing: the first message of a stream has to name it"))
    } else if said.is_empty() || said == kept {
        Ok(())
    } else {
        Err(take::invalid(field, &format!("is {said:?} after {kept:?}: one stream has one, open another")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::Span;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn a_busy_engine_holds_the_stream_back() {
        let calls = Cell::new(0);
        let answer = patiently(|| async {
            calls.set(calls.get() + 1);
            if calls.get() < 4 {
                Err(Error::Overloaded { retry_after: Span::seconds(1) })
            } else {
                Ok(calls.get())
            }
        });
        assert_eq!(answer.await.unwrap(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_stays_busy_is_said_to_be() {
        let answer: Result<(), Error> =
            patiently(|| async { Err(Error::Overloaded { retry_after: Span::seconds(1) }) }).await;
        assert!(matches!(answer, Err(Error::Overloaded { .. })));
    }

    #[test]
    fn the_first_message_names_it_and_later_ones_cannot_change_it() {
        let mut kept = String::new();
        assert!(keep("tenant", &mut kept, "").is_err());
        assert!(keep("tenant", &mut kept, "acme").is_ok());
        assert!(keep("tenant", &mut kept, "").is_ok());
        assert!(keep("tenant", &mut kept, "acme").is_ok());
        assert!(keep("tenant", &mut kept, "other").is_err());
    }
}
