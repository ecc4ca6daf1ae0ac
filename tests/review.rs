//! What reviewers read beside plans: graphs, findings, comments.

use std::collections::BTreeSet;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::forge::{Forge, Kind, READER, TOKEN};
use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Place>] = &[
    ("a graph has plays, roles, blocks and handlers", graphs),
    ("what has no place in a graph is refused", no_graphs),
    ("findings are those of ansible-lint", findings),
    ("settings of ansible-lint count", lint_settings),
    ("findings as data", findings_as_data),
    ("problems of reading as data", problems_as_data),
    ("SARIF is as its schema has it", valid_sarif),
    ("a report becomes one comment", one_comment),
    ("a report that cannot be posted", no_comment),
];

struct Place(tempfile::TempDir);

pub(crate) fn all(wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("review", SCENARIOS, wanted);
    match tempfile::Builder::new().prefix("rplay-review-").tempdir() {
        Ok(folder) => scenario::run("review", &chosen, &Place(folder)),
        Err(fault) => vec![("review".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

impl Place {
    /// A fresh folder with files.
    fn fresh(&self, name: &str, files: &[(&str, &str)]) -> Result<PathBuf, String> {
        let folder = self.0.path().join(name);
        for (file, text) in files {
            let path = folder.join(file);
            let above = path.parent().unwrap_or(&folder);
            std::fs::create_dir_all(above).map_err(|fault| fault.to_string())?;
            std::fs::write(&path, text).map_err(|fault| fault.to_string())?;
        }
        Ok(folder)
    }
}

fn run(folder: &Path, words: &[&str]) -> Result<(i32, String), String> {
    finish(&mut scenario::command(folder, folder, words))
}

const PLAY: &str = r#"
- name: First "play"
  hosts: all
  gather_facts: false
  roles: [web]
  tasks:
    - name: guarded
      block:
        - name: try <it>
          command: "true"
          loop: [1]
          notify: [reload, all of it]
      rescue:
        - debug: {msg: x}
      always:
        - include_tasks: more.yml
          when: false
  handlers:
    - name: one
      debug: {msg: a}
      listen: all of it
"#;

const FILES: &[(&str, &str)] = &[
    ("play.yml", PLAY),
    ("hosts", "one ansible_connection=local\n"),
    (
        "roles/web/tasks/main.yml",
        "- name: file & co\n  debug: {msg: x}\n  notify: reload\n",
    ),
    (
        "roles/web/handlers/main.yml",
        "- name: reload\n  debug: {msg: x}\n",
    ),
];

fn graphs(place: &Place) -> Result<(), String> {
    let folder = place.fresh("graphs", FILES)?;
    let words = ["graph", "play.yml", "-i", "hosts", "--form"];
    for (form, wanted) in [
        ("dot", include_str!("review/graph.dot")),
        ("mermaid", include_str!("review/graph.mmd")),
    ] {
        let (code, text) = run(&folder, &[&words[..], &[form]].concat())?;
        if text != wanted {
            return Err(format!("another graph:\n{text}"));
        }
        expect((code, text), 0, &[])?;
    }
    // It needs no hosts, and says nothing of an inventory that nobody gave.
    let (code, text) = run(&folder, &["graph", "play.yml"])?;
    if text != include_str!("review/graph.dot") {
        return Err(format!("another graph without hosts:\n{text}"));
    }
    expect((code, text), 0, &[])?;
    let svg = run(&folder, &[&words[..], &["svg"]].concat())?;
    // Three edges, each with its arrow; nothing of the text is markup.
    if svg.1.matches("class=\"e notifies\"").count() != 3 {
        return Err(format!("other edges:\n{}", svg.1));
    }
    let told = [
        "<svg xmlns=\"http://www.w3.org/2000/svg\"",
        ">Play First &quot;play&quot;</text>",
        ">try &lt;it&gt;</text>",
        ">file &amp; co</text>",
        ">command, loop</text>",
        ">more.yml, when</text>",
        "</svg>\n",
    ];
    expect(svg, 0, &told)
}

fn no_graphs(place: &Place) -> Result<(), String> {
    let folder = place.fresh("no-graphs", FILES)?;
    for more in ["--syntax-check", "--list-tasks", "--step", "--report=json"] {
        let words = ["graph", "play.yml", "-i", "hosts", more];
        expect(run(&folder, &words)?, 5, &["nothing is run for a graph"])?;
    }
    let words = ["graph", "play.yml", "-i", "hosts", "--form", "png"];
    expect(run(&folder, &words)?, 2, &["dot, mermaid, svg"])?;
    let words = ["graph", "nowhere.yml", "-i", "hosts"];
    expect(
        run(&folder, &words)?,
        1,
        &["nowhere.yml could not be found"],
    )
}

/// The lines of `expected.txt`, but for rules that need more than the text.
fn findings(_: &Place) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint");
    let expected = std::fs::read_to_string(folder.join("expected.txt"));
    let expected = expected.map_err(|fault| fault.to_string())?;
    let others = ["args[", "jinja[", "schema[", "yaml[None]"];
    let ours =
        |line: &&str| !line.starts_with('#') && !others.iter().any(|rule| line.contains(rule));
    let wanted: BTreeSet<&str> = expected.lines().filter(ours).collect();
    let mut files: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&folder)
        .map_err(|fault| fault.to_string())?
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        files.extend(Some(name).filter(|name| name.ends_with(".yml")));
    }
    files.sort();
    let words: Vec<&str> = std::iter::once("lint")
        .chain(files.iter().map(String::as_str))
        .collect();
    let (code, text) = run(&folder, &words)?;
    // What reading tells besides has other names.
    let of_reading = ["action-mapping", "args-template"];
    let found: BTreeSet<String> = text.lines().filter_map(plain).collect();
    let found: BTreeSet<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|line| !of_reading.iter().any(|code| line.ends_with(code)))
        .collect();
    let missing: Vec<&&str> = wanted.difference(&found).collect();
    let more: Vec<&&str> = found.difference(&wanted).collect();
    if !missing.is_empty() || !more.is_empty() {
        return Err(format!("not found: {missing:#?}\nfound, too: {more:#?}"));
    }
    if wanted.len() < 250 {
        return Err(format!("only {} findings are compared", wanted.len()));
    }
    expect((code, text), 2, &[])
}

/// `path:line: rule` of `path:line:column: error: rule: message`.
fn plain(line: &str) -> Option<String> {
    let mut parts = line.splitn(5, ':');
    let (path, number, column) = (parts.next()?, parts.next()?, parts.next()?);
    column.parse::<usize>().ok()?;
    let _severity = parts.next()?;
    let rule = parts.next()?.trim().split(": ").next()?;
    Some(format!("{path}:{number}: {rule}"))
}

const UNTIDY: &[(&str, &str)] = &[
    (
        "play.yml",
        "---\n- name: first\n  hosts: all\n  become: yes\n  roles: [acme]\n  tasks:\n    - debug:\n        msg: x\n",
    ),
    (
        "roles/acme/tasks/main.yml",
        "---\n- name: second\n  ansible.builtin.ping:\n",
    ),
];

fn lint_settings(place: &Place) -> Result<(), String> {
    let folder = place.fresh("settings", UNTIDY)?;
    let words = ["lint", "play.yml"];
    let all = "play.yml:2:1: error: name[casing]: All names should start with an uppercase letter.\n\
               play.yml:4:3: error: yaml[truthy]: Truthy value should be one of [false, true]\n\
               play.yml:7:5: error: fqcn[action-core]: Use FQCN for builtin module actions (debug). Use `ansible.builtin.debug` or \
               `ansible.legacy.debug` instead.\nplay.yml:7:5: error: name[missing]: All tasks should be named.\n\
               roles/acme/tasks/main.yml:2:1: error: name[casing]: All names should start with an uppercase letter.\n";
    let (code, text) = run(&folder, &words)?;
    if (code, text.as_str()) != (2, all) {
        return Err(format!("exit code {code}\n{text}"));
    }
    for (settings, code, text) in [
        (
            "skip_list: [name, fqcn]\nwarn_list: ['yaml[truthy]']\n",
            0,
            "play.yml:4:3: warning: yaml[truthy]",
        ),
        (
            "skip_list: ['name[missing]', yaml, fqcn]\nexclude_paths: [roles/]\n",
            2,
            "play.yml:2:1: error: name[casing]",
        ),
        (
            "exclude_paths: ['*.yml']\n",
            2,
            "roles/acme/tasks/main.yml:2:1: error",
        ),
        ("profile: min\n", 0, ""),
        ("profile: basic\n", 2, "yaml[truthy]"),
        (
            "skip_lits: [name]\nwarn_list: [name, fqcn, yaml]\n",
            0,
            "warning: lint-settings: there is no setting 'skip_lits'\n    did you mean `skip_list`?",
        ),
        ("skip_list: [idiom, formatting, experimental]\n", 0, ""),
        (
            "skip_list: [idoim]\nwarn_list: [name, fqcn, yaml]\n",
            0,
            "warning: lint-settings: there is no rule 'idoim'\n    did you mean `idiom`?",
        ),
        (
            "profile: nosuch\nwarn_list: [name, fqcn, yaml]\n",
            0,
            "there is no such profile",
        ),
    ] {
        std::fs::write(folder.join(".ansible-lint"), settings)
            .map_err(|fault| fault.to_string())?;
        let ended = run(&folder, &words)?;
        if settings.contains("[roles/]") && ended.1.contains("roles/acme") {
            return Err(format!("an excluded file is told:\n{}", ended.1));
        }
        expect(ended, code, &[text])?;
    }
    let none = [
        "lint",
        "play.yml",
        "-x",
        "name,fqcn",
        "--warn-list",
        "yaml",
        "-c",
        "nowhere",
    ];
    expect(
        run(&folder, &none)?,
        5,
        &["the settings 'nowhere' cannot be read"],
    )?;
    std::fs::remove_file(folder.join(".ansible-lint")).map_err(|fault| fault.to_string())?;
    expect(run(&folder, &none[..6])?, 0, &["warning: yaml[truthy]"])?;
    let file = ["lint", "roles/acme/tasks/main.yml"];
    expect(
        run(&folder, &file)?,
        2,
        &["main.yml:2:1: error: name[casing]"],
    )
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|fault| format!("{fault}:\n{text}"))
}

fn findings_as_data(place: &Place) -> Result<(), String> {
    let folder = place.fresh("data", UNTIDY)?;
    let (code, text) = run(&folder, &["lint", "play.yml", "-f", "sarif", "-w", "yaml"])?;
    let sarif = json(&text)?;
    let one = &sarif["runs"][0]["results"][1];
    let place = &one["locations"][0]["physicalLocation"];
    let seen = (
        code,
        sarif["version"].as_str(),
        one["ruleId"].as_str(),
        one["level"].as_str(),
        place["artifactLocation"]["uri"].as_str(),
        place["region"]["startLine"].as_u64(),
        place["region"]["startColumn"].as_u64(),
    );
    let wanted = (
        2,
        Some("2.1.0"),
        Some("yaml[truthy]"),
        Some("warning"),
        Some("play.yml"),
        Some(4),
        Some(3),
    );
    if seen != wanted {
        return Err(format!("{seen:?}\n{text}"));
    }
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .map_or(0, Vec::len);
    let at = one["ruleIndex"].as_u64().unwrap_or(99) as usize;
    if rules != 4 || sarif["runs"][0]["tool"]["driver"]["rules"][at]["id"] != one["ruleId"] {
        return Err(format!("rules are not told:\n{text}"));
    }
    let words = ["lint", "play.yml", "--format", "codequality"];
    let before = json(&run(&folder, &words)?.1)?;
    // What moves to another line is the same finding.
    let moved = UNTIDY[0].1.replace("---\n", "---\n# a line more\n");
    std::fs::write(folder.join("play.yml"), moved).map_err(|fault| fault.to_string())?;
    let after = json(&run(&folder, &words)?.1)?;
    let prints = |issues: &Value| -> BTreeSet<String> {
        let issues = issues.as_array().into_iter().flatten();
        issues.map(|one| one["fingerprint"].to_string()).collect()
    };
    if prints(&before) != prints(&after) || prints(&before).len() != 5 {
        return Err(format!("fingerprints changed:\n{before:#}\n{after:#}"));
    }
    let one = &after[1];
    let seen = (
        &one["check_name"],
        &one["severity"],
        &one["location"]["path"],
        &one["location"]["lines"]["begin"],
    );
    match seen
        == (
            &"yaml[truthy]".into(),
            &"major".into(),
            &"play.yml".into(),
            &5.into(),
        ) {
        true => Ok(()),
        false => Err(format!("{one:#}")),
    }
}

/// Findings, problems of reading and no findings at all, by the schema of SARIF 2.1.0.
fn valid_sarif(place: &Place) -> Result<(), String> {
    let program = scenario::prepared("sarif/validate.js");
    if !program.exists() {
        let reason =
            "skip: needs the schema that tests/components/sarif.sh gets, which tests/run calls";
        return Err(reason.to_owned());
    }
    let valid = |text: &str| -> Result<(i32, String), String> {
        let mut input = tempfile::tempfile().map_err(|fault| fault.to_string())?;
        let written = input.write_all(text.as_bytes());
        written
            .and_then(|()| input.rewind())
            .map_err(|fault| fault.to_string())?;
        finish(Command::new(&program).stdin(Stdio::from(input)))
    };
    let mut files = UNTIDY.to_vec();
    files.push(("good.yml", "---\n- name: Good\n  hosts: all\n"));
    files.push((
        "bad.yml",
        "- hosts: all\n  tasks:\n    - debgu: {msg: é}\n    - {a: [\n",
    ));
    let folder = place.fresh("valid", &files)?;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lint");
    let mut playbooks: Vec<String> = std::fs::read_dir(&examples)
        .map_err(|fault| fault.to_string())?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yml"))
        .collect();
    playbooks.sort();
    let mut every = vec!["lint", "-f", "sarif"];
    every.extend(playbooks.iter().map(String::as_str));
    let mut documents = vec![];
    for name in ["play.yml", "good.yml", "bad.yml"] {
        documents.push(stdout(&folder, &["lint", name, "-f", "sarif"])?);
        let report = format!("sarif={name}.sarif");
        run(
            &folder,
            &[name, "-i", "one,", "--syntax-check", "--report", &report],
        )?;
        let report = std::fs::read_to_string(folder.join(format!("{name}.sarif")));
        documents.push(report.map_err(|fault| fault.to_string())?);
    }
    documents.push(stdout(&examples, &every)?);
    for text in &documents {
        expect(valid(text)?, 0, &[])?;
    }
    let last = documents.last().map_or("", String::as_str);
    if json(last)?["runs"][0]["results"]
        .as_array()
        .map_or(0, Vec::len)
        < 100
    {
        return Err(format!("there are few findings:\n{last}"));
    }
    // The schema finds what is wrong.
    let wrong = last.replacen("\"version\": \"2.1.0\"", "\"version\": \"2.1\"", 1);
    expect(
        valid(&wrong)?,
        1,
        &[".version should be equal to one of the allowed values"],
    )
}

/// What a command writes to standard output.
fn stdout(folder: &Path, words: &[&str]) -> Result<String, String> {
    let output = scenario::command(folder, folder, words).output();
    let output = output.map_err(|fault| fault.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Problems of a run's reading; what is fine has an empty list, and a secret is in none.
fn problems_as_data(place: &Place) -> Result<(), String> {
    let bad = "- hosts: all\n  tasks:\n    - debgu: {msg: x}\n    - nosuchmodule:\n";
    let files = [
        ("bad.yml", bad),
        ("good.yml", "- hosts: all\n  gather_facts: false\n"),
        ("hosts", "one ansible_connection=local\n"),
    ];
    let folder = place.fresh("problems", &files)?;
    let reports = ["--report", "sarif=out.sarif", "--report", "codequality"];
    for program in [
        &["bad.yml", "--syntax-check"][..],
        &["bad.yml"],
        &["plan", "bad.yml"],
    ] {
        let words = [program, &["-i", "hosts"], &reports].concat();
        expect(run(&folder, &words)?, 4, &["debgu"])?;
        let read = |file: &str| {
            std::fs::read_to_string(folder.join(file)).map_err(|fault| fault.to_string())
        };
        let sarif = json(&read("out.sarif")?)?;
        let quality = json(&read("rplay-codequality.json")?)?;
        let (first, count) = (
            &sarif["runs"][0]["results"][0],
            sarif["runs"][0]["results"].as_array().map_or(0, Vec::len),
        );
        let line = &first["locations"][0]["physicalLocation"]["region"]["startLine"];
        let text = first["message"]["text"].as_str().unwrap_or_default();
        if count != 2 || *line != 3 || !text.contains("did you mean `debug`?") {
            return Err(format!("{sarif:#}"));
        }
        let issue = &quality[1];
        if issue["check_name"] != "unknown-module"
            || issue["location"]["lines"]["begin"] != 4
            || issue["severity"] != "major"
        {
            return Err(format!("{quality:#}"));
        }
        for file in ["out.sarif", "rplay-codequality.json"] {
            std::fs::remove_file(folder.join(file)).map_err(|fault| fault.to_string())?;
        }
    }
    let words = [&["good.yml", "-i", "hosts"][..], &reports].concat();
    expect(run(&folder, &words)?, 0, &[])?;
    let quality = std::fs::read_to_string(folder.join("rplay-codequality.json"))
        .map_err(|fault| fault.to_string())?;
    if quality.trim() != "[]" {
        return Err(quality);
    }
    let words = [
        "good.yml",
        "-i",
        "hosts",
        "--syntax-check",
        "--report",
        "json",
    ];
    expect(run(&folder, &words)?, 5, &["the report 'json' is of a run"])?;
    let words = ["good.yml", "-i", "hosts", "--report", "sarif=nowhere/x"];
    expect(
        run(&folder, &words)?,
        5,
        &["the report 'nowhere/x' cannot be written"],
    )
}

/// Files of a job: a report, and GitHub's event.
const JOB: &[(&str, &str)] = &[
    ("report.md", "## rplay: Plan: 1 change\n\n| a | \u{e9} |\n"),
    (
        "event.json",
        "{\"action\": \"opened\", \"pull_request\": {\"number\": 7}}",
    ),
];

/// `rplay report post`, in a job with these variables besides those that such jobs have.
fn post(
    folder: &Path,
    kind: Kind,
    address: &str,
    more: &[(&str, &str)],
    words: &[&str],
) -> Result<(i32, String), String> {
    let option = if kind == Kind::GitLab {
        "--gitlab"
    } else {
        "--github"
    };
    let words = [&["report", "post", option], words].concat();
    let mut command = scenario::command(folder, folder, &words);
    match kind {
        Kind::GitLab => command
            .env("CI_API_V4_URL", format!("http://{address}/api/v4"))
            .env("CI_PROJECT_ID", "42")
            .env("CI_MERGE_REQUEST_IID", "7")
            .env("GITLAB_TOKEN", TOKEN),
        Kind::GitHub => command
            .env("GITHUB_API_URL", format!("http://{address}"))
            .env("GITHUB_REPOSITORY", "acme/site")
            .env("GITHUB_EVENT_PATH", "event.json")
            .env("GITHUB_TOKEN", TOKEN),
    };
    for (name, value) in more {
        match value.is_empty() {
            true => command.env_remove(name),
            false => command.env(name, value),
        };
    }
    let ended = finish(&mut command)?;
    match [TOKEN, READER].iter().any(|token| ended.1.contains(token)) {
        true => Err(format!("the token is told:\n{}", ended.1)),
        false => Ok(ended),
    }
}

/// Created at first, then updated, then left alone; a comment of another name is another one.
fn one_comment(place: &Place) -> Result<(), String> {
    for kind in [Kind::GitLab, Kind::GitHub] {
        let folder = place.fresh(&format!("comment-{kind:?}"), JOB)?;
        let quoted = "> <!-- rplay report: rplay -->\n> quoted";
        let forge = Forge::start(
            kind,
            &["one", quoted, "system <!-- rplay report: rplay -->", "four"],
        )?;
        let say = |words: &[&str], text: &str| {
            let ended = post(&folder, kind, &forge.address, &[], words)?;
            expect(ended, 0, &[&format!("{kind:?}: the comment {text}.\n")])
        };
        let request = if kind == Kind::GitLab {
            "merge request 7"
        } else {
            "pull request 7"
        };
        say(&["report.md"], &format!("104 of {request} was created"))?;
        let text = format!("<!-- rplay report: rplay -->\n{}", JOB[0].1);
        if forge.comments().last() != Some(&text) || forge.requests().len() != 3 {
            return Err(format!("{:#?}", forge.comments()));
        }
        say(&["report.md"], &format!("104 of {request} is as it was"))?;
        if forge
            .requests()
            .iter()
            .any(|line| !line.starts_with("GET "))
        {
            return Err("what is as it was is written again".to_owned());
        }
        std::fs::write(folder.join("report.md"), "other\n").map_err(|fault| fault.to_string())?;
        say(&["report.md"], &format!("104 of {request} was updated"))?;
        say(
            &["report.md", "--name", "staging"],
            &format!("105 of {request} was created"),
        )?;
        let comments = forge.comments();
        let wanted = [
            "<!-- rplay report: rplay -->\nother\n",
            "<!-- rplay report: staging -->\nother\n",
        ];
        if comments.len() != 6 || comments[4..] != wanted || comments[1] != quoted {
            return Err(format!("{comments:#?}"));
        }
    }
    Ok(())
}

fn no_comment(place: &Place) -> Result<(), String> {
    for kind in [Kind::GitLab, Kind::GitHub] {
        let folder = place.fresh(&format!("no-comment-{kind:?}"), JOB)?;
        let forge = Forge::start(kind, &["one"])?;
        let token = if kind == Kind::GitLab {
            "GITLAB_TOKEN"
        } else {
            "GITHUB_TOKEN"
        };
        let try_with = |more: &[(&str, &str)], words: &[&str], code: i32, texts: &[&str]| {
            expect(
                post(&folder, kind, &forge.address, more, words)?,
                code,
                texts,
            )
        };
        let file = ["report.md"];
        try_with(&[(token, "")], &file, 5, &[&format!("{token} is not set")])?;
        try_with(
            &[(token, "wrong-and-long-enough")],
            &file,
            1,
            &["status 401", "is not known, or has expired"],
        )?;
        try_with(
            &[(token, READER)],
            &file,
            1,
            &[
                "did not create a comment",
                "status 403",
                "insufficient_scope",
            ],
        )?;
        try_with(&[(token, "two words")], &file, 1, &["holds no token"])?;
        let other = [(token, ""), ("MINE", TOKEN)];
        try_with(
            &other,
            &["report.md", "--token-variable", "MINE"],
            0,
            &["was created"],
        )?;
        try_with(
            &[],
            &["reprot.md"],
            1,
            &["cannot be read", "did you mean `report.md`?"],
        )?;
        try_with(
            &[],
            &["report.md", "--name", "a--b"],
            2,
            &["single `-` only"],
        )?;
        std::fs::write(folder.join("report.md"), format!("x {TOKEN}\n"))
            .map_err(|fault| fault.to_string())?;
        try_with(
            &[],
            &file,
            1,
            &["the report holds the token; it is not posted"],
        )?;
        std::fs::write(folder.join("report.md"), "x".repeat(1_000_001))
            .map_err(|fault| fault.to_string())?;
        try_with(&[], &file, 1, &["the report is longer than the"])?;
        std::fs::write(folder.join("report.md"), "x").map_err(|fault| fault.to_string())?;
        wrong_jobs(&folder, kind, &forge)?;
        let words = ["report", "post", "report.md"];
        expect(run(&folder, &words)?, 2, &["--gitlab", "--github"])?;
    }
    Ok(())
}

/// Variables that are missing or name something else.
fn wrong_jobs(folder: &Path, kind: Kind, forge: &Forge) -> Result<(), String> {
    let file = ["report.md"];
    let try_with = |more: &[(&str, &str)], words: &[&str], code: i32, texts: &[&str]| {
        expect(
            post(folder, kind, &forge.address, more, words)?,
            code,
            texts,
        )
    };
    match kind {
        Kind::GitLab => {
            let out = [("CI_MERGE_REQUEST_IID", "")];
            try_with(
                &out,
                &file,
                5,
                &["CI_MERGE_REQUEST_IID is not set: this is no pipeline of a merge request"],
            )?;
            try_with(
                &[("CI_PROJECT_ID", "43")],
                &file,
                1,
                &["status 404", "may not see it"],
            )?;
            try_with(
                &[("CI_API_V4_URL", "http://127.0.0.1:1/api/v4")],
                &file,
                1,
                &["GitLab cannot be asked"],
            )?;
        }
        Kind::GitHub => {
            let event = |text: &str| {
                std::fs::write(folder.join("event.json"), text).map_err(|fault| fault.to_string())
            };
            event("{\"ref\": \"refs/heads/main\"}")?;
            try_with(
                &[],
                &file,
                5,
                &["the event 'event.json' is of no pull request"],
            )?;
            event("{\"issue\": {\"number\": 7}}")?;
            try_with(&[], &file, 5, &["is of no pull request"])?;
            event("{\"issue\": {\"number\": 7, \"pull_request\": {}}}")?;
            try_with(&[], &file, 0, &["pull request 7"])?;
            event("nothing")?;
            try_with(&[], &file, 1, &["is no JSON"])?;
        }
    }
    Ok(())
}
