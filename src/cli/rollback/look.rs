//! What is at the paths of a run now, and whether that is what the run left.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{FileKind, Inode};

use super::history::Changed;
use super::steps::{FIND, STAT};
use crate::report::View;
use crate::report::event::{Event, Status};

/// What was found, by host and name of the task.
type Found = HashMap<(String, String), (Status, Map)>;

/// Collects what the tasks that look tell.
#[derive(Default)]
pub(super) struct Looker {
    names: HashMap<usize, String>,
    found: Arc<Mutex<Found>>,
}

/// What there is now.
#[derive(Default)]
pub(super) struct Present(Found);

impl Looker {
    /// What it has found, once the run is over.
    pub(super) fn found(&self) -> Arc<Mutex<Found>> {
        Arc::clone(&self.found)
    }
}

impl View for Looker {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TaskStarted { task } => {
                self.names.insert(task.id, task.name.clone());
            }
            Event::TaskDone {
                task,
                host,
                status,
                result,
                ..
            } if *status != Status::Skipped => {
                let name = self.names.get(task).cloned().unwrap_or_default();
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert((host.clone(), name), (*status, result.clone()));
            }
            _ => {}
        }
    }
}

impl Present {
    pub(super) fn of(found: &Mutex<Found>) -> Self {
        Self(found.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn told(&self, one: &Changed, name: &str) -> Result<&Map, String> {
        let key = (one.host.clone(), format!("{name}{}", one.path));
        match self.0.get(&key) {
            Some((Status::Ok | Status::Changed, result)) => Ok(result),
            Some((_, result)) => Err(result.get("msg").map_or_else(String::new, Data::text)),
            None => Err("the host was not reached".to_owned()),
        }
    }

    /// What is at a path.
    fn inode(&self, one: &Changed) -> Result<Option<Inode>, String> {
        let result = self.told(one, STAT)?;
        let Some(Data::Map(stat)) = result.get("stat") else {
            return Err("it cannot be looked at".to_owned());
        };
        let is = |name: &str| stat.get(name).and_then(Data::as_bool) == Some(true);
        if !is("exists") {
            return Ok(None);
        }
        let text = |name: &str| stat.get(name).map_or_else(String::new, Data::text);
        let (kind, is) = match () {
            () if is("isreg") => (FileKind::File, text("checksum")),
            () if is("islnk") => (FileKind::Link, text("lnk_target")),
            () if is("isdir") => (FileKind::Directory, String::new()),
            () => (FileKind::Fifo, String::new()),
        };
        Ok(Some(Inode {
            kind,
            mode: u32::from_str_radix(&text("mode"), 8).unwrap_or_default(),
            uid: text("uid").parse().unwrap_or_default(),
            gid: text("gid").parse().unwrap_or_default(),
            is,
        }))
    }

    /// Whether a path is already what it was before the run.
    pub(super) fn is_undone(&self, one: &Changed) -> bool {
        self.inode(one)
            .is_ok_and(|now| differs(now.as_ref(), one.before.as_ref()).is_none())
    }

    /// In what a path is not what the run left; `goes` are the paths that are to go.
    pub(super) fn drift(&self, one: &Changed, goes: &BTreeSet<(&str, &str)>) -> Option<String> {
        let now = match self.inode(one) {
            Ok(now) => now,
            Err(why) => return Some(format!("it cannot be looked at: {why}")),
        };
        if let Some(text) = differs(now.as_ref(), one.after.as_ref()) {
            return Some(text);
        }
        if !one.leaves_folder() {
            return None;
        }
        let inside = match self.told(one, FIND) {
            Ok(result) => result,
            Err(why) => return Some(format!("it cannot be looked into: {why}")),
        };
        let Some(Data::List(files)) = inside.get("files") else {
            return None;
        };
        let paths = files.iter().filter_map(|file| file.as_map()?.get("path"));
        let other = paths
            .map(Data::text)
            .find(|path| !goes.contains(&(one.on.as_str(), path)))?;
        Some(format!(
            "the run made it, and it has what the run did not make: {other}"
        ))
    }

    /// The paths that are not what they were when `self` looked.
    pub(super) fn moved<'a>(&self, later: &Self, paths: &[&'a Changed]) -> Vec<&'a Changed> {
        let same = |one: &&&Changed| self.inode(one) == later.inode(one);
        paths.iter().filter(|one| !same(one)).copied().collect()
    }
}

/// In what two states differ. A content that did not change is not known.
fn differs(now: Option<&Inode>, then: Option<&Inode>) -> Option<String> {
    let (now, then) = match (now, then) {
        (None, None) => return None,
        (None, Some(_)) => return Some("it is gone".to_owned()),
        (Some(_), None) => return Some("it is there again".to_owned()),
        (Some(now), Some(then)) => (now, then),
    };
    if now.kind != then.kind {
        return Some(format!(
            "it is a {}, not a {}",
            word(now.kind),
            word(then.kind)
        ));
    }
    if !then.is.is_empty() && now.is != then.is {
        return Some(match now.kind {
            FileKind::Link => format!("it points to {}, not to {}", now.is, then.is),
            _ => "its content is another one".to_owned(),
        });
    }
    if now.kind != FileKind::Link && now.mode != then.mode {
        return Some(format!(
            "its mode is {:04o}, not {:04o}",
            now.mode, then.mode
        ));
    }
    let owner = |inode: &Inode| format!("{}:{}", inode.uid, inode.gid);
    (owner(now) != owner(then)).then(|| format!("its owner is {}, not {}", owner(now), owner(then)))
}

fn word(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "folder",
        FileKind::Link => "link",
        _ => "special file",
    }
}
