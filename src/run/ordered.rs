//! Results of hosts that work side by side, in the order of the hosts where that costs no waiting.

use std::time::Duration;

use indexmap::IndexMap;

use crate::report::event::Event;

/// Events of later hosts wait this long for earlier hosts: long enough that quick tasks are told in
/// the same order every time, too short to be noticed.
const PATIENCE: Duration = Duration::from_millis(100);

/// Holds events back.
pub(super) struct Ordered {
    hosts: IndexMap<String, Host>,
    /// The first host that is not done.
    next: usize,
    /// How many events are held.
    held: usize,
}

#[derive(Default)]
struct Host {
    events: Vec<Event>,
    done: bool,
}

impl Ordered {
    /// For these hosts, in this order.
    pub(super) fn new(hosts: Vec<String>) -> Self {
        let hosts = hosts.into_iter().map(|host| (host, Host::default()));
        Self {
            hosts: hosts.collect(),
            next: 0,
            held: 0,
        }
    }

    /// How long to wait for the next message before everything is released.
    pub(super) fn patience(&self) -> Duration {
        if self.held > 0 {
            PATIENCE
        } else {
            Duration::from_secs(3600)
        }
    }

    /// Takes an event of a host.
    pub(super) fn hold(&mut self, host: &str, event: Event) {
        let host = match self.hosts.get_mut(host) {
            Some(known) => known,
            None => self.hosts.entry(host.to_owned()).or_default(),
        };
        host.events.push(event);
        self.held += 1;
    }

    /// A host has no more events.
    pub(super) fn finish(&mut self, host: &str) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.done = true;
        }
    }

    /// The events whose turn it is.
    pub(super) fn release(&mut self) -> Vec<Event> {
        let mut events = vec![];
        while let Some((_, host)) = self.hosts.get_index_mut(self.next) {
            events.append(&mut host.events);
            if !host.done {
                break;
            }
            self.next += 1;
        }
        self.held -= events.len();
        events
    }

    /// All events, in the order of the hosts.
    pub(super) fn release_all(&mut self) -> Vec<Event> {
        self.held = 0;
        let hosts = self.hosts.values_mut();
        hosts
            .flat_map(|host| std::mem::take(&mut host.events))
            .collect()
    }
}
