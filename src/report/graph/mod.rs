//! Plays, roles and tasks as a graph: a tree with a few edges across it, as DOT, Mermaid or SVG.

mod dot;
mod mermaid;
mod svg;

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A playbook.
    Playbook,
    /// A play.
    Play,
    /// A role.
    Role,
    /// A block, or another part of a play.
    Part,
    /// A task.
    Task,
    /// A handler.
    Handler,
}

impl Kind {
    /// Whether other nodes stand in it.
    fn holds(self) -> bool {
        !matches!(self, Kind::Task | Kind::Handler)
    }
}

/// Why an edge is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tie {
    /// A task notifies a handler.
    Notifies,
    /// What a task does is not known because of another one.
    Unknown,
}

impl Tie {
    fn word(self) -> &'static str {
        match self {
            Tie::Notifies => "notifies",
            Tie::Unknown => "not known without it",
        }
    }
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What it stands for.
    pub(crate) kind: Kind,
    /// What it is called.
    pub(crate) label: String,
    /// What is told beside its name: an action, a place, a condition.
    pub(crate) note: String,
    /// The number of its task in a page, and the class of what came of it.
    pub(crate) task: Option<(usize, &'static str)>,
    /// The node that it stands in.
    parent: Option<usize>,
    /// What stands in it, in order.
    children: Vec<usize>,
}

impl Node {
    /// A node without anything in it.
    pub(crate) fn new(kind: Kind, label: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            kind,
            label: label.into(),
            note: note.into(),
            task: None,
            parent: None,
            children: vec![],
        }
    }
}

/// A graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    /// The nodes that stand in no other one.
    roots: Vec<usize>,
    edges: Vec<(usize, usize, Tie)>,
}

/// The forms in which a graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// The language of Graphviz
    Dot,
    /// The language of Mermaid, which GitLab and GitHub draw in Markdown
    Mermaid,
    /// A picture
    Svg,
}

impl Graph {
    /// Adds a node, in another one or at the top; its number.
    pub(crate) fn add(&mut self, parent: Option<usize>, node: Node) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node { parent, ..node });
        match parent {
            Some(parent) => self.nodes[parent].children.push(at),
            None => self.roots.push(at),
        }
        at
    }

    /// The node of a name that is the last one in a parent, so that neighbours share it; else a new one.
    pub(crate) fn last_or_add(&mut self, parent: usize, node: Node) -> usize {
        let last = self.nodes[parent].children.last().copied();
        let same = |at: &usize| {
            let known = &self.nodes[*at];
            known.kind == node.kind && known.label == node.label
        };
        match last.filter(same) {
            Some(at) => at,
            None => self.add(Some(parent), node),
        }
    }

    /// Whether a node is that of a role, or stands in it.
    pub(crate) fn within(&self, at: usize, role: &str) -> bool {
        let is = |node: &Node| node.kind == Kind::Role && node.label == role;
        let mut place = Some(at);
        while let Some(at) = place {
            if is(&self.nodes[at]) {
                return true;
            }
            place = self.nodes[at].parent;
        }
        false
    }

    /// Adds an edge, once.
    pub(crate) fn tie(&mut self, from: usize, to: usize, tie: Tie) {
        if !self.edges.contains(&(from, to, tie)) {
            self.edges.push((from, to, tie));
        }
    }

    /// The graph as text.
    pub(crate) fn to_text(&self, form: Form) -> String {
        match form {
            Form::Dot => dot::text(self),
            Form::Mermaid => mermaid::text(self),
            Form::Svg => svg::text(self),
        }
    }
}
