//! `vars_files` of a play: read when it begins, with what is known then, and for each host.

use std::path::Path;
use std::sync::Arc;

use super::play::Batch;
use super::{PlannedPlay, Run};
use crate::diag::{Diagnostic, Severity};
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::plan::{Files, early_scope, unlocked};
use crate::report::event::MessageKind;
use crate::template::Templar;
use crate::template::value::Value;
use crate::vars::{HostScope, Level, VarMap};

impl PlannedPlay {
    /// What is known before any host is: the play's variables and those of its roles.
    #[must_use]
    pub fn early_scope(&self, extra: &Arc<VarMap>, magic: &Arc<VarMap>) -> HostScope {
        let mut scope = early_scope(extra, &self.vars, magic, &self.dir);
        for role in &self.plan.roles {
            scope.push(Level::RoleDefaults, &role.defaults);
            scope.push(Level::RoleVars, &role.vars);
        }
        scope
    }

    /// Reads `vars_files`, and adds those that can be read before any host is known.
    pub(crate) fn add_files(
        &self,
        scope: &mut HostScope,
        templar: &Templar,
        files: &Files,
    ) -> Vec<FoundFile<'_>> {
        let node = self.plan.play.keywords.get(&Keyword::VarsFiles);
        let entries = node.map(entries).unwrap_or_default();
        let read = |entry| {
            let found = read(templar, files, &self.dir, entry, scope);
            if let Ok(VarsFile::Read(vars, _)) = &found {
                scope.push(Level::PlayFiles, vars);
            }
            (entry, found)
        };
        entries.iter().map(read).collect()
    }
}

impl Run<'_> {
    /// Tells what came of `vars_files`: each a file, or a list of which the first that exists
    /// counts. Names with variables of a host are left for its tasks.
    pub(super) fn vars_files(&mut self, found: Vec<FoundFile<'_>>) -> Option<Vec<PlayFile>> {
        let mut files = vec![];
        for (entry, found) in found {
            match found {
                Ok(VarsFile::Read(vars, warnings)) => {
                    self.shared.templar.note_warnings(warnings);
                    files.push(PlayFile::Read(vars));
                }
                Ok(VarsFile::Missing(tried)) => self.message(MessageKind::Warning, missing(&tried)),
                Ok(VarsFile::Undefined) => {
                    let text = "skipping vars_files item due to an undefined variable";
                    let problem = Diagnostic::warning("vars-files", text).at(&entry.span);
                    self.tell_problem(&problem);
                    files.push(PlayFile::Late(entry.clone()));
                }
                Err(problem) => {
                    self.abort(*problem);
                    return None;
                }
            }
        }
        Some(files)
    }

    /// Adds the variables of `vars_files` to the scope of a host.
    pub(super) fn push_play_files(&self, state: &Batch<'_>, scope: &mut HostScope) {
        for file in &state.play_files {
            match file {
                PlayFile::Read(vars) => scope.push(Level::PlayFiles, vars),
                // What cannot be read now is undefined for this host.
                PlayFile::Late(entry) => {
                    if let Ok(VarsFile::Read(vars, _)) = self.vars_file(state.play, entry, scope) {
                        scope.push(Level::PlayFiles, &vars);
                    }
                }
            }
        }
    }

    fn vars_file(
        &self,
        play: &PlannedPlay,
        entry: &Node,
        scope: &HostScope,
    ) -> Result<VarsFile, Box<Diagnostic>> {
        let shared = &self.shared;
        let mut found = read(
            &shared.templar,
            &shared.planner.files,
            &play.dir,
            entry,
            scope,
        )?;
        if let VarsFile::Read(_, warnings) = &mut found {
            shared.templar.note_warnings(std::mem::take(warnings));
        }
        Ok(found)
    }
}

/// An entry of `vars_files` for a batch.
#[derive(Clone)]
pub(super) enum PlayFile {
    /// Read for all hosts.
    Read(Arc<VarMap>),
    /// Its name needs variables of a host.
    Late(Node),
}

/// An entry of `vars_files`, and what came of it.
pub(crate) type FoundFile<'a> = (&'a Node, Result<VarsFile, Box<Diagnostic>>);

/// What came of an entry.
pub(crate) enum VarsFile {
    /// Its variables, and warnings of the file.
    Read(Arc<VarMap>, Vec<Diagnostic>),
    /// None of these is there.
    Missing(Vec<String>),
    /// Its name needs a variable that is not known.
    Undefined,
}

/// The entries: `vars_files` may also be one name.
fn entries(node: &Node) -> &[Node] {
    match &node.kind {
        NodeKind::Seq(items) => items,
        NodeKind::Null => &[],
        _ => std::slice::from_ref(node),
    }
}

/// Reads the first file of an entry that exists.
fn read(
    templar: &Templar,
    files: &Files,
    dir: &Path,
    entry: &Node,
    scope: &HostScope,
) -> Result<VarsFile, Box<Diagnostic>> {
    let alternatives = match &entry.kind {
        NodeKind::Seq(items) => items.as_slice(),
        _ => std::slice::from_ref(entry),
    };
    let mut tried = vec![];
    for node in alternatives {
        let name = match templar.expand(&unlocked(node, templar.secrets()), scope) {
            Ok(Value::Str(name)) => name.as_str().to_owned(),
            Ok(other) => return Err(no_name(&other, node)),
            Err(error) if error.undefined => return Ok(VarsFile::Undefined),
            Err(error) => return Err(error.diagnostic),
        };
        let places = [dir.join("vars").join(&name), dir.join(&name)];
        if let Some(path) = places.iter().find(|path| path.is_file()) {
            let checked = files.vars(path).map_err(|mut problem| {
                if problem.code == "vault" {
                    problem.code = "vars-files-vault";
                    let path = path.display();
                    problem.message =
                        format!("Invalid vars_files file '{path}': {}", problem.message);
                }
                Box::new(problem)
            })?;
            let mut problems = checked.problems.iter();
            let error = problems.find(|problem| problem.severity == Severity::Error);
            return match error {
                Some(problem) => Err(Box::new(problem.clone())),
                None => Ok(VarsFile::Read(Arc::new(checked.value), checked.problems)),
            };
        }
        tried.push(name);
    }
    Ok(VarsFile::Missing(tried))
}

/// A name that is no text.
fn no_name(value: &Value, node: &Node) -> Box<Diagnostic> {
    let kind = value.type_name();
    let text = format!("Invalid `vars_files` value of type '{kind}'.");
    let hint = "A `vars_files` value should either be a string or list of strings.";
    let problem = Diagnostic::error("vars-not-a-mapping", text);
    let found = node.as_str().and_then(|_| value.origin());
    Box::new(problem.at(found.as_ref().unwrap_or(&node.span)).hint(hint))
}

fn missing(tried: &[String]) -> String {
    match tried {
        [one] => format!("vars file {one} was not found"),
        many => format!("vars files were not found: {}", many.join(", ")),
    }
}
