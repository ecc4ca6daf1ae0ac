//! `docker_image_build` with the real buildx: where the result goes, and what only the build may see.

use std::process::Command;

use super::Engine;
use crate::harness::scenario::{expect, finish};

/// The secrets of the build, which nothing may show. One has what a list of fields would fall over.
const VALUE: &str = "gehei,m \"nis\" wert";
const IN_FILE: &str = "geheimnis-datei";
const IN_ENVIRONMENT: &str = "geheimnis-umgebung";

const DOCKERFILE: &str = r#"
# syntax is the engine's own
FROM 127.0.0.1:5001/demo:1.0.0 AS base
ARG WHAT=nothing
RUN --mount=type=secret,id=value --mount=type=secret,id=file --mount=type=secret,id=environment \
    echo $WHAT >/www/built; for n in value file environment; do cat /run/secrets/$n >/www/n; wc -c </www/n >>/www/built; done; \
    rm /www/n; sleep 1
FROM scratch AS result
COPY --from=base /www/built /built
FROM base
"#;

const PREPARE: &str = r#"
- ansible.builtin.file: {path: "{{ playbook_dir }}/context", state: directory}
- ansible.builtin.copy: {dest: "{{ playbook_dir }}/context/Dockerfile", src: "{{ playbook_dir }}/Dockerfile.secrets"}
- ansible.builtin.copy: {dest: "{{ playbook_dir }}/a,secret", src: "{{ playbook_dir }}/in_file"}
"#;

const BUILD: &str = r#"
- community.docker.docker_image_build:
    name: 127.0.0.1:5001/made
    tag: one
    path: "{{ playbook_dir }}/context"
    network: none
    args: {WHAT: thing}
    secrets:
      - {id: value, type: value, value: "{{ lookup('file', 'value') }}"}
      - {id: file, type: file, src: "{{ playbook_dir }}/a,secret"}
      - {id: environment, type: env, env: BUILD_TOKEN}
    outputs:
      - {type: image, name: ["127.0.0.1:5001/made:pushed", "127.0.0.1:5001/made:too"], push: true}
  environment: {BUILD_TOKEN: "{{ lookup('file', 'in_environment') }}"}
  register: built
- ansible.builtin.debug: {msg: "{{ built.command | default([]) | join(' ') }}"}
"#;

/// What runs must not tell.
fn quiet(told: (i32, String)) -> Result<(i32, String), String> {
    let lines: Vec<&str> = told.1.lines().collect();
    for secret in ["gehei", IN_FILE, IN_ENVIRONMENT] {
        if let Some(line) = lines.iter().find(|line| line.contains(secret)) {
            return Err(format!("a secret is told: {line}"));
        }
    }
    Ok(told)
}

pub(super) fn all(engine: &Engine) -> Result<(), String> {
    engine.clean()?;
    for (name, text) in [
        ("Dockerfile.secrets", DOCKERFILE),
        ("value", VALUE),
        ("in_file", IN_FILE),
        ("in_environment", IN_ENVIRONMENT),
    ] {
        engine.write(name, text)?;
    }
    expect(engine.play(PREPARE, &[])?, 0, &["failed=0"])?;
    expect(
        quiet(engine.play(BUILD, &["--check", "--diff", "-vvv"])?)?,
        0,
        &["changed=1", "failed=0"],
    )?;
    if !engine
        .docker(&["images", "-q", "127.0.0.1:5001/made"])?
        .trim()
        .is_empty()
    {
        return Err("check mode built".to_owned());
    }
    let (told, seen) = watched(|| engine.play(BUILD, &["--diff", "-vvv"]))?;
    expect(
        quiet(told)?,
        0,
        &[
            "changed=1",
            "--secret id=value,type=env,env=RPLAY_BUILD_SECRET_0",
            "a,secret\\\"\"",
            "--secret id=environment,type=env,env=BUILD_TOKEN",
            "--output type=image,\\\"name=127.0.0.1:5001/made:pushed,127.0.0.1:5001/made:too\\\",push=true --output type=image,name=127.0.0.1:5001/made:one",
        ],
    )?;
    if !seen.contains("RPLAY_BUILD_SECRET_0") {
        return Err("the list of processes was not seen while buildx ran".to_owned());
    }
    quiet((0, seen))?;
    let built = engine.docker(&[
        "run",
        "--rm",
        "127.0.0.1:5001/made:one",
        "cat",
        "/www/built",
    ])?;
    let sizes = [VALUE.len(), IN_FILE.len(), IN_ENVIRONMENT.len()];
    let wanted = format!("thing\n{}\n{}\n{}\n", sizes[0], sizes[1], sizes[2]);
    expect((0, built), 0, &[&wanted])?;
    let history = engine.docker(&["history", "--no-trunc", "127.0.0.1:5001/made:one"])?;
    quiet((0, history))?;
    expect(engine.play(BUILD, &[])?, 0, &["changed=0", "failed=0"])?;
    // Both names were pushed, and the image's own was not.
    engine.docker(&[
        "rmi",
        "127.0.0.1:5001/made:pushed",
        "127.0.0.1:5001/made:too",
        "127.0.0.1:5001/made:one",
    ])?;
    for name in ["pushed", "too"] {
        engine.docker(&["pull", "-q", &format!("127.0.0.1:5001/made:{name}")])?;
    }
    if engine
        .docker(&["pull", "-q", "127.0.0.1:5001/made:one"])
        .is_ok()
    {
        return Err("the image's own name was pushed".to_owned());
    }
    files(engine)?;
    full(engine)?;
    refused(engine)
}

/// Runs something while the arguments of all processes are looked at.
fn watched<T>(run: impl FnOnce() -> Result<T, String>) -> Result<(T, String), String> {
    use std::sync::atomic::{AtomicBool, Ordering};
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = String::new();
            while !done.load(Ordering::Relaxed) {
                if let Ok((0, all)) = finish(Command::new("ps").args(["-eo", "args"])) {
                    let lines = all
                        .lines()
                        .filter(|line| line.contains("buildx") || line.contains("gehei"));
                    lines.for_each(|line| seen = format!("{seen}{line}\n"));
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            seen
        });
        let ran = run();
        done.store(true, Ordering::Relaxed);
        let seen = watch.join().map_err(|_| "the watch ended".to_owned())?;
        Ok((ran?, seen))
    })
}

/// Folders and archives; the image is there as well.
fn files(engine: &Engine) -> Result<(), String> {
    let tasks = r#"
- community.docker.docker_image_build:
    name: files
    path: "{{ playbook_dir }}/context"
    network: none
    target: result
    outputs:
      - {type: local, dest: "{{ playbook_dir }}/out,folder"}
      - {type: tar, dest: "{{ playbook_dir }}/out.tar"}
    secrets:
      - {id: value, type: value, value: "{{ lookup('file', 'value') }}"}
      - {id: file, type: value, value: "{{ lookup('file', 'in_file') }}"}
      - {id: environment, type: value, value: "{{ lookup('file', 'in_environment') }}"}
- community.docker.docker_image_info: {name: files}
  register: found
- ansible.builtin.command: {argv: [tar, -tf, "{{ playbook_dir }}/out.tar"]}
  register: listed
- ansible.builtin.assert: {that: [found.images | length == 1, "'built' in listed.stdout"]}
"#;
    expect(quiet(engine.play(tasks, &["-vvv"])?)?, 0, &["failed=0"])?;
    let text = std::fs::read_to_string(engine.file("out,folder/built"));
    match text.map_err(|fault| format!("out,folder/built: {fault}"))? {
        text if text.starts_with("nothing\n") => Ok(()),
        text => Err(format!("what was built has `{text}`")),
    }
}

/// A file system that is full: no half of an archive is there, and with room the same task makes it.
fn full(engine: &Engine) -> Result<(), String> {
    let folder = engine.file("small");
    let mount = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        expect(finish(&mut command)?, 0, &[])
    };
    std::fs::create_dir_all(&folder).map_err(|fault| fault.to_string())?;
    let small = folder.display().to_string();
    mount(&["mount", "-t", "tmpfs", "-o", "size=64k", "small", &small])?;
    let tasks = r#"
- community.docker.docker_image_build: {name: small, path: "{{ playbook_dir }}/context", network: none, target: base, outputs: [{type: tar, dest: "{{ playbook_dir }}/small/image.tar"}], secrets: "{{ all }}"}
"#;
    let all = "all: [{id: value, type: value, value: a}, {id: file, type: value, value: b}, {id: environment, type: value, value: c}]\n";
    engine.write("all.yml", all)?;
    let listed = || {
        let all = std::fs::read_dir(&folder).map_err(|fault| fault.to_string())?;
        let names = all
            .flatten()
            .map(|one| one.file_name().to_string_lossy().into_owned());
        Ok::<Vec<String>, String>(names.collect())
    };
    let attempt = (|| {
        let told = engine.play(tasks, &["-e", "@all.yml"])?;
        expect(
            told,
            2,
            &[
                "\"msg\": \"Building small:latest failed: ",
                "no space left on device",
            ],
        )?;
        let (left, image) = (listed()?, engine.docker(&["images", "-q", "small"])?);
        if !left.is_empty() || !image.trim().is_empty() {
            return Err(format!("{left:?} is left, and the image {image}"));
        }
        mount(&["mount", "-o", "remount,size=100m", &small])?;
        expect(engine.play(tasks, &["-e", "@all.yml"])?, 0, &["changed=1"])?;
        match listed()?.as_slice() {
            [one] if one == "image.tar" => Ok(()),
            other => Err(format!("{other:?} is there")),
        }
    })();
    mount(&["umount", &small])?;
    attempt
}

/// What Ansible refuses, in its words; what cannot be built leaves no image.
fn refused(engine: &Engine) -> Result<(), String> {
    for (more, text) in [
        (
            "outputs: [{type: local}]",
            "type is local but all of the following are missing: dest found in outputs",
        ),
        (
            "outputs: [{type: tar, dest: /x, push: false}]",
            "parameters are mutually exclusive: dest|push found in outputs",
        ),
        (
            "outputs: [{type: image, name: a, push: true, context: x}]",
            "parameters are mutually exclusive: context|name, context|push found in outputs",
        ),
        (
            "outputs: [{type: other}]",
            "value of type must be one of: local, tar, oci, docker, image, got: other found in outputs",
        ),
        (
            "outputs: [{dest: /x}]",
            "missing required arguments: type found in outputs",
        ),
        (
            "outputs: [{type: local, dest: /x, more: 1}]",
            "Unsupported parameters for (community.docker.docker_image_build) module: outputs.more. Supported parameters include: context, dest, name, push, type.",
        ),
        (
            "secrets: [{id: a, type: file}]",
            "type is file but all of the following are missing: src found in secrets",
        ),
        (
            "secrets: [{id: a, type: value, src: /x, value: geheim}]",
            "parameters are mutually exclusive: src|env|value found in secrets",
        ),
        (
            "secrets: [{type: value, value: geheim}]",
            "missing required arguments: id found in secrets",
        ),
        (
            "secrets: [{id: a, type: other}]",
            "value of type must be one of: file, env, value, got: other found in secrets",
        ),
        (
            "secrets: [{id: value, type: file, src: /nonesuch}]",
            "/nonesuch",
        ),
        (
            "secrets: [{id: value, type: env, env: NONESUCH}], outputs: [{type: image, name: 'no image'}]",
            "Building wrong:latest failed",
        ),
    ] {
        let task = format!(
            "- community.docker.docker_image_build: {{name: wrong, path: '{{{{ playbook_dir }}}}/context', network: none, {more}}}\n"
        );
        expect(engine.play(&task, &[])?, 2, &[text]).map_err(|told| format!("{more}: {told}"))?;
    }
    match engine.docker(&["images", "-q", "wrong"])?.trim() {
        "" => Ok(()),
        some => Err(format!("an image is there: {some}")),
    }
}
