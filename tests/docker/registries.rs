//! Images that cannot be had, and a registry whose tokens come from elsewhere.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Engine;
use crate::harness::scenario::{self, eventually, expect, finish};

/// A task that pulls an image natively.
fn pull(engine: &Engine, image: &str, more: &str) -> String {
    let dest = engine.file("image.sif").display().to_string();
    format!("- singularity: {{image: 'docker://{image}', dest: {dest}, state: latest{more}}}\n")
}

/// The file of a blob in the registry without a log-in.
fn blob(engine: &Engine, digest: &str) -> PathBuf {
    let hex = digest.trim_start_matches("sha256:");
    let store = engine.file("run/registry-open/docker/registry/v2/blobs/sha256");
    store.join(&hex[..2]).join(hex).join("data")
}

/// The manifest of an image of the registry without a log-in, and its digest.
fn manifest(engine: &Engine, tag: &str) -> Result<(String, serde_json::Value), String> {
    let link = engine.file(&format!(
        "run/registry-open/docker/registry/v2/repositories/demo/_manifests/tags/{tag}/current/link"
    ));
    let digest = std::fs::read_to_string(link).map_err(|fault| fault.to_string())?;
    let digest = digest.trim().to_owned();
    let text = std::fs::read(blob(engine, &digest)).map_err(|fault| fault.to_string())?;
    let json = serde_json::from_slice(&text).map_err(|fault| fault.to_string())?;
    Ok((digest, json))
}

/// Runs while a file has other content.
fn with<T>(
    path: &Path,
    content: &[u8],
    run: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let kept = std::fs::read(path).map_err(|fault| fault.to_string())?;
    std::fs::write(path, content).map_err(|fault| fault.to_string())?;
    let done = run();
    std::fs::write(path, kept).map_err(|fault| fault.to_string())?;
    done
}

/// What stands where the image would be.
fn left(engine: &Engine) -> Result<Vec<String>, String> {
    let all = std::fs::read_dir(engine.folder.path()).map_err(|fault| fault.to_string())?;
    let names = all
        .flatten()
        .map(|one| one.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.contains("image.sif")).collect();
    names.sort();
    Ok(names)
}

/// The same by the engine: it names the image, and has none afterwards.
fn by_engine(engine: &Engine, image: &str, more: &str, text: &str) -> Result<(), String> {
    engine.clean()?;
    for task in [
        format!("- community.docker.docker_image_pull: {{name: '{image}'{more}}}\n"),
        format!("- community.docker.docker_container: {{name: none, image: '{image}'{more}}}\n"),
    ] {
        let name = image.split([':', '@']).nth(1).unwrap_or_default();
        expect(engine.play(&task, &[])?, 2, &["FAILED! =>", name, text])
            .map_err(|told| format!("{task}: {told}"))?;
    }
    match engine.docker(&["ps", "-aq"])? {
        none if none.trim().is_empty() => Ok(()),
        some => Err(format!("containers are left: {some}")),
    }
}

/// What answers in the place of a registry is a server of files: a page for people, and half a manifest.
fn malformed(
    engine: &Engine,
    refused: &dyn Fn(&str, &str, &[&str]) -> Result<(), String>,
) -> Result<(), String> {
    let folder = engine.file("pages/v2/demo/manifests");
    std::fs::create_dir_all(&folder).map_err(|fault| fault.to_string())?;
    for (tag, text) in [
        ("page", "<html>log in</html>"),
        ("half", "{\"schemaVersion\": 2, "),
        (
            "other",
            "{\"schemaVersion\": 2, \"config\": {}, \"layers\": 1}",
        ),
    ] {
        std::fs::write(folder.join(tag), text).map_err(|fault| fault.to_string())?;
    }
    let mut serve = Command::new("python3");
    serve.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
    serve.arg(engine.file("pages")).arg("5004");
    let mut server = engine
        .within(&serve)
        .spawn()
        .map_err(|fault| fault.to_string())?;
    let told = eventually("the server answers", Duration::from_secs(20), || {
        let mut ask = Command::new("curl");
        ask.args(["-sf", "http://127.0.0.1:5004/v2/"]);
        Ok(finish(&mut engine.within(&ask))?.0 == 0)
    })
    .and_then(|()| {
        ["page", "half", "other"].iter().try_for_each(|tag| {
            let image = format!("127.0.0.1:5004/demo:{tag}");
            refused(
                &image,
                "",
                &[&format!("the manifest of {image} cannot be read: ")],
            )
        })
    });
    let _ = server.kill();
    let _ = server.wait();
    told
}

pub(super) fn broken(engine: &Engine) -> Result<(), String> {
    let image = "127.0.0.1:5001/demo:1.0.0";
    let (digest, about) = manifest(engine, "1.0.0")?;
    let layer = about["layers"][0]["digest"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let bytes = std::fs::read(blob(engine, &layer)).map_err(|fault| fault.to_string())?;
    let refused = |image: &str, more: &str, texts: &[&str]| {
        let told = engine.play(&pull(engine, image, more), &[])?;
        expect(told, 2, texts).map_err(|why| format!("{image}{more}: {why}"))?;
        match left(engine)? {
            all if all.is_empty() => Ok(()),
            all => Err(format!("{image}: {all:?} is left")),
        }
    };
    refused(
        "127.0.0.1:9/demo:1.0.0",
        "",
        &["registry 127.0.0.1:9: cannot connect to 127.0.0.1:9: Connection refused"],
    )?;
    refused(
        "127.0.0.1:5001/demo:none",
        "",
        &["there is no image 127.0.0.1:5001/demo:none"],
    )?;
    let other = "0".repeat(64);
    refused(
        &format!("127.0.0.1:5001/demo@sha256:{other}"),
        "",
        &["there is no image 127.0.0.1:5001/demo@sha256:0000"],
    )?;
    refused(
        image,
        &format!(", digest: '{other}'"),
        &["docker://127.0.0.1:5001/demo:1.0.0 has the wrong digest: expected sha256:0000"],
    )?;
    refused(
        image,
        ", arch: arm64",
        &[
            "127.0.0.1:5001/demo:1.0.0 is for linux/amd64, not for linux/arm64; `arch: amd64` takes it all the same",
        ],
    )?;
    let truncated = format!(
        "docker://127.0.0.1:5001/demo:1.0.0: the layer {layer} cannot be read to its end: it is truncated: "
    );
    with(&blob(engine, &layer), &bytes[..bytes.len() / 2], || {
        refused(image, "", &[&truncated])?;
        by_engine(
            engine,
            image,
            "",
            "filesystem layer verification failed for digest",
        )
    })?;
    by_engine(engine, "127.0.0.1:9/demo:1.0.0", "", "connection refused")?;
    by_engine(
        engine,
        &format!("127.0.0.1:5001/demo@sha256:{other}"),
        "",
        "manifest unknown",
    )?;
    by_engine(
        engine,
        image,
        ", platform: linux/s390x",
        "wanted linux/s390x, actual: linux/amd64",
    )?;
    malformed(engine, &refused)?;
    let mut wrong = bytes.clone();
    wrong[bytes.len() / 2] ^= 1;
    with(&blob(engine, &layer), &wrong, || {
        refused(image, "", &[&layer[..20]])
    })?;
    with(&blob(engine, &digest), b"{\"schemaVersion\": 2, ", || {
        refused(image, "", &["demo"])
    })?;
    full(engine)?;
    // What was wrong is mended, and the next run converges.
    expect(
        engine.play(&pull(engine, image, ""), &[])?,
        0,
        &["changed=1"],
    )?;
    expect(
        engine.play(&pull(engine, image, ""), &[])?,
        0,
        &["changed=0"],
    )?;
    std::fs::remove_file(engine.file("image.sif")).map_err(|fault| fault.to_string())?;
    unset(engine)
}

/// A file system that is full.
fn full(engine: &Engine) -> Result<(), String> {
    let full = engine.file("full");
    std::fs::create_dir_all(&full).map_err(|fault| fault.to_string())?;
    let play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - singularity: {image: 'docker://127.0.0.1:5001/demo:1.0.0', dest: full/image.sif, state: latest}\n";
    engine.write("full.yml", play)?;
    let rplay = scenario::command(engine.folder.path(), engine.folder.path(), &["full.yml"]);
    let mut alone = Command::new("unshare");
    alone.args(["-m", "sh", "-c", "mount -t tmpfs -o size=256k full full && \"$@\"; code=$?; echo \"left: ($(ls -A full))\"; exit $code", "sh"]);
    alone
        .arg(rplay.get_program())
        .args(rplay.get_args())
        .current_dir(engine.folder.path());
    for (name, value) in rplay.get_envs() {
        if let Some(value) = value {
            alone.env(name, value);
        }
    }
    expect(
        finish(&mut engine.within(&alone))?,
        2,
        &["No space left on device", "left: ()"],
    )
}

/// Variables of a project that nobody has set.
fn unset(engine: &Engine) -> Result<(), String> {
    let project = |image: &str| {
        format!(
            "- community.docker.docker_compose_v2: {{project_name: unset, definition: {{services: {{web: {{image: '{image}'}}}}}}}}\n"
        )
    };
    let needed = project("127.0.0.1:5001/demo:${RELEASE:?say which release}");
    expect(
        engine.play(&needed, &[])?,
        2,
        &["RELEASE", "say which release"],
    )?;
    let plain = project("127.0.0.1:5001/demo:${RELEASE}");
    let unset = "The \"RELEASE\" variable is not set. Defaulting to a blank string.";
    expect(engine.play(&plain, &[])?, 2, &["demo:", unset])?;
    match engine.docker(&["ps", "-aq", "--filter", "name=unset"])? {
        none if none.trim().is_empty() => Ok(()),
        some => Err(format!("containers are left: {some}")),
    }
}

/// A registry with `auth: token` on 127.0.0.1:5002, and the stand-in that gives the tokens.
struct Guarded {
    registry: Child,
    tokens: Child,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        for one in [&mut self.registry, &mut self.tokens] {
            let _ = one.kill();
            let _ = one.wait();
        }
    }
}

fn guarded(engine: &Engine) -> Result<Guarded, String> {
    let folder = engine.file("guarded");
    std::fs::create_dir_all(&folder).map_err(|fault| fault.to_string())?;
    let mut keys = Command::new("openssl");
    keys.args(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout key.pem -out cert.pem"
            .split(' '),
    );
    keys.current_dir(&folder);
    expect(finish(&mut engine.within(&keys))?, 0, &[])?;
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {0}/store}}}}\nhttp: {{addr: \"127.0.0.1:5002\"}}\nlog: {{level: error}}\nauth: {{token: {{realm: \"http://127.0.0.1:5003/token\", service: lab-registry, issuer: lab, rootcertbundle: {0}/cert.pem}}}}\n",
        folder.display()
    );
    std::fs::write(folder.join("registry.yml"), config).map_err(|fault| fault.to_string())?;
    let start = |program: &str, words: &[&str], output: &str| {
        let mut command = Command::new(program);
        command.args(words).current_dir(&folder);
        let file = std::fs::File::create(folder.join(output)).map_err(|fault| fault.to_string())?;
        let copy = file.try_clone().map_err(|fault| fault.to_string())?;
        let mut command = engine.within(&command);
        // Its input ends with this process.
        command.stdin(Stdio::piped()).stdout(file).stderr(copy);
        command
            .spawn()
            .map_err(|fault| format!("{program}: {fault}"))
    };
    let stand_in = engine
        .root
        .join("tests/components/tokens.py")
        .display()
        .to_string();
    let tokens = start(
        "python3",
        &[
            &stand_in,
            "5003",
            "key.pem",
            "cert.pem",
            "lab",
            "sesam-bearer",
        ],
        "tokens.log",
    )?;
    let registry = start(
        "docker-registry",
        &["serve", "registry.yml"],
        "registry.log",
    )?;
    let guarded = Guarded { registry, tokens };
    for (what, address, code) in [
        ("the registry answers", "http://127.0.0.1:5002/v2/", "401"),
        (
            "the stand-in answers",
            "http://127.0.0.1:5003/?service=none",
            "200",
        ),
    ] {
        eventually(what, Duration::from_secs(20), || {
            let mut ask = Command::new("curl");
            ask.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", address]);
            Ok(finish(&mut engine.within(&ask))?.1.starts_with(code))
        })?;
    }
    Ok(guarded)
}

pub(super) fn tokens(engine: &Engine) -> Result<(), String> {
    let _guarded = guarded(engine)?;
    let login = |password: &str| {
        format!(
            "- community.docker.docker_login: {{registry_url: '127.0.0.1:5002', username: lab, password: {password}}}\n"
        )
    };
    let secret = |(code, text): (i32, String)| match text.contains("sesam-bearer") {
        true => Err(format!("the password is told:\n{text}")),
        false => Ok((code, text)),
    };
    expect(
        engine.play(&login("wrong"), &[])?,
        2,
        &[
            "Logging into 127.0.0.1:5002 for user lab failed",
            "incorrect username or password",
        ],
    )?;
    expect(
        secret(engine.play(&login("sesam-bearer"), &["-vvv"])?)?,
        0,
        &["changed=1"],
    )?;
    expect(engine.play(&login("sesam-bearer"), &[])?, 0, &["changed=0"])?;
    // The engine pushes and pulls there, and check mode asks for the digest with a token, too.
    let image = "127.0.0.1:5002/closed/demo:1.0.0";
    let tag = format!(
        "- community.docker.docker_image: {{name: '127.0.0.1:5001/demo', tag: 1.0.0, source: pull, repository: {image}, push: true}}\n"
    );
    expect(engine.play(&tag, &[])?, 0, &["failed=0"])?;
    engine.docker(&["rmi", image])?;
    let task = format!("- community.docker.docker_image_pull: {{name: {image}}}\n");
    expect(engine.play(&task, &["--check"])?, 0, &["changed=1"])?;
    expect(engine.play(&task, &[])?, 0, &["changed=1"])?;
    expect(engine.play(&task, &["--check"])?, 0, &["changed=0"])?;
    expect(engine.play(&task, &[])?, 0, &["changed=0"])?;
    // The native pull, with the log-in of the task, with none and with a wrong one.
    let own = ", username: lab, password: sesam-bearer";
    expect(
        secret(engine.play(
            &pull(engine, "127.0.0.1:5002/closed/demo:1.0.0", own),
            &["-vvv"],
        )?)?,
        0,
        &["changed=1"],
    )?;
    expect(
        engine.play(&pull(engine, "127.0.0.1:5002/closed/demo:1.0.0", own), &[])?,
        0,
        &["changed=0"],
    )?;
    std::fs::remove_file(engine.file("image.sif")).map_err(|fault| fault.to_string())?;
    let wrong = ", username: lab, password: other";
    expect(
        engine.play(
            &pull(engine, "127.0.0.1:5002/closed/demo:1.0.0", wrong),
            &[],
        )?,
        2,
        &["127.0.0.1:5002", "incorrect username or password"],
    )?;
    let asked = std::fs::read_to_string(engine.file("guarded/tokens.log"));
    let asked = asked.map_err(|fault| fault.to_string())?;
    for line in [
        "lab repository:closed/demo:pull\n",
        "lab repository:closed/demo:push,pull\n",
    ] {
        if !asked.contains(line) {
            return Err(format!("`{line}` was not asked for:\n{asked}"));
        }
    }
    match left(engine)? {
        all if all.is_empty() => engine.docker(&["rmi", image]).map(|_| ()),
        all => Err(format!("{all:?} is left")),
    }
}
