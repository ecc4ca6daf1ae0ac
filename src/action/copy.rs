//! `copy`: files of the controller, or text, to the target.

use std::path::{Path, PathBuf};

use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use sha1::{Digest, Sha1};

use super::fetch::hex;
use super::{ActionError, TaskResult};
use crate::load::vault;
use crate::run::context::Context;
use crate::template::value::Value;
use crate::vars::{Level, VarMap};

/// Content above this size in bytes is sent in pieces before the call.
const INLINE: usize = 4 << 20;

/// `content` has no name that it could have in a folder.
const NO_NAME: &str = "can not use content with a dir as dest";
const REMOTE_SRC: &str = "If you are using a module and expect the file to exist on the remote, see the remote_src option.";

/// Copies.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let mut args = context.data_args()?;
    let Some(dest) = args.get("dest").and_then(Data::as_str).map(str::to_owned) else {
        return Err(ActionError::new("dest is required"));
    };
    if args.contains_key("src") && args.contains_key("content") {
        return Err(ActionError::new("src and content are mutually exclusive"));
    }
    if let Some(content) = args.shift_remove("content") {
        if dest.ends_with('/') {
            return Err(ActionError::new(NO_NAME));
        }
        let bytes = content_bytes(context, &content)?;
        return write(context, args, bytes, None, &dest).await;
    }
    if context.bool("remote_src")?.unwrap_or(false) {
        return context.call_module("ansible.builtin.copy", &args).await;
    }
    let Some(src) = args
        .shift_remove("src")
        .and_then(|src| src.as_str().map(str::to_owned))
    else {
        return Err(ActionError::new("src (or content) is required"));
    };
    let path = context
        .find_file("files", &src)
        .ok_or_else(|| missing(context, "Unexpected AnsibleActionFail error", &src))?;
    if path.is_dir() {
        return directory(context, &args, &src, &path, &dest).await;
    }
    let bytes = read_local(context, &path)?;
    preserve_mode(&mut args, &path);
    write(
        context,
        args,
        bytes,
        Some(&base_name(&src)),
        &path.display().to_string(),
    )
    .await
}

/// Sends content to the target's `copy`. `base` is its name in a `dest` that is a folder.
pub(super) async fn write(
    context: &mut Context<'_>,
    mut args: Map,
    bytes: Vec<u8>,
    base: Option<&str>,
    label: &str,
) -> Result<TaskResult, ActionError> {
    let checksum = hex(&Sha1::digest(&bytes));
    args.shift_remove("decrypt");
    args.shift_remove("local_follow");
    args.extend(base.map(|base| ("_original_basename".to_owned(), Data::from(base))));
    args.insert("_source".to_owned(), Data::from(label));
    send(context, &mut args, bytes).await?;
    let mut result = context.call_module("ansible.builtin.copy", &args).await?;
    let msg = result.result.get("msg").and_then(Data::as_str);
    if result.failed && msg == Some(NO_NAME) {
        return Err(ActionError::new(NO_NAME));
    }
    if result.failed {
        let sum = result.result.entry("checksum".to_owned());
        sum.or_insert_with(|| Data::Str(checksum));
    }
    Ok(result)
}

/// Puts content into the arguments of a module, or sends it before where it is large.
pub(super) async fn send(
    context: &mut Context<'_>,
    args: &mut Map,
    bytes: Vec<u8>,
) -> Result<(), ActionError> {
    if bytes.len() <= INLINE {
        args.insert("_content".to_owned(), Data::Bytes(bytes));
        return Ok(());
    }
    let id = context.links.next_id();
    let r#become = context.r#become.clone();
    context.link()?.put(r#become.as_ref(), id, &bytes).await?;
    args.insert("_blob".to_owned(), Data::from(id));
    Ok(())
}

/// `missing_file` in the words that Ansible has for actions that may also take files of the target.
pub(super) fn missing(context: &Context<'_>, what: &'static str, src: &str) -> ActionError {
    match context.missing_file("files", src) {
        ActionError::Refused { message, help, .. } => ActionError::Refused {
            what,
            message,
            help: Some(match help {
                Some(help) => format!("{REMOTE_SRC}\n{help}"),
                None => REMOTE_SRC.to_owned(),
            }),
        },
        other => other,
    }
}

/// Copies a folder: `src/` means what is in it, `src` the folder itself.
async fn directory(
    context: &mut Context<'_>,
    args: &Map,
    src: &str,
    path: &Path,
    dest: &str,
) -> Result<TaskResult, ActionError> {
    let root = if src.ends_with('/') {
        PathBuf::from(dest)
    } else {
        Path::new(dest).join(path.file_name().unwrap_or_default())
    };
    let mut all = TaskResult::ok(map! { "dest" => dest, "src" => path.display().to_string() });
    let dir_mode = args.get("directory_mode").cloned();
    for entry in walkdir::WalkDir::new(path)
        .sort_by_file_name()
        .follow_links(true)
    {
        let entry = entry
            .map_err(|error| ActionError::new(format!("cannot read the source folder: {error}")))?;
        let below = entry.path().strip_prefix(path).unwrap_or(Path::new(""));
        let place = if below.as_os_str().is_empty() {
            root.clone()
        } else {
            root.join(below)
        };
        let result = if entry.file_type().is_dir() {
            let mut wanted = map! { "path" => place.display().to_string(), "state" => "directory" };
            for name in ["owner", "group"] {
                wanted.extend(args.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            wanted.extend(dir_mode.clone().map(|mode| ("mode".to_owned(), mode)));
            context.call_module("ansible.builtin.file", &wanted).await?
        } else {
            let mut wanted = args.clone();
            wanted.insert("dest".to_owned(), Data::from(place.display().to_string()));
            preserve_mode(&mut wanted, entry.path());
            let bytes = read_local(context, entry.path())?;
            let label = entry.path().display().to_string();
            write(context, wanted, bytes, Some(&base_name(&label)), &label).await?
        };
        if result.failed {
            return Ok(result);
        }
        all.changed |= result.changed;
        all.diff.extend(result.diff);
        all.effects.extend(result.effects);
    }
    Ok(all)
}

/// The bytes of a local file, decrypted where it is vaulted and `decrypt` is not off.
pub(super) fn read_local(context: &Context<'_>, path: &Path) -> Result<Vec<u8>, ActionError> {
    let bytes = std::fs::read(path)
        .map_err(|error| ActionError::new(format!("cannot read `{}`: {error}", path.display())))?;
    if !bytes.starts_with(b"$ANSIBLE_VAULT;") || context.bool("decrypt")? == Some(false) {
        return Ok(bytes);
    }
    let envelope = String::from_utf8_lossy(&bytes);
    let bytes = vault::decrypt(&envelope, &context.run.planner.files.secrets)
        .map_err(|error| ActionError::new(error.to_string()))?;
    context.run.hidden().add_content(&bytes);
    Ok(bytes)
}

fn preserve_mode(args: &mut Map, path: &Path) {
    if args.get("mode").and_then(Data::as_str) == Some("preserve") {
        args.insert("mode".to_owned(), local_mode(path));
    }
}

/// The mode of a local file, as an argument.
pub(super) fn local_mode(path: &Path) -> Data {
    use std::os::unix::fs::PermissionsExt;
    let mode = path
        .metadata()
        .map_or(0o644, |meta| meta.permissions().mode() & 0o7777);
    Data::Str(format!("0{mode:o}"))
}

/// Content as bytes: text as it is, everything else as JSON.
fn content_bytes(context: &Context<'_>, content: &Data) -> Result<Vec<u8>, ActionError> {
    Ok(match content {
        Data::Str(text) => text.clone().into_bytes(),
        Data::Bytes(bytes) => bytes.clone(),
        Data::Map(_) | Data::List(_) => {
            let vars = VarMap::from([("content".to_owned(), Value::from_data(content))]);
            let scope = context.scope.with(Level::Loop, vars);
            context
                .run
                .templar
                .expression("content | to_json", None, &scope)?
                .to_string()
                .into_bytes()
        }
        other => Value::from_data(other).to_string().into_bytes(),
    })
}

fn base_name(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
