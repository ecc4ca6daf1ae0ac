//! Problems as data: a line each, SARIF, or GitLab's Code Quality. What a run's reading tells is collected here as well,
//! for `--report sarif` and `--report codequality`, because there is no run yet that could tell events.

mod codequality;
mod sarif;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::diag::{Diagnostic, Severity};
use crate::secrets::Secrets;

/// The forms in which problems are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// A line for each
    Text,
    /// The Static Analysis Results Interchange Format, which GitHub and editors read
    Sarif,
    /// What GitLab shows in a merge request (`artifacts:reports:codequality`)
    Codequality,
}

/// A problem, flat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Its file from here, or the whole path where it is elsewhere; none where it is in no file.
    path: Option<String>,
    /// Where it begins and ends: lines and columns, from 1.
    start: (usize, usize),
    end: (usize, usize),
    rule: &'static str,
    severity: Severity,
    message: String,
    hints: Vec<String>,
    /// The text of its line, by which it is known again when other lines come before it.
    context: String,
}

impl Finding {
    fn new(problem: &Diagnostic) -> Self {
        let place = problem.labels.first().map(|label| &label.span);
        let place = place.filter(|span| !span.source.is_described());
        let line = place.map_or((1, 1), |span| span.line_column());
        let end = place.map_or((1, 1), |span| span.source.line_column(span.end));
        // The lines of an encrypted file are not told.
        let context = place.filter(|span| !span.source.secret);
        Self {
            path: place.map(|span| crate::files::from_here(span.path()).display().to_string()),
            start: line,
            end: end.max(line),
            rule: problem.code,
            severity: problem.severity,
            message: problem.message.clone(),
            hints: problem
                .causes
                .iter()
                .chain(&problem.hints)
                .cloned()
                .collect(),
            context: context.map_or_else(String::new, |span| {
                span.source.line(line.0).trim().to_owned()
            }),
        }
    }

    /// The message with what led to it and what to try.
    fn whole(&self) -> String {
        let mut text = self.message.trim_end().to_owned();
        for hint in &self.hints {
            text.push_str(&format!("\n{hint}"));
        }
        text
    }
}

/// Problems as text, in the order of their places. `elsewhere` is the file of those that are in none.
pub(crate) fn text(problems: &[Diagnostic], form: Form, elsewhere: &str) -> String {
    let mut found: Vec<Finding> = problems.iter().map(Finding::new).collect();
    found.sort();
    found.dedup();
    match form {
        Form::Text => lines(&found),
        Form::Sarif => sarif::text(&found),
        Form::Codequality => codequality::text(&found, elsewhere),
    }
}

fn lines(found: &[Finding]) -> String {
    let mut out = String::new();
    for one in found {
        let word = match one.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Deprecation => "deprecation",
        };
        if let Some(path) = &one.path {
            out.push_str(&format!("{path}:{}:{}: ", one.start.0, one.start.1));
        }
        let message = one.message.trim_end().replace('\n', " ");
        out.push_str(&format!("{word}: {}: {message}\n", one.rule));
        for hint in &one.hints {
            out.push_str(&format!("    {}\n", hint.replace('\n', "\n    ")));
        }
    }
    out
}

/// A file that the problems of this process go to.
struct Sink {
    form: Form,
    file: PathBuf,
    elsewhere: String,
}

/// The files that were asked for, and the problems so far. There is one command a process, and its problems are told in
/// many places, from each of which they come here.
static COLLECTED: Mutex<(Vec<Sink>, Vec<Diagnostic>)> = Mutex::new((vec![], vec![]));

/// From now on problems are collected for a file.
pub(super) fn collect(form: Form, file: &Path, elsewhere: &str) {
    let mut collected = COLLECTED.lock().unwrap_or_else(PoisonError::into_inner);
    collected.0.retain(|sink| sink.file != file);
    collected.0.push(Sink {
        form,
        file: file.to_path_buf(),
        elsewhere: elsewhere.to_owned(),
    });
}

/// Keeps a problem without its secrets, where somebody asked for problems.
pub(crate) fn note(problem: &Diagnostic, hidden: &Secrets) {
    let mut collected = COLLECTED.lock().unwrap_or_else(PoisonError::into_inner);
    if collected.0.is_empty() {
        return;
    }
    let mut problem = problem.clone();
    problem.message = hidden.text(&problem.message).into_owned();
    for text in problem.causes.iter_mut().chain(&mut problem.hints) {
        *text = hidden.text(text).into_owned();
    }
    collected.1.push(problem);
}

/// Writes the files; which of them could not be written, and why.
pub(crate) fn write() -> Vec<Diagnostic> {
    let collected = COLLECTED.lock().unwrap_or_else(PoisonError::into_inner);
    let (sinks, problems) = &*collected;
    let written = sinks.iter().filter_map(|sink| {
        let text = text(problems, sink.form, &sink.elsewhere);
        let error = crate::files::write(&sink.file, text.as_bytes()).err()?;
        let text = format!("the report '{}' cannot be written", sink.file.display());
        Some(Diagnostic::warning("report", text).cause(error.to_string()))
    });
    written.collect()
}
