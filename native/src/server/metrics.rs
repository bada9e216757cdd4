//! What happened so far, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::bench::resident_bytes;
use crate::collection::Info;

/// Upper ends of the latency histogram, in seconds.
const BUCKETS: [f64; 14] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Counters of answered requests, by route.
#[derive(Debug, Default)]
pub(super) struct Metrics(Mutex<BTreeMap<&'static str, Route>>);

#[derive(Debug, Default)]
struct Route {
    statuses: BTreeMap<u16, u64>,
    /// Requests no slower than each bucket's end and slower than the one's before.
    within: [u64; BUCKETS.len()],
    requests: u64,
    seconds: f64,
}

impl Metrics {
    /// Counts a request that was answered.
    pub(super) fn count(&self, route: &'static str, status: u16, took: Duration) {
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route).or_default();
        let seconds = took.as_secs_f64();
        *route.statuses.entry(status).or_default() += 1;
        route.requests += 1;
        route.seconds += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|&end| seconds <= end) {
            route.within[bucket] += 1;
        }
    }

    /// All of it as text.
    pub(super) fn text(&self, info: &Info, in_flight: usize) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, info, in_flight);
        text
    }

    fn write(&self, out: &mut String, info: &Info, in_flight: usize) -> std::fmt::Result {
        let routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "nearshore_http_requests_total";
        head(out, name, "counter", "Requests answered, by route and status.")?;
        for (route, of) in &*routes {
            for (status, count) in &of.statuses {
                writeln!(out, "{name}{{route=\"{route}\",status=\"{status}\"}} {count}")?;
            }
        }
        let name = "nearshore_http_request_duration_seconds";
        head(out, name, "histogram", "Time from a request's head to its answer, by route.")?;
        for (route, of) in &*routes {
            let mut sum = 0;
            for (end, count) in BUCKETS.iter().zip(of.within) {
                sum += count;
                writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"{end}\"}} {sum}")?;
            }
            writeln!(out, "{name}_bucket{{route=\"{route}\",le=\"+Inf\"}} {}", of.requests)?;
            writeln!(out, "{name}_sum{{route=\"{route}\"}} {}", of.seconds)?;
            writeln!(out, "{name}_count{{route=\"{route}\"}} {}", of.requests)?;
        }
        drop(routes);
        let gauges = [
            ("nearshore_http_requests_in_flight", "Requests under way.", Some(in_flight as u64)),
            ("nearshore_rows", "Rows that searches find.", Some(info.rows)),
            ("nearshore_tombstones", "Deleted rows that still take memory.", Some(info.tombstones)),
            ("nearshore_unsaved_changes", "Rows inserted and deleted since the last save.", Some(info.unsaved)),
            ("nearshore_resident_bytes", "Memory of the process that is resident, file pages included.", resident_bytes()),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            head(out, name, "gauge", help)?;
            writeln!(out, "{name} {value}")?;
        }
        Ok(())
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}
