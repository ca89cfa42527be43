//! The status as Prometheus reads it. What is counted stands in the document already; here it only gets its names.

use super::document::{Counters, REJECTED, Router, Status};
use super::histogram::Histogram;
use crate::core::event::State;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// The form of the text (OpenMetrics 1.0, which Prometheus asks for).
pub const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const STATES: [State; 4] = [State::Initialize, State::Backup, State::Active, State::Fault];

/// The text.
pub fn encode(status: &Status) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(status.clone())));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Metrics(Status);

/// One value with its labels.
enum Value<'a> {
    Counter(u64),
    Gauge(f64),
    Histogram(&'a Histogram),
}

impl EncodeMetric for Value<'_> {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        match self {
            Value::Counter(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
            Value::Gauge(value) => encoder.encode_gauge(value),
            Value::Histogram(histogram) => {
                let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts.iter().copied()).collect();
                encoder.encode_histogram::<NoLabelSet>(histogram.sum, histogram.total(), &buckets, None)
            }
        }
    }

    fn metric_type(&self) -> MetricType {
        match self {
            Value::Counter(_) => MetricType::Counter,
            Value::Gauge(_) => MetricType::Gauge,
            Value::Histogram(_) => MetricType::Histogram,
        }
    }
}

type Labels = Vec<(&'static str, String)>;

/// A family of metrics: name without the unit's or counter's suffix rules applied by hand, help, and its members.
struct Family<'a> {
    name: &'static str,
    help: &'static str,
    members: Vec<(Labels, Value<'a>)>,
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in families(&self.0) {
            let Some((_, first)) = family.members.first() else { continue };
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, None, first.metric_type())?;
            for (labels, value) in &family.members {
                value.encode(metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

/// A counter of one virtual router: its name, what it counts, and where it stands.
type Counter = (&'static str, &'static str, fn(&Counters) -> u64);

#[rustfmt::skip] // A table: one row a line.
const COUNTERS: [Counter; 10] = [
    ("outrider_adverts_sent", "Adverts sent, one for each receiver", |c| c.adverts_sent),
    ("outrider_priority_zero_sent", "Adverts with priority 0 sent: this host gave the address up", |c| c.priority_zero_sent),
    ("outrider_send_errors", "Adverts that could not be sent", |c| c.send_errors),
    ("outrider_adverts_received", "Adverts of peers that were taken in", |c| c.adverts_received),
    ("outrider_priority_zero_received", "Adverts with priority 0 received: a peer gave the address up", |c| c.priority_zero_received),
    ("outrider_adverts_late", "Adverts that went out later than a tenth of the interval after they were due", |c| c.adverts_late),
    ("outrider_announcements", "Announcements of an address (gratuitous ARP, unsolicited neighbour advertisements)", |c| c.announcements),
    ("outrider_became_active", "Times this host became Active", |c| c.became_active),
    ("outrider_left_active", "Times this host stopped being Active", |c| c.left_active),
    ("outrider_became_fault", "Times this host became unfit", |c| c.became_fault),
];

fn families(status: &Status) -> Vec<Family<'_>> {
    let flag = |is: bool| Value::Gauge(if is { 1.0 } else { 0.0 });
    let host = || -> Labels { vec![("name", status.name.clone()), ("version", status.program.clone())] };
    let mut families = vec![
        Family { name: "outrider_info", help: "This agent", members: vec![(host(), flag(true))] },
        whole(
            "outrider_start_time_seconds",
            "When the agent started, since 1970",
            Value::Gauge(status.started),
        ),
        whole("outrider_ready", "Whether this host holds, or could hold, every address", flag(status.ready)),
        whole("outrider_drained", "Whether a person took this host out of service", flag(status.drained)),
        whole(
            "outrider_check_duration_seconds",
            "How long looks at the load balancer took",
            Value::Histogram(&status.check_seconds),
        ),
    ];
    if let Some(metadata) = &status.metadata {
        families.push(whole(
            "outrider_metadata_reachable",
            "Whether the metadata service answers",
            flag(metadata.reachable),
        ));
        if let Some(ago) = metadata.confirmed_ago {
            families.push(whole(
                "outrider_metadata_age_seconds",
                "Since the metadata was read or confirmed",
                Value::Gauge(ago),
            ));
        }
    }
    let each = |name, help, of: &dyn Fn(&Router) -> Vec<(Labels, f64)>| {
        let of_one = |router| {
            of(router)
                .into_iter()
                .map(|(more, value)| ([labels(router), more].concat(), Value::Gauge(value)))
                .collect::<Vec<_>>()
        };
        Family { name, help, members: status.routers.iter().flat_map(of_one).collect() }
    };
    families.extend([
        each("outrider_state", "State of the virtual router: 1 for the one it is in", &|router| {
            let one = |state: State| {
                (vec![("state", state.to_string())], if router.state == state { 1.0 } else { 0.0 })
            };
            STATES.map(one).to_vec()
        }),
        each("outrider_state_since_seconds", "When that state began, since 1970", &|router| {
            vec![(vec![], router.since)]
        }),
        each("outrider_priority", "Priority this host advertises", &|router| {
            vec![(vec![], router.priority.into())]
        }),
        each("outrider_interval_seconds", "Time between two adverts", &|router| {
            vec![(vec![], router.interval)]
        }),
        each("outrider_members", "Hosts that take part, this one among them", &|router| {
            vec![(vec![], router.members.len() as f64)]
        }),
        each(
            "outrider_holders",
            "Whether this host knows who holds the address (0 or 1), itself included",
            &|router| vec![(vec![], if router.holder.is_some() { 1.0 } else { 0.0 })],
        ),
        each("outrider_isolated", "Whether this host counts as cut off from the network", &|router| {
            vec![(vec![], if router.guard.isolated { 1.0 } else { 0.0 })]
        }),
        each("outrider_peer_seen", "Whether a member has ever shown that it exists", &|router| {
            let peers = router.members.iter().filter(|member| !member.me);
            peers
                .map(|peer| {
                    (
                        vec![("peer", peer.name.clone()), ("address", peer.address.clone())],
                        if peer.seen { 1.0 } else { 0.0 },
                    )
                })
                .collect()
        }),
        each(
            "outrider_peer_advert_age_seconds",
            "Since the last advert of a peer (a Backup sends none)",
            &|router| {
                let peers = router.members.iter().filter(|member| !member.me);
                peers
                    .filter_map(|peer| {
                        Some((
                            vec![("peer", peer.name.clone()), ("address", peer.address.clone())],
                            peer.advert_ago?,
                        ))
                    })
                    .collect()
            },
        ),
        each("outrider_check_passing", "Whether a check of the load balancer counts as passed", &|router| {
            let checks = router.checks.iter();
            checks
                .map(|check| (vec![("check", check.name.clone())], if check.passing { 1.0 } else { 0.0 }))
                .collect()
        }),
    ]);
    for (name, help, of) in COUNTERS {
        let members =
            status.routers.iter().map(|router| (labels(router), Value::Counter(of(&router.counters))));
        families.push(Family { name, help, members: members.collect() });
    }
    families.push(Family {
        name: "outrider_adverts_rejected",
        help: "Adverts for this virtual router that were rejected, by the kind of mistake",
        members: status.routers.iter().flat_map(rejected).collect(),
    });
    let mut lengths = |name, help, of: fn(&Router) -> &Histogram| {
        let members = status.routers.iter().map(|router| (labels(router), Value::Histogram(of(router))));
        families.push(Family { name, help, members: members.collect() });
    };
    lengths("outrider_advert_lateness_seconds", "How late adverts went out", |router| {
        &router.lateness_seconds
    });
    lengths(
        "outrider_takeover_duration_seconds",
        "From the former holder's last advert until the address was here",
        |router| &router.takeover_seconds,
    );
    let mistakes = status.warnings.iter().map(|warning| {
        let labels = vec![
            ("router", warning.router.clone()),
            ("kind", warning.kind.clone()),
            ("from", warning.from.clone()),
        ];
        (labels, Value::Counter(warning.count))
    });
    families.push(Family {
        name: "outrider_mistakes",
        help: "What is wrong, here or at a peer, by kind and sender",
        members: mistakes.collect(),
    });
    families
}

/// With those that never happened: a counter that appears with its first count hides that one.
fn rejected(router: &Router) -> Vec<(Labels, Value<'_>)> {
    let counts = &router.counters.adverts_rejected;
    let never = REJECTED.iter().filter(|kind| !counts.contains_key(**kind)).map(|kind| (*kind, 0));
    let all = counts.iter().map(|(kind, count)| (kind.as_str(), *count)).chain(never);
    let labelled = |kind: &str| [labels(router), vec![("kind", kind.to_owned())]].concat();
    all.map(|(kind, count)| (labelled(kind), Value::Counter(count))).collect()
}

fn whole<'a>(name: &'static str, help: &'static str, value: Value<'a>) -> Family<'a> {
    Family { name, help, members: vec![(Vec::new(), value)] }
}

fn labels(router: &Router) -> Labels {
    vec![("router", router.name.clone()), ("vrid", router.vrid.to_string())]
}
