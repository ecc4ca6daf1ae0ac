//! The only place with concurrency: one dispatcher orders what happens, one worker per host does it.
//!
//! The dispatcher owns all state and emits every event; workers get a snapshot and send messages.

pub(crate) mod context;
mod cursor;
mod failure;
mod include;
mod ordered;
mod outcome;
mod play;
mod preflight;
mod prologue;
pub(crate) mod prompt;
pub(crate) mod shared;
mod spec;
mod target;
mod worker;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use self::shared::{InventoryVars, Memory, RunShared, World};
use self::target::Links;
use crate::config::Config;
use crate::diag::{Checked, Diagnostic};
use crate::inventory::Inventory;
use crate::load::ast::{Keywords, Play, PlaybookEntry};
use crate::load::keyword::Keyword;
use crate::plan::{Files, Plan, Planner, early_scope, play_vars};
use crate::report::event::{Counts, Event, MessageKind};
use crate::template::Templar;
use crate::template::value::Value;
use crate::vars::{HostVars, VarMap};

pub use self::shared::Options;

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
}

/// A playbook with its plays planned.
#[derive(Debug)]
pub struct PlannedPlaybook {
    /// The file as it was given.
    pub path: PathBuf,
    /// Its plays.
    pub plays: Vec<PlannedPlay>,
}

/// A planned play with the folder of the playbook that it stands in.
#[derive(Debug)]
pub struct PlannedPlay {
    /// The plan.
    pub plan: Plan,
    /// The play's variables.
    pub vars: Arc<VarMap>,
    /// The folder of its playbook.
    pub dir: PathBuf,
}

/// Where events go.
pub type Sink<'a> = dyn FnMut(Event) + 'a;

/// One run: any number of playbooks, one after the other.
pub struct Run<'a> {
    shared: Arc<RunShared>,
    world: World,
    sink: &'a mut Sink<'a>,
    links: HashMap<String, Links>,
    recap: BTreeMap<String, Counts>,
    /// Nothing is told while the run only looks ahead.
    muted: bool,
    /// Hosts that could not begin.
    doomed: HashSet<String>,
    next_task: usize,
    next_play: usize,
    failed: HashSet<String>,
    unreachable: HashSet<String>,
    stats: IndexMap<String, IndexMap<String, rplay_modules::data::Data>>,
}

/// Reads playbooks and plans their plays, `import_playbook` included. Nothing is run.
pub fn plan_playbook(
    path: &Path,
    planner: &Planner,
    extra: &Arc<VarMap>,
    magic: &Arc<VarMap>,
) -> Checked<PlannedPlaybook> {
    let mut problems = vec![];
    let mut plays = vec![];
    plan_file(path, planner, extra, magic, &mut plays, &mut problems, 0);
    Checked {
        value: PlannedPlaybook {
            path: path.to_path_buf(),
            plays,
        },
        problems,
    }
}

fn plan_file(
    path: &Path,
    planner: &Planner,
    extra: &Arc<VarMap>,
    magic: &Arc<VarMap>,
    plays: &mut Vec<PlannedPlay>,
    problems: &mut Vec<Diagnostic>,
    depth: usize,
) {
    // Places are told with absolute paths, as Ansible tells them.
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let source = match planner.files.read(path) {
        Ok(source) => source,
        Err(problem) => return problems.push(problem),
    };
    let playbook = crate::load::play::playbook(&source).collect(problems);
    let dir = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    for entry in &playbook.entries {
        match entry {
            PlaybookEntry::Play(play) => {
                plays.push(plan_play(play, &dir, planner, extra, magic, problems))
            }
            PlaybookEntry::Import { file, keywords } => {
                refuse(
                    keywords,
                    &[Keyword::When, Keyword::Vars, Keyword::Tags],
                    problems,
                );
                let raw = crate::plan::to_value(file, &planner.files, problems);
                let scope = early_scope(extra, &Arc::default(), magic, &dir);
                match planner.templar.expand(&raw, &scope) {
                    Ok(_) if depth > 50 => {
                        problems.push(
                            Diagnostic::error("import-cycle", "a playbook imports itself")
                                .at(&file.span),
                        );
                    }
                    Ok(name) => plan_file(
                        &dir.join(name.to_string()),
                        planner,
                        extra,
                        magic,
                        plays,
                        problems,
                        depth + 1,
                    ),
                    Err(error) => problems.push(*error.diagnostic),
                }
            }
        }
    }
}

/// Names keywords that are known but have no effect yet: better no run than a different one.
fn refuse(keywords: &Keywords, unsupported: &[Keyword], problems: &mut Vec<Diagnostic>) {
    for (keyword, node) in keywords
        .iter()
        .filter(|(keyword, _)| unsupported.contains(keyword))
    {
        let message = format!("`{}` is not supported here yet", keyword.name());
        problems.push(Diagnostic::error("unsupported-keyword", message).at(&node.span));
    }
}

fn plan_play(
    play: &Arc<Play>,
    dir: &Path,
    planner: &Planner,
    extra: &Arc<VarMap>,
    magic: &Arc<VarMap>,
    problems: &mut Vec<Diagnostic>,
) -> PlannedPlay {
    refuse(&play.keywords, &[Keyword::VarsPrompt], problems);
    let vars = Arc::new(play_vars(play, &planner.files, problems));
    let mut own = (**magic).clone();
    own.insert(
        "playbook_dir".to_owned(),
        Value::str(dir.display().to_string()),
    );
    let scope = early_scope(extra, &vars, &Arc::new(own), dir);
    let plan = planner.play(play, dir, &scope).collect(problems);
    PlannedPlay {
        plan,
        vars,
        dir: dir.to_path_buf(),
    }
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
            playbook_dir.clone(),
        );
        let world = World {
            vars: Arc::new(vars),
            memory: Arc::default(),
            extra: Arc::new(inputs.extra),
            magic: Arc::new(inputs.magic),
            playbook_dir: playbook_dir.clone(),
        };
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
            recap: BTreeMap::new(),
            muted: false,
            doomed: HashSet::new(),
            next_task: 0,
            next_play: 0,
            failed: HashSet::new(),
            unreachable: HashSet::new(),
            stats: IndexMap::new(),
        }
    }

    /// Looks ahead; hosts that cannot get through fail before anything is done on them.
    pub fn check(&mut self, playbooks: &[PlannedPlaybook]) {
        for (host, problem) in self.preflight(playbooks) {
            self.message(MessageKind::Error, play::problem_text(&problem));
            self.count(&host, |counts| counts.failed += 1);
            self.failed.insert(host.clone());
            self.doomed.insert(host);
        }
    }

    /// Runs a playbook. Returns false when the run must stop (no host is left).
    pub async fn playbook(&mut self, playbook: &PlannedPlaybook) -> bool {
        self.emit(Event::PlaybookStarted {
            path: playbook.path.display().to_string(),
        });
        for play in &playbook.plays {
            if !self.play(play).await {
                return false;
            }
        }
        true
    }

    /// Ends the run: closes connections, tells the recap, returns the exit code.
    pub async fn end(mut self) -> i32 {
        for links in std::mem::take(&mut self.links).into_values() {
            links.close().await;
        }
        let exit_code = match () {
            () if !self.unreachable.is_empty() => 4,
            () if !self.failed.is_empty() => 2,
            () => 0,
        };
        if !self.stats.is_empty() {
            let stats = self
                .stats
                .drain(..)
                .map(|(name, values)| (name, rplay_modules::data::Data::Map(values)));
            let stats = stats.collect();
            self.emit(Event::CustomStats { stats });
        }
        let recap = std::mem::take(&mut self.recap).into_iter().collect();
        self.emit(Event::RunEnded { recap, exit_code });
        exit_code
    }

    fn emit(&mut self, event: Event) {
        if !self.muted {
            (self.sink)(event);
        }
    }

    fn message(&mut self, kind: MessageKind, text: impl Into<String>) {
        self.emit(Event::Message {
            kind,
            text: text.into(),
        });
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
    fn play_magic(&self, play: &PlannedPlay, hosts: &[String], batch: &[String]) -> VarMap {
        let list = |names: &[String]| {
            Value::list(names.iter().map(|name| Value::str(name.as_str())).collect())
        };
        let active: Vec<String> = batch
            .iter()
            .filter(|host| !self.is_out(host))
            .cloned()
            .collect();
        let hostvars = HostVars {
            hosts: Arc::new(self.world.clone()),
            templar: Arc::clone(&self.shared.templar),
        };
        VarMap::from([
            ("groups".to_owned(), self.world.vars.groups.clone()),
            ("hostvars".to_owned(), Value::object(hostvars)),
            ("play_hosts".to_owned(), list(&active)),
            ("ansible_play_hosts".to_owned(), list(&active)),
            ("ansible_play_batch".to_owned(), list(batch)),
            ("ansible_play_hosts_all".to_owned(), list(hosts)),
            (
                "playbook_dir".to_owned(),
                Value::str(play.dir.display().to_string()),
            ),
            (
                "ansible_check_mode".to_owned(),
                Value::Bool(self.shared.options.check),
            ),
            (
                "ansible_diff_mode".to_owned(),
                Value::Bool(self.shared.options.diff),
            ),
            ("omit".to_owned(), Value::omit()),
        ])
    }

    fn is_out(&self, host: &str) -> bool {
        self.failed.contains(host) || self.unreachable.contains(host)
    }
}
