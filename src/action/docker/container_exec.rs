//! `docker_container_exec`: commands in containers.

use http::Method;
use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_container_exec::Args;
use rplay_modules::map;
use rplay_modules::text::split_words;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::engine::Ask;
use super::{Job, escaped};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Runs the command.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    if context.check {
        let name = "community.docker.docker_container_exec";
        return Ok(TaskResult::without_check_mode(name));
    }
    let words = match (&args.argv, &args.command) {
        (Some(words), _) => words.clone(),
        (None, Some(text)) => split_words(text).map_err(ActionError::new)?,
        (None, None) => vec![],
    };
    let container = args.container.clone();
    let mut job = Job::begin(context, &args.engine).await?;
    let wanted = Command {
        words,
        env: args.env.unwrap_or_default(),
        stdin: args.stdin,
        newline: args.stdin_add_newline,
        strip: args.strip_empty_ends,
        tty: args.tty,
        detach: args.detach,
        user: args.user,
        chdir: args.chdir,
        privileged: false,
    };
    command(&mut job, &container, &container, wanted).await
}

/// A command for a container.
pub(super) struct Command {
    pub(super) words: Vec<String>,
    pub(super) env: Map,
    pub(super) stdin: Option<String>,
    /// Whether `stdin` gets a line break at its end.
    pub(super) newline: bool,
    /// Whether empty lines at the end of the output are left out.
    pub(super) strip: bool,
    pub(super) tty: bool,
    pub(super) detach: bool,
    pub(super) user: Option<String>,
    pub(super) chdir: Option<String>,
    pub(super) privileged: bool,
}

/// Runs a command in a container.
pub(super) async fn command(
    job: &mut Job<'_, '_>,
    container: &str,
    shown_as: &str,
    wanted: Command,
) -> Result<TaskResult, ActionError> {
    let mut env = vec![];
    for (name, value) in &wanted.env {
        let Data::Str(value) = value else {
            return Err(ActionError::new(format!(
                "Non-string value found for env option. Ambiguous env options must be wrapped in quotes to avoid them being interpreted when directly specified in YAML, or explicitly converted to strings when the option is templated. Key: {name}"
            )));
        };
        env.push(format!("{name}={value}"));
    }
    let stdin = wanted.stdin.filter(|_| !wanted.detach);
    let stdin = stdin.map(|text| if wanted.newline { text + "\n" } else { text });
    let body = json!({
        "AttachStdin": stdin.is_some(),
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": wanted.tty,
        "Cmd": wanted.words,
        "Env": env,
        "User": wanted.user.unwrap_or_default(),
        "WorkingDir": wanted.chdir,
        "Privileged": wanted.privileged,
    });
    let path = format!("/containers/{}/exec", escaped(container));
    let made = job
        .post(&path, Some(&body))
        .await
        .map_err(|refusal| match refusal {
            refusal if refusal.is(404) => {
                ActionError::new(format!("Could not find container \"{shown_as}\""))
            }
            refusal if refusal.is(409) => ActionError::new(format!(
                "The container \"{shown_as}\" has been paused or is not running ({})",
                refusal.text()
            )),
            refusal => refusal.into(),
        })?;
    let number = made["Id"].as_str().unwrap_or_default().to_owned();
    let start = format!("/exec/{number}/start");
    if wanted.detach {
        job.post(&start, Some(&json!({ "Detach": true, "Tty": wanted.tty })))
            .await?;
        return Ok(TaskResult::changed(true, map! { "exec_id" => number }));
    }
    let (stdout, stderr) = streams(job, &start, wanted.tty, stdin.as_deref()).await?;
    let done = job.get(&format!("/exec/{number}/json")).await?;
    let code = done["ExitCode"].as_i64().unwrap_or(0);
    let shown = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match wanted.strip {
            true => text.trim_end_matches(['\r', '\n']).to_owned(),
            false => text,
        }
    };
    let (stdout, stderr) = (shown(stdout), shown(stderr));
    let result = map! { "stdout" => stdout, "stderr" => stderr, "rc" => code };
    let outcome = rplay_modules::outcome::Outcome {
        changed: true,
        results: result,
        ..Default::default()
    };
    let mut result = TaskResult::from(Ok(outcome));
    result.failed = code != 0;
    Ok(result)
}

/// What a command writes to its two streams.
async fn streams(
    job: &mut Job<'_, '_>,
    path: &str,
    tty: bool,
    stdin: Option<&str>,
) -> Result<(Vec<u8>, Vec<u8>), ActionError> {
    let path = job.path(path);
    let body: Json = json!({ "Detach": false, "Tty": tty });
    let wire = job.wire().await?;
    let mut stream = wire
        .hijack(Ask::new(Method::POST, &path).json(&body))
        .await?;
    let failed =
        |error: std::io::Error| ActionError::new(format!("the connection to the engine: {error}"));
    if let Some(stdin) = stdin {
        let written = stream.write_all(stdin.as_bytes()).await;
        // A command that has ended reads no more.
        if written.is_ok() {
            let _ = stream.flush().await;
            let _ = stream.shutdown().await;
        }
    }
    let mut bytes = vec![];
    stream.read_to_end(&mut bytes).await.map_err(failed)?;
    if tty {
        return Ok((bytes, vec![]));
    }
    let (mut out, mut err, mut rest) = (vec![], vec![], bytes.as_slice());
    while let Some((kind, bytes, more)) = frame(rest) {
        match kind {
            2 => err.extend_from_slice(bytes),
            _ => out.extend_from_slice(bytes),
        }
        rest = more;
    }
    Ok((out, err))
}

/// One piece of two streams in one: its number, its bytes, what follows.
pub(super) fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let length = usize::try_from(length).ok()?.min(rest.len());
    let (piece, rest) = rest.split_at(length);
    Some((head[0], piece, rest))
}

/// Both streams as one text.
pub(super) fn joined(bytes: &[u8], tty: bool) -> String {
    if tty {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let (mut all, mut rest) = (vec![], bytes);
    while let Some((_, piece, more)) = frame(rest) {
        all.extend_from_slice(piece);
        rest = more;
    }
    String::from_utf8_lossy(&all).into_owned()
}
