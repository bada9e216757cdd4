//! What happened so far, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::connections::Connections;
use crate::bench::resident_bytes;
use crate::collection::Info;

/// Upper ends of the latency histogram, in seconds.
const BUCKETS: [f64; 14] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// How requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    Http,
    #[cfg(feature = "grpc")]
    Grpc,
}

impl Door {
    /// Its name in those of its metrics, the label of a route, and that of what became of a request.
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Http => ["http", "route", "status"],
            #[cfg(feature = "grpc")]
            Self::Grpc => ["grpc", "call", "code"],
        }
    }
}

/// Counters of answered requests, by door and route.
#[derive(Debug, Default)]
pub(super) struct Metrics(Mutex<BTreeMap<Door, BTreeMap<&'static str, Route>>>);

#[derive(Debug, Default)]
struct Route {
    statuses: BTreeMap<u16, u64>,
    /// Requests no slower than each bucket's end and slower than the one's before.
    within: [u64; BUCKETS.len()],
    requests: u64,
    seconds: f64,
}

impl Metrics {
    /// Counts a request that was answered; `status` is a number of the door's protocol.
    pub(super) fn count(&self, door: Door, route: &'static str, status: u16, took: Duration) {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let route = doors.entry(door).or_default().entry(route).or_default();
        let seconds = took.as_secs_f64();
        *route.statuses.entry(status).or_default() += 1;
        route.requests += 1;
        route.seconds += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|&end| seconds <= end) {
            route.within[bucket] += 1;
        }
    }

    /// All of it as text.
    pub(super) fn text(&self, info: &Info, in_flight: usize, connections: &Connections) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, info, in_flight, connections);
        text
    }

    fn write(&self, out: &mut String, info: &Info, in_flight: usize, connections: &Connections) -> std::fmt::Result {
        let doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (door, routes) in &*doors {
            write_door(out, *door, routes)?;
        }
        drop(doors);
        let gauges = [
            ("nearshore_http_requests_in_flight", "Requests under way, by whichever door.", Some(in_flight as u64)),
            ("nearshore_connections", "Connections open, by whichever door.", Some(connections.open() as u64)),
            (
                "nearshore_connections_max",
                "Connections that may be open; the next one at each door waits.",
                Some(connections.most() as u64),
            ),
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

fn write_door(out: &mut String, door: Door, routes: &BTreeMap<&'static str, Route>) -> std::fmt::Result {
    let [door, label, outcome] = door.names();
    let name = format!("nearshore_{door}_requests_total");
    head(out, &name, "counter", &format!("Requests answered, by {label} and {outcome}."))?;
    for (route, of) in routes {
        for (status, count) in &of.statuses {
            writeln!(out, "{name}{{{label}=\"{route}\",{outcome}=\"{status}\"}} {count}")?;
        }
    }
    let name = format!("nearshore_{door}_request_duration_seconds");
    head(out, &name, "histogram", &format!("Time from a request's head to its answer, by {label}."))?;
    for (route, of) in routes {
        let mut sum = 0;
        for (end, count) in BUCKETS.iter().zip(of.within) {
            sum += count;
            writeln!(out, "{name}_bucket{{{label}=\"{route}\",le=\"{end}\"}} {sum}")?;
        }
        writeln!(out, "{name}_bucket{{{label}=\"{route}\",le=\"+Inf\"}} {}", of.requests)?;
        writeln!(out, "{name}_sum{{{label}=\"{route}\"}} {}", of.seconds)?;
        writeln!(out, "{name}_count{{{label}=\"{route}\"}} {}", of.requests)?;
    }
    Ok(())
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}
