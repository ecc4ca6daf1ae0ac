//! Results of hosts that work side by side, in the order of the hosts where that costs no waiting.

use std::time::Duration;

use indexmap::IndexMap;

use crate::report::event::Event;

/// Events of later hosts wait this long for earlier hosts: long enough that quick tasks are told in
/// the same order every time, too short to be noticed.
const PATIENCE: Duration = Duration::from_millis(100);

/// Holds events back.
pub(super) struct Ordered {
    waiting: IndexMap<String, Host>,
}

#[derive(Default)]
struct Host {
    events: Vec<Event>,
    done: bool,
}

impl Ordered {
    /// For these hosts, in this order.
    pub(super) fn new(hosts: Vec<String>) -> Self {
        Self {
            waiting: hosts
                .into_iter()
                .map(|host| (host, Host::default()))
                .collect(),
        }
    }

    /// How long to wait for the next message before everything is released.
    pub(super) fn patience(&self) -> Duration {
        let held = self.waiting.values().any(|host| !host.events.is_empty());
        if held {
            PATIENCE
        } else {
            Duration::from_secs(3600)
        }
    }

    /// Takes an event of a host.
    pub(super) fn hold(&mut self, host: &str, event: Event) {
        self.waiting
            .entry(host.to_owned())
            .or_default()
            .events
            .push(event);
    }

    /// A host has no more events.
    pub(super) fn finish(&mut self, host: &str) {
        if let Some(host) = self.waiting.get_mut(host) {
            host.done = true;
        }
    }

    /// The events whose turn it is.
    pub(super) fn release(&mut self) -> Vec<Event> {
        let mut events = vec![];
        while let Some((_, host)) = self.waiting.first_mut() {
            events.append(&mut host.events);
            if !host.done {
                break;
            }
            self.waiting.shift_remove_index(0);
        }
        events
    }

    /// All events, in the order of the hosts.
    pub(super) fn release_all(&mut self) -> Vec<Event> {
        self.waiting
            .values_mut()
            .flat_map(|host| std::mem::take(&mut host.events))
            .collect()
    }
}
