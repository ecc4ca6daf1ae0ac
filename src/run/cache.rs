//! Facts kept between runs: a file a host, in the format of Ansible's `jsonfile`, so that both
//! programs can share them.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use super::Run;
use super::shared::Memory;
use crate::config::{Config, Origin};
use crate::report::event::MessageKind;

/// The version of the format, which Ansible puts into the names of files.
const SCHEMA: &str = "s1_";

/// What Ansible wraps the facts in: their JSON is a text in a mapping.
const PAYLOAD: &str = "__payload__";

/// What Ansible wraps a value in that knows where it comes from.
const KIND: &str = "__ansible_type";

/// The folder of the facts.
#[derive(Debug)]
pub(super) struct FactCache {
    folder: PathBuf,
    prefix: String,
    /// How long facts count.
    limit: Option<Duration>,
}

impl FactCache {
    /// The cache of the settings; or why there is none although one was asked for.
    pub(super) fn open(config: &Config) -> Result<Option<Self>, String> {
        let kind = config.text("fact_caching").unwrap_or_default();
        match crate::action::canonical(&kind) {
            "" | "memory" => return Ok(None),
            "jsonfile" => {}
            other => return Err(format!("Unable to load the cache plugin '{other}'.")),
        }
        let Some(folder) = config.path("fact_caching_connection") else {
            return Err(
                "Required config '_uri' for 'jsonfile' cache plugin not provided.".to_owned(),
            );
        };
        fs::create_dir_all(&folder).map_err(|error| {
            let why = rplay_modules::machine::attrs::os_error_text(&error);
            format!(
                "Error in 'jsonfile' cache plugin while trying to create cache dir '{}': {why}",
                folder.display()
            )
        })?;
        let prefix = match config.origin("fact_caching_prefix") {
            Origin::Default => String::new(),
            _ => config.text("fact_caching_prefix").unwrap_or_default(),
        };
        let limit = config.int("fact_caching_timeout").unwrap_or(0);
        Ok(Some(Self {
            folder,
            prefix,
            limit: u64::try_from(limit)
                .ok()
                .filter(|limit| *limit > 0)
                .map(Duration::from_secs),
        }))
    }

    fn file(&self, host: &str) -> PathBuf {
        self.folder
            .join(format!("{}{SCHEMA}{}", self.prefix, host.replace('/', "_")))
    }

    /// The facts of a host, if they are known and not too old; or that the file is damaged.
    fn read(&self, host: &str) -> Result<Option<Map>, String> {
        let file = self.file(host);
        let Ok(state) = fs::metadata(&file) else {
            return Ok(None);
        };
        let age = state
            .modified()
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if self.limit.zip(age).is_some_and(|(limit, age)| age > limit) {
            return Ok(None);
        }
        let facts = fs::read_to_string(&file).ok().and_then(|text| parse(&text));
        facts.map(Some).ok_or_else(|| {
            // It is of no use to anybody.
            let _ = fs::remove_file(&file);
            format!(
                "The cache file {} was corrupt, or did not otherwise contain valid data. \
                 It has been removed, so you can re-run your command now.",
                file.display()
            )
        })
    }

    fn write(&self, host: &str, facts: Map) -> io::Result<()> {
        let text = Data::Map(map! { PAYLOAD => Data::Map(facts).json_text() }).json_text();
        let mut file = tempfile_in(&self.folder)?;
        file.1.write_all(text.as_bytes())?;
        fs::rename(&file.0, self.file(host))
    }
}

/// A new file beside those of the hosts.
fn tempfile_in(folder: &std::path::Path) -> io::Result<(PathBuf, fs::File)> {
    let path = folder.join(format!(".rplay-{}", std::process::id()));
    let file = fs::File::create(&path)?;
    Ok((path, file))
}

fn parse(text: &str) -> Option<Map> {
    let outer = serde_json::from_str(text)
        .ok()
        .map(|json| Data::from_json(&json))?;
    let inner = outer.get(PAYLOAD)?.as_str()?;
    let facts = serde_json::from_str(inner)
        .ok()
        .map(|json| Data::from_json(&json))?;
    match plain(facts) {
        Data::Map(facts) => Some(facts),
        _ => None,
    }
}

/// A value without what Ansible wraps it in. Facts are data: that Ansible would template a text
/// again does not count.
fn plain(data: Data) -> Data {
    match data {
        Data::List(items) => Data::List(items.into_iter().map(plain).collect()),
        Data::Map(mut map) if map.contains_key(KIND) => {
            let value = ["value", "iso8601"]
                .iter()
                .find_map(|key| map.shift_remove(*key));
            value.map_or(Data::Null, plain)
        }
        Data::Map(map) => Data::Map(
            map.into_iter()
                .map(|(key, value)| (key, plain(value)))
                .collect(),
        ),
        other => other,
    }
}

impl Run<'_> {
    /// Takes over the facts that earlier runs kept.
    pub(super) fn open_cache(&mut self) {
        match FactCache::open(&self.shared.config) {
            Ok(cache) => self.cache = cache,
            Err(text) => self.message(MessageKind::Warning, text),
        }
        for host in self.all_hosts() {
            self.recall_facts(&host);
        }
    }

    fn all_hosts(&self) -> Vec<String> {
        self.world.vars.inventory.hosts.keys().cloned().collect()
    }

    /// Takes over the facts that earlier runs kept of a host.
    pub(super) fn recall_facts(&mut self, host: &str) {
        let Some(cache) = &self.cache else { return };
        match cache.read(host) {
            Ok(Some(facts)) => {
                self.note_restricted(&facts);
                self.remember(host, |memory| memory.learn(&facts));
            }
            Ok(None) => {}
            Err(text) => self.message(MessageKind::Error, text),
        }
    }

    /// `--flush-cache`: forgets the facts of all hosts.
    pub(super) fn flush_cache(&mut self) {
        for host in self.all_hosts() {
            if let Some(cache) = &self.cache {
                // What is not there needs no removal.
                let _ = fs::remove_file(cache.file(&host));
            }
            if self.world.memory.contains_key(&host) {
                self.remember(&host, Memory::forget);
            }
        }
    }

    /// Keeps the facts of a host for later runs.
    pub(super) fn keep_facts(&mut self, host: &str) {
        let Some(cache) = &self.cache else { return };
        let memory = self.world.memory.get(host);
        let facts = memory.map(|memory| memory.facts_data()).unwrap_or_default();
        if let Err(error) = cache.write(host, facts) {
            let why = rplay_modules::machine::attrs::os_error_text(&error);
            let file = cache.file(host);
            let text = format!(
                "error in 'jsonfile' cache plugin while trying to write to '{}': {why}",
                file.display()
            );
            self.message(MessageKind::Warning, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ansible_s_files_are_read() {
        let text = r#"{"__payload__": "{\"a\": {\"value\": [1, {\"value\": \"x\", \"tags\": [], \"__ansible_type\": \"_AnsibleTaggedStr\"}], \"tags\": [], \"__ansible_type\": \"_AnsibleTaggedList\"}, \"day\": {\"value\": {\"iso8601\": \"2020-01-01\", \"__ansible_type\": \"AnsibleSerializableDate\"}, \"tags\": [], \"__ansible_type\": \"_AnsibleTaggedDate\"}}"}"#;
        let wanted = map! { "a" => vec![Data::from(1), Data::from("x")], "day" => "2020-01-01" };
        assert_eq!(parse(text), Some(wanted));
        assert_eq!(parse("{bad"), None);
    }
}
