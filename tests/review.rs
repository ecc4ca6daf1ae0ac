//! What reviewers read beside plans: graphs.

use std::path::{Path, PathBuf};

use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Place>] = &[
    ("a graph has plays, roles, blocks and handlers", graphs),
    ("what has no place in a graph is refused", no_graphs),
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
