//! Records of runs: one folder a run, with what is known of it (`run.json`) and its events, a line
//! each. Only the owner reads them, and what gets here has been masked.
//!
//! Events are appended as they come, without waiting for the disk: a program that is killed loses at
//! most what it was about to write, and a machine that goes down what its system had not written yet. A
//! last line that is torn is left out when the record is read.

mod writer;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Counts, Event};
use crate::config::Config;
use crate::load::inputs::digest;

pub(crate) use writer::Writer;

/// What the field `format` says.
const FORMAT: &str = "rplay-run";

/// The version of the form that is written and read.
const VERSION: u32 = 1;

/// The files of a record; no other file is ever removed.
const HEAD: &str = "run.json";
const EVENTS: &str = "events.ndjson";
const FILES: &[&str] = &[HEAD, HEAD_PART, EVENTS];

/// The head while it is being written, which a run that is killed may leave.
const HEAD_PART: &str = ".run.json.part";

/// The folder of what files were before the run changed them, each under the SHA-256 of its content.
const IMAGES: &str = "images";

/// What is known of a run beside its events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The kind of document.
    pub(crate) format: String,
    /// The version of its form.
    pub(crate) version: u32,
    /// The name of the record.
    pub(crate) id: String,
    /// The version of rplay that ran.
    pub(crate) engine: String,
    /// The program that understands the arguments: `playbook` or `plan`.
    pub(crate) program: String,
    /// The arguments, without secrets.
    pub(crate) arguments: Vec<String>,
    /// The arguments are what was given: none of them held a secret.
    pub(crate) whole: bool,
    /// The folder that it was started in.
    pub(crate) folder: PathBuf,
    /// The playbooks as they were given.
    pub(crate) playbooks: Vec<String>,
    /// The variables of the environment that are settings, with the SHA-256 of their values.
    pub(crate) environment: BTreeMap<String, String>,
    /// The ids of the vault passwords that were given.
    pub(crate) vault_ids: Vec<String>,
    /// It ran in check mode.
    pub(crate) check: bool,
    /// It kept what files were before tasks changed them.
    #[serde(default)]
    pub(crate) images: bool,
    /// The run that it undid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<String>,
    /// The run that it went on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resumes: Option<String>,
    /// When it began, in UTC.
    pub(crate) started: String,
    /// When it ended; none while it runs, and for one that was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<String>,
    /// Why the record lacks what came last, where it could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<String>,
    /// What the run came to; none where it was stopped before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    /// The counts of each host.
    #[serde(default)]
    pub(crate) recap: BTreeMap<String, Counts>,
}

/// How far a recorded run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It has not ended.
    Running,
    /// It came to its end, and nothing failed.
    Ok,
    /// It came to its end, and something failed.
    Failed,
    /// An error or the user ended it.
    Stopped,
    /// It was killed, or its machine went down.
    Killed,
}

impl State {
    /// As `rplay runs` shows it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
        }
    }
}

/// A recorded run.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// What is known of it.
    pub(crate) head: Head,
    /// Its events, and whether an event lost something by being masked.
    pub(crate) events: Vec<(Event, bool)>,
    /// The files that it read, with their SHA-256.
    pub(crate) inputs: BTreeMap<String, String>,
}

/// What a record has of a content.
pub(crate) enum Image {
    /// All of it, in this file.
    Whole(PathBuf),
    /// Nothing: a secret was in it.
    Gone,
    /// Something else.
    Damaged,
}

/// Where records are, and how many.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    keep: usize,
    most_bytes: u64,
}

impl Place {
    /// The place that the settings name, wherever recording is on or off.
    ///
    /// # Errors
    /// There is no home to put them into.
    pub(crate) fn of(config: &Config) -> io::Result<Self> {
        let state = || crate::files::state_folder().map(|state| state.join("runs"));
        let folder = config.path("records_path").or_else(state);
        let folder = folder.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "neither `XDG_STATE_HOME` nor `HOME` names a folder",
            )
        })?;
        let count = |name: &str| config.int(name).and_then(|count| u64::try_from(count).ok());
        let keep = count("records_keep").and_then(|count| usize::try_from(count).ok());
        Ok(Self {
            folder,
            keep: keep.unwrap_or(100).max(1),
            most_bytes: count("records_size").unwrap_or(256) << 20,
        })
    }

    /// The folder of the records.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of the records, the oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name());
        let names = names.filter_map(|name| name.into_string().ok());
        let mut ids: Vec<String> = names.filter(|name| is_id(name)).collect();
        ids.sort_unstable();
        ids
    }

    /// The records that a word means: the name, its beginning, or `last`.
    pub(crate) fn meant(&self, word: &str) -> Vec<String> {
        let mut ids = self.ids();
        match word {
            "last" => ids.pop().into_iter().collect(),
            _ => {
                ids.retain(|id| id.starts_with(word));
                ids
            }
        }
    }

    /// What is known of a run, and how far it came.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn head(&self, id: &str) -> Result<(Head, State), String> {
        let folder = self.folder.join(id);
        let text = std::fs::read_to_string(folder.join(HEAD)).map_err(|fault| fault.to_string())?;
        let head: Value = serde_json::from_str(&text).map_err(|fault| fault.to_string())?;
        if head["format"] != FORMAT {
            return Err(format!("its `format` is not `{FORMAT}`"));
        }
        if head["version"] != VERSION {
            let found = &head["version"];
            return Err(format!(
                "it has version {found} of the form of records; this rplay reads version {VERSION}"
            ));
        }
        let head: Head = serde_json::from_value(head).map_err(|fault| fault.to_string())?;
        let state = match (head.exit_code, &head.ended) {
            (Some(0), Some(_)) => State::Ok,
            (Some(_), Some(_)) => State::Failed,
            (None, Some(_)) => State::Stopped,
            _ if is_locked(&folder.join(EVENTS)) => State::Running,
            _ => State::Killed,
        };
        Ok((head, state))
    }

    /// A whole record. A last line that is torn is left out.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(crate) fn read(&self, id: &str) -> Result<Recorded, String> {
        let (head, _) = self.head(id)?;
        let path = self.folder.join(id).join(EVENTS);
        let bytes = std::fs::read(path).map_err(|fault| fault.to_string())?;
        let mut recorded = Recorded {
            head,
            events: vec![],
            inputs: BTreeMap::new(),
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        for (number, line) in text.lines().enumerate() {
            recorded
                .line(line)
                .map_err(|fault| format!("line {}: {fault}", number + 1))?;
        }
        Ok(recorded)
    }

    /// The space that a record takes.
    pub(crate) fn size(&self, id: &str) -> u64 {
        let folder = self.folder.join(id);
        let files = FILES.iter().map(|name| folder.join(name));
        let files = files.chain(images(&folder));
        files
            .flat_map(|file| file.metadata())
            .map(|data| data.len())
            .sum()
    }

    /// Makes the folder of a new record.
    fn create(&self) -> io::Result<(String, PathBuf)> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700).recursive(true).create(&self.folder)?;
        builder.recursive(false);
        let mut time = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        loop {
            let id = time.strftime("%Y%m%d-%H%M%S-%3f").to_string();
            let folder = self.folder.join(&id);
            match builder.create(&folder) {
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
                    time = &time + jiff::Span::new().milliseconds(1);
                }
                done => return done.map(|()| (id, folder)),
            }
        }
    }

    /// Removes the oldest records where there are too many, but for those that are being written.
    fn rotate(&self) {
        let ids = self.ids();
        let mut bytes = 0;
        for (count, id) in ids.iter().rev().enumerate() {
            bytes += self.size(id);
            let folder = self.folder.join(id);
            if count < self.keep && (count == 0 || bytes <= self.most_bytes)
                || is_locked(&folder.join(EVENTS))
            {
                continue;
            }
            // Another run may be at it as well.
            for name in FILES {
                let _ = std::fs::remove_file(folder.join(name));
            }
            for image in images(&folder) {
                let _ = std::fs::remove_file(image);
            }
            let _ = std::fs::remove_dir(folder.join(IMAGES));
            let _ = std::fs::remove_dir(folder);
        }
    }

    /// Where the record of a run has what a file was.
    pub(crate) fn image(&self, id: &str, name: &str) -> Image {
        let path = self.folder.join(id).join(IMAGES).join(name);
        match std::fs::read(&path) {
            _ if !is_image(name) => Image::Gone,
            Ok(content) if digest(&content) == name => Image::Whole(path),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Image::Gone,
            _ => Image::Damaged,
        }
    }
}

/// The files with what others were before the run.
fn images(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder.join(IMAGES)).into_iter().flatten();
    let own = |entry: &std::fs::DirEntry| entry.file_name().to_str().is_some_and(is_image);
    entries.flatten().filter(own).map(|entry| entry.path())
}

/// Whether a name is a SHA-256.
fn is_image(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Recorded {
    /// Adds a line of the record.
    fn line(&mut self, line: &str) -> Result<(), String> {
        let fields = serde_json::from_str(line);
        let mut fields: serde_json::Map<String, Value> =
            fields.map_err(|fault| fault.to_string())?;
        fields.shift_remove("at");
        if let (Some(Value::String(path)), Some(Value::String(digest))) =
            (fields.get("input"), fields.get("sha256"))
        {
            self.inputs.insert(path.clone(), digest.clone());
            return Ok(());
        }
        let masked = fields.shift_remove("masked").is_some();
        let event = super::record::event(fields).map_err(|fault| fault.to_string())?;
        self.events.push((event, masked));
        Ok(())
    }
}

/// Whether a name is one that [`Place::create`] gives.
fn is_id(name: &str) -> bool {
    let form = "00000000-000000-000";
    name.len() == form.len()
        && form
            .chars()
            .zip(name.chars())
            .all(|(form, letter)| match form {
                '0' => letter.is_ascii_digit(),
                form => letter == form,
            })
}

/// Whether a run writes into the file.
fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Opens a new file that only the owner reads, for appending.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    options.open(path)
}

/// Writes the head in one step.
fn write_head(folder: &Path, head: &Head) -> io::Result<()> {
    let part = folder.join(HEAD_PART);
    let text = serde_json::to_string_pretty(head)? + "\n";
    let written = append(&part)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&part, folder.join(HEAD)));
    if written.is_err() {
        // The error that is reported is the first one.
        let _ = std::fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path) -> Place {
        Place {
            folder: folder.join("runs"),
            keep: 2,
            most_bytes: 1 << 20,
        }
    }

    fn record(place: &Place, events: &str) -> String {
        let (id, folder) = place.create().unwrap();
        let head = Head {
            format: FORMAT.to_owned(),
            version: VERSION,
            id: id.clone(),
            ..Head::default()
        };
        write_head(&folder, &head).unwrap();
        std::fs::write(folder.join(EVENTS), events).unwrap();
        id
    }

    #[test]
    fn a_torn_line_is_left_out_and_a_damaged_one_is_told() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        let whole =
            "{\"event\":\"no_hosts_matched\",\"at\":1}\n{\"input\":\"a\",\"sha256\":\"b\"}\n";
        let id = record(&place, &format!("{whole}{{\"event\":\"no_ho"));
        let read = place.read(&id).unwrap();
        assert_eq!(read.events, [(Event::NoHostsMatched, false)]);
        assert_eq!(read.inputs.len(), 1);
        let id = record(&place, &format!("{{\"event\"\n{whole}"));
        assert!(place.read(&id).unwrap_err().starts_with("line 1: "));
        let id = record(&place, "");
        assert!(place.read(&id).unwrap().events.is_empty());
        assert_eq!(place.head(&id).unwrap().1, State::Killed);
    }

    #[test]
    fn the_oldest_records_go_but_for_those_being_written() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        let ids: Vec<String> = (0..4).map(|_| record(&place, "")).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        let first = place.folder.join(&sorted[0]);
        let file = File::open(first.join(EVENTS)).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        std::fs::write(place.folder.join("other"), "").unwrap();
        place.rotate();
        let left = [&sorted[0], &sorted[2], &sorted[3]].map(Clone::clone);
        assert_eq!(place.ids(), left);
        assert_eq!(place.meant("last"), [sorted[3].clone()]);
        assert_eq!(place.meant("2").len(), 3);
        // A record of more than all may have stays alone.
        std::fs::write(place.folder.join(&sorted[3]).join(EVENTS), vec![0; 2 << 20]).unwrap();
        drop(file);
        place.rotate();
        assert_eq!(place.ids(), [sorted[3].clone()]);
        assert!(place.folder.join("other").exists());
    }
}
