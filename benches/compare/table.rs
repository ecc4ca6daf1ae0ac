//! The results as Markdown, from nothing but the recorded lines.

use std::fmt::Write;

use indexmap::IndexMap;
use serde_json::Value;

/// The page of one set of results.
pub(crate) fn page(name: &str, records: &[Value]) -> String {
    let mut text = format!(
        "# rplay beside Ansible, {name}\n\n\
         Written by `cargo bench --bench compare -- --save` from `{name}.ndjson`; \
         medians of all runs.\n\n"
    );
    for (key, values) in meta(records) {
        let _ = writeln!(text, "* {key}: {}", values.join(", "));
    }
    text.push_str(
        "\nController and target are the CPU time (user and system) of everything that runs on either \
         side, the SSH client and server included. A turn is a wait of the client for an answer as seen \
         on the wire, see `tests/harness/proxy.rs`. The delay is added to each direction.\n",
    );
    for play in names(records, "play") {
        plays(&mut text, records, &play);
    }
    goals(&mut text, records);
    processes(&mut text, records);
    starts(&mut text, records);
    text
}

/// Where and with what the figures were made: each field with its different values.
fn meta(records: &[Value]) -> IndexMap<String, Vec<String>> {
    let mut found: IndexMap<String, Vec<String>> = IndexMap::new();
    let metas = records
        .iter()
        .filter_map(|record| record["meta"].as_object());
    for (key, value) in metas.flatten() {
        let values = found.entry(key.clone()).or_default();
        let value = plain(value);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    found
}

/// The different values of a field, in the order of their first appearance.
fn names(records: &[Value], field: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for record in records {
        if let Some(name) = record[field].as_str()
            && !found.iter().any(|known| known == name)
        {
            found.push(name.to_owned());
        }
    }
    found
}

fn plays(text: &mut String, records: &[Value], play: &str) {
    let of_play: Vec<&Value> = records
        .iter()
        .filter(|record| record["play"] == play)
        .collect();
    let _ = write!(
        text,
        "\n## {play}\n\n\
         | engine | delay ms | runs | wall ms | controller ms | target ms | logins | channels | turns | \
         bytes to target | bytes from target | changed | end state |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
    );
    let mut rows: Vec<(&Value, &Value)> = Vec::new();
    for record in &of_play {
        let row = (&record["delay_ms"], &record["engine"]);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    for (delay, engine) in rows {
        let runs: Vec<&Value> = of_play
            .iter()
            .copied()
            .filter(|record| record["delay_ms"] == *delay && record["engine"] == *engine)
            .collect();
        let _ = write!(text, "| {} | {} | {} ", plain(engine), delay, runs.len());
        for field in FIELDS {
            let value = median(&runs, field).map_or_else(|| "-".to_owned(), whole);
            let _ = write!(text, "| {value} ");
        }
        let states = runs.iter().map(|record| plain(&record["state"]));
        let state = states.max().unwrap_or_default();
        let _ = writeln!(text, "| {state} |");
    }
}

const FIELDS: &[&str] = &[
    "wall_ms",
    "controller_cpu_ms",
    "target_cpu_ms",
    "logins",
    "channels",
    "turns",
    "bytes_to_target",
    "bytes_from_target",
    "changed",
];

fn median(runs: &[&Value], field: &str) -> Option<f64> {
    let mut values: Vec<f64> = runs
        .iter()
        .filter_map(|record| record[field].as_f64())
        .collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// What the first goals ask for, from the plays `files` and `one`.
fn goals(text: &mut String, records: &[Value]) {
    let of = |play: &str, engine: &str, delay: f64, field: &str| {
        let runs: Vec<&Value> = records
            .iter()
            .filter(|record| {
                record["play"] == play
                    && record["engine"] == engine
                    && record["delay_ms"].as_f64() == Some(delay)
            })
            .collect();
        median(&runs, field)
    };
    let slowest = records
        .iter()
        .filter_map(|record| record["delay_ms"].as_f64())
        .fold(0.0, f64::max);
    text.push_str(
        "\n## For one task more\n\n\
         What a task costs once there is a connection: `files` less `one`, divided by the 99 tasks \
         between them. Turns waited for are those that the delay shows: the time it adds, divided by \
         the round trip it adds.\n\n\
         | engine | turns | turns waited for | bytes to target | bytes from target | controller ms | target ms | wall ms |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for engine in names(records, "engine") {
        let more = |field: &str, delay: f64| {
            Some((of("files", &engine, delay, field)? - of("one", &engine, delay, field)?) / 99.0)
        };
        let waited = more("wall_ms", slowest)
            .zip(more("wall_ms", 0.0))
            .filter(|_| slowest > 0.0)
            .map(|(late, soon)| (late - soon) / (2.0 * slowest));
        let fields = [
            more("turns", 0.0),
            waited,
            more("bytes_to_target", 0.0),
            more("bytes_from_target", 0.0),
            more("controller_cpu_ms", 0.0),
            more("target_cpu_ms", 0.0),
            more("wall_ms", 0.0),
        ];
        let _ = write!(text, "| {engine} ");
        for value in fields {
            let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
            let _ = write!(text, "| {value} ");
        }
        text.push_str("|\n");
    }
}

fn processes(text: &mut String, records: &[Value]) {
    text.push_str(
        "\n## Processes of `files`\n\n\
         Programs that were executed and processes that were made; the target's include those of its \
         SSH server.\n\n\
         | engine | controller programs | controller processes | target programs | target processes |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    for record in records.iter().filter(|record| record["count"].is_string()) {
        let fields = [
            "count",
            "controller_programs",
            "controller_processes",
            "target_programs",
            "target_processes",
        ];
        row(text, record, &fields);
    }
}

fn row(text: &mut String, record: &Value, fields: &[&str]) {
    for field in fields {
        let _ = write!(text, "| {} ", plain(&record[field]));
    }
    text.push_str("|\n");
}

fn starts(text: &mut String, records: &[Value]) {
    text.push_str(
        "\n## Starting\n\n\
         | command | times | wall ms, median | wall ms, least | CPU ms | instructions | allocations |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for record in records.iter().filter(|record| record["start"].is_string()) {
        let fields = [
            "start",
            "times",
            "wall_ms_median",
            "wall_ms_least",
            "cpu_ms",
            "instructions",
            "allocations",
        ];
        row(text, record, &fields);
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Small figures keep a digit behind the point.
fn whole(value: f64) -> String {
    if value.fract() != 0.0 && value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
