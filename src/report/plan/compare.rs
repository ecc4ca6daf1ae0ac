//! What two plans differ in, and whether a run did what its plan said.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Outcome, Plan};
use crate::files::from_here;
use crate::report::event::Status;
use crate::secrets::untagged;

/// Where a result belongs: play, task, which time it ran, host, item.
type Key = (String, String, usize, String, String);

/// Something that is not alike in two plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlike {
    /// Task, host and item.
    pub place: String,
    /// What the first plan says of it; nothing where it does not have it.
    pub first: Option<String>,
    /// What the second plan says of it.
    pub second: Option<String>,
}

impl Plan {
    /// What is not alike in another plan. Hosts are compared by name; where the two have no host
    /// in common, a task's results on any host are.
    #[must_use]
    pub fn unlike(&self, other: &Plan) -> Vec<Unlike> {
        let shared = self.recap.keys().any(|host| other.recap.contains_key(host));
        differences(
            &self.compared(other, outcomes(self, shared, false)),
            &self.compared(other, outcomes(other, shared, false)),
        )
    }

    /// Where a run did not do what this plan said: changes that were not planned, and planned ones
    /// that did not come. What the plan did not know is left out.
    #[must_use]
    pub fn deviations(&self, run: &Plan) -> Vec<Unlike> {
        let mut planned = self.compared(run, outcomes(self, true, true));
        let mut done = self.compared(run, outcomes(run, true, true));
        done.retain(|key, _| planned.get(key).is_none_or(|outcome| outcome != UNKNOWN));
        planned.retain(|_, outcome| outcome != UNKNOWN);
        differences(&planned, &done)
    }

    /// Outcomes as they are compared with another plan: tags of secrets by another key say nothing.
    fn compared(&self, other: &Plan, all: BTreeMap<Key, String>) -> BTreeMap<Key, String> {
        if self.tags == other.tags {
            return all;
        }
        let plain = |((play, task, time, host, item), text): (Key, String)| {
            let key = (
                untagged(&play),
                untagged(&task),
                time,
                host,
                untagged(&item),
            );
            (key, untagged(&text))
        };
        all.into_iter().map(plain).collect()
    }
}

/// What is said of a result that check mode does not know.
const UNKNOWN: &str = "unknown";

/// The results of a plan, or only those that change something.
fn outcomes(plan: &Plan, by_host: bool, changes: bool) -> BTreeMap<Key, String> {
    let mut found = BTreeMap::new();
    let mut times: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for play in &plan.plays {
        for task in &play.tasks {
            let place = from_here(Path::new(&task.path));
            let title = format!("TASK [{}] {}", task.name, place.display());
            for result in &task.results {
                let host = if by_host { result.host.as_str() } else { "" };
                let time = times.entry((play.name.clone(), title.clone(), host.to_owned()));
                let time = time.and_modify(|time| *time += 1).or_insert(0);
                for (label, outcome) in result.parts() {
                    let wanted = outcome.status == Status::Changed || outcome.unknown.is_some();
                    if changes && !wanted {
                        continue;
                    }
                    let key = (
                        play.name.clone(),
                        title.clone(),
                        if by_host { *time } else { 0 },
                        host.to_owned(),
                        label.to_owned(),
                    );
                    found.insert(key, told(outcome));
                }
            }
        }
    }
    found
}

/// An outcome in a text that is equal for equal ones.
fn told(outcome: &Outcome) -> String {
    if outcome.unknown.is_some() {
        return UNKNOWN.to_owned();
    }
    let mut text = format!("{:?}", outcome.status).to_lowercase();
    if let Some(why) = &outcome.why {
        text.push_str(&format!(" ({why})"));
    }
    for diff in &outcome.diff {
        text.push('\n');
        let shown = super::show::difference(diff);
        text.extend(shown.split_inclusive('\n').map(timeless));
    }
    text
}

/// A line of attributes without a time: `touch` sets that of the moment.
fn timeless(line: &str) -> &str {
    let name = line.trim_start_matches(['+', '-', ' ']);
    let time = ["\"atime\": ", "\"mtime\": "]
        .iter()
        .find(|key| name.starts_with(**key));
    time.map_or(line, |key| &line[..line.len() - name.len() + key.len()])
}

fn differences(first: &BTreeMap<Key, String>, second: &BTreeMap<Key, String>) -> Vec<Unlike> {
    let keys = first
        .keys()
        .chain(second.keys().filter(|key| !first.contains_key(*key)));
    let unlike = keys.filter(|key| first.get(*key) != second.get(*key));
    unlike
        .map(|key| {
            let (_, title, time, host, item) = key;
            let mut place = title.clone();
            if *time > 0 {
                place.push_str(&format!(" (time {})", time + 1));
            }
            if !host.is_empty() {
                place.push_str(&format!(" on {host}"));
            }
            if !item.is_empty() {
                place.push_str(&format!(" (item={item})"));
            }
            Unlike {
                place,
                first: first.get(key).cloned(),
                second: second.get(key).cloned(),
            }
        })
        .collect()
}
