//! Compose projects, with two generations of Compose: that check mode knows what will change, that the lists in
//! results are Compose's own, and how few questions the engine is asked where nothing changes.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value as Json;

use super::Engine;
use crate::harness::scenario::expect;

/// What a project is made of; a step changes one of it.
#[derive(Clone)]
struct Files {
    tag: &'static str,
    env: &'static str,
    from_file: &'static str,
    network: &'static str,
    volume: &'static str,
    content: &'static str,
    more: &'static str,
}

/// Three services, of which one is in the other's network namespace, a network, a volume, a configuration.
fn write(engine: &Engine, files: &Files) -> Result<(), String> {
    let folder = engine.file("project");
    std::fs::create_dir_all(&folder).map_err(|fault| fault.to_string())?;
    let Files {
        tag,
        env,
        network,
        volume,
        content,
        more,
        ..
    } = files;
    let text = format!(
        "services:
  web:
    image: 127.0.0.1:5001/demo:{tag}
    environment: {{A: {env}, PASSED: }}
    env_file: [app.env]
    volumes: ['store:/store', './app.env:/app.env']
    configs: [{{source: conf, target: /etc/conf}}]
    networks: [net]
    ports: ['127.0.0.1:18090:80']
  side:
    image: 127.0.0.1:5001/demo:1.0.0
    command: sleep 1000
    network_mode: service:web
  db:
    image: 127.0.0.1:5001/demo:1.0.0
    command: sleep 1000
    depends_on: {{web: {{condition: service_started, restart: true}}}}
    healthcheck: {{test: ['CMD', 'true'], interval: 1s}}
    networks: [net, other]
{more}
volumes: {{store: {{labels: {{v: '{volume}'}}}}}}
networks: {{net: {{labels: {{n: '{network}'}}}}, other: {{}}}}
configs: {{conf: {{content: '{content}'}}}}
"
    );
    engine.write("project/compose.yaml", &text)?;
    engine.write("project/app.env", &format!("B={}\n", files.from_file))
}

const FIRST: Files = Files {
    tag: "1.0.0",
    env: "a",
    from_file: "b",
    network: "1",
    volume: "1",
    content: "1",
    more: "",
};

/// The result of a task with more arguments, and perhaps words of the command line.
fn bring(engine: &Engine, more: &str, words: &[&str]) -> Result<Json, String> {
    zoned(engine, more, words, "UTC")
}

/// The same in a zone of the clock.
fn zoned(engine: &Engine, more: &str, words: &[&str], zone: &str) -> Result<Json, String> {
    let out = engine.file("result.json");
    let tasks = format!(
        "- community.docker.docker_compose_v2: {{project_src: '{{{{ playbook_dir }}}}/project', timeout: 1{more}}}
  register: result
  environment: {{PASSED: \"{{{{ passed | default('p') }}}}\", TZ: {zone}}}
- copy: {{content: '{{{{ result | to_json }}}}', dest: '{}'}}
  check_mode: false
",
        out.display()
    );
    expect(engine.play(&tasks, words)?, 0, &["failed=0"])?;
    let text = std::fs::read_to_string(out).map_err(|fault| fault.to_string())?;
    serde_json::from_str(&text).map_err(|fault| fault.to_string())
}

/// What was done or would be, in some order.
fn actions(result: &Json) -> Vec<String> {
    let all = result["actions"].as_array().into_iter().flatten();
    let mut all: Vec<String> = all
        .map(|one| format!("{} {} {}", one["what"], one["id"], one["status"]).replace('"', ""))
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Whether an engine's Compose looks at networks and volumes, too.
fn is_young(engine: &Engine) -> bool {
    engine.tools().ends_with("new")
}

/// A step: its name, what it does, further arguments, and whether it changes something with the older and with the
/// younger Compose.
type Step = (
    &'static str,
    fn(&Engine, &mut Files) -> Result<(), String>,
    &'static str,
    (bool, bool),
);

/// What is done by hand.
fn by_hand(engine: &Engine, words: &[&str]) -> Result<(), String> {
    engine.docker(words).map(|_| ())
}

const STEPS: &[Step] = &[
    ("the first time", |_, _| Ok(()), "", (true, true)),
    ("nothing", |_, _| Ok(()), "", (false, false)),
    (
        "an image",
        |_, files| {
            files.tag = "1.1.0";
            Ok(())
        },
        "",
        (true, true),
    ),
    (
        "a value of the environment",
        |_, files| {
            files.env = "x<&>$$y";
            Ok(())
        },
        "",
        (true, true),
    ),
    (
        "a value in a file of the environment",
        |_, files| {
            files.from_file = "c";
            Ok(())
        },
        "",
        (true, true),
    ),
    (
        "an option of the network",
        |_, files| {
            files.network = "2";
            Ok(())
        },
        "",
        (false, true),
    ),
    (
        "an option of the volume",
        |_, files| {
            files.volume = "2";
            Ok(())
        },
        "",
        (false, false),
    ),
    (
        "the same, with leave to lose it",
        |_, _| Ok(()),
        ", assume_yes: true",
        (false, true),
    ),
    (
        "the content of a configuration",
        |_, files| {
            files.content = "2";
            Ok(())
        },
        "",
        (false, false),
    ),
    (
        "a container that is no longer in its network",
        |engine, _| {
            by_hand(
                engine,
                &["network", "disconnect", "project_other", "project-db-1"],
            )
        },
        "",
        (false, true),
    ),
    (
        "a container that was stopped",
        |engine, _| by_hand(engine, &["stop", "-t", "0", "project-web-1"]),
        "",
        (true, true),
    ),
    (
        "one that was removed",
        |engine, _| by_hand(engine, &["rm", "-f", "project-web-1"]),
        "",
        (true, true),
    ),
    (
        "one that others need, without them",
        |_, files| {
            files.env = "z";
            Ok(())
        },
        ", services: [web], dependencies: false",
        (true, true),
    ),
    (
        "a selection",
        |_, _| Ok(()),
        ", services: [db]",
        (false, false),
    ),
    (
        "a name that means another image",
        |engine, _| {
            let names = ["127.0.0.1:5001/demo:1.1.0", "127.0.0.1:5001/demo:1.0.0"];
            by_hand(engine, &["tag", names[0], names[1]])
        },
        ", services: [side, db]",
        (true, true),
    ),
    (
        "a name that means none",
        |engine, _| by_hand(engine, &["rmi", "127.0.0.1:5001/demo:1.0.0"]),
        ", services: [side, db]",
        (true, true),
    ),
    ("all of it", |_, _| Ok(()), "", (false, false)),
    (
        "another service",
        |_, files| {
            files.more = "  late: {image: '127.0.0.1:5001/demo:1.0.0', volumes: [/anonymous]}";
            Ok(())
        },
        "",
        (true, true),
    ),
    (
        "anonymous volumes anew",
        |_, _| Ok(()),
        ", renew_anon_volumes: true, services: [late]",
        (false, true),
    ),
    (
        "more of a service",
        |_, _| Ok(()),
        ", scale: {late: 3}",
        (true, true),
    ),
    (
        "one of them removed",
        |engine, _| by_hand(engine, &["rm", "-f", "project-late-1"]),
        ", scale: {late: 3}",
        (true, true),
    ),
    (
        "fewer again",
        |_, files| {
            files.more =
                "  late: {image: '127.0.0.1:5001/demo:1.0.0', volumes: [/anonymous], scale: 2}";
            Ok(())
        },
        "",
        (true, true),
    ),
    (
        "an orphan that stays",
        |_, files| {
            files.more = "";
            Ok(())
        },
        "",
        (false, false),
    ),
    (
        "an orphan that goes",
        |_, _| Ok(()),
        ", remove_orphans: true",
        (true, true),
    ),
    (
        "never anew",
        |_, files| {
            files.tag = "1.0.0";
            Ok(())
        },
        ", recreate: never",
        (false, false),
    ),
    (
        "always anew",
        |_, _| Ok(()),
        ", recreate: always",
        (true, true),
    ),
];

pub(super) fn foreseen(engine: &Engine) -> Result<(), String> {
    engine.clean()?;
    let mut files = FIRST;
    for (name, change, more, (old, young)) in STEPS {
        change(engine, &mut files)?;
        write(engine, &files)?;
        let wanted = if is_young(engine) { *young } else { *old };
        if more.contains("assume_yes") && !is_young(engine) {
            let task = format!(
                "- community.docker.docker_compose_v2: {{project_src: '{{{{ playbook_dir }}}}/project'{more}}}\n"
            );
            let why = ["assume_yes=true needs Docker Compose 2.32.0 or newer, not version 2.26"];
            expect(engine.play(&task, &["--check"])?, 2, &why)?;
            expect(engine.play(&task, &[])?, 2, &why)?;
            continue;
        }
        let look =
            |words: &[&str]| bring(engine, more, words).map_err(|why| format!("{name}: {why}"));
        let planned = look(&["--check", "--diff"])?;
        let done = look(&["--diff"])?;
        if planned["changed"] != wanted || done["changed"] != wanted {
            return Err(format!(
                "{name}: {wanted} was expected\nplanned {planned:#}\ndone {done:#}"
            ));
        }
        let (planned, done) = (actions(&planned), actions(&done));
        if planned != done {
            return Err(format!("{name}\nplanned {planned:#?}\ndone {done:#?}"));
        }
        if *name == "always anew" || more.contains("renew") || more.contains("dependencies") {
            continue;
        }
        let again = look(&["--check"])?;
        if again["changed"] != false {
            return Err(format!("{name}: and then {again:#}"));
        }
    }
    // What the environment of the task passes on is a part of it.
    bring(engine, "", &[])?;
    for (word, wanted) in [("passed=q", true), ("passed=q", false), ("passed=p", true)] {
        for words in [&["-e", word, "--check"][..], &["-e", word]] {
            let result = bring(engine, "", words)?;
            if result["changed"] != wanted {
                return Err(format!("{words:?}: {result:#}"));
            }
        }
    }
    Ok(())
}

pub(super) fn refused(engine: &Engine) -> Result<(), String> {
    engine.clean()?;
    write(engine, &FIRST)?;
    std::fs::create_dir_all(engine.file("former")).map_err(|fault| fault.to_string())?;
    engine.write("project/wrong.yaml", "services: {a: {imagee: x}}\n")?;
    engine.write(
        "project/unset.yaml",
        "services: {a: {image: '${NOT:?must be set}'}}\n",
    )?;
    // A stand-in for the docker-compose of former times, which says its version and cannot do anything else.
    engine.write("former/docker-compose", "#!/bin/sh\necho 1.29.2\n")?;
    let former = engine.file("former").display().to_string();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let program = engine.file("former/docker-compose");
    std::fs::set_permissions(program, mode).map_err(|fault| fault.to_string())?;
    let folder = "{{ playbook_dir }}/project";
    let none = "docker_cli: /nonexistent/docker";
    let cases = [
        (folder, "files: [wrong.yaml]", "", "imagee"),
        (
            folder,
            "files: [unset.yaml]",
            "",
            "required variable NOT is missing a value: must be set",
        ),
        (
            folder,
            "files: [other.yaml]",
            "",
            "Cannot find Compose file",
        ),
        (
            folder,
            "services: [nosuch]",
            "",
            "General error: no such service: nosuch",
        ),
        ("/nonexistent", "", "", "is not a directory"),
        (
            "{{ playbook_dir }}/former",
            "",
            "",
            "does not contain compose.yaml",
        ),
        (
            folder,
            none,
            "/usr/bin:/bin",
            "Docker CLI /nonexistent/docker does not have the compose plugin installed",
        ),
        (
            folder,
            none,
            &format!("{former}:/usr/bin:/bin"),
            "has only docker-compose 1.29.2",
        ),
        (
            folder,
            "docker_host: 'unix:///nonexistent'",
            "",
            "Error connecting: Error while fetching server API version: unix:///nonexistent",
        ),
    ];
    for (folder, more, path, why) in cases {
        let path = match path {
            "" => String::new(),
            path => format!("  environment: {{PATH: '{path}'}}\n"),
        };
        let task = format!(
            "- community.docker.docker_compose_v2: {{project_src: '{folder}', {more}}}\n{path}"
        );
        for words in [&[][..], &["--check"]] {
            expect(engine.play(&task, words)?, 2, &[why])?;
        }
    }
    // Nothing of it was begun.
    match engine.docker(&["ps", "-aq"])?.trim() {
        "" => Ok(()),
        some => Err(format!("containers were made: {some}")),
    }
}

/// A socket that passes everything on to another one and counts what is asked.
struct Counter {
    asked: Arc<AtomicUsize>,
    told: Arc<RwLock<Vec<String>>>,
}

impl Counter {
    fn start(at: &Path, engine: &Path) -> Result<Self, String> {
        let _ = std::fs::remove_file(at);
        let listener = UnixListener::bind(at).map_err(|fault| fault.to_string())?;
        let counter = Self {
            asked: Arc::default(),
            told: Arc::default(),
        };
        let (asked, told, engine) = (
            Arc::clone(&counter.asked),
            Arc::clone(&counter.told),
            engine.to_owned(),
        );
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&engine) else {
                    return;
                };
                let (Ok(back), Ok(forth)) = (client.try_clone(), server.try_clone()) else {
                    return;
                };
                let (asked, told) = (Arc::clone(&asked), Arc::clone(&told));
                std::thread::spawn(move || {
                    pass(client, forth, &|line| {
                        asked.fetch_add(1, Ordering::SeqCst);
                        told.write()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(line.to_owned());
                    })
                });
                std::thread::spawn(move || pass(server, back, &|_| {}));
            }
        });
        Ok(counter)
    }

    /// What was asked since the last time.
    fn take(&self) -> (usize, Vec<String>) {
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        (
            self.asked.swap(0, Ordering::SeqCst),
            std::mem::take(&mut *told),
        )
    }
}

/// Passes bytes on, and tells of each line that begins a request.
fn pass(mut from: UnixStream, mut into: UnixStream, tell: &dyn Fn(&str)) {
    let mut rest = String::new();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        rest.push_str(&String::from_utf8_lossy(&buffer[..length]));
        while let Some((line, tail)) = rest.split_once("\r\n") {
            if line.ends_with(" HTTP/1.1") {
                tell(line);
            }
            rest = tail.to_owned();
        }
        if into.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = into.shutdown(Shutdown::Write);
}

pub(super) fn few(engine: &Engine) -> Result<(), String> {
    engine.clean()?;
    let socket = engine.file("counted");
    let counter = Counter::start(&socket, &engine.file("run/sock"))?;
    let more = format!(", docker_host: 'unix://{}'", socket.display());
    let most = |what: &str, more: &str, words: &[&str], most: usize| {
        counter.take();
        let result = bring(engine, more, words)?;
        let (asked, lines) = counter.take();
        println!(
            "docker: {what}: {asked} requests, Compose {}",
            if is_young(engine) { "2.40" } else { "2.26" }
        );
        match result["changed"] == false && asked <= most && asked > 0 {
            true => Ok(()),
            false => Err(format!(
                "{what}: {asked} requests, {most} at most\n{lines:#?}\n{result:#}"
            )),
        }
    };
    write(engine, &FIRST)?;
    bring(engine, &more, &[])?;
    most("three services, a network, a volume", &more, &[], 3)?;
    most("the same in check mode", &more, &["--check"], 3)?;
    // Who waits has nothing to wait for.
    bring(engine, &format!("{more}, wait: true"), &[])?;
    most(
        "the same with `wait`",
        &format!("{more}, wait: true"),
        &[],
        3,
    )?;
    // A service alone needs its container, its image, and its network where Compose looks at it.
    engine.clean()?;
    engine.write(
        "project/compose.yaml",
        "services: {web: {image: '127.0.0.1:5001/demo:1.0.0'}}\n",
    )?;
    bring(engine, &more, &[])?;
    let one = if is_young(engine) { 3 } else { 2 };
    most("one service", &more, &[], one)
}

/// The parts of what Compose prints as one text, and results have as a list or by name.
fn parts(value: &Json) -> Vec<String> {
    let mut parts: Vec<String> = match value {
        Json::Object(all) => {
            let text = |(name, value): (&String, &Json)| {
                format!("{name}={}", value.as_str().unwrap_or_default())
            };
            all.iter().map(text).collect()
        }
        Json::Array(all) => {
            let text = |one: &Json| one.as_str().map_or_else(|| one.to_string(), str::to_owned);
            all.iter().map(text).collect()
        }
        other => {
            let text = other.as_str().unwrap_or_default();
            text.split(',').map(str::to_owned).collect()
        }
    };
    parts.retain(|part| !part.is_empty());
    parts.sort();
    parts
}

/// A text without the age in it, which goes on while the two are asked; a unit test has the words of ages.
fn ageless(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    words.retain(|word| {
        let word = word.trim_matches('"');
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let known = [
            "About", "a", "Less", "than", "second", "seconds", "minute", "minutes",
        ];
        !is_number && !known.contains(&word)
    });
    words.join(" ")
}

/// A list in an order of its own, because Compose and the engine have none in some parts; keys in theirs.
fn sorted(all: &[Json]) -> Vec<String> {
    let one = |one: &Json| {
        let fields = one.as_object().into_iter().flatten();
        let fields = fields.map(|(key, value)| match key.as_str() {
            // The pieces of a value with commas in it are no labels.
            "Labels" => {
                let mut all = parts(value);
                all.retain(|part| part.contains('='));
                format!("{key} {all:?}")
            }
            "Names" | "Networks" | "Mounts" | "Publishers" => format!("{key} {:?}", parts(value)),
            "RunningFor" | "Status" => format!("{key} {}", ageless(&value.to_string())),
            _ => format!("{key} {value}"),
        });
        fields.collect::<Vec<String>>().join(" ")
    };
    let mut all: Vec<String> = all.iter().map(one).collect();
    all.sort();
    all
}

/// Containers of every kind: with checks, ports, volumes and links, stopped, ended, never started, of a single command,
/// and one whose image has lost its name.
const KINDS: &str = r#"
services:
  web:
    image: 127.0.0.1:5001/demo:1.0.0
    volumes: ["store:/store", "./app.env:/app.env", /anonymous]
    ports: ["127.0.0.1:18090:80", "[::1]:18090:80", "127.0.0.1:18100-18102:18100-18102", "127.0.0.1:18103:18103/udp"]
    expose: ["9000-9002"]
    labels: {plain: "1", list: "a,b=c,d", odd: "x=y\"z"}
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    networks: [default, other]
    command: ["sh", "-c", "echo \"a\tb\\\\\n\" ü; exec sleep 1000"]
  ended: {image: "127.0.0.1:5001/demo:1.0.0", command: sh -c 'exit 3', network_mode: none}
  bare: {image: "nameless:1", command: sleep 1000, network_mode: host}
  never: {image: "127.0.0.1:5001/demo:1.1.0", command: sleep 1000}
volumes: {store: {}}
networks: {other: {}}
"#;

pub(super) fn answers(engine: &Engine) -> Result<(), String> {
    engine.clean()?;
    write(engine, &FIRST)?;
    engine.write("project/compose.yaml", KINDS)?;
    let folder = engine.file("project/compose.yaml").display().to_string();
    let compose = |words: &[&str]| engine.docker(&[&["compose", "-f", &folder], words].concat());
    engine.docker(&["pull", "-q", "127.0.0.1:5001/demo:1.2.0"])?;
    engine.docker(&["tag", "127.0.0.1:5001/demo:1.2.0", "nameless:1"])?;
    compose(&["up", "-d", "--quiet-pull", "web", "ended", "bare"])?;
    compose(&["create", "never"])?;
    compose(&["run", "-d", "web", "sleep", "1000"])?;
    engine.docker(&["pull", "-q", "127.0.0.1:5001/demo:1.0.0"])?;
    engine.docker(&["tag", "127.0.0.1:5001/demo:1.0.0", "nameless:1"])?;
    let socket = engine.file("counted");
    let counter = Counter::start(&socket, &engine.file("run/sock"))?;
    let more = format!(
        ", docker_host: 'unix://{}', services: [web], dependencies: false",
        socket.display()
    );
    // Its checks have to have been made once.
    bring(engine, &format!("{more}, wait: true"), &[])?;
    for zone in ["UTC", "Europe/Berlin", "America/St_Johns"] {
        let environment = format!("TZ={zone}");
        let mut wrong = String::new();
        // A second may end between the two.
        for _ in 0..5 {
            counter.take();
            let result = zoned(engine, &more, &[], zone)?;
            let (asked, lines) = counter.take();
            let own = |words: &[&str]| {
                let mut command = std::process::Command::new("env");
                command
                    .args([&environment, "docker", "compose", "-f", &folder])
                    .args(words);
                let (code, text) = crate::harness::scenario::finish(&mut engine.within(&command))?;
                if code != 0 {
                    return Err(text);
                }
                let stream = serde_json::Deserializer::from_str(&text).into_iter::<Json>();
                let all = stream.map_while(Result::ok).flat_map(|one| match one {
                    Json::Array(all) => all,
                    one => vec![one],
                });
                Ok(all.collect::<Vec<Json>>())
            };
            let containers = own(&["ps", "--format", "json", "--all", "--no-trunc"])?;
            let images = own(&["images", "--format", "json"])?;
            let list = |name: &str| result[name].as_array().cloned().unwrap_or_default();
            if containers.len() != 5 || images.len() != 5 || result["changed"] != false {
                return Err(format!("{containers:#?}\n{images:#?}\n{result:#}"));
            }
            // With more, Compose itself was asked.
            if asked > 6 {
                return Err(format!("{asked} requests\n{lines:#?}"));
            }
            wrong.clear();
            for (own, ours) in [(containers, list("containers")), (images, list("images"))] {
                for (own, ours) in sorted(&own).iter().zip(sorted(&ours)) {
                    if *own != ours {
                        wrong += &format!("Compose {own}\nours    {ours}\n");
                    }
                }
            }
            if wrong.is_empty() {
                break;
            }
        }
        if !wrong.is_empty() {
            return Err(format!("{zone}\n{wrong}"));
        }
    }
    compose(&["rm", "-sf"]).map(|_| ())
}
