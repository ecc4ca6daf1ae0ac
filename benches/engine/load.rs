//! The loads: files that are written for a size, and the arguments to run them with.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// One load at one size.
pub(crate) struct Load {
    /// Its name in the results.
    pub(crate) name: &'static str,
    /// Hosts, tasks, files or lines.
    pub(crate) size: usize,
    /// Writes its files.
    pub(crate) write: fn(&Path, usize) -> io::Result<()>,
    /// Of `rplay` and of `ansible-playbook`.
    pub(crate) arguments: &'static [&'static str],
    /// Whether Ansible runs it, too.
    pub(crate) both: bool,
}

const PLAY: &[&str] = &["play.yml", "-i", "hosts"];

/// All loads. What grows is measured at three sizes, and by Ansible at one.
pub(crate) fn all() -> Vec<Load> {
    let load = |name, size, write, arguments, both| Load {
        name,
        size,
        write,
        arguments,
        both,
    };
    let check: &[&str] = &["play.yml", "-i", "hosts", "--syntax-check"];
    let one: &[&str] = &["play.yml", "-i", "hosts", "-l", "host05000"];
    vec![
        load("version", 1, tasks, &["--version"], true),
        load("syntax-check, tasks", 100, tasks, check, true),
        load("syntax-check, tasks", 1_000, tasks, check, false),
        load("syntax-check, tasks", 10_000, tasks, check, false),
        load("ten tasks, hosts", 100, hosts, PLAY, false),
        load("ten tasks, hosts", 300, hosts, PLAY, false),
        load("ten tasks, hosts", 1_000, hosts, PLAY, true),
        load(
            "one host of an inventory, hosts",
            1_000,
            inventory,
            PLAY_ONE,
            false,
        ),
        load(
            "one host of an inventory, hosts",
            10_000,
            inventory,
            one,
            true,
        ),
        load("tasks", 100, tasks, PLAY, true),
        load("tasks", 1_000, tasks, PLAY, false),
        load("tasks", 10_000, tasks, PLAY, false),
        load("included files", 10, includes, PLAY, false),
        load("included files", 100, includes, PLAY, true),
        load("included files", 1_000, includes, PLAY, false),
        load("template, lines", 1_000, template, PLAY, false),
        load("template, lines", 10_000, template, PLAY, true),
        load("template, lines", 100_000, template, PLAY, false),
    ]
}

const PLAY_ONE: &[&str] = &["play.yml", "-i", "hosts", "-l", "host00500"];

const LOCAL: &str = "localhost ansible_connection=local\n";

/// A play of debug tasks with an expression and a condition each.
fn tasks(folder: &Path, size: usize) -> io::Result<()> {
    let mut text =
        String::from("- hosts: all\n  gather_facts: false\n  vars: {base: 10}\n  tasks:\n");
    for number in 0..size {
        let _ = write!(
            text,
            "    - name: number {number}\n      debug:\n        msg: \"{{{{ base + {number} }}}}\"\n      when: base > 1\n      tags: [t{}]\n",
            number % 7
        );
    }
    fs::write(folder.join("play.yml"), text)?;
    fs::write(folder.join("hosts"), LOCAL)
}

/// Ten tasks of the engine on many hosts.
fn hosts(folder: &Path, size: usize) -> io::Result<()> {
    let play = r#"- hosts: all
  gather_facts: false
  vars:
    port: "{{ base_port | int + number | int }}"
    listen: "{{ inventory_hostname }}:{{ port }}"
  tasks:
    - set_fact: {first: "{{ number | int + 1 }}"}
    - set_fact: {second: "{{ first | int * 2 }}", name_of: "{{ inventory_hostname | upper }}"}
    - assert: {that: [second | int == (number | int + 1) * 2, port | int > 8000]}
    - debug: {msg: "{{ listen }} {{ name_of }}"}
    - set_fact: {all_ports: "{{ [port | int, first | int, second | int] | sort }}"}
    - debug: {msg: "{{ all_ports | map('string') | join(',') }}"}
    - assert: {that: all_ports | length == 3}
    - debug: {msg: "{{ groups['all'] | length }} {{ group_names | join(' ') }}"}
      when: number | int is divisibleby 2
    - set_fact: {done: "{{ listen | regex_replace(':.*$', '') }}"}
    - assert: {that: done == inventory_hostname}
"#;
    fs::write(folder.join("play.yml"), play)?;
    let mut text = String::from("[web]\n");
    for number in 0..size {
        let _ = writeln!(
            text,
            "host{number:05} number={number} ansible_connection=local"
        );
    }
    text.push_str("[web:vars]\nbase_port=8080\n");
    fs::write(folder.join("hosts"), text)
}

/// Many hosts in 200 groups with variables of their own, of which one host is asked for.
fn inventory(folder: &Path, size: usize) -> io::Result<()> {
    let mut text = String::new();
    fs::create_dir(folder.join("group_vars"))?;
    for group in 0..200 {
        let _ = writeln!(text, "[group{group:03}]");
        for number in (group..size).step_by(200) {
            let _ = writeln!(
                text,
                "host{number:05} number={number} ansible_connection=local"
            );
        }
        let vars = format!("name_of_group: group{group:03}\nlevel: {group}\nlist: [1, 2, 3]\n");
        fs::write(folder.join(format!("group_vars/group{group:03}.yml")), vars)?;
    }
    fs::write(folder.join("hosts"), text)?;
    let play = "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: \"{{ name_of_group }} {{ level }}\"}\n";
    fs::write(folder.join("play.yml"), play)
}

/// A play that includes many files of one task.
fn includes(folder: &Path, size: usize) -> io::Result<()> {
    let mut text = String::from("- hosts: all\n  gather_facts: false\n  tasks:\n");
    for number in 0..size {
        let _ = writeln!(text, "    - include_tasks: part{number}.yml");
        let part = format!("- debug: {{msg: part {number}}}\n");
        fs::write(folder.join(format!("part{number}.yml")), part)?;
    }
    fs::write(folder.join("play.yml"), text)?;
    fs::write(folder.join("hosts"), LOCAL)
}

/// A template with filters, macros and loops that gives so many lines, and its length.
fn template(folder: &Path, size: usize) -> io::Result<()> {
    let mut text = String::from(
        "{% macro entry(number, name) -%}\nserver {{ name | upper }} {{ '%05d' | format(number) }} weight={{ (number % 7) + 1 }}\n{%- endmacro %}\n",
    );
    // A tenth of the lines stand in the file, each repeated by a loop.
    for block in 0..size / 10 {
        let _ = writeln!(
            text,
            "{{% for n in range(10) %}}{{{{ entry(n + {block}, 'host' ~ n) }}}} {{{{ names | map('lower') | join(',') | default('none') }}}}{{% if not loop.last %}}{{{{ '\\n' }}}}{{% endif %}}{{% endfor %}}"
        );
    }
    fs::write(folder.join("text.j2"), text)?;
    let play = "- hosts: all\n  gather_facts: false\n  vars: {names: [One, Two, Three]}\n  tasks:\n    - debug: {msg: \"{{ lookup('template', 'text.j2') | length }}\"}\n";
    fs::write(folder.join("play.yml"), play)?;
    fs::write(folder.join("hosts"), LOCAL)
}
