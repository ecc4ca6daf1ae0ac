//! Reports: a run as a file that others read. Each is made of the run's document when it is over,
//! but for the events themselves, which are written as they come.

mod github;
mod gitlab;
mod html;
mod markdown;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::View;
use super::event::Event;
use super::findings;
use super::junit::Junit;
use super::plan::{Collector, Plan};
use super::record::Lines;
use crate::config::Config;
use crate::diag::{Diagnostic, nearest};

/// A kind of report.
struct Kind {
    name: &'static str,
    /// The file where none is named.
    file: &'static str,
    /// What it is good for.
    about: &'static str,
    form: Form,
}

/// How a report comes about.
#[derive(Clone, Copy)]
enum Form {
    /// Text made of the whole run.
    Whole(fn(&Plan) -> String),
    /// The same, added to a file, and annotations on standard output.
    Github,
    /// The view `junit`.
    Junit,
    /// The events as they come.
    Events,
    /// What reading told, before there are events.
    Problems(findings::Form),
}

const KINDS: &[Kind] = &[
    Kind {
        name: "markdown",
        file: "rplay-report.md",
        about: "a comment for a merge request",
        form: Form::Whole(markdown::text),
    },
    Kind {
        name: "gitlab",
        file: "rplay-gitlab.json",
        about: "counts for GitLab's widget of plans (`artifacts:reports:terraform`)",
        form: Form::Whole(gitlab::text),
    },
    Kind {
        name: "github",
        file: "",
        about: "the step's summary ($GITHUB_STEP_SUMMARY) and annotations",
        form: Form::Github,
    },
    Kind {
        name: "junit",
        file: "rplay-junit.xml",
        about: "a test case for each task and host",
        form: Form::Junit,
    },
    Kind {
        name: "json",
        file: "rplay-report.json",
        about: "the run as one document, in the form of plans",
        form: Form::Whole(document),
    },
    Kind {
        name: "html",
        file: "rplay-report.html",
        about: "one page with everything, for a browser",
        form: Form::Whole(html::text),
    },
    Kind {
        name: "sarif",
        file: "rplay-report.sarif",
        about: "problems of reading, for GitHub's code scanning and for editors",
        form: Form::Problems(findings::Form::Sarif),
    },
    Kind {
        name: "codequality",
        file: "rplay-codequality.json",
        about: "problems of reading, for GitLab (`artifacts:reports:codequality`)",
        form: Form::Problems(findings::Form::Codequality),
    },
    Kind {
        name: "ndjson",
        file: "rplay-events.ndjson",
        about: "every event as a line of JSON",
        form: Form::Events,
    },
];

/// The kinds with what they are good for, for the help.
pub(crate) fn help() -> String {
    let kinds = KINDS.iter().map(|kind| match kind.file {
        "" => format!("{}: {}", kind.name, kind.about),
        file => format!("{}: {} ({file})", kind.name, kind.about),
    });
    kinds.collect::<Vec<_>>().join("; ")
}

/// The report that `KIND` or `KIND=FILE` asks for.
///
/// # Errors
/// There is no such kind, or its file cannot be written.
pub(crate) fn open(wanted: &str, config: &Config) -> Result<Box<dyn View>, Diagnostic> {
    let (name, file) = taken_apart(wanted);
    let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
        let problem = Diagnostic::error("report", format!("there is no report '{name}'"));
        return Err(match nearest(name, KINDS.iter().map(|kind| kind.name)) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem.hint(format!("there are {}", help())),
        });
    };
    let summary = || std::env::var_os("GITHUB_STEP_SUMMARY").filter(|_| kind.name == "github");
    let file = match file.or_else(|| summary().map(PathBuf::from)) {
        Some(file) => file,
        None if kind.file.is_empty() => {
            let text = format!("the report '{name}' needs a file: GITHUB_STEP_SUMMARY is not set");
            let hint = format!("name one: `--report {name}=FILE`");
            return Err(Diagnostic::error("report", text).hint(hint));
        }
        None => PathBuf::from(kind.file),
    };
    prepare(kind.form, &file, config).map_err(|error| unwritable(&file, &error))
}

/// The kind and the file of `KIND` or `KIND=FILE`.
fn taken_apart(wanted: &str) -> (&str, Option<PathBuf>) {
    match wanted.split_once('=') {
        Some((name, file)) => (name, Some(PathBuf::from(file))),
        None => (wanted, None),
    }
}

fn unwritable(file: &Path, error: &std::io::Error) -> Diagnostic {
    let text = format!("the report '{}' cannot be written", file.display());
    Diagnostic::error("report", text).cause(error.to_string())
}

/// The file that a report is written to, where it has one that can be written over.
fn file(wanted: &str) -> Option<PathBuf> {
    let (name, file) = taken_apart(wanted);
    let kind = KINDS.iter().find(|kind| kind.name == name)?;
    let file = file.or_else(|| Some(PathBuf::from(kind.file)).filter(|_| !kind.file.is_empty()));
    file.filter(|file| file.metadata().map_or(true, |meta| meta.is_file()))
}

/// The form and the file of a report of problems.
fn of_problems(wanted: &str) -> Option<(findings::Form, PathBuf)> {
    let (name, file) = taken_apart(wanted);
    let kind = KINDS.iter().find(|kind| kind.name == name)?;
    match kind.form {
        Form::Problems(form) => Some((form, file.unwrap_or_else(|| PathBuf::from(kind.file)))),
        _ => None,
    }
}

/// Whether a report is of problems, which it gets without a run.
pub(crate) fn is_of_problems(wanted: &str) -> bool {
    of_problems(wanted).is_some()
}

/// Collects what is told from now on for the reports of problems. What is in no file is told of the
/// first playbook.
///
/// # Errors
/// The file of one of them cannot be written, or two reports, of whatever kind, have the same file.
pub(crate) fn open_problems(wanted: &[String], playbooks: &[PathBuf]) -> Result<(), Diagnostic> {
    let mut files: Vec<(PathBuf, &str)> = vec![];
    for one in wanted {
        let Some(file) = file(one) else {
            continue;
        };
        let path = std::path::absolute(&file).unwrap_or(file);
        if let Some((_, other)) = files.iter().find(|(other, _)| *other == path) {
            let text = format!(
                "the reports '{other}' and '{one}' have the same file, '{}'",
                path.display()
            );
            return Err(Diagnostic::error("report", text)
                .hint("one would be written over the other: give each a file of its own"));
        }
        files.push((path, one));
    }
    let elsewhere = playbooks
        .first()
        .map_or_else(String::new, |path| path.display().to_string());
    for (form, file) in wanted.iter().filter_map(|one| of_problems(one)) {
        crate::files::writable(&file).map_err(|error| unwritable(&file, &error))?;
        findings::collect(form, &file, &elsewhere);
    }
    Ok(())
}

fn prepare(form: Form, file: &Path, config: &Config) -> std::io::Result<Box<dyn View>> {
    let (text, former): (fn(&Plan) -> String, _) = match form {
        Form::Events => return Ok(Box::new(Lines::into_file(file)?)),
        Form::Junit => {
            crate::files::writable(file)?;
            return Ok(Box::new(Junit::into_file(config, file)));
        }
        Form::Github => (markdown::text, Some(known(file)?)),
        Form::Whole(text) => (text, None),
        Form::Problems(_) => return Err(std::io::ErrorKind::Unsupported.into()),
    };
    crate::files::writable(file)?;
    let (collector, run) = Collector::new();
    Ok(Box::new(Report {
        file: file.to_path_buf(),
        text,
        former,
        collector,
        run,
    }))
}

/// What the file holds already.
fn known(file: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// The run as JSON.
fn document(run: &Plan) -> String {
    run.to_text().unwrap_or_default()
}

/// Writes a file when the run is over.
struct Report {
    file: PathBuf,
    text: fn(&Plan) -> String,
    /// What the file of a step's summary held before; annotations are printed, too.
    former: Option<String>,
    collector: Collector,
    run: Arc<Mutex<Plan>>,
}

impl View for Report {
    fn event(&mut self, event: &Event) {
        self.collector.event(event);
        if !matches!(event, Event::RunEnded { .. }) {
            return;
        }
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = (self.text)(&run);
        if let Some(former) = &self.former {
            super::print(&github::annotations(&run));
            text.insert_str(0, former);
        }
        if let Err(error) = crate::files::write(&self.file, text.as_bytes()) {
            let file = self.file.display();
            let text = format!("the report '{file}' cannot be written: {error}\n");
            super::problem(
                crate::diag::Severity::Warning,
                &format!("[WARNING]: {text}"),
            );
        }
    }
}

/// The place of a task taken apart: its file from here where it is below, and its line.
fn place(path: &str) -> (String, usize) {
    let (file, line) = path.rsplit_once(':').unwrap_or((path, ""));
    let file = crate::files::from_here(Path::new(file));
    (file.display().to_string(), line.parse().unwrap_or(1))
}
