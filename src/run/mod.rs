//! The only place with concurrency: one dispatcher orders what happens, one worker per host does it.
//!
//! The dispatcher owns all state and emits every event; workers get a snapshot and send messages.

mod again;
mod ahead;
mod cache;
mod carriers;
mod chain;
pub(crate) mod context;
mod cursor;
pub(crate) mod debugger;
mod differences;
mod explain;
mod failure;
mod free;
mod handlers;
mod include;
mod looping;
mod meta;
mod ordered;
mod outcome;
mod play;
mod play_check;
mod playbook;
mod preflight;
mod prologue;
pub(crate) mod prompt;
mod scope;
pub(crate) mod shared;
mod spec;
mod step;
mod stream;
mod target;
pub(crate) mod unpredicted;
mod vars_files;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::task::JoinSet;

pub(crate) use self::shared::groups;
use self::shared::{InventoryVars, Memory, RunShared, World};
use self::target::Links;
use crate::config::Config;
use crate::diag::{Diagnostic, Severity};
use crate::inventory::Inventory;
use crate::load::prompt::Prompt;
use crate::plan::{Files, Planner};
use crate::report::event::{Counts, Event, MessageKind, RunOptions};
use crate::template::Templar;
use crate::template::value::Value;
use crate::vars::{HostVars, RESERVED_NAME, VarMap};

pub use self::again::History;
pub(crate) use self::again::lost;
pub use self::play_check::Pattern;
pub(crate) use self::play_check::WRONG as WRONG_KEYWORD;
pub use self::playbook::{PlannedPlay, PlannedPlaybook, plan_playbook, plan_plays};
pub(crate) use self::shared::GATHERED;
pub use self::shared::{Options, SshArgs};

/// Everything that a run starts from.
pub struct Inputs {
    /// The command line.
    pub options: Options,
    /// `ansible.cfg`.
    pub config: Config,
    /// The hosts.
    pub inventory: Inventory,
    /// Reads files, opens vaults.
    pub files: Arc<Files>,
    /// Renders templates.
    pub templar: Arc<Templar>,
    /// `--extra-vars`.
    pub extra: VarMap,
    /// Names that every task sees: versions, options, paths of the configuration.
    pub magic: VarMap,
    /// What a former run did, which this one goes on with.
    pub history: History,
    /// Asks a question of `vars_prompt`, which has this default; none: nobody can be asked.
    pub ask: fn(&Prompt, Option<&str>) -> Option<String>,
    /// The salt of a question of `vars_prompt` that names none; none: by chance.
    pub salt: fn(&Prompt) -> Option<String>,
}

/// Where events go.
pub type Sink<'a> = dyn FnMut(Event) + 'a;

/// One run: any number of playbooks, one after the other.
pub struct Run<'a> {
    shared: Arc<RunShared>,
    world: World,
    sink: &'a mut Sink<'a>,
    links: HashMap<String, Links>,
    /// Tasks of a host that were begun with an earlier one, and wait for their turn.
    chains: HashMap<String, VecDeque<chain::Member>>,
    /// What runs; it ends with the run, and so do its connections.
    workers: JoinSet<()>,
    recap: BTreeMap<String, Counts>,
    /// Nothing is told while the run only looks ahead.
    muted: bool,
    /// Hosts that could not begin.
    doomed: HashSet<String>,
    next_task: usize,
    next_play: usize,
    failed: HashSet<String>,
    /// Hosts that could not read what they include, although a `rescue` caught it: they go through
    /// no further play.
    dropped: HashSet<String>,
    unreachable: HashSet<String>,
    stats: IndexMap<String, IndexMap<String, rplay_modules::data::Data>>,
    /// Facts for later runs.
    cache: Option<cache::FactCache>,
    /// What the task adds to the inventory.
    arrivals: Vec<outcome::Dynamic>,
    /// What plays added to the inventory.
    dynamic: Vec<outcome::Dynamic>,
    /// Answers to the play's `vars_prompt`.
    prompted: Arc<VarMap>,
    /// The user knows that there is no terminal to ask at.
    warned_not_interactive: bool,
    /// `--start-at-task`, until it is found.
    start_at: Option<String>,
    /// Places that were told as warnings of templates and variables.
    noted: HashSet<(String, Option<(PathBuf, u32, Option<String>)>)>,
    /// What a former run did, which this one goes on with.
    history: History,
    ask: fn(&Prompt, Option<&str>) -> Option<String>,
    /// Salts for their answers.
    salt: fn(&Prompt) -> Option<String>,
    /// Why the run cannot go on at all.
    fault: Option<Box<Diagnostic>>,
    /// Why files of variables that the run needs cannot be read.
    broken_files: Vec<Diagnostic>,
}

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub fn new(
        inputs: Inputs,
        planner: Planner,
        playbook_dir: PathBuf,
        sink: &'a mut Sink<'a>,
    ) -> Self {
        let vars = InventoryVars::new(
            inputs.inventory,
            Arc::clone(&inputs.files),
            Arc::clone(&inputs.templar),
            playbook_dir.clone(),
            shared::Rules {
                root: shared::VarsRoot::of(&inputs.config),
                merge: inputs.config.merges_dictionaries(),
                inject: inputs.config.bool("inject_facts_as_vars"),
            },
        );
        let world = World {
            vars: Arc::new(vars),
            memory: Arc::default(),
            extra: Arc::new(inputs.extra),
            magic: Arc::new(inputs.magic),
            playbook_dir: playbook_dir.clone(),
        };
        let start_at = inputs.options.start_at.clone();
        let shared = RunShared {
            options: inputs.options,
            config: inputs.config,
            templar: inputs.templar,
            planner,
            playbook_dir,
        };
        Self {
            shared: Arc::new(shared),
            world,
            sink,
            links: HashMap::new(),
            chains: HashMap::new(),
            workers: JoinSet::new(),
            recap: BTreeMap::new(),
            muted: false,
            doomed: HashSet::new(),
            next_task: 0,
            next_play: 0,
            failed: HashSet::new(),
            dropped: HashSet::new(),
            unreachable: HashSet::new(),
            stats: IndexMap::new(),
            cache: None,
            arrivals: vec![],
            dynamic: vec![],
            prompted: Arc::default(),
            warned_not_interactive: false,
            start_at,
            noted: HashSet::new(),
            history: inputs.history,
            ask: inputs.ask,
            salt: inputs.salt,
            fault: None,
            broken_files: vec![],
        }
    }

    /// Opens the cache of facts and looks ahead; hosts that cannot get through fail before anything is done on them.
    pub fn check(&mut self, playbooks: &[PlannedPlaybook]) {
        self.open_cache();
        if self.shared.options.flush_cache {
            self.flush_cache();
        }
        // Where the run starts later, tasks before that point are not run.
        if self.start_at.is_some() || !self.shared.options.look_ahead {
            return;
        }
        self.tell_notes();
        let found = self.preflight(playbooks);
        // Names are told when the run itself comes there; files are not read again.
        let mut notes = self.shared.templar.take_notes();
        notes.retain(|note| note.code != RESERVED_NAME);
        self.shared.templar.note_warnings(notes);
        for (host, problem) in found {
            self.message(MessageKind::Error, play::problem_text(&problem));
            self.count(&host, |counts| counts.failed += 1);
            self.failed.insert(host.clone());
            self.doomed.insert(host);
        }
        self.check_inputs();
    }

    /// Runs a playbook. Returns false when the run must stop (no host is left).
    ///
    /// # Errors
    /// Something that concerns no single host, such as a handler that is nowhere.
    pub async fn playbook(&mut self, playbook: &PlannedPlaybook) -> Result<bool, Box<Diagnostic>> {
        let path = playbook.path.display().to_string();
        self.emit(Event::PlaybookStarted { path: path.clone() });
        let count = playbook.plays.len();
        // A task of the command line stands in no file.
        if !path.starts_with('<') {
            self.message(MessageKind::Verbose(2), format!("{count} plays in {path}"));
        }
        for play in &playbook.plays {
            let go_on = self.play(play).await;
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            if !go_on {
                break;
            }
        }
        if let Some(name) = self.start_at.take() {
            let text = format!(
                "No matching task \"{name}\" found. Note: --start-at-task can only follow static includes."
            );
            self.message(MessageKind::Error, text);
        }
        self.write_retry_file(&playbook.path);
        Ok(self.recap() == 0)
    }

    /// Writes the hosts that a further run should try again.
    fn write_retry_file(&mut self, playbook: &Path) {
        let lost: BTreeSet<&String> = self.failed.union(&self.unreachable).collect();
        let config = &self.shared.config;
        if lost.is_empty() || !config.bool("retry_files_enabled") {
            return;
        }
        let folder = config
            .path("retry_files_save_path")
            .or_else(|| {
                std::path::absolute(playbook)
                    .ok()?
                    .parent()
                    .map(Path::to_path_buf)
            })
            .unwrap_or_default();
        let path = folder
            .join(playbook.file_name().unwrap_or_default())
            .with_extension("retry");
        let text: String = lost.iter().map(|host| format!("{host}\n")).collect();
        let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, text));
        let shown = path.display();
        match written {
            Ok(()) => self.message(
                MessageKind::Display,
                format!("\tto retry, use: --limit @{shown}\n"),
            ),
            Err(error) => {
                let text = format!("Could not create retry file '{shown}'.\n\t{error}");
                self.message(MessageKind::Warning, text);
            }
        }
    }

    /// Changes the options for what is run from now on.
    pub fn set_options(&mut self, options: Options) {
        Arc::make_mut(&mut self.shared).options = options;
    }

    /// Tells the view how to show what follows.
    pub fn show_as(&mut self, options: RunOptions) {
        self.emit(Event::RunStarted { options });
    }

    /// Hosts that failed take part again.
    pub fn forget_failures(&mut self) {
        self.failed.clear();
        self.dropped.clear();
        self.unreachable.clear();
    }

    /// Stops the run for a reason that concerns no single host; the first reason counts.
    fn abort(&mut self, problem: Diagnostic) {
        self.fault.get_or_insert(Box::new(problem));
    }

    /// Closes the connections.
    pub async fn close(&mut self) {
        let all = std::mem::take(&mut self.links);
        let mut closing: JoinSet<()> = all.into_values().map(Links::close).collect();
        while closing.join_next().await.is_some() {}
    }

    /// Ends the run: closes connections, returns the exit code.
    pub async fn end(mut self) -> i32 {
        self.close().await;
        let exit_code = self.exit_code();
        // The process ends now: to take large inventories apart piece by piece would be for nothing.
        std::mem::forget(self.world);
        exit_code
    }

    fn exit_code(&self) -> i32 {
        match () {
            () if !self.unreachable.is_empty() => 4,
            () if !self.failed.is_empty() => 2,
            () => 0,
        }
    }

    /// Tells how often each host did what so far. Returns the exit code.
    fn recap(&mut self) -> i32 {
        let exit_code = self.exit_code();
        if !self.stats.is_empty() {
            let stats = self
                .stats
                .clone()
                .into_iter()
                .map(|(name, values)| (name, rplay_modules::data::Data::Map(values)));
            let stats = stats.collect();
            self.emit(Event::CustomStats { stats });
        }
        let recap = self.recap.clone().into_iter().collect();
        self.emit(Event::RunEnded { recap, exit_code });
        exit_code
    }

    fn emit(&mut self, event: Event) {
        if !self.muted {
            self.tell_notes();
            (self.sink)(event);
        }
    }

    /// Tells what templates and variables are to be told for, each place once.
    fn tell_notes(&mut self) {
        for problem in self.shared.templar.take_notes() {
            let place = problem.labels.first().map(|label| &label.span);
            let place = place.map(|span| {
                // What stands in no file is told apart by its text.
                let text = span.source.is_described();
                let text = text.then(|| span.source.text.clone());
                (span.path().to_path_buf(), span.start, text)
            });
            if self.noted.insert((problem.message.clone(), place)) {
                let (kind, text) = (kind_of(&problem), play::problem_text(&problem));
                (self.sink)(Event::Message { kind, text });
            }
        }
    }

    fn message(&mut self, kind: MessageKind, text: impl Into<String>) {
        self.emit(Event::Message {
            kind,
            text: text.into(),
        });
    }

    /// Tells a problem that does not stop the run.
    fn tell_problem(&mut self, problem: &Diagnostic) {
        self.message(kind_of(problem), play::problem_text(problem));
    }

    fn count(&mut self, host: &str, count: impl FnOnce(&mut Counts)) {
        count(self.recap.entry(host.to_owned()).or_default());
    }

    fn remember(&mut self, host: &str, change: impl FnOnce(&mut Memory)) {
        let memory = Arc::make_mut(&mut self.world.memory)
            .entry(host.to_owned())
            .or_default();
        change(Arc::make_mut(memory));
    }

    /// Names that depend on the play: `groups`, `hostvars`, `play_hosts` ...
    fn play_magic(&self, hosts: &[String], batch: &[String]) -> VarMap {
        let list = |names: &[String]| {
            Value::list(names.iter().map(|name| Value::str(name.as_str())).collect())
        };
        let active = |names: &[String]| {
            let names = names.iter().filter(|host| !self.is_out(host));
            list(&names.cloned().collect::<Vec<_>>())
        };
        let hostvars = HostVars {
            hosts: Arc::new(self.world.clone()),
            templar: Arc::clone(&self.shared.templar),
        };
        let mut magic = (*self.world.vars.common).clone();
        magic.extend([
            ("hostvars".to_owned(), Value::object(hostvars)),
            ("play_hosts".to_owned(), active(batch)),
            ("ansible_play_hosts".to_owned(), active(hosts)),
            ("ansible_play_batch".to_owned(), active(batch)),
            ("ansible_play_hosts_all".to_owned(), list(hosts)),
            (
                "ansible_check_mode".to_owned(),
                Value::Bool(self.shared.options.check),
            ),
            (
                "ansible_diff_mode".to_owned(),
                Value::Bool(self.shared.options.diff),
            ),
        ]);
        magic
    }

    /// How many hosts go through no further play.
    fn out(&self) -> usize {
        let lost = self.failed.union(&self.dropped);
        lost.count() + self.unreachable.len()
    }

    fn is_out(&self, host: &str) -> bool {
        let sets = [&self.failed, &self.dropped, &self.unreachable];
        sets.iter().any(|set| set.contains(host))
    }
}

fn kind_of(problem: &Diagnostic) -> MessageKind {
    match problem.severity {
        Severity::Deprecation => MessageKind::Deprecation,
        Severity::Warning => MessageKind::Warning,
        Severity::Error => MessageKind::Error,
    }
}
