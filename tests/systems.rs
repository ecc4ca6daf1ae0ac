//! The systems of the README's table that run on this machine, from an empty place to the teardown.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::docker::Engine;
use crate::harness::case::split;
use crate::harness::scenario::{self, Scenario, eventually, expect, finish};
use crate::harness::stages::Verdict;
use crate::kubernetes::Cluster;

const SCENARIOS: &[Scenario<Place>] = &[
    (
        "JAWS: services under two supervisords, updated, broken, mended, removed",
        jaws,
    ),
    (
        "ENAC: an application with Redis, updated, not well, interrupted, rolled back, removed",
        enac,
    ),
    (
        "ENAC with Compose: updated, not well, rolled back, removed",
        enac_compose,
    ),
    (
        "Fragalysis: a stack on Kubernetes, rolled out pod by pod, broken, shut down, wiped",
        fragalysis,
    ),
    (
        "TU Graz: a Compose project, host by host, updated, broken in the middle, mended, removed",
        tugraz,
    ),
];

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("systems", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    let folder = tempfile::Builder::new().prefix("rplay-systems-").tempdir();
    match folder {
        Ok(folder) => {
            let home = folder.path().to_path_buf();
            let root = root.to_owned();
            scenario::run("systems", &chosen, &Place { root, home })
        }
        Err(fault) => vec![("systems".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

/// Where a system is deployed.
struct Place {
    /// The repository.
    root: PathBuf,
    home: PathBuf,
}

impl Place {
    /// The command in the README's row of a system, without the program.
    fn command(&self, system: &str) -> Result<Vec<String>, String> {
        let text = std::fs::read_to_string(self.root.join("README.md"));
        let text = text.map_err(|fault| fault.to_string())?;
        let begin = format!("| {system} |");
        let row = text.lines().find(|line| line.starts_with(&begin));
        let command = row.and_then(|row| row.split("`rplay ").nth(1)?.split('`').next());
        command
            .map(split)
            .ok_or_else(|| format!("the README has no command for {system}"))
    }

    fn run(&self, words: &[String], more: &[&str]) -> Result<(i32, String), String> {
        let words = words.iter().map(String::as_str).chain(more.iter().copied());
        let words: Vec<&str> = words.collect();
        finish(&mut scenario::command(&self.root, &self.home, &words))
    }
}

/// The command with another playbook of the same folder, and another version.
fn other(command: &[String], playbook: &str, version: &str) -> Vec<String> {
    let playbook = command[0].replace("deploy.yml", playbook);
    let words = command
        .iter()
        .skip(1)
        .map(|word| match word.starts_with("version=") {
            true => format!("version={version}"),
            false => word.clone(),
        });
    std::iter::once(playbook).chain(words).collect()
}

/// Leaves the scenario out where a program is missing.
fn require(programs: &[&str]) -> Result<(), String> {
    let known = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&known).any(|folder| folder.join(name).exists());
    match programs.iter().find(|name| !there(name)) {
        Some(name) => Err(format!("skip: needs {name}")),
        None => Ok(()),
    }
}

/// The line of the totals.
fn recap(text: &str) -> String {
    let line = text.lines().rev().find(|line| line.contains("ok="));
    line.map(str::to_owned).unwrap_or_default()
}

fn jaws(place: &Place) -> Result<(), String> {
    require(&["supervisord"])?;
    let deploy = place.command("JAWS")?;
    let base = place.home.join(".cache/rplay/jaws/cori-staging");
    let done = try_jaws(place, &deploy, &base);
    // Whatever happened, nothing stays behind.
    let removed = expect(
        place.run(&other(&deploy, "teardown.yml", "1.0.0"), &[])?,
        0,
        &["failed=0"],
    );
    done.and(removed)?;
    match base.exists() {
        true => Err(format!("{} is still there", base.display())),
        false => Ok(()),
    }
}

fn try_jaws(place: &Place, deploy: &[String], base: &Path) -> Result<(), String> {
    let at = |version: &str| other(deploy, "deploy.yml", version);
    let test = |version: &str| place.run(&other(deploy, "test.yml", version), &[]);
    // What is shown for an empty place is what the run then does.
    let (code, planned) = place.run(&at("1.0.0"), &["--check", "--diff"])?;
    let looked = (code, planned.clone());
    expect(
        looked,
        0,
        &["+id = CORI", "+queue = cori_staging", "failed=0"],
    )?;
    if base.exists() {
        return Err("the look made the folder".to_owned());
    }
    let (code, made) = place.run(&at("1.0.0"), &[])?;
    expect((code, made.clone()), 0, &["failed=0"])?;
    if recap(&planned) != recap(&made) {
        let (planned, made) = (recap(&planned), recap(&made));
        return Err(format!("planned and done differ:\n{planned}\n{made}"));
    }
    expect(test("1.0.0")?, 0, &["failed=0"])?;
    expect(place.run(&at("1.0.0"), &[])?, 0, &["changed=0"])?;
    // An update changes what runs.
    expect(
        place.run(&at("1.1.0"), &["--check", "--diff"])?,
        0,
        &["+1.1.0"],
    )?;
    expect(test("1.0.0")?, 0, &["failed=0"])?;
    expect(place.run(&at("1.1.0"), &[])?, 0, &["failed=0"])?;
    expect(test("1.1.0")?, 0, &["failed=0"])?;
    // A release that does not start leaves the former one in force.
    let broken = base.join("releases/1.2.0");
    std::fs::create_dir_all(&broken)
        .and_then(|()| std::fs::write(broken.join("refuse"), ""))
        .map_err(|fault| fault.to_string())?;
    expect(
        place.run(&at("1.2.0"), &[])?,
        2,
        &[
            "1.2.0 does not start",
            "the former release is in force again",
        ],
    )?;
    let current = std::fs::read_link(base.join("current")).map_err(|fault| fault.to_string())?;
    if !current.ends_with("releases/1.1.0") {
        return Err(format!("{} is in force", current.display()));
    }
    expect(test("1.1.0")?, 0, &["failed=0"])?;
    // Mended, it goes on.
    std::fs::remove_file(broken.join("refuse")).map_err(|fault| fault.to_string())?;
    expect(place.run(&at("1.2.0"), &[])?, 0, &["failed=0"])?;
    expect(test("1.2.0")?, 0, &["failed=0"])
}

fn enac(place: &Place) -> Result<(), String> {
    require(&["supervisord", "redis-server", "python3"])?;
    let deploy = place.command("ENAC")?;
    let base = place.home.join(".cache/rplay/enac/demo");
    let done = try_enac(place, &deploy, &base);
    // Whatever happened, nothing stays behind.
    let teardown = other(&deploy, "teardown.yml", "1.0.0");
    let removed = expect(place.run(&teardown, &[])?, 0, &["failed=0"]);
    done.and(removed)?;
    expect(place.run(&teardown, &[])?, 0, &["changed=0", "failed=0"])?;
    match base.exists() {
        true => Err(format!("{} is still there", base.display())),
        false => Ok(()),
    }
}

fn try_enac(place: &Place, deploy: &[String], base: &Path) -> Result<(), String> {
    let run = |version: &str, more: &[&str]| place.run(&other(deploy, "deploy.yml", version), more);
    // The number of visits is kept in Redis: it lasts through everything.
    let mut visits = 0;
    let mut test = |version: &str| {
        visits += 1;
        let text = format!("demo {version}: visit {visits}\"");
        let ran = place.run(&other(deploy, "test.yml", version), &[])?;
        expect(ran, 0, &["failed=0", &text])
    };
    let flag = |version: &str, name: &str| base.join("releases").join(version).join(name);
    let raise = |version: &str, name: &str| {
        std::fs::create_dir_all(flag(version, ""))
            .and_then(|()| std::fs::write(flag(version, name), ""))
            .map_err(|fault| fault.to_string())
    };
    let lower = |version: &str, name: &str| {
        std::fs::remove_file(flag(version, name)).map_err(|fault| fault.to_string())
    };
    // What is shown for an empty place is what the run then does.
    let (code, planned) = run("1.0.0", &["--check", "--diff"])?;
    let texts = [
        "+command = redis-server",
        "if self.path == \"/health\":",
        "failed=0",
    ];
    expect((code, planned.clone()), 0, &texts)?;
    if base.exists() {
        return Err("the look made the folder".to_owned());
    }
    let (code, made) = run("1.0.0", &["--diff"])?;
    expect((code, made.clone()), 0, &["failed=0"])?;
    let changed = |text: &str| recap(text).split_whitespace().nth(3).map(str::to_owned);
    if changed(&planned) != changed(&made) {
        let (planned, made) = (recap(&planned), recap(&made));
        return Err(format!("planned and done differ:\n{planned}\n{made}"));
    }
    let secret = std::fs::read_to_string(place.home.join(".cache/rplay/enac/secrets/demo"));
    let secret = secret.map_err(|fault| fault.to_string())?;
    if planned.contains(secret.trim()) || made.contains(secret.trim()) {
        return Err("the password is told".to_owned());
    }
    test("1.0.0")?;
    expect(run("1.0.0", &[])?, 0, &["changed=0"])?;
    // Another release.
    let texts = [
        "-    \"src\": ",
        "releases/1.1.0\"",
        "-1.0.0\n+1.1.0",
        "failed=0",
    ];
    expect(run("1.1.0", &["--check", "--diff"])?, 0, &texts)?;
    test("1.0.0")?;
    expect(run("1.1.0", &[])?, 0, &["failed=0"])?;
    test("1.1.0")?;
    // One that is not well gives way to the former one.
    raise("1.2.0", "unhealthy")?;
    let impatient = ["-e", "health_retries=2"];
    let back =
        "1.2.0 is not deployed (Ask for its health: this release is not well); 1.1.0 is in force";
    expect(run("1.2.0", &impatient)?, 2, &[back, "rescued=1"])?;
    test("1.1.0")?;
    // Killed when the release is half in force, the next run knows which one was well.
    let words = other(deploy, "deploy.yml", "1.2.0");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut child = scenario::command(&place.root, &place.home, &words);
    let mut child = child.spawn().map_err(|fault| fault.to_string())?;
    let switched = eventually("the release is in force", Duration::from_secs(60), || {
        let target = std::fs::read_link(base.join("current"));
        Ok(target.is_ok_and(|target| target.ends_with("1.2.0")))
    });
    child.kill().map_err(|fault| fault.to_string())?;
    child.wait().map_err(|fault| fault.to_string())?;
    switched?;
    expect(run("1.2.0", &impatient)?, 2, &[back, "rescued=1"])?;
    test("1.1.0")?;
    lower("1.2.0", "unhealthy")?;
    expect(run("1.2.0", &[])?, 0, &["failed=0"])?;
    test("1.2.0")?;
    // One whose data cannot be prepared never comes into force.
    raise("1.3.0", "broken-data")?;
    let why = "1.3.0 is not deployed (Prepare the data: the data cannot be brought to this release); 1.2.0 is in force";
    expect(run("1.3.0", &[])?, 2, &[why])?;
    test("1.2.0")?;
    lower("1.3.0", "broken-data")?;
    expect(run("1.3.0", &[])?, 0, &["failed=0"])?;
    test("1.3.0")?;
    let left = std::fs::read_dir(base.join("releases")).map_err(|fault| fault.to_string())?;
    match left.count() {
        3 => Ok(()),
        left => Err(format!("{left} releases are left")),
    }
}

/// The lab has no storage, and its pods are ready in a moment.
const LAB: &str = r#"{"database_volume": "", "wait_timeout": 15, "wait_sleep": 1}"#;

fn fragalysis(place: &Place) -> Result<(), String> {
    let cluster =
        Cluster::start(&place.root).map_err(|reason| match reason.starts_with("needs") {
            true => format!("skip: {reason}"),
            false => reason,
        })?;
    let deploy = place.command("Fragalysis")?;
    let run = |playbook: &str, tag: &str, more: &[&str]| {
        let words: Vec<String> = deploy
            .iter()
            .map(|word| match word.as_str() {
                word if word.ends_with("/deploy.yml") => word.replace("deploy.yml", playbook),
                word if word.starts_with("stack_image_tag=") => format!("stack_image_tag={tag}"),
                word => word.to_owned(),
            })
            .collect();
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.extend(["-e", LAB]);
        words.extend(more);
        finish(&mut cluster.rplay(&place.root, &words))
    };
    let ask = |what: &str, path: &str| {
        let path = format!("jsonpath={path}");
        cluster.kubectl(&["-n", "staging-stack", "get", what, "-o", &path])
    };
    let images = || {
        ask(
            "pods",
            "{range .items[*]}{.metadata.name}={.spec.containers[0].image} {end}",
        )
    };
    let both = |tag: &str| {
        let image = format!("docker.io/xchem/fragalysis-stack:{tag}");
        format!("database-0=docker.io/library/postgres:16 stack-0={image} stack-1={image} ")
    };
    let runs = |tag: &str| match images()? {
        images if images == both(tag) => Ok(()),
        images => Err(format!("{tag} does not run: {images}")),
    };
    // What is shown for an empty cluster is what the run then does.
    expect(
        run("deploy.yml", "1.0.0", &["--check", "--diff"])?,
        0,
        &["fragalysis-stack:1.0.0", "ok=7", "changed=4", "failed=0"],
    )?;
    if cluster.kubectl(&["get", "ns", "staging-stack"]).is_ok() {
        return Err("the look made the namespace".to_owned());
    }
    let (code, text) = run("deploy.yml", "1.0.0", &["--diff"])?;
    let password = ask("secret/database", "{.data.password}")?;
    if text.contains(&password) {
        return Err("the password is told".to_owned());
    }
    expect((code, text), 0, &["ok=7", "changed=4", "failed=0"])?;
    runs("1.0.0")?;
    expect(
        run("deploy.yml", "1.0.0", &[])?,
        0,
        &["changed=0", "failed=0"],
    )?;
    // Another release, pod by pod.
    expect(
        run("deploy.yml", "1.1.0", &["--check", "--diff"])?,
        0,
        &["-", "fragalysis-stack:1.1.0"],
    )?;
    runs("1.0.0")?;
    expect(
        run("deploy.yml", "1.1.0", &[])?,
        0,
        &["rolled out staging-stack/stack-0", "failed=0"],
    )?;
    runs("1.1.0")?;
    // A forced roll-out with the same tag: other pods.
    let pods = ask("pods", "{.items[*].metadata.uid}")?;
    expect(
        run("update.yml", "1.1.0", &[])?,
        0,
        &["changed=1", "failed=0"],
    )?;
    runs("1.1.0")?;
    if pods == ask("pods", "{.items[*].metadata.uid}")? {
        return Err("no pod is new".to_owned());
    }
    // One that cannot be pulled stops at the first pod and is put back.
    expect(
        run("update.yml", "missing", &[])?,
        2,
        &[
            "stack-1 is not ready after 15 s; put back: stack",
            "ImagePullBackOff",
        ],
    )?;
    runs("1.1.0")?;
    if password != ask("secret/database", "{.data.password}")? {
        return Err("the password is another one".to_owned());
    }
    expect(
        run("shutdown.yml", "1.1.0", &[])?,
        0,
        &["changed=1", "failed=0"],
    )?;
    if !images()?.is_empty() {
        return Err(format!("still there: {}", images()?));
    }
    expect(
        run("wipe.yml", "1.1.0", &[])?,
        0,
        &["changed=1", "failed=0"],
    )?;
    match cluster.kubectl(&["get", "ns", "staging-stack"]) {
        Ok(text) => Err(format!("still there: {text}")),
        Err(_) => Ok(()),
    }
}

/// An image with the machine's own Python and Redis, and nothing else.
const RUNTIME: &str = r#"
set -eu
cd /
python=$(readlink -f "$(PATH=/usr/bin:/bin command -v python3)")
redis=$(readlink -f "$(command -v redis-server)")
library=/usr/lib/$(basename "$python")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/usr/bin" "$folder/tmp" "$folder/bin"
cp "$1/usr/bin/busybox" "$folder/bin/"
for name in sh date dirname readlink; do ln -s busybox "$folder/bin/$name"; done
cp "$python" "$folder/usr/bin/python3"
cp "$redis" "$folder/usr/bin/redis-server"
{ ldd "$python" "$redis"; ldd "$library"/lib-dynload/*.so; } | grep -o '/[^ ]*' | sort -u | grep -v ':$' | while read -r file; do
    mkdir -p "$folder$(dirname "$file")"
    cp -L "$file" "$folder$file"
done
mkdir -p "$folder$library"
tar -C "$library" --exclude=test --exclude=__pycache__ --exclude=dist-packages --exclude='config-*' -c . | tar -C "$folder$library" -x
tar -C "$folder" -c . | docker import -c 'ENV PATH=/usr/bin:/bin' - runtime:1 >/dev/null
"#;

fn enac_compose(place: &Place) -> Result<(), String> {
    require(&["redis-server", "ldd"])?;
    let engine =
        Engine::start(&place.root).map_err(|reason| match reason.starts_with("needs") {
            true => format!("skip: {reason}"),
            false => reason,
        })?;
    let mut make = Command::new("bash");
    make.args(["-c", RUNTIME, "bash"]).arg(engine.tools());
    expect(finish(&mut engine.within(&make))?, 0, &[])?;
    let deploy = place.command("ENAC")?;
    let base = engine.file("run/home/.cache/rplay/enac/demo");
    let run = |playbook: &str, version: &str, more: &[&str]| {
        let words = other(&deploy, playbook, version);
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        for word in [
            "backend=compose",
            "app_image=runtime:1",
            "redis_image=runtime:1",
        ] {
            words.extend(["-e", word]);
        }
        words.extend(more);
        finish(&mut engine.rplay(&place.root, &words))
    };
    let mut visits = 0;
    let mut test = |version: &str| {
        visits += 1;
        let text = format!("demo {version}: visit {visits}\"");
        expect(run("test.yml", version, &[])?, 0, &["failed=0", &text])
    };
    let raise = |version: &str, name: &str| {
        let folder = base.join("releases").join(version);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(name), ""))
            .map_err(|fault| fault.to_string())
    };
    expect(
        run("deploy.yml", "1.0.0", &["--check", "--diff"])?,
        0,
        &["+services:", "failed=0"],
    )?;
    if base.exists() || !engine.docker(&["ps", "-aq"])?.is_empty() {
        return Err("the look made something".to_owned());
    }
    expect(run("deploy.yml", "1.0.0", &[])?, 0, &["failed=0"])?;
    test("1.0.0")?;
    expect(run("deploy.yml", "1.0.0", &[])?, 0, &["changed=0"])?;
    expect(run("deploy.yml", "1.0.0", &["--check"])?, 0, &["changed=0"])?;
    expect(
        run("deploy.yml", "1.1.0", &["--check", "--diff"])?,
        0,
        &["-1.0.0\n+1.1.0", "failed=0"],
    )?;
    expect(run("deploy.yml", "1.1.0", &[])?, 0, &["failed=0"])?;
    test("1.1.0")?;
    // One that is not well, and one whose data cannot be prepared, give way to the former one.
    raise("1.2.0", "unhealthy")?;
    let back =
        "1.2.0 is not deployed (Ask for its health: this release is not well); 1.1.0 is in force";
    expect(
        run("deploy.yml", "1.2.0", &["-e", "health_retries=3"])?,
        2,
        &[back, "rescued=1"],
    )?;
    test("1.1.0")?;
    raise("1.3.0", "broken-data")?;
    let back =
        "1.3.0 is not deployed (Prepare the data: the data cannot be brought to this release";
    expect(
        run("deploy.yml", "1.3.0", &[])?,
        2,
        &[back, "1.1.0 is in force"],
    )?;
    test("1.1.0")?;
    // Mended, it is deployed.
    std::fs::remove_file(base.join("releases/1.3.0/broken-data"))
        .map_err(|fault| fault.to_string())?;
    expect(run("deploy.yml", "1.3.0", &[])?, 0, &["failed=0"])?;
    test("1.3.0")?;
    expect(run("teardown.yml", "1.3.0", &[])?, 0, &["failed=0"])?;
    expect(run("teardown.yml", "1.3.0", &[])?, 0, &["changed=0"])?;
    match base.exists() || !engine.docker(&["ps", "-aq"])?.is_empty() {
        true => Err("something is left".to_owned()),
        false => Ok(()),
    }
}

fn tugraz(place: &Place) -> Result<(), String> {
    let engine =
        Engine::start(&place.root).map_err(|reason| match reason.starts_with("needs") {
            true => format!("skip: {reason}"),
            false => reason,
        })?;
    let deploy = place.command("TU Graz")?;
    let password = std::fs::read_to_string(engine.file("run/password"));
    let password = password.map_err(|fault| fault.to_string())?;
    // As in a file of variables, so that it is in no process's arguments.
    let login = engine.file("login.yml");
    let text = format!("registry_user: lab\nregistry_password: {password}\n");
    std::fs::write(&login, text).map_err(|fault| fault.to_string())?;
    let login = format!("@{}", login.display());
    let run = |playbook: &str, version: &str, more: &[&str]| {
        let words = other(&deploy, playbook, version);
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.extend(["-e", &login]);
        words.extend(more);
        let (code, text) = finish(&mut engine.rplay(&place.root, &words))?;
        match text.contains(&password) {
            true => Err(format!("the password is told:\n{text}")),
            false => Ok((code, text)),
        }
    };
    let base = engine.file("run/home/.cache/rplay/tugraz");
    // What is shown for empty hosts is what the run then does.
    expect(
        run("deploy.yml", "1.0.0", &["--check", "--diff"])?,
        0,
        &["repository:1.0.0", "+VERSION=1.0.0", "failed=0"],
    )?;
    let made = engine.docker(&["ps", "-aq"])?;
    if !made.is_empty() || base.exists() {
        return Err(format!("the look made something: {made}"));
    }
    expect(
        run("deploy.yml", "1.0.0", &[])?,
        0,
        &["invenio02_test             : ok=14   changed=5", "failed=0"],
    )?;
    expect(run("test.yml", "1.0.0", &[])?, 0, &["failed=0"])?;
    let (code, again) = run("deploy.yml", "1.0.0", &[])?;
    if again.contains("changed=1") || again.contains("changed: [") {
        return Err(format!("the second run changed something:\n{again}"));
    }
    expect((code, again), 0, &["changed=0", "failed=0"])?;
    // Another release; only what serves is made anew.
    let cache = || engine.docker(&["ps", "-q", "--filter", "name=-cache-1"]);
    let caches = cache()?;
    expect(
        run("deploy.yml", "1.1.0", &["--check", "--diff"])?,
        0,
        &[
            "-VERSION=1.0.0",
            "+VERSION=1.1.0",
            "repository:1.1.0 (pulled)",
        ],
    )?;
    expect(run("test.yml", "1.0.0", &[])?, 0, &["failed=0"])?;
    expect(run("deploy.yml", "1.1.0", &[])?, 0, &["failed=0"])?;
    expect(run("test.yml", "1.1.0", &[])?, 0, &["failed=0"])?;
    if caches != cache()? {
        return Err("the caches are other containers".to_owned());
    }
    // A release that the second host does not start: it goes on with the former one.
    let refuse = base.join("invenio02_test/data/refuse-1.2.0");
    std::fs::write(&refuse, "").map_err(|fault| fault.to_string())?;
    expect(
        run("deploy.yml", "1.2.0", &[])?,
        2,
        &[
            "1.2.0 refuses",
            "1.2.0 does not answer on invenio02_test",
            "the former release is in force again",
        ],
    )?;
    expect(
        run("test.yml", "1.2.0", &["-l", "invenio01_test"])?,
        0,
        &["failed=0"],
    )?;
    expect(
        run("test.yml", "1.1.0", &["-l", "invenio02_test"])?,
        0,
        &["failed=0"],
    )?;
    // Mended, it goes on where it stopped.
    std::fs::remove_file(&refuse).map_err(|fault| fault.to_string())?;
    expect(
        run("deploy.yml", "1.2.0", &[])?,
        0,
        &["invenio01_test             : ok=14   changed=0", "failed=0"],
    )?;
    expect(run("test.yml", "1.2.0", &[])?, 0, &["failed=0"])?;
    let config = engine.file("run/home/.docker/config.json");
    let config = std::fs::read_to_string(config).map_err(|fault| fault.to_string())?;
    if config.contains("auth\"") {
        return Err(format!("still logged in: {config}"));
    }
    expect(run("teardown.yml", "1.2.0", &[])?, 0, &["failed=0"])?;
    let left = engine.docker(&["ps", "-aq"])? + &engine.docker(&["volume", "ls", "-q"])?;
    match left.is_empty() && !base.join("invenio01_test").exists() {
        true => Ok(()),
        false => Err(format!("still there: {left}")),
    }
}
