//! Metrics in the text form that Prometheus reads: what the edge counts itself, and what engine and store say of
//! themselves ([`tree`]).
//!
//! Labels are bounded: methods of the protos, codes, kinds and words of ours. No tenant, channel or contact stands in
//! one.

use std::sync::Arc;
use std::time::Instant;

use connectrpc::{ErrorCode, Spec};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::metrics::tree::{Process, Tree};

pub(crate) mod tree;

/// The media type of the text.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the buckets of how long a call took, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// The code of what was answered as asked.
const OK: &str = "ok";

/// The code of what nobody waited for any more: its caller hung up, or it was past its deadline.
const GONE: &str = "gone";

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// What the edge counts.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    calls: Family<Labels<2>, Counter>,
    seconds: Family<Labels<1>, Histogram>,
    /// Connections that are open.
    connections: Gauge,
    /// Connections that were over the bound, and closed.
    pub(crate) connections_refused: Counter,
    /// Log lines that were over the budget.
    pub(crate) lines_dropped: Counter,
}

impl Default for Edge {
    fn default() -> Edge {
        Edge {
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            lines_dropped: Counter::default(),
        }
    }
}

/// All metrics of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// What the edge counts, and what the tree says of itself.
    pub(crate) fn new(edge: &Edge, tree: Tree) -> Metrics {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process));
        let registry = all.sub_registry_with_prefix("followupd");
        registry.register("calls", "Calls that have ended, by method and code", edge.calls.clone());
        let help = "How long unary calls took, by method";
        registry.register("call_seconds", help, edge.seconds.clone());
        registry.register("connections", "Connections that are open", edge.connections.clone());
        let help = "Connections that were over the bound, and closed";
        registry.register("connections_refused", help, edge.connections_refused.clone());
        let help = "Log lines that were over the budget of their place";
        registry.register("log_lines_dropped", help, edge.lines_dropped.clone());
        registry.register_collector(Box::new(tree));
        Metrics { registry: all }
    }

    /// Their text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // A text takes whatever is written to it.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Edge {
    /// A connection was opened.
    pub(crate) fn connection(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// A call has begun; it is counted when the value is dropped.
    pub(crate) fn call(self: &Arc<Self>, method: &'static str, unary: bool) -> Counted {
        Counted { edge: Arc::clone(self), method, unary, began: Instant::now(), code: GONE }
    }
}

/// An open connection: it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The method of a call as a label; one the protos do not have is `other`.
pub(crate) fn method(spec: Option<Spec>) -> &'static str {
    spec.map_or("other", |spec| spec.procedure.trim_start_matches('/'))
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Counted {
    edge: Arc<Edge>,
    method: &'static str,
    unary: bool,
    began: Instant,
    code: &'static str,
}

impl Counted {
    /// It was answered so; the first error stands.
    pub(crate) fn answered(&mut self, error: Option<ErrorCode>) {
        match error {
            Some(code) => self.code = code.as_str(),
            None if self.code == GONE => self.code = OK,
            None => {}
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let labels = [("method", self.method), ("code", self.code)];
        self.edge.calls.get_or_create(&labels).inc();
        if self.unary {
            let took = self.began.elapsed().as_secs_f64();
            self.edge.seconds.get_or_create(&[("method", self.method)]).observe(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_once_under_its_last_word() {
        let edge = Arc::new(Edge::default());
        let ended = |code: Option<Option<ErrorCode>>| {
            let mut call = edge.call("a.B/C", true);
            if let Some(code) = code {
                call.answered(code);
            }
        };
        ended(None);
        ended(Some(None));
        ended(Some(Some(ErrorCode::NotFound)));
        let mut registry = Registry::default();
        registry.register("calls", "Calls", edge.calls.clone());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for code in [GONE, OK, "not_found"] {
            let line = format!("calls_total{{method=\"a.B/C\",code=\"{code}\"}} 1\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
