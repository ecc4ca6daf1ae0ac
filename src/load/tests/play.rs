//! Mistakes in playbooks and what is said about them; forms of tasks and what is made of them.

use super::*;
use crate::load::ast::{Item, PlaybookEntry, Task};

fn problems(text: &str) -> Vec<String> {
    playbook(&Source::new("p.yml", text))
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn task(text: &str) -> Task {
    let checked = tasks(&Source::new("t.yml", text));
    assert!(!checked.has_errors(), "{:?}", checked.problems);
    match checked.value.into_iter().next() {
        Some(Item::Task(task)) => Arc::try_unwrap(task).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn args(task: &Task) -> String {
    let args = task
        .call
        .args
        .iter()
        .map(|(name, arg)| format!("{name}={}", arg.value.as_str().unwrap_or("?")));
    let free = task
        .call
        .free_form
        .iter()
        .filter_map(|node| node.as_str())
        .map(|text| format!("<{text}>"));
    args.chain(free).collect::<Vec<_>>().join(" ")
}

#[test]
fn mistakes_have_places_and_the_words_of_ansible() {
    let table: &[(&str, &[&str])] = &[
        (
            "- hosts: all\n  foo: 1\n",
            &["p.yml:2:3: 'foo' is not a valid attribute for a Play"],
        ),
        (
            "hosts: all\n",
            &["p.yml:1:1: A playbook must be a list of plays, got a mapping instead: p.yml"],
        ),
        ("", &["Empty playbook, nothing to do: p.yml"]),
        (
            "- foo\n",
            &[
                "p.yml:1:3: playbook entries must be either valid plays or 'import_playbook' statements",
            ],
        ),
        (
            "- name: x\n  tasks: []\n",
            &["p.yml:1:3: The field 'hosts' is required but was not set."],
        ),
        (
            "- hosts: all\n  vars: foo\n",
            &["p.yml:2:9: Vars in a Play must be specified as a dictionary."],
        ),
        (
            "- hosts: ''\n",
            &["p.yml:1:10: Hosts list cannot be empty. Please check your playbook"],
        ),
        (
            "- import_playbook: a.yml\n  foo: 1\n",
            &["p.yml:2:3: 'foo' is not a valid attribute for a PlaybookInclude"],
        ),
        (
            "- hosts: all\n  roles:\n    - {foo: bar}\n",
            &["p.yml:3:7: role definitions must contain a role name"],
        ),
        (
            "- hosts: all\n  tasks:\n    - debug:\n      copy:\n    - name: x\n",
            &[
                "p.yml:4:7: conflicting action statements: debug, copy",
                "p.yml:5:7: no module/action detected in task.",
            ],
        ),
        (
            "- hosts: all\n  tasks:\n   - rescue: []\n",
            &["p.yml:3:6: 'rescue' keyword cannot be used without 'block'"],
        ),
        (
            "- hosts: all\n  tasks:\n   - block: []\n     foo: 1\n",
            &["p.yml:4:6: 'foo' is not a valid attribute for a Block"],
        ),
        (
            "- hosts: all\n  tasks:\n   - debug:\n     loop: []\n     with_items: []\n",
            &["p.yml:5:6: duplicate loop in task: items"],
        ),
        (
            "- hosts: all\n  tasks:\n   - include_tasks: a.yml\n     become: true\n",
            &["p.yml:4:6: 'become' is not a valid attribute for a TaskInclude"],
        ),
        (
            "- hosts: all\n  tasks:\n   - copy: [a]\n",
            &["p.yml:3:12: unexpected parameter type in action: a list"],
        ),
        (
            "- hosts: all\n  tasks:\n   - copy: src=\"a\n",
            &[
                "p.yml:3:6: Error loading tasks: failed at splitting arguments, either an unbalanced jinja2 block or quotes: src=\"a",
            ],
        ),
        (
            "- hosts: all\n  tasks:\n   - include_tasks:\n",
            &["p.yml:3:6: No file specified for include_tasks"],
        ),
        (
            "- hosts: all\n  tasks:\n   - debug:\n     listen: x\n",
            &["p.yml:4:6: 'listen' is not a valid attribute for a Task"],
        ),
        (
            "- hosts: all\n  tasks:\n   - debug:\n     vars: {1a: 2}\n",
            &["p.yml:4:13: Invalid variable name '1a'."],
        ),
        (
            "- hosts: all\n  tasks:\n   - debug:\n     loop_control: {loop_vra: x}\n",
            &["p.yml:4:21: 'loop_vra' is not a valid attribute for a LoopControl"],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(problems(text), *expected, "{text}");
    }
}

#[test]
fn misspelt_keywords_find_their_neighbours() {
    let hints = |text: &str| {
        playbook(&Source::new("p.yml", text)).problems[0]
            .hints
            .join("; ")
    };
    assert_eq!(
        hints("- hosts: all\n  pretasks: []\n"),
        "did you mean `pre_tasks`?"
    );
    let text = "- hosts: all\n  tasks:\n    - debug:\n      whne: x\n";
    assert_eq!(
        hints(text),
        "`whne` is neither a keyword nor a module; did you mean `when`?"
    );
}

#[test]
fn forms_of_calls() {
    let table = [
        ("- copy: src=a dest='b c'\n", "copy", "src=a dest=b c"),
        ("- copy: {src: a, dest: b}\n", "copy", "src=a dest=b"),
        ("- action: copy src=a dest=b\n", "copy", "src=a dest=b"),
        ("- action: {module: copy, src: a}\n", "copy", "src=a"),
        (
            "- local_action: command ls -l chdir=/tmp\n",
            "command",
            "chdir=/tmp <ls -l>",
        ),
        (
            "- shell: echo a=b\n  args: {chdir: /tmp}\n",
            "shell",
            "chdir=/tmp <echo a=b>",
        ),
        ("- command:\n    _raw_params: ls\n", "command", "<ls>"),
        ("- meta: flush_handlers\n", "meta", "<flush_handlers>"),
        (
            "- include_tasks: a.yml file=b.yml\n",
            "include_tasks",
            "file=b.yml <a.yml>",
        ),
        ("- a.b.c:\n    d: e\n", "a.b.c", "d=e"),
        ("- debug: msg={{ a }}\n", "debug", "msg={{ a }}"),
    ];
    for (text, name, expected) in table {
        let task = task(text);
        assert_eq!(
            (task.call.name.as_str(), args(&task).as_str()),
            (name, expected),
            "{text}"
        );
    }
    assert!(task("- local_action: command ls\n").call.local);
    assert!(
        task("- copy: '{{ options }}'\n")
            .call
            .args_template
            .is_some()
    );
}

#[test]
fn words_know_their_place() {
    let task = task("- copy: src=a dest=b\n");
    assert_eq!(task.call.args["dest"].value.span.line_column(), (1, 15));
}

#[test]
fn plays_blocks_and_roles() {
    let text = "- hosts: all\n  become: true\n  roles: [a, {role: b, tags: x, c: 1}]\n  tasks:\n    - block:\n        - debug:\n      rescue:\n        - fail:\n  handlers:\n    - debug:\n      listen: x\n";
    let checked = playbook(&Source::new("p.yml", text));
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    let PlaybookEntry::Play(play) = &checked.value.entries[0] else {
        panic!()
    };
    assert!(play.keywords.contains_key(&Keyword::Become));
    assert_eq!(play.roles[1].params.len(), 1);
    let Item::Block(block) = &play.tasks[0] else {
        panic!()
    };
    assert_eq!(
        (block.block.len(), block.rescue.len(), play.handlers.len()),
        (1, 1, 1)
    );
}

#[test]
fn metadata_of_a_role() {
    let checked = role_meta(&Source::new(
        "m.yml",
        "galaxy_info: {}\nallow_duplicates: yes\ndependencies:\n  - role: x\n    y: 1\n",
    ));
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
    assert!(checked.value.allow_duplicates);
    assert_eq!(checked.value.dependencies[0].name.as_str(), Some("x"));
}
