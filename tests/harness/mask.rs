//! Hides what differs from run to run: times, temporary paths, the user who runs the tests.

use std::path::Path;
use std::sync::LazyLock;

use rplay_modules::regex::{Flags, Regex};

/// Pattern and replacement, applied in this order.
static MASKS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let table = [
        // What `-vv` tells of the program itself, and Ansible of its plug-ins and its connections.
        (
            r"(?m)^(ansible-playbook|rplay \S+) \[core [^\n]*\n(  [^\n]*\n)+",
            "<version>\n",
        ),
        (
            r"(?m)^(Skipping callback|Set default localhost|statically imported|Parsed |setting up inventory|Loading c|host_list declined|script declined|auto declined|yaml declined|Read `vars_file`|Using module file|creating host via|<\S+> (EXEC|PUT|ESTABLISH)) ?[^\n]*\n",
            "",
        ),
        (
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} p=\d+ u=\S+ ",
            "<time> p=<pid> u=<user> ",
        ),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z?", "<time>"),
        (
            r"\b[A-Z][a-z]+day \d\d [A-Z][a-z]+ \d{4}  \d\d:\d\d:\d\d [+-]\d{4}",
            "<when>",
        ),
        (r"\b\d:\d\d:\d\d\.\d{3}\b", "<clock>"),
        // How many there are depends on the name of the day.
        (r"(?m)^(<when> .*<clock>) \*+", "\\1 <stars>"),
        (r"(?m)(-{3,}) \d+\.\d\ds$", "\\1 <seconds>"),
        (
            r"\btook \d+ days, \d+ hours, \d+ minutes, \d+ s",
            "took <time>, s",
        ),
        (r#" time=(\\?)"[\d.]+"#, " time=\\1\"<seconds>"),
        // A page holds no carriage returns.
        (r"\r", ""),
        (
            r#""id": ?"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}""#,
            "\"id\": \"<id>\"",
        ),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+", "<time>"),
        (r"\b\d+:\d\d:\d\d\.\d{6}\b", "<delta>"),
        (r"\b1[6-9]\d{8}\.\d+\b", "<epoch>"),
        (r"\b1[6-9]\d{8}\b", "<epoch>"),
        (r"\.ansible_tmp\w+|ansible-tmp-[\d.-]+", "<tmp>"),
        (r"ansible\.\w{8}(?!\w)", "ansible.<random>"),
        (r"\.(\d+)\.\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d~", ".<backup>~"),
        (
            r#""(pid|inode|dev|device_type|nlink|blocks|block_size)": \d+"#,
            "\"\\1\": <number>",
        ),
        (r#""(src|version)": "<home>/[^"]*""#, "\"\\1\": \"<home>\""),
        // How old the machine's packages are.
        (r"\b\d+ not upgraded", "<number> not upgraded"),
        (r"at 0x[0-9a-f]+", "at <address>"),
        (r"\bj\d{4,12}\.\d+", "<job>"),
        (r#""child_pid": \d+"#, "\"child_pid\": <number>"),
        (r#"/[^ "']*/site-packages/"#, "<python>/"),
        (r"/usr/(local/)?bin/git\b", "<git>"),
    ];
    table
        .into_iter()
        .filter_map(|(from, to)| Some((Regex::new(from, Flags::default()).ok()?, to)))
        .collect()
});

/// The text with everything masked that may differ; `folder` becomes `<case>`.
pub(crate) fn mask(text: &str, folder: &Path, home: &Path) -> String {
    let mut text = text.replace(&home.display().to_string(), "<home>");
    text = text.replace(&folder.display().to_string(), "<case>");
    text = super::http::mask(text);
    for (from, to) in MASKS.iter() {
        if let Ok((masked, _)) = from.replace(&text, to, 0) {
            text = masked;
        }
    }
    identity(text)
}

/// The user and group of the tests become `<user>` and `<group>`.
fn identity(mut text: String) -> String {
    let user = rustix::process::getuid().as_raw();
    let group = rustix::process::getgid().as_raw();
    for (key, id, to) in [("uid", user, "<user>"), ("gid", group, "<group>")] {
        text = text.replace(&format!("\"{key}\": {id}"), &format!("\"{key}\": {to}"));
    }
    for (key, id, file, to) in [
        ("owner", user, "/etc/passwd", "<user>"),
        ("pw_name", user, "/etc/passwd", "<user>"),
        ("group", group, "/etc/group", "<group>"),
        ("gr_name", group, "/etc/group", "<group>"),
    ] {
        if let Some(name) = name_of(file, id) {
            text = text.replace(
                &format!("\"{key}\": \"{name}\""),
                &format!("\"{key}\": \"{to}\""),
            );
        }
    }
    text
}

fn name_of(file: &str, id: u32) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text
        .lines()
        .find(|line| line.split(':').nth(2) == Some(id.to_string().as_str()))?;
    line.split(':').next().map(str::to_string)
}
