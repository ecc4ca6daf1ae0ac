//! `rplay resume RUN`: goes on with a run that failed, was stopped or was killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::playbook::{self, Arguments, Loaded};
use super::programs::{Call, parse};
use super::{CommandError, Exit, finish, plan, runs, session};
use crate::diag::Diagnostic;
use crate::load::inputs::is_same;
use crate::report;
use crate::report::runs::{Place, Recorded, State};
use crate::run::{self, History};
use crate::secrets::Secrets;

/// Goes on with a recorded run: what it did is not done again, what failed is tried again.
#[derive(Debug, Parser)]
pub(super) struct Resume {
    /// The run: its name in `rplay runs`, the beginning of it, or `last`
    run: String,
    /// Go on although inputs have changed, and run tasks again whose secret results the record lacks
    #[arg(long)]
    force: bool,
}

/// The run that another one goes on with.
pub(super) struct Former {
    pub(super) recorded: Recorded,
    history: History,
    /// What is not as it was then.
    differences: Vec<String>,
    /// Those of them that are files.
    changed: BTreeSet<String>,
    force: bool,
}

/// Runs `rplay resume`.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Resume>(call) {
        Ok(wanted) => finish(resume(&wanted, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn resume(wanted: &Resume, hidden: &Secrets) -> Result<Exit, CommandError> {
    let place = runs::place(&session::settings(hidden)?)?;
    let recorded = runs::find(&place, &wanted.run)?;
    let id = recorded.head.id.clone();
    let mut reasons = runs::unfit(&place, &recorded);
    if matches!(place.head(&id), Ok((_, State::Ok))) {
        reasons.push("it came to its end, and nothing is left to do".to_owned());
    }
    if recorded.head.undoes.is_some() {
        let why = "it undid another run; `rplay rollback` does that again where it is not done";
        reasons.push(why.to_owned());
    }
    if !reasons.is_empty() {
        return Err(refused(&id, &reasons));
    }
    let history = history(&place, &recorded, MOST)?;
    let folder = recorded.head.folder.clone();
    runs::enter(&folder).map_err(|why| refused(&id, &[why]))?;
    let words = recorded.head.arguments.clone();
    let arguments = arguments(&recorded, &[])?;
    if arguments.step {
        let why = "`--step` asks before each task; run the playbook again with `--start-at-task`";
        return Err(refused(&id, &[why.to_owned()]));
    }
    let former = Former::new(recorded, history, wanted.force);
    former.judge(hidden)?;
    playbook::run(arguments, &words, Some(former), hidden)
}

/// Runs that go on with each other are no longer than this.
const MOST: usize = 100;

/// What the run did, and those before it that it went on with.
fn history(place: &Place, recorded: &Recorded, most: usize) -> Result<History, CommandError> {
    let id = &recorded.head.id;
    let before = match &recorded.head.resumes {
        None => History::default(),
        Some(before) => {
            let found = match most {
                0 => Err("too many runs go on with each other".to_owned()),
                _ => place.read(before),
            };
            let found = found.map_err(|why| {
                let text = format!("it went on with the run {before}, which cannot be read: {why}");
                refused(id, &[text])
            })?;
            history(place, &found, most - 1)?
        }
    };
    Ok(History::new(&recorded.events, before))
}

/// The arguments of the run and further ones, as its program understands them.
pub(super) fn arguments(recorded: &Recorded, more: &[String]) -> Result<Arguments, CommandError> {
    let words = [recorded.head.arguments.as_slice(), more].concat();
    if recorded.head.program == "plan" {
        let mut arguments = plan::stored(&words)?;
        arguments.options.how.check = false;
        arguments.options.how.diff = true;
        return Ok(arguments);
    }
    let call = Call {
        name: "rplay playbook",
        args: words.iter().map(Into::into).collect(),
    };
    parse::<Arguments>(&call).map_err(|exit| CommandError {
        exit,
        problems: vec![],
    })
}

impl Former {
    fn new(recorded: Recorded, history: History, force: bool) -> Self {
        let mut differences = vec![];
        let mut changed = BTreeSet::new();
        for (path, known) in &recorded.inputs {
            let told = match is_same(Path::new(path), known) {
                Ok(true) => continue,
                Ok(false) => format!("{} has changed", shown(path)),
                Err(error) => format!("{} cannot be read: {error}", shown(path)),
            };
            changed.insert(path.clone());
            differences.push(told);
        }
        let (engine, own) = (&recorded.head.engine, env!("CARGO_PKG_VERSION"));
        if engine != own {
            differences.push(format!("it was run by rplay {engine}; this is {own}"));
        }
        let now = plan::environment();
        differences.extend(plan::changed_environment(&recorded.head.environment, &now));
        Self {
            recorded,
            history,
            differences,
            changed,
            force,
        }
    }

    /// The program that understands the arguments.
    pub(super) fn program(&self) -> &str {
        &self.recorded.head.program
    }

    /// Refuses differences, or only tells them.
    fn judge(&self, hidden: &Secrets) -> Result<(), CommandError> {
        if self.differences.is_empty() {
            return Ok(());
        }
        if !self.force {
            return Err(refused(&self.recorded.head.id, &self.differences));
        }
        let text = format!("this is not as it was: {}", self.differences.join("; "));
        super::tell(&[Diagnostic::warning("resume", text)], hidden);
        Ok(())
    }

    /// What the run did, once it is known what there is to do.
    pub(super) fn history(&self, loaded: &Loaded) -> Result<History, CommandError> {
        let id = &self.recorded.head.id;
        let history = self.history.clone();
        if !self.force {
            let lost = history.lost(&loaded.playbooks);
            if !lost.is_empty() {
                return Err(CommandError::new(Exit::Error, run::lost(&lost)));
            }
        }
        let (results, hosts) = history.count();
        report::print(&format!(
            "Going on with the run {id}: {results} results on {hosts} hosts are in its record.\n"
        ));
        Ok(match self.force {
            true => history.forced(self.changed.clone()),
            false => history.reading(self.recorded.inputs.keys().map(PathBuf::from)),
        })
    }
}

/// A path from here, where it is below.
fn shown(path: &str) -> String {
    crate::files::from_here(Path::new(path))
        .display()
        .to_string()
}

fn refused(id: &str, reasons: &[String]) -> CommandError {
    let text = format!("the run {id} cannot be resumed");
    let hint = "run the playbook again, or see `rplay resume --help`";
    super::refused("resume", &text, reasons, hint)
}
