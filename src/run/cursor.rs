//! Where a host is in its plan: blocks entered, handlers pending, what a failure leads to.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::plan::{PlanBlock, PlanItem, PlanTask, Role};

/// The position of one host.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    levels: Vec<Level>,
    /// Handlers that were notified, by their place in the play's list.
    pub(super) notified: BTreeSet<usize>,
    /// What was notified since handlers ran: a name means what it means when they run.
    pub(super) saved: Vec<String>,
    /// The host failed, and goes on to run the handlers that were notified before.
    only_flushes: bool,
    /// A failure that waits for `always` to end leads there, too.
    forced: bool,
    /// Roles of which a task ran, by their keys.
    entered: BTreeSet<Arc<str>>,
    /// Those of them that the host came to the end of.
    done_with: BTreeSet<Arc<str>>,
}

/// What comes next for a host.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Task(Arc<PlanTask>),
    FlushHandlers,
}

/// A place in the order of the play; hosts at the smallest one go first.
pub(super) type Place = Vec<(u32, usize)>;

#[derive(Clone, Debug)]
struct Level {
    items: Arc<Vec<PlanItem>>,
    index: usize,
    section: u32,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    List,
    /// What stands before an item of the level below.
    Before,
    Handlers,
    Block(Arc<PlanBlock>),
    Rescue(Arc<PlanBlock>),
    /// `failed`: a failure goes on to the outer block when this is done.
    Always {
        failed: bool,
    },
}

/// Sections within one place, in the order in which they run.
const BLOCK: u32 = 0;
const RESCUE: u32 = 1;
const ALWAYS: u32 = 2;
/// What a task includes.
const INCLUDED: u32 = 3;

impl Cursor {
    pub(super) fn new(items: &Arc<Vec<PlanItem>>) -> Self {
        let level = Level {
            items: Arc::clone(items),
            index: 0,
            section: BLOCK,
            kind: Kind::List,
        };
        Self {
            levels: vec![level],
            ..Self::default()
        }
    }

    /// What comes next, without moving past it. `None`: the play is over for this host.
    pub(super) fn peek(&mut self) -> Option<Step> {
        loop {
            let depth = self.levels.len();
            let level = self.levels.last_mut()?;
            match level.items.get(level.index) {
                Some(PlanItem::Task(_) | PlanItem::Block(_)) if self.only_flushes && depth == 1 => {
                    level.index += 1;
                }
                Some(_)
                    if matches!(level.kind, Kind::Handlers)
                        && !self.notified.contains(&level.index) =>
                {
                    self.advance();
                }
                Some(PlanItem::RoleDone(role)) => {
                    if self.entered.contains(&role.key) {
                        self.done_with.insert(Arc::clone(&role.key));
                    }
                    level.index += 1;
                }
                Some(PlanItem::Task(task)) if is_past(&self.done_with, task) => {
                    level.index += 1;
                }
                Some(PlanItem::Task(task)) => return Some(Step::Task(Arc::clone(task))),
                Some(PlanItem::FlushHandlers) => return Some(Step::FlushHandlers),
                Some(PlanItem::Block(block)) => {
                    let block = Arc::clone(block);
                    let items = Arc::clone(&block.block);
                    self.levels.push(Level {
                        items,
                        index: 0,
                        section: BLOCK,
                        kind: Kind::Block(block),
                    });
                }
                None => self.leave(),
            }
        }
    }

    /// The place of what [`Cursor::peek`] returned.
    pub(super) fn place(&self) -> Place {
        self.levels
            .iter()
            .map(|level| (level.section, level.index))
            .collect()
    }

    /// A task of a role ran.
    pub(super) fn enter(&mut self, role: &Role) {
        if !self.entered.contains(&role.key) {
            self.entered.insert(Arc::clone(&role.key));
        }
    }

    /// How many roles the host came to the end of.
    pub(super) fn roles_ended(&self) -> usize {
        self.done_with.len()
    }

    /// Moves past the task or flush point.
    pub(super) fn advance(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            if matches!(level.kind, Kind::Handlers) {
                self.notified.remove(&level.index);
            }
            level.index += 1;
        }
    }

    /// Runs these items in place of the include task.
    pub(super) fn include(&mut self, items: Arc<Vec<PlanItem>>) {
        if let Some(level) = self.levels.last_mut()
            && matches!(level.kind, Kind::Handlers)
        {
            self.notified.remove(&level.index);
        }
        self.levels.push(Level {
            items,
            index: 0,
            section: INCLUDED,
            kind: Kind::List,
        });
    }

    /// Runs these items before the current one, with which it goes on then.
    pub(super) fn begin_with(&mut self, items: Arc<Vec<PlanItem>>) {
        self.levels.push(Level {
            items,
            index: 0,
            section: INCLUDED,
            kind: Kind::Before,
        });
    }

    /// Runs the notified handlers in place of the flush point.
    pub(super) fn flush(&mut self, handlers: &Arc<Vec<PlanItem>>) {
        self.levels.push(Level {
            items: Arc::clone(handlers),
            index: 0,
            section: BLOCK,
            kind: Kind::Handlers,
        });
    }

    /// The current task failed: goes to the nearest `rescue` or `always`.
    /// Returns whether a `rescue` catches it.
    pub(super) fn fail(&mut self) -> bool {
        while let Some(level) = self.levels.last_mut() {
            match &level.kind {
                Kind::Block(block) if !block.rescue.is_empty() => {
                    let block = Arc::clone(block);
                    *level = Level {
                        items: Arc::clone(&block.rescue),
                        index: 0,
                        section: RESCUE,
                        kind: Kind::Rescue(block),
                    };
                    return true;
                }
                Kind::Block(block) | Kind::Rescue(block) if !block.always.is_empty() => {
                    let items = Arc::clone(&block.always);
                    *level = Level {
                        items,
                        index: 0,
                        section: ALWAYS,
                        kind: Kind::Always { failed: true },
                    };
                    return self.is_rescued_later();
                }
                Kind::Handlers => {
                    self.notified.remove(&level.index);
                    self.levels.pop();
                }
                _ => {
                    self.levels.pop();
                }
            }
        }
        false
    }

    /// Whether a block around the current one catches what goes on to it.
    fn is_rescued_later(&self) -> bool {
        let blocks = self.levels.iter().map(|level| &level.kind);
        let mut blocks = blocks.filter_map(|kind| match kind {
            Kind::Block(block) => Some(block),
            _ => None,
        });
        blocks.any(|block| !block.rescue.is_empty())
    }

    /// Whether the host runs handlers.
    pub(super) fn is_in_handlers(&self) -> bool {
        let mut levels = self.levels.iter();
        levels.any(|level| matches!(level.kind, Kind::Handlers))
    }

    /// The innermost part of a block around the current task from which a failure leads elsewhere than out of the
    /// play; empty where there is none.
    pub(super) fn guard(&self) -> Place {
        let is_guard = |level: &Level| match &level.kind {
            Kind::Block(block) | Kind::Rescue(block) => {
                !(block.rescue.is_empty() && block.always.is_empty())
            }
            Kind::Always { .. } => true,
            _ => false,
        };
        let mut guard = self.place();
        let count = self.levels.iter().rposition(is_guard);
        guard.truncate(count.map_or(0, |depth| depth + 1));
        // Where in that part the host is does not matter.
        if let Some(last) = guard.last_mut() {
            last.1 = 0;
        }
        guard
    }

    /// Whether the current task is in that part of a block.
    pub(super) fn is_within(&self, guard: &Place) -> bool {
        let mut place = self.place();
        place.truncate(guard.len());
        if let Some(last) = place.last_mut() {
            last.1 = 0;
        }
        place == *guard
    }

    /// Fails like [`Cursor::fail`]; where nothing catches the failure, the host waits for the point
    /// at which the others run their handlers, and runs its own. A handler that fails is the end.
    pub(super) fn fail_but_flush(&mut self) -> bool {
        let root = self.levels.first().cloned();
        let in_handlers = self.is_in_handlers();
        self.forced = true;
        let rescued = self.fail();
        if self.levels.is_empty() && !in_handlers {
            self.levels.extend(root);
            self.only_flushes = true;
        }
        rescued
    }

    /// Whether a host that failed has tasks to do yet, other than handlers.
    pub(super) fn goes_on(&self) -> bool {
        !(self.is_over() || self.only_flushes)
    }

    /// Whether the play is over for this host.
    pub(super) fn is_over(&self) -> bool {
        self.levels.is_empty()
    }

    /// Moves to the first task that fits. Returns whether there is one.
    pub(super) fn seek(&mut self, fits: impl Fn(&PlanTask) -> bool) -> bool {
        while let Some(step) = self.peek() {
            if matches!(step, Step::Task(task) if fits(&task)) {
                return true;
            }
            self.advance();
        }
        false
    }

    /// Ends the play for this host.
    pub(super) fn end(&mut self) {
        self.levels.clear();
    }

    /// Ends the role that the current task belongs to.
    pub(super) fn leave_while(&mut self, inside: impl Fn(&PlanTask) -> bool) {
        while let Some(Step::Task(task)) = self.peek() {
            if !inside(&task) {
                break;
            }
            self.advance();
        }
    }

    /// The items of the current level are done.
    fn leave(&mut self) {
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        match &level.kind {
            Kind::Block(block) | Kind::Rescue(block) if !block.always.is_empty() => {
                let items = Arc::clone(&block.always);
                *level = Level {
                    items,
                    index: 0,
                    section: ALWAYS,
                    kind: Kind::Always { failed: false },
                };
            }
            Kind::Always { failed: true } => {
                self.levels.pop();
                if self.forced {
                    self.fail_but_flush();
                } else {
                    self.fail();
                }
            }
            Kind::Before => {
                self.levels.pop();
            }
            _ => {
                self.levels.pop();
                if let Some(parent) = self.levels.last_mut() {
                    if matches!(parent.kind, Kind::Handlers) {
                        self.notified.remove(&parent.index);
                    }
                    parent.index += 1;
                }
            }
        }
    }
}

/// Whether a task belongs to a role that the host was through, and that it does not go through again.
fn is_past(done_with: &BTreeSet<Arc<str>>, task: &PlanTask) -> bool {
    let role = task.frame.role.as_ref().filter(|_| !task.handler);
    role.is_some_and(|role| !role.again && done_with.contains(&role.key))
}
