//! `k8s_cp`: files copied to and from pods, with the container's own `tar`.

use std::io::Cursor;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rplay_modules::kubernetes::k8s_cp::Args;
use rplay_modules::map;
use rplay_modules::text::quote;

use super::Job;
use super::api::{Fault, Refusal};
use super::exec::{Place, Ran, command};
use crate::action::address::escaped;
use crate::action::{ActionError, TaskResult};
use crate::run::context::{Context, expand_home};

/// Copies.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let to_pod = args.state == "to_pod";
    let elsewhere = !context.here && !context.link()?.is_local();
    if elsewhere && !to_pod {
        let text = "k8s_cp with `state: from_pod` writes files of the controller; delegate it to localhost";
        return Err(ActionError::new(text));
    }
    let local = args
        .local_path
        .as_ref()
        .map(|path| path.to_string_lossy().into_owned());
    let local = local.map(|name| match context.find_file("files", &name) {
        Some(path) if to_pod => path,
        _ => expand_home(&name),
    });
    if let (true, Some(path)) = (to_pod, &local)
        && !path.exists()
    {
        let text = format!("{} does not exist in local filesystem", path.display());
        return Err(ActionError::new(text));
    }
    let job = Job::begin(context, &args.auth).await?;
    let api = job.cluster().api.clone();
    let (namespace, pod) = (&args.namespace, &args.pod);
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}",
        escaped(namespace),
        escaped(pod)
    );
    api.get(&path).await.map_err(|refusal: Refusal| {
        let code = refusal.code().map(i64::from);
        let fault = refusal.about(&format!(
            "Namespace={namespace} Kind=Pod Name={pod}: Failed requested object"
        ));
        match code {
            Some(code) => fault.with("status", code),
            None => fault,
        }
    })?;
    let place = Place {
        namespace,
        pod,
        container: args.container.as_deref(),
    };
    let remote = args.remote_path.trim_end_matches('/').to_owned();
    let result = match (to_pod, &local) {
        (true, local) => {
            if job.context.check {
                let what = shown(local.as_deref());
                return Ok(done(format!(
                    "{what} would be copied into remote Pod into {}",
                    args.remote_path
                )));
            }
            let folder = is(&api, &place, "-d", &args.remote_path).await?;
            let (archive, into) =
                packed(local.as_deref(), args.content.as_deref(), &remote, folder)?;
            let limit = Duration::from_secs(args.copy_timeout);
            let sent = send(&api, &place, &archive, &into, args.no_preserve);
            let sent = tokio::time::timeout(limit, sent).await;
            let late = || {
                Fault::new(format!(
                    "Failed to copy local file/directory into Pod: not done within {} s",
                    args.copy_timeout
                ))
            };
            sent.map_err(|_| late())??;
            match local {
                Some(path) => format!(
                    "{} successfully copied into remote Pod into {}",
                    path.display(),
                    args.remote_path
                ),
                None => format!(
                    "Content successfully copied into {} on remote Pod",
                    args.remote_path
                ),
            }
        }
        (false, Some(local)) => {
            if !is(&api, &place, "-e", &remote).await? {
                return Err(Fault::new(format!(
                    "{remote} does not exist in remote pod filesystem"
                ))
                .into());
            }
            if !job.context.check {
                fetch(&api, &place, &remote, local).await?;
            }
            format!(
                "{} successfully copied locally into {}",
                args.remote_path,
                local.display()
            )
        }
        (false, None) => {
            return Err(ActionError::new(
                "state is from_pod but all of the following are missing: local_path",
            ));
        }
    };
    Ok(done(result))
}

fn done(result: String) -> TaskResult {
    TaskResult::changed(true, map! { "result" => result })
}

fn shown(local: Option<&Path>) -> String {
    local.map_or_else(|| "content".to_owned(), |path| path.display().to_string())
}

/// Asks the container's `test` about a path.
async fn is(
    api: &super::api::Api,
    place: &Place<'_>,
    what: &str,
    path: &str,
) -> Result<bool, Fault> {
    let words = ["test", what, path].map(str::to_owned);
    Ok(command(api, place, &words, None).await?.code == 0)
}

/// The archive, and the folder of the container in which it is opened.
fn packed(
    local: Option<&Path>,
    content: Option<&str>,
    remote: &str,
    folder: bool,
) -> Result<(Vec<u8>, String), Fault> {
    let failed =
        |error: std::io::Error| Fault::new(format!("cannot read {}: {error}", shown(local)));
    let own = local
        .and_then(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned());
    let (into, name) = match (folder, remote.rsplit_once('/'), own) {
        (true, _, Some(own)) => (remote.to_owned(), own),
        (_, Some((into, name)), _) => (
            if into.is_empty() {
                "/".to_owned()
            } else {
                into.to_owned()
            },
            name.to_owned(),
        ),
        (_, None, _) => (".".to_owned(), remote.to_owned()),
    };
    let mut archive = tar::Builder::new(Vec::new());
    match (local, content) {
        (Some(path), _) if path.is_dir() => archive.append_dir_all(&name, path).map_err(failed)?,
        (Some(path), _) => archive.append_path_with_name(path, &name).map_err(failed)?,
        (None, content) => {
            let bytes = content.unwrap_or_default().as_bytes();
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, &name, bytes)
                .map_err(failed)?;
        }
    }
    Ok((archive.into_inner().map_err(failed)?, into))
}

async fn send(
    api: &super::api::Api,
    place: &Place<'_>,
    archive: &[u8],
    into: &str,
    no_preserve: bool,
) -> Result<Ran, Fault> {
    // Older servers cannot say that the input has ended: the container counts.
    let keep = if no_preserve {
        " --no-same-permissions --no-same-owner"
    } else {
        ""
    };
    let script = format!(
        "head -c {} | tar -xmf - -C {}{keep}",
        archive.len(),
        quote(into)
    );
    let words = ["/bin/sh", "-c", &script].map(str::to_owned);
    let ran = command(api, place, &words, Some(archive)).await?;
    match ran.code {
        0 => Ok(ran),
        _ => {
            let why = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
            let shown: Vec<String> = words.to_vec();
            Err(Fault::new(format!(
                "Failed to copy local file/directory into Pod: {why}"
            ))
            .with("command", shown))
        }
    }
}

/// Writes what the container has.
async fn fetch(
    api: &super::api::Api,
    place: &Place<'_>,
    remote: &str,
    local: &Path,
) -> Result<(), Fault> {
    let (folder, name) = remote.rsplit_once('/').unwrap_or((".", remote));
    let folder = if folder.is_empty() { "/" } else { folder };
    let words = ["tar", "cf", "-", "-C", folder, name].map(str::to_owned);
    let ran = command(api, place, &words, None).await?;
    if ran.code != 0 {
        let why = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        return Err(Fault::new(format!(
            "Failed to copy file/directory from Pod: {why}"
        )));
    }
    let failed =
        |error: std::io::Error| Fault::new(format!("cannot write {}: {error}", local.display()));
    let target = match local.is_dir() {
        true => local.join(name),
        false => local.to_path_buf(),
    };
    let mut archive = tar::Archive::new(Cursor::new(ran.stdout));
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?.into_owned();
        let rest = path.strip_prefix(name).unwrap_or(&path);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        // A pod is not trusted: nothing is written beside the target, and no link is followed.
        let kind = entry.header().entry_type();
        if !rest.components().all(plain) || !(kind.is_file() || kind.is_dir()) {
            continue;
        }
        let mut at: PathBuf = target.clone();
        if rest.components().next().is_some() {
            at.push(rest);
        }
        if let Some(parent) = at.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        entry.unpack(&at).map_err(failed)?;
    }
    Ok(())
}
