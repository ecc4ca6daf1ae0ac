//! What a recorded run changed in files, and what it did beside that and nobody can undo.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{FileKind, Inode};

use crate::report::event::{Event, KeptFile, KeptFiles, KeptWay, Lacks, Status, TaskInfo};
use crate::report::runs::Image;

/// What a run did, as far as its record tells.
#[derive(Default)]
pub(super) struct Undo {
    /// The paths that are not what they were, in the order in which they were changed first.
    pub(super) paths: Vec<Changed>,
    /// What cannot be undone, and on which hosts.
    pub(super) cannot: BTreeMap<Cannot, Vec<String>>,
    /// The playbooks that the run went through.
    pub(super) playbooks: Vec<String>,
}

/// What cannot be undone, in the order of the tasks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cannot {
    order: usize,
    task: String,
    why: String,
}

impl std::fmt::Display for Cannot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.task, self.why)
    }
}

/// A path that a run changed.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    /// The host whose task it was.
    pub(super) host: String,
    /// The host that has the path.
    pub(super) on: String,
    pub(super) way: KeptWay,
    pub(super) playbook: usize,
    /// The number of the task that changed it first, and its name.
    pub(super) task: usize,
    pub(super) name: String,
    /// `path:line` of it.
    place: String,
    pub(super) path: String,
    /// What it was before the run.
    pub(super) before: Option<Inode>,
    /// Under which name the record has its content.
    pub(super) image: Option<String>,
    lacks: Option<Lacks>,
    /// What the run left.
    pub(super) after: Option<Inode>,
    /// What is there now may be shown.
    pub(super) shows: bool,
}

impl Changed {
    /// Only the attributes of a file are others.
    pub(super) fn only_attributes(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                let files = [before, after].iter().all(|one| one.kind == FileKind::File);
                files && (before.is == after.is || before.is.is_empty())
            }
            _ => false,
        }
    }

    /// A later change of the same path.
    fn and_then(&mut self, later: Self) {
        let untouched = |inode: &Inode| inode.kind == FileKind::File && inode.is.is_empty();
        if let (Some(first), Some(second)) = (&mut self.before, &later.before)
            && untouched(first)
        {
            // Until now only its attributes had changed.
            first.is.clone_from(&second.is);
            self.image = later.image;
            self.lacks = later.lacks;
        }
        let known = self.after.take().map_or_else(String::new, |after| after.is);
        self.after = later.after.map(|after| match untouched(&after) {
            true => Inode { is: known, ..after },
            false => after,
        });
        self.shows &= later.shows;
        if later.way.r#become.is_some() {
            // Who may do more.
            self.way = later.way;
        }
    }
}

impl Undo {
    /// What the events of a run tell.
    /// `image` tells what the record has of a content.
    pub(super) fn of(events: &[(Event, bool)], image: impl Fn(&str) -> Image) -> Self {
        let mut all = Self::default();
        let mut tasks: HashMap<usize, TaskInfo> = HashMap::new();
        let mut known: HashMap<(String, String), Changed> = HashMap::new();
        let mut order = vec![];
        // Tasks on hosts of which something was kept since they told of something last.
        let mut kept: HashMap<(usize, &str), usize> = HashMap::new();
        // Hosts that are at a task.
        let mut at: BTreeSet<(usize, &str)> = BTreeSet::new();
        for (event, _) in events {
            match event {
                Event::PlaybookStarted { path } => all.playbooks.push(path.clone()),
                Event::TaskStarted { task } => {
                    tasks.insert(task.id, task.clone());
                }
                Event::HostStarted { task, host } => {
                    at.insert((*task, host));
                }
                Event::RunEnded { .. } => at.clear(),
                Event::Kept { task, host, files } => {
                    let Some(info) = tasks.get(task) else {
                        continue;
                    };
                    *kept.entry((*task, host)).or_default() += 1;
                    all.limits(info, host, files);
                    for file in &files.files {
                        let one = changed(info, all.playbooks.len(), host, files, file);
                        let key = (files.on.clone(), file.path.clone());
                        match known.get_mut(&key) {
                            Some(first) => first.and_then(one),
                            None => {
                                order.push(key.clone());
                                known.insert(key, one);
                            }
                        }
                    }
                }
                Event::ItemDone {
                    task,
                    host,
                    status,
                    result,
                    ..
                } => {
                    let is_kept = kept.remove(&(*task, host.as_str())).is_some();
                    all.done(tasks.get(task), host, (*status, is_kept), result);
                }
                Event::TaskDone {
                    task,
                    host,
                    status,
                    looped,
                    result,
                    ..
                } => {
                    at.remove(&(*task, host.as_str()));
                    let is_kept = kept.remove(&(*task, host.as_str())).is_some();
                    // The items have told.
                    let told = *looped && *status != Status::Unreachable;
                    all.done(tasks.get(task), host, (*status, is_kept || told), result);
                }
                _ => {}
            }
        }
        let changed = order.iter().filter_map(|key| known.remove(key));
        for one in changed.collect::<Vec<_>>() {
            all.add(one, &image);
        }
        for (task, host) in at {
            if let Some(info) = tasks.get(&task) {
                let why = "the run ended while it was at it, and nobody knows what it did";
                all.note((task, shown(info)), why.to_owned(), host);
            }
        }
        all
    }

    /// Takes a path, unless it is what it was, or what it was is not known.
    fn add(&mut self, one: Changed, image: &impl Fn(&str) -> Image) {
        if one.before == one.after {
            return;
        }
        let needed = !one.only_attributes();
        let held = |name: &String| match image(name) {
            Image::Whole(_) => None,
            Image::Gone => Some(words(Lacks::Secret)),
            Image::Damaged => Some("what the record has of it is damaged"),
        };
        let why = match (one.lacks, &one.before, &one.image) {
            (Some(lacks @ (Lacks::Secret | Lacks::Name)), ..) => Some(words(lacks)),
            (lacks, ..) if !needed => lacks.filter(|why| *why == Lacks::Special).map(words),
            (Some(lacks), ..) => Some(words(lacks)),
            (None, Some(before), None) if before.kind == FileKind::File => {
                Some(words(Lacks::NoSpace))
            }
            (None, _, Some(image)) => held(image),
            _ => None,
        };
        let Some(why) = why else {
            self.paths.push(one);
            return;
        };
        let why = format!("{}: {why}", one.path);
        let task = format!("TASK [{}] ({})", one.name, one.place);
        self.note((one.task, task), why, &one.host);
    }

    /// What a call did beside the files that were kept.
    fn limits(&mut self, task: &TaskInfo, host: &str, files: &KeptFiles) {
        if files.programs {
            let why = "it ran programs, and nobody knows what they changed";
            self.note((task.id, shown(task)), why.to_owned(), host);
        }
        if files.more {
            let why = "it changed more files than a record keeps of one task";
            self.note((task.id, shown(task)), why.to_owned(), host);
        }
    }

    /// What came of a task or an item of which nothing was kept.
    fn done(
        &mut self,
        task: Option<&TaskInfo>,
        host: &str,
        (status, is_kept): (Status, bool),
        result: &Map,
    ) {
        let Some(task) = task else {
            return;
        };
        let is = |key: &str| result.get(key).and_then(Data::as_bool) == Some(true);
        let why = match status {
            Status::Unreachable => "the host was lost, and nobody knows what it did",
            Status::Failed if result.contains_key("timedout") => {
                "it took too long, and nobody knows what it did"
            }
            Status::Changed | Status::Failed
                if result.contains_key("censored") && is("changed") =>
            {
                "`no_log` hides it"
            }
            Status::Changed if is_kept => return,
            Status::Changed if result.contains_key("ansible_job_id") => "it ran in the background",
            Status::Changed => {
                "what it changed is no file of the host, or only the times of one, or `diff: false` hides it"
            }
            _ => return,
        };
        self.note((task.id, shown(task)), why.to_owned(), host);
    }

    fn note(&mut self, (order, task): (usize, String), why: String, host: &str) {
        let hosts = self.cannot.entry(Cannot { order, task, why }).or_default();
        if hosts.last().is_none_or(|last| last != host) {
            hosts.push(host.to_owned());
        }
    }
}

/// Why a record does not have what a file was.
fn words(lacks: Lacks) -> &'static str {
    match lacks {
        Lacks::Secret => "what it was, or its name, has a secret in it, which records do not keep",
        Lacks::TooLarge => "it was larger than `records_image_size`, or could not be read",
        Lacks::NoSpace => {
            "the record has no room for what it was (`records_size`, or the disk was full)"
        }
        Lacks::Name => "its name is no text",
        Lacks::Special => "it was neither a file nor a folder nor a link",
    }
}

/// A task as messages name it.
fn shown(task: &TaskInfo) -> String {
    format!("TASK [{}] ({})", task.name, task.path)
}

fn changed(
    task: &TaskInfo,
    playbooks: usize,
    host: &str,
    files: &KeptFiles,
    file: &KeptFile,
) -> Changed {
    Changed {
        host: host.to_owned(),
        on: files.on.clone(),
        way: files.way.clone(),
        playbook: playbooks.saturating_sub(1),
        task: task.id,
        name: task.name.clone(),
        place: task.path.clone(),
        path: file.path.clone(),
        before: file.before.clone(),
        image: file.image.clone(),
        lacks: file.lacks,
        after: file.after.clone(),
        shows: files.shows,
    }
}
