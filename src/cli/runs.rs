//! `rplay runs` and `replay`: what was recorded of former runs, and any of them shown once more.

use clap::{Parser, ValueEnum};
use serde_json::json;

use super::plan::environment;
use super::programs::{Call, parse};
use super::session;
use super::{CommandError, Exit, finish};
use crate::config::Config;
use crate::diag::{Diagnostic, nearest};
use crate::report::runs::{Head, Place, Recorded, State, Writer};
use crate::report::{self, Kept, View};
use crate::run::{Inputs, PlannedPlaybook};
use crate::secrets::Secrets;

/// Lists the runs that were recorded, the newest first.
#[derive(Debug, Parser)]
pub(super) struct Runs {
    /// The form of the list
    #[arg(long, value_name = "FORM", default_value = "text")]
    output: Form,
}

/// The forms of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line a run.
    Text,
    /// One document.
    Json,
}

/// Shows a recorded run as it was shown, or in another way.
#[derive(Debug, Parser)]
pub(super) struct Replay {
    /// The run: its name in `rplay runs`, the beginning of it, or `last`
    run: String,
    /// The way the run is shown
    #[arg(long, value_name = "VIEW")]
    output: Option<String>,
    /// Write a report beside it, any number of them: KIND or KIND=FILE
    #[arg(long, value_name = "REPORT", long_help = report::report_help())]
    report: Vec<String>,
}

/// Runs `rplay runs`.
pub(super) fn list(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Runs>(call) {
        Ok(wanted) => finish(show(&wanted, &hidden), &hidden),
        Err(exit) => exit,
    }
}

/// Runs `rplay replay`.
pub(super) fn replay(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Replay>(call) {
        Ok(wanted) => finish(play(&wanted, &hidden), &hidden),
        Err(exit) => exit,
    }
}

/// Where records are.
pub(super) fn place(config: &Config) -> Result<Place, CommandError> {
    Place::of(config).map_err(|fault| {
        let problem = Diagnostic::error("records", "there is no folder of records");
        CommandError::new(Exit::Error, problem.cause(fault.to_string()))
    })
}

/// The largest content of a file that a run keeps before it changes it; none: it keeps nothing.
pub(super) fn kept(config: &Config) -> Option<u64> {
    let wanted = config.bool("records") && config.bool("records_images");
    let size = config.int("records_image_size");
    let size = size.and_then(|size| u64::try_from(size).ok());
    wanted.then(|| size.unwrap_or(1024) << 10)
}

/// The run that a word means.
pub(super) fn find(place: &Place, word: &str) -> Result<Recorded, CommandError> {
    let refused = |problem| CommandError::new(Exit::Error, problem);
    let meant = place.meant(word);
    let [id] = meant.as_slice() else {
        let folder = place.folder().display();
        let known = place.ids();
        let text = match (known.is_empty(), meant.len()) {
            (true, _) => format!("no run is recorded in '{folder}'"),
            (_, 0) => format!("there is no run '{word}' in '{folder}'"),
            (_, count) => format!("'{word}' may be any of {count} runs"),
        };
        let problem = Diagnostic::error("unknown-run", text);
        return Err(refused(
            match nearest(word, known.iter().map(String::as_str)) {
                Some(near) if meant.is_empty() => problem.hint(format!("did you mean `{near}`?")),
                _ => problem.hint("`rplay runs` lists them"),
            },
        ));
    };
    place.read(id).map_err(|why| {
        let text = format!("the record of the run {id} cannot be read");
        refused(Diagnostic::error("record", text).cause(why))
    })
}

/// Why nothing can be made of a run but to look at it.
pub(super) fn unfit(place: &Place, recorded: &Recorded) -> Vec<String> {
    let mut reasons = vec![];
    match place.head(&recorded.head.id) {
        Ok((_, State::Running)) => reasons.push("it is still running".to_owned()),
        Ok(_) => {}
        Err(why) => reasons.push(why),
    }
    if recorded.head.check {
        reasons.push("it was a run in check mode, which did nothing".to_owned());
    }
    if !recorded.head.whole {
        let why = "an argument held a secret, which its record does not have; give such a one in a file (`-e @FILE`)";
        reasons.push(why.to_owned());
    }
    reasons
}

/// Goes to the folder of a run, where its arguments mean what they meant.
///
/// # Errors
/// Why it cannot be entered.
pub(super) fn enter(folder: &std::path::Path) -> Result<(), String> {
    std::env::set_current_dir(folder).map_err(|fault| {
        let folder = folder.display();
        format!("its folder '{folder}' cannot be entered: {fault}")
    })
}

/// How a run was called.
pub(super) struct Called<'a> {
    /// The program that understands the arguments: `playbook` or `plan`.
    pub(super) program: &'a str,
    /// The arguments.
    pub(super) words: &'a [String],
    /// The playbooks.
    pub(super) playbooks: &'a [String],
    /// The run that it goes on with.
    pub(super) resumes: Option<&'a Recorded>,
    /// The run that it undoes.
    pub(super) undoes: Option<&'a str>,
}

/// The playbooks as they were given.
pub(super) fn paths(playbooks: &[PlannedPlaybook]) -> Vec<String> {
    let paths = playbooks.iter().map(|playbook| &playbook.path);
    paths.map(|path| path.display().to_string()).collect()
}

/// Begins the record of a run that was called with these words. Where it cannot be written, that is
/// told, and the run goes on without it.
pub(super) fn begin(called: &Called<'_>, inputs: &Inputs) -> Option<Writer> {
    if !inputs.config.bool("records") {
        return None;
    }
    let secrets = &inputs.files.secrets;
    if let Some(file) = &inputs.config.file
        && let Ok(bytes) = std::fs::read(file)
    {
        secrets.files_read.add(file, &bytes);
    }
    let head = Head {
        program: called.program.to_owned(),
        folder: std::env::current_dir().unwrap_or_default(),
        playbooks: called.playbooks.to_vec(),
        environment: environment(),
        vault_ids: secrets.ids().map(str::to_owned).collect(),
        check: inputs.options.check,
        images: inputs.options.keep.is_some(),
        resumes: called.resumes.map(|former| former.head.id.clone()),
        undoes: called.undoes.map(str::to_owned),
        ..Head::default()
    };
    let begun = Place::of(&inputs.config).and_then(|place| {
        let files_read = secrets.files_read.clone();
        let told = |fault: std::io::Error| {
            let folder = place.folder().display();
            std::io::Error::new(fault.kind(), format!("{folder}: {fault}"))
        };
        Writer::begin(
            &place,
            head,
            called.words.to_vec(),
            files_read,
            &secrets.hidden,
        )
        .map_err(told)
    });
    match begun {
        Ok(writer) => {
            if let Some(former) = called.resumes {
                writer.inputs(&former.inputs);
            }
            Some(writer)
        }
        Err(fault) => {
            let problem = Diagnostic::warning("records", "this run is not recorded");
            let problem = problem.cause(fault.to_string()).hint(
                "set `records_path` in `[rplay]` or RPLAY_RECORDS_PATH to another folder, or `records = no` to go without",
            );
            super::tell(&[problem], &secrets.hidden);
            None
        }
    }
}

fn show(wanted: &Runs, hidden: &Secrets) -> Result<Exit, CommandError> {
    let place = place(&session::settings(hidden)?)?;
    let mut heads: Vec<(Head, State)> = vec![];
    let mut problems = vec![];
    for id in place.ids().iter().rev() {
        match place.head(id) {
            Ok(found) => heads.push(found),
            Err(why) => {
                let text = format!("the record of the run {id} cannot be read");
                problems.push(Diagnostic::warning("record", text).cause(why));
            }
        }
    }
    super::tell(&problems, hidden);
    let text = match wanted.output {
        Form::Json => {
            let runs = heads.iter().map(|(head, state)| {
                json!({
                    "id": head.id,
                    "state": state,
                    "started": head.started,
                    "ended": head.ended,
                    "exit_code": head.exit_code,
                    "check": head.check,
                    "playbooks": head.playbooks,
                    "folder": head.folder,
                    "arguments": head.arguments,
                    "recap": head.recap,
                    "resumes": head.resumes,
                    "undoes": head.undoes,
                    "engine": head.engine,
                    "bytes": place.size(&head.id),
                })
            });
            let runs = serde_json::Value::Array(runs.collect());
            serde_json::to_string_pretty(&runs).unwrap_or_default() + "\n"
        }
        Form::Text => table(&heads),
    };
    report::print(&text);
    Ok(Exit::Ok)
}

/// The list for people.
fn table(heads: &[(Head, State)]) -> String {
    let mut rows = vec![["RUN", "STARTED", "OUTCOME", "HOSTS", "PLAYBOOK"].map(str::to_owned)];
    for (head, state) in heads {
        let started = head.started.parse::<jiff::Timestamp>().map(|time| {
            let here = time.to_zoned(jiff::tz::TimeZone::system());
            here.strftime("%Y-%m-%d %H:%M:%S").to_string()
        });
        let playbooks: Vec<String> = head
            .playbooks
            .iter()
            .map(|path| {
                let path = std::path::Path::new(path);
                crate::files::from_here(path).display().to_string()
            })
            .collect();
        let check = if head.check { ", check" } else { "" };
        rows.push([
            head.id.clone(),
            started.unwrap_or_else(|_| head.started.clone()),
            format!("{}{check}", state.word()),
            head.recap.len().to_string(),
            playbooks.join(" "),
        ]);
    }
    let widths: [usize; 5] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    });
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn play(wanted: &Replay, hidden: &Secrets) -> Result<Exit, CommandError> {
    let config = session::settings(hidden)?;
    let recorded = find(&place(&config)?, &wanted.run)?;
    let reports: Vec<Box<dyn View>> = wanted
        .report
        .iter()
        .filter(|one| !report::is_of_problems(one))
        .map(|one| report::open_report(one, &config))
        .collect::<Result<_, _>>()
        .map_err(|problem| CommandError::new(Exit::Options, problem))?;
    let (engine, own) = (&recorded.head.engine, env!("CARGO_PKG_VERSION"));
    if engine != own {
        let text = format!(
            "the run was recorded by rplay {engine}; this is {own}, which may show it otherwise"
        );
        super::tell(&[Diagnostic::warning("record", text)], hidden);
    }
    let name = wanted.output.clone();
    let name = name.or_else(|| config.text("stdout_callback"));
    let name = name.unwrap_or_else(|| "default".to_owned());
    let mut view = session::view_of(&name, None, &config, hidden, (reports, Kept::default()))?;
    for (event, _) in &recorded.events {
        view.event(event);
    }
    Ok(Exit::Ok)
}
