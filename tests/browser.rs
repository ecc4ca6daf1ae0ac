//! The page of `--report html` in a real browser, Chromium without a screen: what it draws, that it
//! works by keyboard, and that it fits, for one host and for many.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::picture::Picture;
use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Place>] = &[
    ("the page of one host", one_host),
    ("the page of many hosts", many_hosts),
    ("pictures of both", pictures),
    ("nothing is fetched", alone),
    (
        "the page of many hosts does not keep anybody waiting",
        quick,
    ),
];

/// What stands at the end of a page that is looked at.
const PROBE: &str = include_str!("browser/probe.html");

const PLAY: &str = r#"
- name: Web <b>servers</b>
  hosts: all
  gather_facts: false
  tasks:
    - name: configuration
      copy:
        content: "listen 8080;\nname example.org;\n<b>bold</b></script>\n"
        dest: "{{ playbook_dir }}/site.conf"
        mode: "0644"
      notify: restart
    - name: ask
      command: echo hi
      register: said
    - name: answer
      copy: {content: "{{ said.stdout }}\n", dest: "{{ playbook_dir }}/answer", mode: "0644"}
    - name: parts
      copy: {content: "{{ item }}\n", dest: "{{ playbook_dir }}/{{ item }}", mode: "0644"}
      loop: [a, b]
    - name: trouble
      fail: {msg: "50% of it\nis lost"}
      ignore_errors: true
  handlers:
    - name: restart
      file: {path: "{{ playbook_dir }}/stamp", state: touch, mode: "0644"}
"#;

struct Place {
    folder: tempfile::TempDir,
    browser: PathBuf,
    /// Pictures stay here for those who want to look at them.
    pictures: PathBuf,
}

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("browser", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    let Some(browser) = browser() else {
        let why = "there is no chromium-headless-shell and no chromium".to_owned();
        return vec![("browser".to_owned(), Verdict::Skipped(why))];
    };
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    match prepared(browser, target.join("tmp/pages")) {
        Ok(place) => scenario::run("browser", &chosen, &place),
        Err(fault) => vec![("browser".to_owned(), Verdict::Failed(fault))],
    }
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium-headless-shell", "chromium"];
    let places = || std::env::split_paths(&path).collect::<Vec<_>>();
    let found = names
        .iter()
        .flat_map(|name| places().into_iter().map(move |dir| dir.join(name)));
    found.into_iter().find(|program| program.is_file())
}

/// The pages of one host and of many.
fn prepared(browser: PathBuf, pictures: PathBuf) -> Result<Place, String> {
    let folder = tempfile::Builder::new().prefix("rplay-pages-").tempdir();
    let folder = folder.map_err(|fault| fault.to_string())?;
    std::fs::create_dir_all(&pictures).map_err(|fault| fault.to_string())?;
    let old = "listen 80;\nname example.com;\n";
    let steps: Vec<(&str, String)> = vec![
        ("play.yml", PLAY.to_owned()),
        ("hosts", "one ansible_connection=local\n".to_owned()),
        ("site.conf", old.to_owned()),
        ("many.yml", many()),
        (
            "fleet",
            "web-[001:200] ansible_connection=local\n".to_owned(),
        ),
        ("fleet.conf", old.to_owned()),
    ];
    for (file, text) in steps {
        std::fs::write(folder.path().join(file), text).map_err(|fault| fault.to_string())?;
    }
    let place = Place {
        folder,
        browser,
        pictures,
    };
    let here = place.folder.path();
    for (words, code, told) in [
        (
            &[
                "plan",
                "play.yml",
                "-i",
                "hosts",
                "--report",
                "html=one.html",
            ][..],
            0,
            "Plan: 4 changes",
        ),
        (
            &[
                "plan",
                "many.yml",
                "-i",
                "fleet",
                "-f",
                "20",
                "--report",
                "html=many.html",
            ],
            2,
            "1 failed",
        ),
    ] {
        expect(
            finish(&mut scenario::command(here, here, words))?,
            code,
            &[told],
        )?;
    }
    Ok(place)
}

/// A hundred tasks; hosts differ in some of them.
fn many() -> String {
    let mut text = "- hosts: all\n  gather_facts: false\n  tasks:\n".to_owned();
    for at in 0..100 {
        text.push_str(&match at {
            3 => "    - name: configuration\n      copy: {content: \"listen 8080;\\nname {{ inventory_hostname[-1] }};\\n\", dest: \"{{ playbook_dir }}/fleet.conf\", mode: \"0644\"}\n".to_owned(),
            50 => "    - name: breaks\n      fail: {msg: no space left}\n      when: inventory_hostname == 'web-017'\n".to_owned(),
            at if at % 7 == 0 => format!(
                "    - name: step {at}\n      debug: {{msg: done}}\n      changed_when: (inventory_hostname[-2:] | int) % {} == 0\n",
                at % 5 + 2
            ),
            _ => format!("    - name: check {at}\n      assert: {{that: 1 == 1, quiet: true}}\n"),
        });
    }
    text
}

impl Place {
    fn page(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, width: u32, height: u32) -> Command {
        let mut command = Command::new(&self.browser);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--mute-audio",
        ]);
        command.args(["--virtual-time-budget=20000", "--timeout=60000"]);
        command.arg(format!("--window-size={width},{height}"));
        command.arg(format!(
            "--user-data-dir={}",
            self.page("profile").display()
        ));
        command
            .env("HOME", self.folder.path())
            .env_remove("XDG_STATE_HOME")
            .current_dir(self.folder.path());
        command
    }

    /// What the probe saw on a page, dark where it is wide and light on a phone; `words` are looked for.
    fn look(&self, name: &str, width: u32, words: &str) -> Result<Value, String> {
        let page = std::fs::read_to_string(self.page(name)).map_err(|fault| fault.to_string())?;
        let watch = "<head><script>const errors = []; addEventListener('error', (event) => errors.push(event.message)); \
                     addEventListener('securitypolicyviolation', (event) => errors.push(event.violatedDirective));</script>";
        let probe = PROBE.replace("WORDS", &format!("{words:?}"));
        let page =
            page.replacen("<head>", watch, 1)
                .replacen("</body>", &format!("{probe}</body>"), 1);
        let copy = self.page("looked-at.html");
        std::fs::write(&copy, page).map_err(|fault| fault.to_string())?;
        let mut command = self.start(width, 900);
        let scheme = u8::from(width < 1000);
        command
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg("--dump-dom")
            .arg(format!("file://{}", copy.display()));
        let output = command.output().map_err(|fault| fault.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let seen = text
            .split_once("<pre id=\"seen\">")
            .and_then(|(_, rest)| rest.split_once("</pre>"));
        let (seen, _) = seen.ok_or_else(|| {
            format!(
                "the page left nothing:\n{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        let seen = seen
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        serde_json::from_str(&seen).map_err(|fault| format!("{fault}: {seen}"))
    }
}

/// Requires what was seen.
fn require(seen: &Value, wanted: &[(&str, Value)]) -> Result<(), String> {
    match wanted.iter().find(|(name, value)| seen[*name] != *value) {
        Some((name, value)) => Err(format!("{name} is not {value}:\n{seen:#}")),
        None => Ok(()),
    }
}

/// What holds for every page: no error, nothing beyond its width, all texts can be read, and the keys work.
fn sound(seen: &Value) -> Result<(), String> {
    require(
        seen,
        &[
            ("errors", Value::Array(vec![])),
            ("overflow", 0.into()),
            ("overflow_open", 0.into()),
            ("faint", Value::Object(serde_json::Map::new())),
            ("unnamed", 0.into()),
            ("foreign", 0.into()),
            ("searching", "q".into()),
            ("first", true.into()),
            ("second", true.into()),
            ("opened", seen["entries"].clone()),
            ("in_grid", "grid".into()),
            ("reached", true.into()),
            ("nothing", 0.into()),
            ("help", true.into()),
        ],
    )
}

fn one_host(place: &Place) -> Result<(), String> {
    for (width, sides) in [(1280, 4), (360, 2)] {
        let seen = place.look("one.html", width, "listen 8080")?;
        sound(&seen)?;
        // The words of the changed lines come first; times are elsewhere.
        let marks: Vec<&Value> = seen["marks"]
            .as_array()
            .into_iter()
            .flatten()
            .take(4)
            .collect();
        if marks != ["80", "8080", "com", "org"] {
            return Err(format!("other words are marked:\n{seen:#}"));
        }
        require(
            &seen,
            &[
                (
                    "title",
                    "rplay: Plan: 4 changes, 2 unknown, 1 failed".into(),
                ),
                ("entries", 7.into()),
                ("cells", 6.into()),
                ("lanes", 6.into()),
                ("graph", 6.into()),
                ("sides", sides.into()),
                ("found", "Found 1 result.".into()),
                ("left", 1.into()),
                ("again", 7.into()),
            ],
        )?;
        let cell = seen["cell"].as_str().unwrap_or_default();
        if !cell.starts_with("one · 2. ask · not known · ") {
            return Err(format!("the cell says {cell}"));
        }
    }
    Ok(())
}

/// Two hundred hosts with a hundred tasks: what they have in common is there once.
fn many_hosts(place: &Place) -> Result<(), String> {
    for width in [1280, 360] {
        let seen = place.look("many.html", width, "web-017")?;
        sound(&seen)?;
        // Ten differences, one for each last figure; the steps; and what failed.
        require(
            &seen,
            &[
                ("cells", 20_000.into()),
                ("lanes", 100.into()),
                ("entries", 26.into()),
                ("hosts", 1.into()),
                // The cell that was gone to is `ok`: such results are shown since.
                ("again", 124.into()),
            ],
        )?;
        let cell = seen["cell"].as_str().unwrap_or_default();
        if !cell.starts_with("web-002 · 2. check 1 · ok · ") {
            return Err(format!("the cell says {cell}"));
        }
    }
    let size = std::fs::metadata(place.page("many.html")).map_err(|fault| fault.to_string())?;
    match size.len() {
        size if size < 600_000 => Ok(()),
        size => Err(format!("the page has {size} bytes")),
    }
}

/// Light and dark, on a desk and on a phone: something is drawn, in the colours that are asked for.
fn pictures(place: &Place) -> Result<(), String> {
    for page in ["one.html", "many.html"] {
        for (device, width, height) in [("desk", 1280, 1600), ("phone", 360, 1400)] {
            for (scheme, number) in [("dark", 0), ("light", 1)] {
                let name = format!("{}-{device}-{scheme}.png", page.trim_end_matches(".html"));
                let file = place.pictures.join(&name);
                let mut command = place.start(width, height);
                command.arg(format!("--blink-settings=preferredColorScheme={number}"));
                command.arg(format!("--screenshot={}", file.display()));
                command.arg(format!("file://{}", place.page(page).display()));
                let (_, told) = finish(&mut command)?;
                let picture =
                    Picture::read(&file).map_err(|fault| format!("{name}: {fault}\n{told}"))?;
                if (picture.width, picture.height) != (width, height) {
                    return Err(format!("{name}: {} x {}", picture.width, picture.height));
                }
                let (light, colors) = (picture.brightness(), picture.colors());
                let fits = if scheme == "dark" {
                    light < 60
                } else {
                    light > 200
                };
                if !fits || colors < 100 {
                    return Err(format!("{name}: brightness {light}, {colors} colours"));
                }
            }
        }
    }
    Ok(())
}

/// Nothing in a page names another place from which something would come.
fn alone(place: &Place) -> Result<(), String> {
    let page =
        std::fs::read_to_string(place.page("many.html")).map_err(|fault| fault.to_string())?;
    let banned = [
        " src=",
        "url(h",
        "@import",
        "<link",
        "href=\"h",
        "fetch(",
        "XMLHttpRequest",
    ];
    match banned.iter().find(|word| page.contains(**word)) {
        Some(word) => Err(format!("`{word}` is in the page")),
        None => Ok(()),
    }
}

/// What the page of 200 hosts and 100 tasks draws at first, little more than an element a result, and what it shows after
/// a search for a host. How long that takes is no matter for a test.
fn quick(place: &Place) -> Result<(), String> {
    let page = std::fs::read_to_string(place.page("many.html"));
    let page = page.map_err(|fault| fault.to_string())?;
    let end = "<script>const drawn = document.querySelectorAll('*').length;\
        const field = document.getElementById('q'); field.value = 'web-017';\
        field.dispatchEvent(new Event('input'));\
        const shown = [...document.querySelectorAll('*')].filter((one) => one.checkVisibility()).length;\
        document.body.innerHTML = `<pre id=\"counts\">${drawn} ${shown}</pre>`;\
        </script></body>";
    let copy = place.page("counted.html");
    std::fs::write(&copy, page.replacen("</body>", end, 1)).map_err(|fault| fault.to_string())?;
    let mut command = Command::new(&place.browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
    command.arg(format!(
        "--user-data-dir={}",
        place.page("profile").display()
    ));
    command.arg(format!("file://{}", copy.display()));
    let (_, text) = finish(command.env("HOME", place.folder.path()))?;
    let counts = text
        .split_once("<pre id=\"counts\">")
        .and_then(|(_, rest)| rest.split_once('<'));
    let counts: Vec<u64> = counts.map_or(vec![], |(counts, _)| {
        counts
            .split(' ')
            .filter_map(|one| one.parse().ok())
            .collect()
    });
    match counts[..] {
        [drawn, shown] if drawn < 30_000 && shown < 3_000 => Ok(()),
        _ => Err(format!(
            "elements drawn, and shown after a search: {counts:?}"
        )),
    }
}
