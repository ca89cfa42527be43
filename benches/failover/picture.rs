//! The picture: a bar for each median on a logarithmic scale, a line from minimum to maximum.

use super::contender::Contender;
use super::fault::{Fault, Run, Span};
use super::stats::{Results, summary};
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
/// The scale begins and ends here, between names and values.
const LEFT: f64 = 140.0;
const RIGHT: f64 = 660.0;
/// Seconds at both ends of the scale.
const SHORTEST: f64 = 0.001;
const LONGEST: f64 = 10.0;
const ROW: f64 = 15.0;
const HEADING: f64 = 22.0;

/// Text and grid follow the reader's theme; the bars' colours are legible on both.
const STYLE: &str = "
text { font: 11px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.fault { font-weight: 600 }
.end { text-anchor: end }
.middle { text-anchor: middle; fill: #6e7781 }
.grid { stroke: #8c959f; stroke-opacity: .35 }
.range { stroke: #24292f; stroke-opacity: .7 }
.outrider { fill: #2f81f7 }
.outrider-1s { fill: #79a9e8 }
.outrider-10ms { fill: #1a9e8f }
.keepalived { fill: #d2691e }
.keepalived-tuned { fill: #e0a458 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .middle { fill: #9198a1 }
  .range { stroke: #e6edf3 }
}
";

/// One panel of the picture.
struct Panel {
    title: &'static str,
    faults: &'static [Fault],
    value: fn(&Run) -> Option<Span>,
}

const PANELS: [Panel; 2] = [
    Panel {
        title: "Time without an answer (median; line: minimum to maximum)",
        faults: &[
            Fault::BalancerKilled,
            Fault::BalancerFrozen,
            Fault::BalancersRestarted,
            Fault::AgentStopped,
            Fault::LinkDown,
            Fault::CutOff,
            Fault::Back,
        ],
        value: |run| Some(run.outage),
    },
    Panel {
        title: "Time with two holders of the address",
        faults: &[Fault::AgentKilled, Fault::AgentFrozen, Fault::Back],
        value: |run| Some(run.two),
    },
];

/// Draws the results.
pub fn svg(results: &Results) -> String {
    let mut body = String::new();
    let mut y = 0.0;
    for panel in &PANELS {
        y = draw(&mut body, results, panel, y);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y:.0}\" width=\"{WIDTH}\" role=\"img\">\n\
         <title>Outrider and keepalived after the same faults</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// Returns where the next panel may begin.
fn draw(body: &mut String, results: &Results, panel: &Panel, top: f64) -> f64 {
    let mut bars = String::new();
    let axis = top + 40.0;
    let mut y = axis + 4.0;
    for fault in panel.faults {
        let series: Vec<_> = Contender::ALL.into_iter().filter_map(|c| results.find(*fault, c)).collect();
        if series.is_empty() {
            continue;
        }
        let _ = writeln!(bars, "<text class=\"fault\" x=\"0\" y=\"{:.0}\">{}</text>", y + 15.0, fault.name());
        y += HEADING;
        for series in series {
            let Some(summary) = summary(series.runs.iter().filter_map(panel.value)) else { continue };
            let (middle, contender) = (y + ROW / 2.0, series.contender);
            let _ = writeln!(
                bars,
                "<text class=\"end\" x=\"{:.0}\" y=\"{:.1}\">{}</text>\
                 <rect class=\"{}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\"/>",
                LEFT - 8.0,
                middle + 4.0,
                contender.name(),
                contender.key(),
                y + 2.0,
                (x(summary.median) - LEFT).max(2.0),
                ROW - 4.0,
            );
            let _ = writeln!(
                bars,
                "<line class=\"range\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x(summary.min),
                x(summary.max),
                x(summary.max).max(x(summary.median)) + 6.0,
                middle + 4.0,
                label(summary.median)
            );
            y += ROW;
        }
    }
    if bars.is_empty() {
        return top;
    }
    let _ = writeln!(body, "<text class=\"title\" x=\"0\" y=\"{:.0}\">{}</text>", top + 16.0, panel.title);
    for (seconds, name) in [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")] {
        let x = x(Span { lasting: false, seconds });
        let _ = writeln!(
            body,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{axis:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>",
            axis - 5.0
        );
    }
    body.push_str(&bars);
    y + 20.0
}

fn x(span: Span) -> f64 {
    let seconds = if span.lasting { LONGEST } else { span.seconds.clamp(SHORTEST, LONGEST) };
    LEFT + (RIGHT - LEFT) * (seconds / SHORTEST).log10() / (LONGEST / SHORTEST).log10()
}

fn label(span: Span) -> String {
    match span.seconds {
        // Not rounded up: that long it was seen to last.
        seconds if span.lasting => format!("&gt; {:.1} s", (seconds * 10.0).floor() / 10.0),
        seconds if seconds >= 0.9995 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.0005 => format!("{:.0} ms", seconds * 1000.0),
        _ => "none".to_owned(),
    }
}
