//! The contract between a run and its views: closed, serialisable events, in the order in which
//! things were decided. Secrets are masked on the way to a view, see `mask`.

mod kept;

use serde::{Deserialize, Serialize};

use rplay_modules::data::Map;
use rplay_modules::outcome::Diff;

pub use kept::{KeptFile, KeptFiles, KeptWay, Lacks};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// The settings that views need.
        options: RunOptions,
    },
    /// A playbook begins.
    PlaybookStarted {
        /// The file as it was given.
        path: String,
    },
    /// A play begins, once for each batch of `serial`.
    PlayStarted {
        /// Its number in the run, from 0.
        play: usize,
        /// Its name; the host pattern where it has none.
        name: String,
        /// The hosts of the batch.
        hosts: Vec<String>,
        /// Check mode set by the play's own keyword.
        check: bool,
        /// `path:line` of the play.
        #[serde(default)]
        path: String,
    },
    /// A play's pattern matches no host (`skipping: no hosts matched`).
    NoHostsMatched,
    /// Every host of the play has failed (`NO MORE HOSTS LEFT`).
    NoHostsRemaining,
    /// A task begins on the hosts of the batch.
    TaskStarted {
        /// The task.
        task: TaskInfo,
    },
    /// A task begins on one host.
    HostStarted {
        /// The task's number.
        task: usize,
        /// The host.
        host: String,
    },
    /// One item of a loop is done.
    ItemDone {
        /// The task's number.
        task: usize,
        /// The host.
        host: String,
        /// The host that it was delegated to, if any.
        delegated_to: Option<String>,
        /// What came of it.
        status: Status,
        /// What the item is called: its label, or itself.
        label: rplay_modules::data::Data,
        /// The result, as it would be registered.
        result: Map,
        /// Its differences.
        diff: Vec<Diff>,
        /// Check mode does not know what it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown: Option<Unknown>,
    },
    /// An attempt of `until` failed and another one follows.
    Retrying {
        /// The task's number.
        task: usize,
        /// The host.
        host: String,
        /// How many attempts are left.
        left: u32,
        /// The result, as it would be registered.
        result: Map,
    },
    /// A look at a task in the background, or its end.
    Background {
        /// The task's number.
        task: usize,
        /// The host.
        host: String,
        /// The task's number on its host.
        job: String,
        /// How far it is.
        state: JobState,
    },
    /// The task is done on a host.
    TaskDone {
        /// The task's number.
        task: usize,
        /// The host.
        host: String,
        /// The host that it was delegated to, if any.
        delegated_to: Option<String>,
        /// What came of it.
        status: Status,
        /// Whether a failure is ignored (`ignore_errors`, `ignore_unreachable`).
        ignored: bool,
        /// Whether it ran a loop; its items were told one by one.
        looped: bool,
        /// The result, as it would be registered.
        result: Map,
        /// Its differences (empty for a loop).
        diff: Vec<Diff>,
        /// Check mode does not know what it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unknown: Option<Unknown>,
    },
    /// `include_tasks` or `include_role` read a file.
    Included {
        /// The file or role.
        name: String,
        /// The hosts that will run it.
        hosts: Vec<String>,
        /// The loop item it belongs to, if any.
        label: Option<rplay_modules::data::Data>,
    },
    /// A task notified a handler.
    Notified {
        /// The host.
        host: String,
        /// The handler's name.
        handler: String,
    },
    /// A line of the run itself: warnings, deprecations, verbose remarks.
    Message {
        /// Its kind.
        kind: MessageKind,
        /// The text.
        text: String,
    },
    /// `set_stats`.
    CustomStats {
        /// The values, per host or under `_run`.
        stats: Map,
    },
    /// A host was reached for the first time: only plans and records have it.
    Reached {
        /// The host.
        host: String,
        /// A digest of what the machine calls itself.
        machine: String,
    },
    /// What files were before a task changed them, where that is kept: only records have it.
    Kept {
        /// The task's number.
        task: usize,
        /// The host.
        host: String,
        /// What was kept.
        files: Box<KeptFiles>,
    },
    /// What a run that goes on with a former one takes from its record: only records have it.
    Again {
        /// What happened then.
        what: Box<Event>,
    },
    /// A playbook is over; after the last one the run is.
    RunEnded {
        /// The counts, in the order of host names.
        recap: Vec<(String, Counts)>,
        /// The exit code.
        exit_code: i32,
    },
}

impl Event {
    /// Whether it is for records only, and no view gets it.
    pub(crate) fn is_for_records(&self) -> bool {
        matches!(
            self,
            Self::Again { .. } | Self::Kept { .. } | Self::Reached { .. }
        )
    }

    /// Gives an event of one host another task's number.
    pub(crate) fn renumber(&mut self, number: usize) {
        match self {
            Self::HostStarted { task, .. }
            | Self::ItemDone { task, .. }
            | Self::Retrying { task, .. }
            | Self::Background { task, .. }
            | Self::Kept { task, .. }
            | Self::TaskDone { task, .. } => *task = number,
            _ => {}
        }
    }
}

/// The task that check mode does not run and would have to, for a result to be known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unknown {
    /// Its name, or its action where it has none.
    pub task: String,
    /// `path:line` of it.
    pub path: String,
}

/// Settings of the run that decide how a view looks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// `--check`.
    pub check: bool,
    /// `--diff`.
    pub diff: bool,
    /// The number of `-v`.
    pub verbosity: u8,
    /// The version of rplay.
    pub version: String,
    /// What was asked for on the command line, a line each (`forks: 5`), for `-vvvv`.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// A task as views name it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Its number in the run; the same task file entry gets a new one each time it runs.
    pub id: usize,
    /// What the banner shows: `role : name`, the action's name where it has none.
    pub name: String,
    /// The action's name as it was written.
    pub action: String,
    /// `path:line` of the task.
    pub path: String,
    /// The role that it belongs to.
    #[serde(default)]
    pub role: Option<String>,
    /// It is a handler.
    pub handler: bool,
    /// It runs in check mode (`[CHECK MODE]` markers).
    pub check: bool,
    /// Its arguments as they were written; none where `no_log` hides them.
    pub args: Option<Map>,
}

/// What came of a task or an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Done, nothing changed.
    Ok,
    /// Done, something changed.
    Changed,
    /// Not run.
    Skipped,
    /// Failed.
    Failed,
    /// The host could not be reached.
    Unreachable,
}

/// How far a task in the background is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It runs.
    Running {
        /// Whether it has begun.
        started: bool,
        /// Whether it is done.
        finished: bool,
    },
    /// It is done.
    Ok,
    /// It failed, or took too long.
    Failed,
}

/// What failed results have under `exception`: there are no tracebacks, but readers ask for the key.
pub const NO_TRACEBACK: &str = "(traceback unavailable)";

/// Kinds of [`Event::Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// `[WARNING]: ...` on standard error.
    Warning,
    /// `[DEPRECATION WARNING]: ...` on standard error.
    Deprecation,
    /// `[ERROR]: ...` on standard error.
    Error,
    /// Why a task failed, with its place: `[ERROR]: ...` where failed results go.
    TaskError,
    /// Shown from this number of `-v` on.
    Verbose(u8),
    /// Plain text on standard output.
    Display,
    /// A question on standard output; the answer follows on the same line.
    Question,
    /// A heading on standard output.
    Heading,
}

/// The recap of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Tasks done, changed ones included.
    pub ok: u32,
    /// Tasks that changed something.
    pub changed: u32,
    /// Times that the host was unreachable.
    pub unreachable: u32,
    /// Tasks that failed.
    pub failed: u32,
    /// Tasks skipped.
    pub skipped: u32,
    /// Failures caught by `rescue`.
    pub rescued: u32,
    /// Failures ignored.
    pub ignored: u32,
}
