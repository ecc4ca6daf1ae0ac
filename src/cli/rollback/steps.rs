//! The playbooks that a rollback is made of: one looks at what is there now, one puts back what was.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use rplay_modules::machine::{FileKind, Inode};
use serde_json::{Value, json};

use super::history::Changed;
use crate::report::event::KeptWay;

/// A task of a playbook that is made, and the hosts that it is for.
type Steps = BTreeMap<Step, Vec<String>>;

/// A task. The order of its fields is the order in which tasks are done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    playbook: Reverse<usize>,
    /// The number of the task that is undone.
    undone: Reverse<usize>,
    /// What goes away goes first, the deepest path before all; what comes begins at the top.
    place: Place,
    path: String,
    /// What has another kind goes away before it comes again.
    turn: u8,
    module: &'static str,
    /// Its arguments in JSON.
    args: String,
    name: String,
    way: KeptWay,
    delegate: Option<String>,
    shows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Goes(Reverse<usize>),
    Comes(usize),
}

/// How the name of a task begins that looks at a path.
pub(super) const STAT: &str = "look at ";
/// The same of one that lists a folder.
pub(super) const FIND: &str = "look into ";

/// The playbooks that look at the paths, by the number of the playbook that they stand for.
pub(super) fn looking(paths: &[&Changed]) -> BTreeMap<usize, String> {
    let mut steps = Steps::new();
    for one in paths {
        let stat = json!({
            "path": one.path, "follow": false, "get_mime": false, "get_attributes": false,
        });
        add(&mut steps, one, "ansible.builtin.stat", stat, STAT);
        if one.leaves_folder() {
            let find = json!({
                "paths": [one.path], "file_type": "any", "hidden": true, "recurse": false,
            });
            add(&mut steps, one, "ansible.builtin.find", find, FIND);
        }
    }
    text(steps, "look")
}

fn add(steps: &mut Steps, one: &Changed, module: &'static str, args: Value, name: &str) {
    let step = Step {
        name: format!("{name}{}", one.path),
        ..step(one, Place::Comes(0), module, args)
    };
    steps.entry(step).or_default().push(one.host.clone());
}

/// The playbooks that put back what was. `image` is where the record has a content.
pub(super) fn restoring(
    paths: &[&Changed],
    id: &str,
    image: impl Fn(&str) -> Option<String>,
) -> BTreeMap<usize, String> {
    let mut steps = Steps::new();
    for one in paths {
        for step in restore(one, &image) {
            steps.entry(step).or_default().push(one.host.clone());
        }
    }
    text(steps, &format!("roll back {id}"))
}

impl Changed {
    /// A folder that is there now has to go.
    pub(super) fn leaves_folder(&self) -> bool {
        let is_folder = |inode: &Option<Inode>| {
            inode
                .as_ref()
                .is_some_and(|inode| inode.kind == FileKind::Directory)
        };
        is_folder(&self.after) && !is_folder(&self.before)
    }
}

fn restore(one: &Changed, image: &impl Fn(&str) -> Option<String>) -> Vec<Step> {
    let path = &one.path;
    let depth = path.matches('/').count();
    let gone = || json!({"path": path, "state": "absent"});
    let Some(before) = &one.before else {
        let place = Place::Goes(Reverse(depth));
        return vec![step(one, place, "ansible.builtin.file", gone())];
    };
    let place = Place::Comes(depth);
    let mut steps = vec![];
    let after = one.after.as_ref();
    if after.is_some_and(|after| after.kind != before.kind) {
        steps.push(step(one, place, "ansible.builtin.file", gone()));
    }
    let mut args = json!({});
    if before.kind != FileKind::Link {
        args["mode"] = format!("{:05o}", before.mode).into();
    }
    let stays = |attribute: fn(&Inode) -> u32| {
        after.is_some_and(|after| attribute(after) == attribute(before))
    };
    if !stays(|inode| inode.uid) {
        args["owner"] = before.uid.to_string().into();
    }
    if !stays(|inode| inode.gid) {
        args["group"] = before.gid.to_string().into();
    }
    let source = one.image.as_ref().and_then(|name| image(name));
    let (module, more) = match (before.kind, source) {
        (FileKind::Directory, _) => (
            "ansible.builtin.file",
            json!({"path": path, "state": "directory", "follow": false}),
        ),
        (FileKind::Link, _) => (
            "ansible.builtin.file",
            json!({"path": path, "state": "link", "src": before.is, "force": true, "follow": false}),
        ),
        (_, Some(source)) if !one.only_attributes() => (
            "ansible.builtin.copy",
            json!({"dest": path, "src": source, "follow": false, "decrypt": false}),
        ),
        _ => (
            "ansible.builtin.file",
            json!({"path": path, "state": "file", "follow": false}),
        ),
    };
    if let (Value::Object(args), Value::Object(more)) = (&mut args, more) {
        args.extend(more);
    }
    let turn = u8::try_from(steps.len()).unwrap_or_default();
    steps.push(Step {
        turn,
        ..step(one, place, module, args)
    });
    steps
}

fn step(one: &Changed, place: Place, module: &'static str, args: Value) -> Step {
    Step {
        playbook: Reverse(one.playbook),
        undone: Reverse(one.task),
        place,
        path: one.path.clone(),
        turn: 0,
        module,
        args: args.to_string(),
        name: format!("{} as it was before [{}]", one.path, one.name),
        way: one.way.clone(),
        delegate: (one.on != one.host).then(|| one.on.clone()),
        shows: one.shows,
    }
}

/// A text that is no template.
fn plain(text: &str) -> String {
    format!("!unsafe {}", json!(text))
}

/// Playbooks of steps, by the number of the playbook whose place they take.
fn text(steps: Steps, name: &str) -> BTreeMap<usize, String> {
    let mut hosts: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (step, own) in &steps {
        let all = hosts.entry(step.playbook.0).or_default();
        all.extend(own.iter().cloned());
    }
    let mut texts: BTreeMap<usize, String> = BTreeMap::new();
    for (number, hosts) in &mut hosts {
        hosts.sort_unstable();
        hosts.dedup();
        let head = format!(
            "- name: {}\n  hosts: {}\n  gather_facts: false\n  tasks:\n",
            json!(name),
            json!(hosts)
        );
        texts.insert(*number, head);
    }
    for (step, own) in steps {
        let all = hosts.get(&step.playbook.0).map_or(0, Vec::len);
        let task = task(&step, (own.len() < all).then_some(&own));
        if let Some(text) = texts.get_mut(&step.playbook.0) {
            text.push_str(&task);
        }
    }
    texts
}

fn task(step: &Step, only: Option<&Vec<String>>) -> String {
    let mut lines = vec![
        format!("name: {}", plain(&step.name)),
        format!("{}: {}", step.module, arguments(&step.args)),
        format!("connection: {}", plain(&step.way.connection)),
        format!("diff: {}", step.shows),
    ];
    if let Some(only) = only {
        let condition = format!("inventory_hostname in {}", json!(only));
        lines.push(format!("when: {}", json!(condition)));
    }
    if let Some(host) = &step.delegate {
        lines.push(format!("delegate_to: {}", plain(host)));
    }
    if let Some(user) = &step.way.user {
        lines.push(format!("remote_user: {}", plain(user)));
    }
    if let Some(port) = step.way.port {
        lines.push(format!("port: {port}"));
    }
    match &step.way.r#become {
        None => lines.push("become: false".to_owned()),
        Some((method, user)) => {
            lines.push("become: true".to_owned());
            lines.push(format!("become_method: {}", plain(method)));
            lines.push(format!("become_user: {}", plain(user)));
        }
    }
    format!("    - {}\n", lines.join("\n      "))
}

/// Arguments in which no text is a template.
fn arguments(args: &str) -> String {
    let args: serde_json::Map<String, Value> = serde_json::from_str(args).unwrap_or_default();
    let value = |value: &Value| match value {
        Value::String(text) => plain(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(Value::as_str).map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    };
    let args: Vec<String> = args
        .iter()
        .map(|(name, one)| format!("{name}: {}", value(one)))
        .collect();
    format!("{{{}}}", args.join(", "))
}
