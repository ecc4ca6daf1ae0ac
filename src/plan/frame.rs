//! What a task inherits: a chain of frames from the task's block up to its play.

use std::path::PathBuf;
use std::sync::Arc;

use super::Pass;
use super::role::Role;
use crate::diag::Span;
use crate::load::ast::Keywords;
use crate::load::keyword::Keyword;
use crate::load::node::Node;
use crate::vars::{HostScope, Level, VarMap};

/// One level that tasks inherit from.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The next level up; none for a play.
    pub parent: Option<Arc<Frame>>,
    /// What it is.
    pub kind: FrameKind,
    /// The keywords written there.
    pub keywords: Keywords,
    /// Its `vars`.
    pub vars: Arc<VarMap>,
    /// Parameters of a role, or variables of an include.
    pub params: Arc<VarMap>,
    /// The role that everything below belongs to.
    pub role: Option<Arc<Role>>,
    /// The folder of the file that the tasks below stand in.
    pub dir: PathBuf,
    /// The task that includes or imports what is below.
    pub from: Option<Span>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The play.
    Play,
    /// A role.
    Role,
    /// A block.
    Block,
    /// `import_tasks` or `import_role`.
    Import,
    /// `include_tasks` or `include_role`: only its `apply` keywords are inherited.
    Include,
}

impl Frame {
    /// The frames from this one up to the play.
    pub fn chain(&self) -> impl Iterator<Item = &Frame> {
        std::iter::successors(Some(self), |frame| frame.parent.as_deref())
    }

    /// Where tasks below it are included or imported, the nearest place first.
    pub fn origins(&self) -> impl Iterator<Item = &Span> {
        self.chain().filter_map(|frame| frame.from.as_ref())
    }

    /// The nearest value of a keyword.
    #[must_use]
    pub fn keyword(&self, keyword: Keyword) -> Option<&Node> {
        self.chain().find_map(|frame| frame.keywords.get(&keyword))
    }

    /// All values of a keyword, from the play down: for keywords that add up.
    #[must_use]
    pub fn keywords(&self, keyword: Keyword) -> Vec<&Node> {
        let mut nodes: Vec<&Node> = self
            .chain()
            .filter_map(|frame| frame.keywords.get(&keyword))
            .collect();
        nodes.reverse();
        nodes
    }

    /// Inherited tags.
    pub(super) fn tags(&self, pass: &mut Pass<'_>) -> Vec<String> {
        let mut tags = vec![];
        for frame in self.chain() {
            tags.extend(pass.tags_of(&frame.keywords));
        }
        tags
    }

    /// The role whose tasks include or import this one. Its parameters count again from here on,
    /// more than the variables of all includes so far.
    fn includer(&self) -> Option<&Frame> {
        let task = self.parent.as_deref()?;
        let included = matches!(task.kind, FrameKind::Include | FrameKind::Import);
        let mut around = task.chain().filter(|_| included);
        around.find(|frame| frame.kind == FrameKind::Role)
    }

    /// Adds the variables of the frames and their roles to a scope, each at its level.
    pub fn push_vars(&self, scope: &mut HostScope) {
        let chain: Vec<&Frame> = self.chain().collect();
        for frame in chain.into_iter().rev() {
            if frame.kind == FrameKind::Role
                && let Some(role) = &frame.role
            {
                scope.push(Level::RoleDefaults, &role.defaults);
                scope.push(Level::RoleVars, &role.vars);
                if let Some(around) = frame.includer() {
                    scope.push(Level::IncludeParams, &around.params);
                }
            }
            let own = match frame.kind {
                FrameKind::Role => Level::RoleCall,
                _ => Level::BlockVars,
            };
            scope.push(own, &frame.vars);
            let level = if frame.kind == FrameKind::Include {
                Level::IncludeParams
            } else {
                Level::RoleParams
            };
            scope.push(level, &frame.params);
        }
    }
}
