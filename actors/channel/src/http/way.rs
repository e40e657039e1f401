//! One call to a provider: its request, what came of it, what that shows of the host.

use crate::places::Places;
use crate::{Answer, Call, Rest, Slot};

use super::{Ending, Line, Post, Said, Verdict};

/// What is a provider's own: its requests, and what its answers mean.
pub(crate) trait Provider: Send + Sync + 'static {
    /// The request of a call.
    ///
    /// # Errors
    /// What is answered to a call that no request can be made of.
    fn post(&self, call: &Call) -> Result<Post, Answer>;

    /// What came of it.
    fn verdict(&self, said: &Said) -> Verdict;
}

/// A provider, with its connections and their places.
pub(crate) struct Way<P> {
    provider: P,
    line: Line,
    places: Places,
}

impl<P: Provider> Way<P> {
    /// To `provider` over `line`, by so many connections.
    pub(crate) fn new(provider: P, line: Line, connections: usize) -> Way<P> {
        let places = Places::new(line.host(), connections);
        Way { provider, line, places }
    }

    /// Waits for a place to make one call from.
    pub(crate) async fn slot(&self, urgent: bool) -> Result<Slot, Rest> {
        self.places.slot(urgent).await
    }

    /// How many there are.
    pub(crate) fn places(&self) -> usize {
        self.places.count()
    }

    /// Makes one call.
    pub(crate) async fn call(&self, call: &Call, _slot: Slot) -> Answer {
        if self.places.rests().is_some() {
            return Answer::unsent("host_rests");
        }
        let post = match self.provider.post(call) {
            Ok(post) => post,
            Err(answer) => return answer,
        };
        let said = self.line.post(&post).await;
        let Verdict { answer, host } = self.provider.verdict(&said);
        if answer != Answer::Accepted {
            let (trace, ending): (_, Ending) = (format_args!("{:032x}", call.trace.0), said.ending);
            tracing::debug!(send = %call.key, %trace, ?ending, "a message was not taken over HTTP");
        }
        self.places.learn(host);
        answer
    }
}
