//! The play of one task that the command line describes.

use std::sync::Arc;

use super::ast::Playbook;
use super::node::{Node, NodeKind};
use super::{actions, kv, play, yaml};
use crate::diag::{Checked, Diagnostic, Source, Span};

/// A task as the command line gives it.
#[derive(Clone, Debug)]
pub struct AdHoc<'a> {
    /// The hosts.
    pub pattern: &'a str,
    /// The name of the play.
    pub name: &'a str,
    /// The module.
    pub module: &'a str,
    /// Its arguments: `k=v` words, a mapping in JSON or YAML, or a command.
    pub args: &'a str,
    /// Whether a line of the console gives it, which is no place that Ansible could name.
    pub console: bool,
    /// The time limit of the task in seconds; 0 for none.
    pub timeout: i64,
    /// The time limit in the background and the interval of looking, in seconds.
    pub background: Option<(i64, i64)>,
}

/// What Ansible calls a place that it cannot name.
const UNKNOWN: &str = "<unknown>";

/// Modules whose arguments are a command.
const COMMANDS: &[&str] = &[
    "command",
    "shell",
    "raw",
    "script",
    "win_command",
    "win_shell",
];

/// Whether the module does nothing without arguments.
#[must_use]
pub fn needs_args(module: &str) -> bool {
    COMMANDS.contains(&actions::short(module))
}

/// The playbook of the task.
pub fn playbook(task: &AdHoc<'_>) -> Checked<Playbook> {
    let args = match arguments(task) {
        Ok(args) => args,
        Err(problem) => {
            let source = task.source("-a", task.args);
            return Checked {
                value: play::nothing(&source),
                problems: vec![problem.at(&Span::start_of(&source))],
            };
        }
    };
    let (limit, poll) = task.background.unwrap_or((0, 15));
    // Errors show the task as Ansible does, which prints the data that it made of the options.
    let background = match task.console {
        true => String::new(),
        false => format!(", 'async_val': {limit}, 'poll': {poll}"),
    };
    let shown = format!(
        "{{'action': {}, 'args': {}, 'timeout': {}{background}}}",
        python(task.module),
        python_args(&args),
        task.timeout
    );
    let source = match task.console {
        true => Source::described(UNKNOWN, shown),
        false => Source::described(format!("<adhoc '{}' task>", task.module), shown),
    };
    let node = |kind| Node {
        span: Span::start_of(&source),
        kind,
    };
    let text = |text: &str| node(NodeKind::Str(text.to_owned()));
    let mut entries = vec![
        (text("action"), task.part("-m", task.module)),
        (text("args"), node(NodeKind::Map(args))),
    ];
    if task.timeout != 0 {
        let timeout = node(NodeKind::Int(task.timeout.into()));
        entries.push((text("timeout"), timeout));
    }
    if task.background.is_some_and(|(limit, _)| limit > 0) {
        entries.push((text("async"), node(NodeKind::Int(limit.into()))));
        entries.push((text("poll"), node(NodeKind::Int(poll.into()))));
    }
    let play = vec![
        (text("name"), text(task.name)),
        (text("hosts"), text(task.pattern)),
        (text("gather_facts"), node(NodeKind::Bool(false))),
        (
            text("tasks"),
            node(NodeKind::Seq(vec![node(NodeKind::Map(entries))])),
        ),
    ];
    play::plays(
        &source,
        node(NodeKind::Seq(vec![node(NodeKind::Map(play))])),
    )
}

impl AdHoc<'_> {
    /// What an option says.
    fn source(&self, option: &str, text: &str) -> Arc<Source> {
        match self.console {
            true => Source::described(UNKNOWN, text),
            false => Source::described(format!("<CLI option '{option}'>"), text),
        }
    }

    /// A value of an option, which is a source of its own.
    fn part(&self, option: &str, text: &str) -> Node {
        Node {
            span: Span::start_of(&self.source(option, text)),
            kind: NodeKind::Str(text.to_owned()),
        }
    }
}

fn arguments(task: &AdHoc<'_>) -> Result<Vec<(Node, Node)>, Diagnostic> {
    if let Some(entries) = mapping(task.args) {
        return Ok(entries);
    }
    let parsed = kv::parse_kv(task.args, needs_args(task.module));
    let parsed = parsed.map_err(|error| Diagnostic::error("args", error.to_string()))?;
    let options = parsed.options.into_iter();
    let mut args: Vec<(Node, Node)> = options
        .map(|(name, word)| (task.part("-a", &name), task.part("-a", &word.value)))
        .collect();
    if let Some(rest) = parsed.free_form.filter(|rest| !rest.is_empty()) {
        args.push((task.part("-a", "_raw_params"), task.part("-a", &rest)));
    }
    Ok(args)
}

/// The entries of a text that is a mapping in JSON or YAML.
fn mapping(text: &str) -> Option<Vec<(Node, Node)>> {
    let trimmed = text.trim();
    if !(trimmed.starts_with('{') && trimmed.ends_with('}')) || trimmed.starts_with("{{") {
        return None;
    }
    let parsed = yaml::single(&Source::new("<CLI option '-a'>", text));
    match parsed.value.kind {
        NodeKind::Map(ref entries) if !parsed.has_errors() => Some(entries.clone()),
        _ => None,
    }
}

fn python_args(args: &[(Node, Node)]) -> String {
    let entries = args.iter().map(|(key, value)| {
        let name = key.as_str().unwrap_or_default();
        format!("{}: {}", python(name), python_node(value))
    });
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

fn python_node(node: &Node) -> String {
    match &node.kind {
        NodeKind::Null => "None".to_owned(),
        NodeKind::Bool(true) => "True".to_owned(),
        NodeKind::Bool(false) => "False".to_owned(),
        NodeKind::Int(number) => number.to_string(),
        NodeKind::Float(number) => rplay_modules::text::float(*number),
        NodeKind::Seq(items) => {
            let items: Vec<String> = items.iter().map(python_node).collect();
            format!("[{}]", items.join(", "))
        }
        NodeKind::Map(entries) => python_args(entries),
        NodeKind::Str(text) | NodeKind::Unsafe(text) | NodeKind::Date(text) => python(text),
        NodeKind::Vault(_) => python("********"),
    }
}

fn python(text: &str) -> String {
    let mut out = String::new();
    rplay_modules::text::python_string(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(module: &str, args: &str) -> String {
        let read = playbook(&AdHoc {
            pattern: "all",
            name: "Ansible Ad-Hoc",
            module,
            args,
            console: false,
            timeout: 0,
            background: None,
        });
        assert!(!read.has_errors(), "{:?}", read.problems);
        read.value.source.text.clone()
    }

    /// Recorded from the places in the errors of `ansible`.
    #[test]
    fn arguments_are_read_as_words_as_a_mapping_or_as_a_command() {
        for (module, args, wanted) in [
            ("ping", "data=x foo=y", "{'data': 'x', 'foo': 'y'}"),
            ("debug", "{bad", "{'_raw_params': '{bad'}"),
            (
                "debug",
                "msg=\"a b\" x",
                "{'msg': 'a b', '_raw_params': 'x'}",
            ),
            ("debug", "{\"msg\": [1, true]}", "{'msg': [1, True]}"),
            (
                "shell",
                "echo {{ 1+1 }} chdir=/tmp; pwd",
                "{'chdir': '/tmp;', '_raw_params': 'echo {{ 1+1 }} pwd'}",
            ),
            ("shell", "echo c=d", "{'_raw_params': 'echo c=d'}"),
        ] {
            let text = shown(module, args);
            assert!(text.contains(&format!("'args': {wanted}, ")), "{text}");
        }
    }
}
