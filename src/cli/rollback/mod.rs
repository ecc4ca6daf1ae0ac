//! `rplay rollback RUN`: puts files back to what they were before a recorded run.
//!
//! It is a run itself: what was is put back by `file` and `copy`, over the connections and as the users
//! of the run that is undone. First it looks whether everything is still as that run left it.

mod history;
mod look;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use clap::Parser;

use super::playbook::{self, Arguments, Loaded};
use super::programs::{Call, parse};
use super::runs::Called;
use super::{CommandError, Exit, finish, passwords, plan, resume, runs, session};
use crate::diag::Diagnostic;
use crate::inventory::LOCALHOST;
use crate::report::plan::{Collector, Plan};
use crate::report::runs::{Image, Place, Recorded, State};
use crate::report::{self, Kept};
use crate::secrets::Secrets;
use history::{Changed, Undo};
use look::{Looker, Present};

/// Puts files back to what they were before a recorded run.
#[derive(Debug, Parser)]
pub(super) struct Rollback {
    /// The run: its name in `rplay runs`, the beginning of it, or `last`
    run: String,
    /// Only show what would be put back
    #[arg(short = 'C', long)]
    check: bool,
    /// Only on these hosts of the run
    #[arg(short, long, value_name = "HOSTS")]
    limit: Option<String>,
    /// Put back also what has changed since the run
    #[arg(long, conflicts_with = "skip_changed")]
    force: bool,
    /// Leave alone what has changed since the run
    #[arg(long)]
    skip_changed: bool,
    /// Do not ask on a terminal (where there is none, nobody is asked)
    #[arg(long)]
    auto_approve: bool,
    /// Further options of a run behind `--`, such as `-- --ask-become-pass`
    #[arg(last = true, value_name = "OPTIONS")]
    more: Vec<String>,
}

/// Runs `rplay rollback`.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Rollback>(call) {
        Ok(wanted) => finish(rollback(&wanted, &hidden), &hidden),
        Err(exit) => exit,
    }
}

/// The run that is undone, and how hosts are reached.
struct Work<'a> {
    id: String,
    recorded: &'a Recorded,
    arguments: Arguments,
    /// The playbooks of the run, in whose folders variables of hosts may be.
    playbooks: Vec<PathBuf>,
    hidden: &'a Secrets,
}

fn rollback(wanted: &Rollback, hidden: &Secrets) -> Result<Exit, CommandError> {
    passwords::keep_answers();
    let place = runs::place(&session::settings(hidden)?)?;
    let recorded = runs::find(&place, &wanted.run)?;
    let id = recorded.head.id.clone();
    refuse(&id, &unfit(&place, &recorded))?;
    refuse(
        &id,
        &Vec::from_iter(runs::enter(&recorded.head.folder).err()),
    )?;
    let mut arguments = resume::arguments(&recorded, &wanted.more)?;
    arguments.options.how.diff = true;
    if wanted.limit.is_some() {
        arguments.options.inventory.limit.clone_from(&wanted.limit);
    }
    let undo = Undo::of(&recorded.events, |image| place.image(&id, image));
    let work = Work {
        id,
        recorded: &recorded,
        arguments,
        playbooks: undo.playbooks.iter().map(PathBuf::from).collect(),
        hidden,
    };
    work.run(wanted, &place, &undo)
}

/// Why a run cannot be undone at all.
fn unfit(place: &Place, recorded: &Recorded) -> Vec<String> {
    let mut reasons = runs::unfit(place, recorded);
    if !recorded.head.check && !recorded.head.images {
        let why = "it did not keep what files were: `records_images` in `[rplay]` (RPLAY_RECORDS_IMAGES) was not on";
        reasons.push(why.to_owned());
    }
    reasons
}

/// What a record does not have, because it ends before its run did.
fn lost(place: &Place, recorded: &Recorded) -> Option<String> {
    let head = &recorded.head;
    let why = match (&head.incomplete, place.head(&head.id)) {
        (Some(fault), _) => format!("its record is incomplete ({fault})"),
        (None, Ok((_, State::Killed))) => {
            "it was killed, or its record could not be written to its end".to_owned()
        }
        _ => return None,
    };
    Some(format!(
        "what the run did after the last line of its record, if anything: {why}"
    ))
}

impl Work<'_> {
    fn run(&self, wanted: &Rollback, place: &Place, undo: &Undo) -> Result<Exit, CommandError> {
        let (paths, unknown) = self.chosen(undo)?;
        let cannot = undo
            .cannot
            .iter()
            .map(|(what, hosts)| format!("{what} [{}]", hosts.join(", ")));
        let mut left: Vec<String> = cannot.chain(unknown).collect();
        if let Some(before) = &self.recorded.head.resumes {
            left.push(format!(
                "what the run {before} did, with which this one went on: undo it afterwards with `rplay rollback {before}`"
            ));
        }
        left.extend(lost(place, self.recorded));
        let seen = self.look(&paths)?;
        let pending = paths.iter().copied().filter(|one| !seen.is_undone(one));
        let mut paths: Vec<&Changed> = pending.collect();
        let mut drift = drifted(&seen, &mut paths, wanted.skip_changed);
        if wanted.skip_changed {
            left.append(&mut drift);
        } else if !wanted.force && !drift.is_empty() {
            let all = drift
                .iter()
                .map(|one| format!("  * {one}"))
                .collect::<Vec<_>>();
            let text = format!(
                "what the run {} left has changed since:\n{}",
                self.id,
                all.join("\n")
            );
            let problem = Diagnostic::error("rollback", text);
            return Err(CommandError::new(Exit::Error, problem.hint(
                "`--skip-changed` leaves that alone, `--force` puts back what was before the run, `--limit` chooses hosts",
            )));
        }
        if paths.is_empty() {
            report::print("There is nothing to put back.\n");
            self.tell_left(&left);
            return Ok(Exit::Ok);
        }
        let image = |name: &str| match place.image(&self.id, name) {
            Image::Whole(path) => Some(path.display().to_string()),
            Image::Gone | Image::Damaged => None,
        };
        let texts = steps::restoring(&paths, &self.id, image);
        let (exit, planned) = self.execute(&texts, true)?;
        report::print(&planned.to_display());
        self.tell_left(&left);
        if exit.code() != 0 {
            let text = "nothing was done: not all of it can be put back as it is planned";
            return Err(CommandError::new(exit, Diagnostic::error("rollback", text)));
        }
        if wanted.check {
            return Ok(Exit::Ok);
        }
        let question = "Put this back? Only `yes` is taken for an answer: ";
        if !wanted.auto_approve && !plan::approved(question)? {
            let text = "Nothing was done: putting it back was not approved";
            return Err(CommandError::new(
                Exit::Error,
                Diagnostic::error("not-approved", text),
            ));
        }
        let now = self.look(&paths)?;
        let moved = seen.moved(&now, &paths).into_iter();
        let moved = moved.map(|one| format!("{} on {} has just changed", one.path, one.on));
        refuse(&self.id, &moved.collect::<Vec<_>>())?;
        let (exit, done) = self.execute(&texts, false)?;
        let deviations = plan::told_deviations(&planned, &done, self.hidden);
        if deviations == 0 && exit.code() == 0 {
            report::print("Put back as planned.\n");
        }
        Ok(exit)
    }

    /// The paths on hosts that there are, and those that cannot be put back.
    fn chosen<'u>(&self, undo: &'u Undo) -> Result<(Vec<&'u Changed>, Vec<String>), CommandError> {
        let loaded = self.load(&BTreeMap::new())?;
        let inventory = &loaded.inputs.inventory;
        let limit = loaded.inputs.options.limit.as_deref();
        let hosts: BTreeSet<String> = inventory.select("all", limit).value.into_iter().collect();
        let local = |host: &str| limit.is_none() && LOCALHOST.contains(&host);
        let known = |one: &&Changed| hosts.contains(&one.host) || local(&one.host);
        let (own, other): (Vec<_>, Vec<_>) = undo.paths.iter().partition(known);
        let other: BTreeSet<&str> = other.iter().map(|one| one.host.as_str()).collect();
        let missing = other
            .into_iter()
            .filter(|host| !inventory.hosts.contains_key(*host));
        let missing = missing.filter(|host| !LOCALHOST.contains(host));
        let text = |host| format!("what it did on {host}: the inventory has no such host");
        Ok((own, missing.map(text).collect()))
    }

    /// What there is now at the paths.
    fn look(&self, paths: &[&Changed]) -> Result<Present, CommandError> {
        let looker = Looker::default();
        let found = looker.found();
        let loaded = self.load(&steps::looking(paths))?;
        let Loaded {
            mut inputs,
            planner,
            playbooks,
        } = loaded;
        inputs.options.check = true;
        session::execute(inputs, planner, &playbooks, Box::new(looker), vec![])?;
        Ok(Present::of(&found))
    }

    /// Runs what puts back, in check mode or in earnest.
    fn execute(
        &self,
        texts: &BTreeMap<usize, String>,
        check: bool,
    ) -> Result<(Exit, Plan), CommandError> {
        let Loaded {
            mut inputs,
            planner,
            playbooks,
        } = self.load(texts)?;
        inputs.options.check = check;
        let (collector, plan) = Collector::new();
        let secrets = &inputs.files.secrets;
        let called = Called {
            program: &self.recorded.head.program,
            words: &self.recorded.head.arguments,
            playbooks: &self.recorded.head.playbooks,
            resumes: None,
            undoes: Some(&self.id),
        };
        let tags = Arc::new(plan::tags(secrets));
        let hidden = secrets.hidden.clone();
        let kept = Kept {
            record: if check {
                None
            } else {
                runs::begin(&called, &inputs)
            },
            tagged: Some((Box::new(collector), tags)),
        };
        let view = match check {
            true => report::masked(vec![], &hidden, kept),
            false => {
                let name = playbook::view_name(&self.arguments, &inputs);
                session::view(&name, None, &inputs, vec![], kept)?
            }
        };
        let told = playbook::told(&self.arguments, &inputs);
        let exit = session::execute(inputs, planner, &playbooks, view, told)?;
        let plan = plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok((exit, plan))
    }

    /// Playbooks that were made, in the places of those of the run.
    fn load(&self, texts: &BTreeMap<usize, String>) -> Result<Loaded, CommandError> {
        // What ran last is undone first.
        let texts = texts.iter().rev().map(|(number, text)| {
            let path = self.playbooks.get(*number).map(PathBuf::as_path);
            let folder = path.and_then(Path::parent).unwrap_or(Path::new("."));
            (folder, text.as_str())
        });
        let name = format!("<rollback of {}>", self.id);
        playbook::load_made(
            &self.arguments,
            &name,
            &texts.collect::<Vec<_>>(),
            self.hidden,
        )
    }

    /// Tells what stays as it is.
    fn tell_left(&self, left: &[String]) {
        if left.is_empty() {
            return;
        }
        let lines: String = left.iter().map(|one| format!("  * {one}\n")).collect();
        let text = format!("What is not undone:\n{lines}");
        report::print(&self.hidden.text(&text));
    }
}

/// What is not as the run left it; with `skip`, it is taken out of the paths. A folder that keeps
/// something stays then, and with it those that it is in.
fn drifted(seen: &Present, paths: &mut Vec<&Changed>, skip: bool) -> Vec<String> {
    let mut all = vec![];
    loop {
        let goes = goes(paths);
        let why = |one: &&Changed| seen.drift(one, &goes);
        let told = |one: &&Changed| Some(format!("{} on {}: {}", one.path, one.on, why(one)?));
        let new: Vec<String> = paths.iter().filter_map(told).collect();
        let done = new.is_empty() || !skip;
        all.extend(new);
        if done {
            return all;
        }
        let left = paths.iter().copied().filter(|one| why(one).is_none());
        let left = left.collect();
        drop(goes);
        *paths = left;
    }
}

/// The paths that are to go, with their hosts.
fn goes<'a>(paths: &[&'a Changed]) -> BTreeSet<(&'a str, &'a str)> {
    let gone = paths
        .iter()
        .filter(|one| one.before.is_none() || one.leaves_folder());
    gone.map(|one| (one.on.as_str(), one.path.as_str()))
        .collect()
}

/// Stops with all reasons, when there are any.
fn refuse(id: &str, reasons: &[String]) -> Result<(), CommandError> {
    let text = format!("the run {id} cannot be rolled back");
    super::refuse("rollback", &text, reasons, "see `rplay rollback --help`")
}
