//! `k8s_exec`, and what runs commands in pods.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api as Typed, AttachParams};
use rplay_modules::data::Data;
use rplay_modules::kubernetes::k8s_exec::Args;
use rplay_modules::map;
use rplay_modules::text::{lines, split_words};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Job;
use super::api::{Api, Fault};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Runs the command.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    if context.check {
        return Ok(TaskResult::without_check_mode("kubernetes.core.k8s_exec"));
    }
    let words = split_words(&args.command).map_err(ActionError::new)?;
    let job = Job::begin(context, &args.auth).await?;
    let api = job.cluster().api.clone();
    let pod = Place {
        namespace: &args.namespace,
        pod: &args.pod,
        container: args.container.as_deref(),
    };
    let ran = command(&api, &pod, &words, None).await?;
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (shown(&ran.stdout), shown(&ran.stderr));
    let mut result = map! {
        "rc" => ran.code,
        "return_code" => ran.code,
        "stdout_lines" => lines(&stdout),
        "stderr_lines" => lines(&stderr),
        "stdout" => stdout,
        "stderr" => stderr,
    };
    if ran.code != 0 {
        result.insert("msg".to_owned(), Data::from("non-zero return code"));
    }
    Ok(TaskResult {
        failed: ran.code != 0,
        ..TaskResult::changed(true, result)
    })
}

/// A container.
pub(super) struct Place<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) container: Option<&'a str>,
}

/// What a command left.
pub(super) struct Ran {
    pub(super) code: i64,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Runs a command in a container to its end, with what it reads.
pub(super) async fn command(
    api: &Api,
    place: &Place<'_>,
    words: &[String],
    input: Option<&[u8]>,
) -> Result<Ran, Fault> {
    let pod = place.pod;
    let failed = |why: &str| Fault::new(format!("Failed to execute on pod {pod} due to : {why}"));
    let pods: Typed<Pod> = Typed::namespaced(api.client.clone(), place.namespace);
    let mut how = AttachParams::default()
        .stdin(input.is_some())
        .stdout(true)
        .stderr(true);
    if let Some(container) = place.container {
        how = how.container(container);
    }
    let started = pods.exec(pod, words, &how).await;
    let mut process = started.map_err(|error| match error {
        kube::Error::Api(status) => failed(&status.message),
        other => failed(&super::api::root(&other)),
    })?;
    let status = process.take_status();
    let (out, err) = (process.stdout(), process.stderr());
    let read = |stream: Option<_>| async move {
        let mut bytes = vec![];
        if let Some(mut stream) = stream {
            let stream: &mut tokio::io::ReadHalf<tokio::io::SimplexStream> = &mut stream;
            stream.read_to_end(&mut bytes).await?;
        }
        Ok::<_, std::io::Error>(bytes)
    };
    let mut stdin = process.stdin();
    let write = async {
        if let (Some(stdin), Some(input)) = (&mut stdin, input) {
            let _ = stdin.write_all(input).await;
            let _ = stdin.flush().await;
        }
        // The stream stays open: closing it would cut the answer off.
        std::future::pending::<()>().await;
    };
    let answer = async {
        let (stdout, stderr) = tokio::join!(read(out), read(err));
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        (stdout, stderr, status)
    };
    // A command that has ended has read enough.
    let (stdout, stderr, status) = tokio::select! {
        answer = answer => answer,
        () = write => return Err(failed("the connection ended")),
    };
    let io = |error: std::io::Error| failed(&error.to_string());
    let (stdout, stderr) = (stdout.map_err(io)?, stderr.map_err(io)?);
    let Some(status) = status else {
        return Err(failed("the connection ended before the command did"));
    };
    let details = status
        .details
        .and_then(|details| details.causes)
        .unwrap_or_default();
    let code = details
        .iter()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.and_then(|cause| cause.message.as_ref()?.parse().ok());
    let code = match (status.status.as_deref(), code) {
        (Some("Success"), _) => 0,
        (_, Some(code)) => code,
        _ => {
            return Err(failed(
                status.message.as_deref().unwrap_or("no reason given"),
            ));
        }
    };
    Ok(Ran {
        code,
        stdout,
        stderr,
    })
}
