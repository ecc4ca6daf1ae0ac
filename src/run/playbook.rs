//! Playbooks as they are to be run: every play planned, `import_playbook` followed. Nothing is run.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::free::Strategy;
use crate::diag::{Checked, Diagnostic, similar_file};
use crate::load::actions::UNKNOWN;
use crate::load::ast::{Keywords, Play, Playbook, PlaybookEntry};
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::plan::{Frame, FrameKind, Plan, Planner, early_scope, play_vars, to_vars, unlocked};
use crate::template::value::Value;
use crate::vars::{HostScope, VarMap};

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

/// Playbooks that import each other deeper than this are a cycle.
const MAX_DEPTH: usize = 50;

/// Reads a playbook and plans its plays.
pub fn plan_playbook(
    path: &Path,
    planner: &Planner,
    extra: &Arc<VarMap>,
    magic: &Arc<VarMap>,
) -> Checked<PlannedPlaybook> {
    let mut reader = Reader::new(planner, extra, magic);
    reader.file(path, None, &Around::default());
    reader.finish(path)
}

/// A file that is imported twice has its mistakes once. Names that stand for no module are known last of
/// all, and are told where they stand among the mistakes of their file.
fn each_once(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let place = |problem: &Diagnostic| {
        let span = &problem.labels.first()?.span;
        Some((span.source.path.clone(), span.start))
    };
    let mut told = HashSet::new();
    problems.retain(|problem| told.insert((problem.message.clone(), place(problem))));
    let (unknown, mut problems): (Vec<_>, Vec<_>) = problems
        .into_iter()
        .partition(|problem| problem.code == UNKNOWN);
    for problem in unknown {
        let here = place(&problem);
        let later = |other: &Diagnostic| match (place(other), &here) {
            (Some((file, start)), Some((own, own_start))) => file == *own && start > *own_start,
            _ => false,
        };
        let at = problems.iter().position(later).unwrap_or(problems.len());
        problems.insert(at, problem);
    }
    problems
}

/// Plans the plays of a playbook that no file holds; `dir` stands for its folder.
pub fn plan_plays(
    playbook: &Playbook,
    dir: &Path,
    planner: &Planner,
    extra: &Arc<VarMap>,
    magic: &Arc<VarMap>,
) -> Checked<PlannedPlaybook> {
    let mut reader = Reader::new(planner, extra, magic);
    reader.entries(playbook, dir, &Around::default());
    reader.finish(&playbook.source.path)
}

/// What the `import_playbook` statements around a play add to it.
#[derive(Clone, Default)]
struct Around {
    /// `when` and `tags`, those of the outer statements first.
    keywords: Keywords,
    /// `vars`, which are stronger than the play's own.
    vars: VarMap,
    depth: usize,
}

struct Reader<'a> {
    planner: &'a Planner,
    extra: &'a Arc<VarMap>,
    magic: &'a Arc<VarMap>,
    plays: Vec<PlannedPlay>,
    problems: Vec<Diagnostic>,
    /// A playbook came back to itself: no further import is followed.
    circular: bool,
}

impl<'a> Reader<'a> {
    fn new(planner: &'a Planner, extra: &'a Arc<VarMap>, magic: &'a Arc<VarMap>) -> Self {
        Self {
            planner,
            extra,
            magic,
            plays: vec![],
            problems: vec![],
            circular: false,
        }
    }

    fn finish(self, path: &Path) -> Checked<PlannedPlaybook> {
        Checked {
            value: PlannedPlaybook {
                path: path.to_path_buf(),
                plays: self.plays,
            },
            problems: each_once(self.problems),
        }
    }

    /// `from` is the place that names the file; none for the command line.
    fn file(&mut self, path: &Path, from: Option<&Node>, around: &Around) {
        // Places are told with absolute paths, as Ansible tells them.
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let source = match (self.planner.files.read(path), from) {
            (Ok(source), _) => source,
            (Err(_), Some(from)) if !path.exists() => {
                let shown = path.display();
                let message = format!(
                    "Unable to retrieve file contents. Could not find or access '{shown}' on the Ansible Controller: [Errno 2] No such file or directory: '{shown}'"
                );
                let problem = Diagnostic::error("missing-playbook", message);
                let problem = problem.at(&from.span);
                return self.problems.push(match similar_file(path) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                });
            }
            (Err(problem), _) => return self.problems.push(problem),
        };
        let playbook = crate::load::play::playbook(&source).collect(&mut self.problems);
        self.entries(&playbook, path.parent().unwrap_or(Path::new("/")), around);
    }

    fn entries(&mut self, playbook: &Playbook, dir: &Path, around: &Around) {
        for entry in &playbook.entries {
            match entry {
                PlaybookEntry::Play(play) => self.play(play, dir, around),
                PlaybookEntry::Import { file, keywords } => {
                    self.import(file, keywords, dir, around)
                }
            }
        }
    }

    fn import(&mut self, file: &Node, keywords: &Keywords, dir: &Path, around: &Around) {
        const KNOWN: &[Keyword] = &[Keyword::Name, Keyword::When, Keyword::Vars, Keyword::Tags];
        for (keyword, node) in keywords.iter().filter(|(one, _)| !KNOWN.contains(one)) {
            let message = format!("`{}` has no effect on import_playbook", keyword.name());
            let hint = "set it in the plays that are imported";
            let problem = Diagnostic::error("unsupported-keyword", message).at(&node.span);
            self.problems.push(problem.hint(hint));
        }
        if self.circular {
            return;
        }
        let mut inner = around.clone();
        inner.depth += 1;
        if inner.depth > MAX_DEPTH {
            self.circular = true;
            let problem = Diagnostic::error("import-cycle", "a playbook imports itself");
            let hint = "each of the playbooks imports the next one, and the last one the first";
            return self.problems.push(problem.at(&file.span).hint(hint));
        }
        for keyword in [Keyword::When, Keyword::Tags] {
            if let Some(node) = keywords.get(&keyword) {
                add(&mut inner.keywords, keyword, node);
            }
        }
        if let Some(node) = keywords.get(&Keyword::Vars) {
            let mut own = to_vars(node, &self.planner.files);
            own.merge(std::mem::take(&mut inner.vars));
            inner.vars = own;
        }
        let raw = unlocked(file, &self.planner.files.secrets);
        let vars = Arc::new(inner.vars.clone());
        let scope = early_scope(self.extra, &vars, self.magic, dir);
        match self.planner.templar.expand(&raw, &scope) {
            Ok(name) => {
                let name = name.to_string();
                let found = self.planner.collections.playbook(&name, dir);
                let path = found.unwrap_or_else(|| dir.join(&name));
                self.file(&path, Some(file), &inner);
            }
            Err(error) => {
                let mut problem = *error.diagnostic;
                problem.message = format!(
                    "Error processing keyword 'import_playbook': {}",
                    problem.message
                );
                self.problems.push(problem);
            }
        }
    }

    fn play(&mut self, play: &Arc<Play>, dir: &Path, around: &Around) {
        let mut vars = play_vars(play, &self.planner.files);
        vars.merge(around.vars.clone());
        let vars = Arc::new(vars);
        let mut magic = (**self.magic).clone();
        magic.insert(
            "playbook_dir".to_owned(),
            Value::str(dir.display().to_string()),
        );
        let scope = early_scope(self.extra, &vars, &Arc::new(magic), dir);
        self.check_strategy(play, &scope);
        let outer = (!around.keywords.is_empty()).then(|| {
            Arc::new(Frame {
                parent: None,
                kind: FrameKind::Import,
                keywords: around.keywords.clone(),
                vars: Arc::default(),
                params: Arc::default(),
                role: None,
                dir: dir.to_path_buf(),
                from: None,
            })
        });
        let plan = self.planner.play(play, outer, dir, &scope);
        let plan = plan.collect(&mut self.problems);
        self.plays.push(PlannedPlay {
            plan,
            vars,
            dir: dir.to_path_buf(),
        });
    }
}

impl Reader<'_> {
    /// A strategy that is nowhere is told before anything runs.
    fn check_strategy(&mut self, play: &Play, scope: &HostScope) {
        let Some(node) = play.keywords.get(&Keyword::Strategy) else {
            return;
        };
        let name = self
            .planner
            .templar
            .expand_soft(&Value::from_node(node), scope);
        if let Ok(Value::Str(name)) = name
            && let Err(problem) = Strategy::parse(name.as_str())
        {
            self.problems.push(problem.at(&node.span));
        }
    }
}

/// Adds a keyword's values behind those that are there.
fn add(keywords: &mut Keywords, keyword: Keyword, node: &Node) {
    let items = |node: &Node| match &node.kind {
        NodeKind::Seq(items) => items.clone(),
        NodeKind::Null => vec![],
        _ => vec![node.clone()],
    };
    let mut all = keywords.get(&keyword).map(items).unwrap_or_default();
    all.extend(items(node));
    let joined = Node {
        span: node.span.clone(),
        kind: NodeKind::Seq(all),
    };
    keywords.insert(keyword, joined);
}
