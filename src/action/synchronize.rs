//! `synchronize`: which machine runs `rsync`, and how it reaches the other one.

use rplay_modules::data::{Data, Map};
use rplay_modules::text::quote;

use super::{ActionError, TaskResult};
use crate::connect::{Kind, Target};
use crate::load::keyword::Keyword;
use crate::run::context::Context;

/// Addresses of this machine.
const HERE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Runs `rsync` on this machine, or where the task is delegated to.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let mut args = context.data_args()?;
    let text = |args: &Map, name: &str| {
        args.get(name)
            .filter(|at| **at != Data::Null)
            .map(Data::text)
    };
    let (Some(src), Some(dest)) = (text(&args, "src"), text(&args, "dest")) else {
        let text = "synchronize requires both src and dest parameters are set";
        return Err(ActionError::new(text));
    };
    let delegated = context.there.is_some();
    let itself = !delegated && context.spec.keyword(Keyword::DelegateTo).is_some();
    let target = context.own_target()?;
    let pull = text(&args, "mode").as_deref() == Some("pull");
    // One of the paths is the host's, where the host is another machine.
    let over = target.connection == Kind::Ssh && !itself && (delegated || !is_here(&target));
    let (src, dest) = match over {
        true if pull => (remote(context, &target, &src)?, local(context, &dest)),
        true => (local(context, &src), remote(context, &target, &dest)?),
        false => (local(context, &src), local(context, &dest)),
    };
    args.insert("src".to_owned(), Data::Str(src));
    args.insert("dest".to_owned(), Data::Str(dest));
    if let Some(path) = context.variable("ansible_rsync_path")? {
        args.insert("_local_rsync_path".to_owned(), path.to_string().into());
    }
    if over {
        reach(context, &target, &mut args)?;
    }
    if target.connection == Kind::Ssh && !itself {
        raise(context, &mut args);
        context.here = !delegated;
    }
    let result = context
        .call_module("ansible.posix.synchronize", &args)
        .await;
    context.here = false;
    result
}

/// Whether the host is this machine, and no machine behind a port of it.
fn is_here(target: &Target) -> bool {
    HERE.contains(&target.host.as_str()) && target.port.is_none()
}

/// What `ssh` is told of the connection.
fn reach(context: &Context<'_>, target: &Target, args: &mut Map) -> Result<(), ActionError> {
    let mut add = |name: &str, value: Option<Data>| {
        if let Some(value) = value.filter(|_| !args.contains_key(name)) {
            args.insert(name.to_owned(), value);
        }
    };
    add("dest_port", target.port.map(|port| i64::from(port).into()));
    let key = target.private_key_file.as_ref();
    add(
        "private_key",
        key.map(|key| key.display().to_string().into()),
    );
    let password = target.password.as_ref();
    add(
        "_local_rsync_password",
        password.map(|text| text.expose().into()),
    );
    let options = &context.run.options.ssh_args;
    let mut lines = vec![];
    for (name, option) in [
        ("ansible_ssh_args", &options.all),
        ("ansible_ssh_common_args", &options.common),
        ("ansible_ssh_extra_args", &options.extra),
    ] {
        let own = context.variable(name)?.map(|value| value.to_string());
        lines.extend(
            own.or_else(|| option.clone())
                .filter(|line| !line.is_empty()),
        );
    }
    add("_ssh_args", Some(lines.join(" ").into()));
    Ok(())
}

/// On the host `rsync` becomes the user itself: nobody there could be asked for a password.
fn raise(context: &mut Context<'_>, args: &mut Map) {
    let Some(other) = context.r#become.take() else {
        return;
    };
    if other.method == "sudo" && !args.contains_key("rsync_path") {
        let path = format!("sudo -u {} rsync", quote(&other.user));
        args.insert("rsync_path".to_owned(), path.into());
    }
}

/// A path of the machine that runs `rsync`; a relative one begins where the task is written.
fn local(context: &Context<'_>, path: &str) -> String {
    if path.starts_with(['/', '~']) || path.contains(':') {
        return path.to_owned();
    }
    let found = context.find_file("files", path);
    let found = found.unwrap_or_else(|| context.run.playbook_dir.join(path));
    let found = found.display().to_string();
    match path.ends_with('/') && !found.ends_with('/') {
        true => format!("{found}/"),
        false => found,
    }
}

/// A path of the host.
fn remote(context: &Context<'_>, target: &Target, path: &str) -> Result<String, ActionError> {
    if path.starts_with("rsync://") {
        return Ok(path.to_owned());
    }
    let set = context.bool("set_remote_user")?.unwrap_or(true);
    let user = target.user.as_ref().filter(|_| set);
    let user = user.map_or(String::new(), |user| format!("{user}@"));
    let host = match target.host.contains(':') {
        true => format!("[{}]", target.host),
        false => target.host.clone(),
    };
    Ok(match path.contains(':') {
        true if path.contains('@') => path.to_owned(),
        true => format!("{user}{path}"),
        false => format!("{user}{host}:{path}"),
    })
}
