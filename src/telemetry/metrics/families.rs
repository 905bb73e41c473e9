//! Every metric by its name, with its help: from the counts to OpenMetrics.
//!
//! Names follow Prometheus' own advice: one prefix, base units, `_total` for what only grows. No
//! label comes from a request, so their number is bounded by the configuration and the catalogue.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric,
    MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::process::Process;
use super::tally::{BOUNDS, Durations, Failures, STATUS_FIRST, Tally};
use super::{Block, CLIENT, Gauges, Metrics, UpstreamGauges};

/// Whose causes are shown before they come about: what is to be rare is only seen to grow when it
/// was there at 0.
const OWN: &str = "gateway";

/// Everything that is shown, as of one moment.
#[derive(Debug)]
pub struct Families {
    pub metrics: Arc<Metrics>,
    pub gauges: Gauges,
    /// `None` where /proc does not tell.
    pub process: Option<Process>,
}

impl Collector for Families {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.program(&mut out)?;
        self.requests(&mut out)?;
        self.failures(&mut out)?;
        self.upstreams(&mut out)?;
        self.clients(&mut out)?;
        self.tls(&mut out)?;
        match &self.process {
            Some(process) => self.process(&mut out, process),
            None => Ok(()),
        }
    }
}

impl Families {
    fn program(&self, out: &mut Out<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let help = "The version of Causeway that runs.";
        out.family("causeway_build", help, None, MetricType::Info)?.encode_info(&version)?;
        let reloaded = &self.gauges.reloaded;
        out.gauge(
            "causeway_config_last_reload_successful",
            "Whether the configuration file was put into force when it was last read.",
            None,
            u64::from(reloaded.succeeded),
        )?;
        out.gauge(
            "causeway_config_last_reload_success_timestamp",
            "When a configuration was last put into force.",
            Some(&Unit::Seconds),
            seconds_since_epoch(reloaded.last_success),
        )?;
        let help = "Whether the program ends: it takes no connection any more.";
        out.gauge("causeway_draining", help, None, u64::from(self.gauges.is_draining))?;
        let help = "Worker threads.";
        out.gauge("causeway_workers", help, None, self.metrics.workers.len() as u64)?;
        let help = "Worker threads that have not looked at their clock for seconds.";
        out.gauge("causeway_workers_stuck", help, None, self.metrics.stuck().len() as u64)?;
        let help = "Lines of the access log that were dropped, since it could not keep up.";
        let dropped = self.metrics.lines_dropped.load(Relaxed);
        out.counter("causeway_access_log_lines_dropped", help, None, dropped)
    }

    fn requests(&self, out: &mut Out<'_>) -> fmt::Result {
        let blocks = self.metrics.blocks();
        let help = "Requests by upstream and by the status that went to the client; 499: it left.";
        let mut family = out.family("causeway_http_requests", help, None, MetricType::Counter)?;
        for block in blocks.iter() {
            for (code, count) in statuses(block) {
                let labels = [("upstream", block.name.as_str()), ("code", code.as_str())];
                counter(&mut family, &labels, count)?;
            }
        }
        let help = "From a request's arrival to the last byte of its answer.";
        let seconds = Some(&Unit::Seconds);
        let name = "causeway_http_request_duration";
        let mut family = out.family(name, help, seconds, MetricType::Histogram)?;
        for block in blocks.iter() {
            histogram(&mut family, block, |tally| &tally.durations)?;
        }
        let help = "Bytes of answers' bodies that went to clients.";
        let name = "causeway_http_response_body";
        let mut family = out.family(name, help, Some(&Unit::Bytes), MetricType::Counter)?;
        for block in blocks.iter() {
            let count = block.sum(|tally| &tally.body_bytes);
            counter(&mut family, &[("upstream", block.name.as_str())], count)?;
        }
        Ok(())
    }

    fn failures(&self, out: &mut Out<'_>) -> fmt::Result {
        let blocks = self.metrics.blocks();
        let causes = || self.metrics.causes.iter().enumerate();
        let help = "Requests that failed, by upstream, cause, and whose side the cause is on.";
        let name = "causeway_upstream_failures";
        let mut family = out.family(name, help, None, MetricType::Counter)?;
        for block in blocks.iter() {
            for (number, cause) in causes().filter(|(_, cause)| cause.blame != CLIENT) {
                let count = block.sum(|tally| &tally.failures[number].count);
                if count > 0 || cause.blame == OWN {
                    let labels = [
                        ("upstream", block.name.as_str()),
                        ("cause", cause.name),
                        ("blame", cause.blame),
                    ];
                    let last = block.tallies.iter().map(|tally| &tally.failures[number]);
                    let exemplar = self.exemplar(last);
                    counter_with_exemplar(&mut family, &labels, count, exemplar)?;
                }
            }
        }
        let help = "Requests that failed on the client's side, by cause.";
        let name = "causeway_client_failures";
        let mut family = out.family(name, help, None, MetricType::Counter)?;
        for (number, cause) in causes().filter(|(_, cause)| cause.blame == CLIENT) {
            let count = |block: &Block| block.sum(|tally| &tally.failures[number].count);
            let count = blocks.iter().map(count).sum();
            counter(&mut family, &[("cause", cause.name)], count)?;
        }
        let help = "Attempts that failed and were followed by another, by the cause.";
        let name = "causeway_upstream_retries";
        let mut family = out.family(name, help, None, MetricType::Counter)?;
        for block in blocks.iter() {
            for (number, cause) in causes() {
                let count = block.sum(|tally| &tally.retries[number]);
                if count > 0 {
                    let labels = [("upstream", block.name.as_str()), ("cause", cause.name)];
                    counter(&mut family, &labels, count)?;
                }
            }
        }
        Ok(())
    }

    /// The last incident among those of one cause, as it is read out, and when it was.
    fn exemplar<'f>(
        &self,
        failures: impl Iterator<Item = &'f Failures>,
    ) -> Option<(String, SystemTime)> {
        let with_incident = failures.filter(|failures| failures.incident.load(Relaxed) != 0);
        let last = with_incident.max_by_key(|failures| failures.at.load(Relaxed))?;
        let letters = last.incident.load(Relaxed).to_be_bytes();
        let (first, second) = letters.split_at(letters.len() / 2);
        let printed =
            format!("{}-{}", String::from_utf8_lossy(first), String::from_utf8_lossy(second));
        Some((printed, self.metrics.began.1 + Duration::from_millis(last.at.load(Relaxed))))
    }

    fn upstreams(&self, out: &mut Out<'_>) -> fmt::Result {
        let upstreams = &self.gauges.upstreams;
        type Read = fn(&UpstreamGauges) -> u64;
        let gauges: [(&str, &str, Read); 3] = [
            (
                "causeway_upstream_up",
                "0: no server could be reached when one was last asked; else 1.",
                |upstream| u64::from(upstream.is_up),
            ),
            (
                "causeway_upstream_requests_in_flight",
                "Requests that have their place at the upstream.",
                |upstream| upstream.in_flight as u64,
            ),
            (
                "causeway_upstream_queue_length",
                "Requests that wait for a place at the upstream.",
                |upstream| upstream.waiting as u64,
            ),
        ];
        for (name, help, read) in gauges {
            let mut family = out.family(name, help, None, MetricType::Gauge)?;
            for upstream in upstreams {
                gauge(&mut family, &[("upstream", upstream.name.as_str())], read(upstream))?;
            }
        }
        let blocks = self.metrics.blocks();
        let present =
            || blocks.iter().filter(|block| upstreams.iter().any(|u| u.name == block.name));
        let help = "Whether the upstream is closed for planned work.";
        let mut family =
            out.family("causeway_upstream_maintenance", help, None, MetricType::Gauge)?;
        for block in present() {
            let closed = u64::from(block.is_closed());
            gauge(&mut family, &[("upstream", block.name.as_str())], closed)?;
        }
        let help = "Connections to the upstream's servers, in use or kept for later.";
        let mut family =
            out.family("causeway_upstream_connections", help, None, MetricType::Gauge)?;
        for upstream in upstreams {
            let block = blocks.iter().find(|block| block.name == upstream.name);
            let idle = block.map_or(0, |block| block.sum(|tally| &tally.idle));
            let idle = idle.min(upstream.open as u64);
            for (state, count) in [("active", upstream.open as u64 - idle), ("idle", idle)] {
                let labels = [("upstream", upstream.name.as_str()), ("state", state)];
                gauge(&mut family, &labels, count)?;
            }
        }
        let help = "Requests that found no place at the upstream, or not in time.";
        let name = "causeway_upstream_queue_declined";
        let mut family = out.family(name, help, None, MetricType::Counter)?;
        for block in present() {
            let count = block.sum(|tally| &tally.declined);
            counter(&mut family, &[("upstream", block.name.as_str())], count)?;
        }
        let help = "How long connecting to the upstream took, where it succeeded.";
        let (name, seconds) = ("causeway_upstream_connect_duration", Some(&Unit::Seconds));
        let mut family = out.family(name, help, seconds, MetricType::Histogram)?;
        for block in present() {
            histogram(&mut family, block, |tally| &tally.connects)?;
        }
        Ok(())
    }

    fn clients(&self, out: &mut Out<'_>) -> fmt::Result {
        let help = "Connections of clients.";
        let open = self.gauges.client_connections as u64;
        out.gauge("causeway_client_connections", help, None, open)?;
        let workers = &self.metrics.workers;
        let help = "Connections of clients that were accepted.";
        let accepted: u64 = workers.iter().map(|worker| worker.accepted.load(Relaxed)).sum();
        out.counter("causeway_client_connections_accepted", help, None, accepted)?;
        let help = "Those that were closed without a word, since far too many were open.";
        let dropped: u64 = workers.iter().map(|worker| worker.dropped.load(Relaxed)).sum();
        out.counter("causeway_client_connections_dropped", help, None, dropped)
    }

    fn tls(&self, out: &mut Out<'_>) -> fmt::Result {
        // Two with the same names, of another kind of key: the first to end counts.
        let mut first_to_end: BTreeMap<&str, &Range<SystemTime>> = BTreeMap::new();
        for (names, valid) in &self.gauges.certificates {
            let first = first_to_end.entry(names.as_str()).or_insert(valid);
            if valid.end < first.end {
                *first = valid;
            }
        }
        let mut dates = |name, help, date: fn(&Range<SystemTime>) -> SystemTime| {
            let mut family = out.family(name, help, Some(&Unit::Seconds), MetricType::Gauge)?;
            for (names, valid) in &first_to_end {
                let at = seconds_since_epoch(date(valid));
                ConstGauge::new(at).encode(family.encode_family(&[("names", *names)])?)?;
            }
            Ok(())
        };
        let help = "When a certificate for clients begins to be valid.";
        dates("causeway_tls_certificate_not_before_timestamp", help, |valid| valid.start)?;
        let help = "When a certificate for clients ends.";
        dates("causeway_tls_certificate_not_after_timestamp", help, |valid| valid.end)?;
        let help = "Handshakes of clients that did not come about, by reason.";
        let name = "causeway_tls_handshakes_failed";
        let mut family = out.family(name, help, None, MetricType::Counter)?;
        for (reason, count) in &self.gauges.handshakes_failed {
            counter(&mut family, &[("reason", *reason)], *count)?;
        }
        Ok(())
    }

    /// The names that every Prometheus client has for its process.
    fn process(&self, out: &mut Out<'_>, process: &Process) -> fmt::Result {
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        let started = seconds_since_epoch(self.metrics.began.1);
        out.gauge("process_start_time", "When the process started.", seconds, started)?;
        let help = "Processor time that was used, of user and system.";
        out.counter("process_cpu", help, seconds, process.cpu_seconds)?;
        let help = "Resident memory.";
        out.gauge("process_resident_memory", help, bytes, process.resident_bytes)?;
        let help = "Virtual memory.";
        out.gauge("process_virtual_memory", help, bytes, process.virtual_bytes)?;
        out.gauge("process_open_fds", "Open file descriptors.", None, process.open_fds)?;
        let help = "The most file descriptors that may be open.";
        out.gauge("process_max_fds", help, None, process.max_fds)?;
        out.gauge("process_threads", "Threads.", None, process.threads)
    }
}

/// Where families are written.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        unit: Option<&'s Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.family(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: impl EncodeCounterValue,
    ) -> fmt::Result {
        let mut family = self.family(name, help, unit, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }
}

fn counter(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    count: u64,
) -> fmt::Result {
    ConstCounter::new(count).encode(family.encode_family(labels)?)
}

fn gauge(family: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
    ConstGauge::new(value).encode(family.encode_family(labels)?)
}

/// The last failure stands beside the number of all.
fn counter_with_exemplar(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    count: u64,
    exemplar: Option<(String, SystemTime)>,
) -> fmt::Result {
    let Some((incident, at)) = exemplar else { return counter(family, labels, count) };
    let with_exemplar = CounterWithExemplar::<[(&str, String); 1]>::default();
    with_exemplar.inc_by(count.saturating_sub(1), None, None);
    with_exemplar.inc_by(1, Some([("incident", incident)]), Some(at));
    with_exemplar.encode(family.encode_family(labels)?)
}

fn histogram(
    family: &mut MetricEncoder<'_>,
    block: &Block,
    durations: impl Fn(&Tally) -> &Durations,
) -> fmt::Result {
    let ends = BOUNDS.iter().map(|nanos| *nanos as f64 / 1e9).chain([f64::INFINITY]);
    let count = |bucket: usize| block.sum(|tally| &durations(tally).buckets[bucket]);
    let buckets: Vec<(f64, u64)> =
        ends.enumerate().map(|(bucket, end)| (end, count(bucket))).collect();
    let sum = block.sum(|tally| &durations(tally).nanos) as f64 / 1e9;
    let all = buckets.iter().map(|(_, count)| count).sum();
    let labels = [("upstream", block.name.as_str())];
    let mut series = family.encode_family(&labels)?;
    series.encode_histogram::<NoLabelSet>(sum, all, &buckets, None)
}

/// Each status that was sent, and how often.
fn statuses(block: &Block) -> Vec<(String, u64)> {
    let total = |read: &dyn Fn(&Tally) -> &AtomicU64| {
        let each = block.tallies.iter().map(|tally| read(tally).load(Relaxed));
        each.sum::<u64>()
    };
    let slots = block.tallies.first().map_or(0, |tally| tally.statuses.len());
    let known = (0..slots).map(|slot| {
        let code = usize::from(STATUS_FIRST) + slot;
        (code.to_string(), total(&|tally| &tally.statuses[slot]))
    });
    let other = ("other".to_owned(), total(&|tally| &tally.other_statuses));
    known.chain([other]).filter(|(_, count)| *count > 0).collect()
}

fn seconds_since_epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
