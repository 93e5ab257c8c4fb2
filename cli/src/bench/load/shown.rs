//! The figures of a run, for people and for scripts.

use anyhow::Context;
use serde_json::Value;
use weir_bench::load::{Figures, LateFigures, Latency, Pace, Plan};

/// One line of JSON; `unexpected_statuses` is there if statuses were expected.
pub(super) fn json(figures: &Figures, unexpected: Option<u64>) -> anyhow::Result<String> {
    let mut value =
        serde_json::to_value(figures).context("the figures cannot be written as JSON")?;
    if let (Value::Object(fields), Some(unexpected)) = (&mut value, unexpected) {
        fields.insert("unexpected_statuses".to_owned(), unexpected.into());
    }
    Ok(format!("{value}\n"))
}

/// A table with remarks on what limits its meaning.
pub(super) fn table(plan: &Plan, figures: &Figures) -> String {
    let stopped = if figures.stopped { ", stopped early" } else { "" };
    let mut text = format!(
        "{}, {}, {}, {:.2} s{stopped}\n\n",
        pace(plan.pace),
        several(plan.connections, "connection"),
        several(plan.threads, "thread"),
        figures.seconds
    );
    text += &format!(
        "requests   {} ({:.1}/s)\nread       {} ({}/s)\n",
        figures.requests,
        figures.requests_per_second,
        bytes(figures.bytes as f64),
        bytes(figures.bytes_per_second)
    );
    let statuses = figures.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    text += &format!("statuses   {}\n", list(statuses));
    text += &format!("errors     {}\n", list(errors(figures)));
    if figures.misses_asked > 0 {
        text += &format!("misses     {} asked on purpose\n", figures.misses_asked);
    }
    if figures.reopened > 0 {
        text +=
            &format!("reopened   {} connections that the server had closed\n", figures.reopened);
    }
    text += &format!("\n{}", latencies(figures));
    if let Some(late) = figures.late {
        text += &format!("\n{}", lateness(late));
    }
    text += &format!("\n{}", costs(figures));
    text + &remarks(figures)
}

fn pace(pace: Pace) -> String {
    match pace {
        Pace::Closed { .. } => "closed loop".to_owned(),
        Pace::Open { rate, arrivals } => {
            format!("open loop, {rate} requests/s, {arrivals:?} arrivals").to_lowercase()
        }
    }
}

fn several(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn errors(figures: &Figures) -> impl Iterator<Item = String> {
    figures.errors_by_kind.iter().map(|(kind, count)| {
        let example = figures.error_examples.get(kind).map(|text| format!(" ({text})"));
        format!("{kind}: {count}{}", example.unwrap_or_default())
    })
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn latencies(figures: &Figures) -> String {
    let heading = ["latency", "count", "p50", "p90", "p99", "p99.9", "max", "mean"];
    let mut text = row(&heading.map(str::to_owned));
    text += &latency("all", figures.latency_us);
    for (name, outcome) in &figures.outcomes {
        // A server that says nothing has one line.
        if figures.outcomes.len() > 1 || *name != "none" {
            text += &latency(name, outcome.latency_us);
        }
    }
    text
}

fn latency(name: &str, of: Latency) -> String {
    let times = [of.p50, of.p90, of.p99, of.p999, of.max, of.mean].map(time);
    let [p50, p90, p99, p999, max, mean] = times;
    row(&[format!("  {name}"), of.count.to_string(), p50, p90, p99, p999, max, mean])
}

fn row(cells: &[String; 8]) -> String {
    let [first, rest @ ..] = cells;
    let rest: String = rest.iter().map(|cell| format!(" {cell:>9}")).collect();
    format!("{first:<10}{rest}\n")
}

fn lateness(late: LateFigures) -> String {
    let Latency { p50, p99, max, .. } = late.start_us;
    format!(
        "starts     p50 {}, p99 {}, max {} after their time\n\
         late       {} as no connection was free, {} by the driver, {} never sent\n",
        time(p50),
        time(p99),
        time(max),
        late.by_connections,
        late.by_driver,
        late.unsent
    )
}

fn costs(figures: &Figures) -> String {
    let driver = figures.driver;
    let mut text = format!(
        "driver     {:.2} us CPU a request ({:.2} us user), {:.0} % busy\n",
        driver.cpu_us_per_request,
        driver.user_us_per_request,
        driver.busy * 100.0
    );
    if let Some(server) = figures.server {
        text += &format!(
            "server     {:.2} us CPU a request ({:.2} us user), {:.2} CPUs\n",
            server.cpu_us_per_request, server.user_us_per_request, server.cpus
        );
    }
    text
}

/// What a reader should know before believing the figures.
fn remarks(figures: &Figures) -> String {
    let mut remarks = Vec::new();
    match figures.latency_from {
        "sent" => remarks.push(
            "Latencies count from sending: whoever did not ask while the server stalled is not in them (see --rate).",
        ),
        "due" => remarks.push("Latencies count from when a request was due."),
        _ => remarks.push("Latencies are corrected by the expected interval: some are made up."),
    }
    if figures.driver.was_limit {
        remarks.push("The driver was the limit: give it threads or CPUs, or ask for less.");
    }
    if figures.late.is_some_and(|late| late.unsent > 0) {
        remarks.push("Not all requests were sent in time: with them, latencies would be worse.");
    }
    remarks.iter().map(|remark| format!("\n{remark}")).collect::<String>() + "\n"
}

/// Microseconds in a unit that reads well.
fn time(us: f64) -> String {
    match us {
        _ if us < 1_000.0 => format!("{us:.0}us"),
        _ if us < 1_000_000.0 => format!("{:.2}ms", us / 1e3),
        _ => format!("{:.2}s", us / 1e6),
    }
}

fn bytes(bytes: f64) -> String {
    let mut rest = bytes;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest < 1_024.0 {
            return format!("{rest:.1} {unit}");
        }
        rest /= 1_024.0;
    }
    format!("{rest:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_well() {
        let times = [0.0, 999.4, 1_000.0, 12_345.0, 2_500_000.0].map(time);
        assert_eq!(times, ["0us", "999us", "1.00ms", "12.35ms", "2.50s"]);
        let sizes = [0.0, 1_023.0, 1_536.0, 1_099_511_627_776.0].map(bytes);
        assert_eq!(sizes, ["0.0 B", "1023.0 B", "1.5 KiB", "1.0 TiB"]);
    }

    #[test]
    fn columns_are_aligned() {
        let of = Latency {
            count: 7,
            min: 1.0,
            mean: 2.0,
            p50: 3.0,
            p90: 4.0,
            p99: 5.0,
            p999: 6.0,
            max: 7.0,
        };
        let line = latency("hit", of);
        assert_eq!(
            line,
            "  hit              7       3us       4us       5us       6us       7us       2us\n"
        );
    }
}
