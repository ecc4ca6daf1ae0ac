//! `copy`: files of the controller, or text, to the target.

use std::path::{Path, PathBuf};

use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::os_error_text;
use rplay_modules::machine::digest::{Algorithm, hex};
use rplay_modules::map;
use rplay_modules::wire::BLOB;
use sha1::{Digest, Sha1};

use super::{ActionError, TaskResult};
use crate::connect::Content;
use crate::load::vault;
use crate::run::context::Context;
use crate::template::value::Value;
use crate::vars::{Level, VarMap};

/// Content above this size in bytes is sent in pieces before the call.
const INLINE: usize = 4 << 20;

/// How a file begins that is encrypted.
const VAULTED: [u8; 15] = *b"$ANSIBLE_VAULT;";

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
        return write(context, args, Content::Bytes(bytes), None, &dest).await;
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
    let content = local(context, &path)?;
    preserve_mode(&mut args, &path);
    write(
        context,
        args,
        content,
        Some(&base_name(&src)),
        &path.display().to_string(),
    )
    .await
}

/// Sends content to the target's `copy`. `base` is its name in a `dest` that is a folder.
pub(super) async fn write(
    context: &mut Context<'_>,
    mut args: Map,
    content: Content,
    base: Option<&str>,
    label: &str,
) -> Result<TaskResult, ActionError> {
    describe(&mut args, base, label);
    let checksum = match there(context, &args, &content, base).await? {
        // The name is the file's own, where `dest` is a folder.
        Some((path, checksum)) => {
            args.extend(map! { "dest" => path, "_same" => checksum.as_str() });
            checksum
        }
        None => send(context, &mut args, content).await?,
    };
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

/// The SHA-1 of content.
fn checksum(content: &Content) -> Result<String, ActionError> {
    let sum = content
        .open()
        .and_then(|mut stream| Algorithm::Sha1.of(&mut stream));
    sum.map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> ActionError {
    ActionError::new(format!(
        "the source cannot be read: {}",
        os_error_text(&error)
    ))
}

/// Tells the target's `copy` what it copies, and keeps from it what only the controller knows.
fn describe(args: &mut Map, base: Option<&str>, label: &str) {
    args.shift_remove("decrypt");
    args.shift_remove("local_follow");
    args.extend(base.map(|base| ("_original_basename".to_owned(), Data::from(base))));
    args.insert("_source".to_owned(), Data::from(label));
}

/// Where the target has the content already: its path, and the checksum. Asking pays for content that
/// is not in the call.
async fn there(
    context: &mut Context<'_>,
    args: &Map,
    content: &Content,
    base: Option<&str>,
) -> Result<Option<(String, String)>, ActionError> {
    let dest = args.get("dest").map(Data::text).unwrap_or_default();
    let size = content.size().map_err(unreadable)?;
    if size <= INLINE as u64 {
        return Ok(None);
    }
    let mut path = dest.clone();
    for _ in 0..2 {
        let wanted = map! { "path" => path.as_str(), "follow" => args.get("follow").cloned().unwrap_or(Data::Bool(false)), "get_mime" => false, "get_attributes" => false };
        let result = context.call_module("ansible.builtin.stat", &wanted).await?;
        let stat = result.result.get("stat").and_then(Data::as_map);
        let get = |name: &str| stat.and_then(|stat| stat.get(name));
        match (get("isdir"), base) {
            (Some(Data::Bool(true)), Some(base)) if path == dest => {
                path = format!("{}/{base}", dest.trim_end_matches('/'));
            }
            _ => {
                // Only content of the same length is worth adding up.
                if get("size").and_then(Data::as_int) != Some(size.into()) {
                    return Ok(None);
                }
                let own = checksum(content)?;
                let same = get("checksum").and_then(Data::as_str) == Some(&own);
                return Ok(same.then_some((path, own)));
            }
        }
    }
    Ok(None)
}

/// Puts content into the arguments of a module, or sends it before where it is large. The outcome is
/// its checksum.
pub(super) async fn send(
    context: &mut Context<'_>,
    args: &mut Map,
    content: Content,
) -> Result<String, ActionError> {
    let content = match content {
        Content::Bytes(bytes) if bytes.len() <= INLINE => {
            let sum = hex(&Sha1::digest(&bytes));
            args.insert("_content".to_owned(), Data::Bytes(bytes));
            return Ok(sum);
        }
        content => content,
    };
    let id = context.links.next_id();
    let r#become = context.r#become.clone();
    let sent = context.link()?.put(r#become.as_ref(), id, content).await?;
    args.insert(BLOB.to_owned(), Data::from(id));
    sent.map_err(unreadable)
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
    let mut batch = Batch::default();
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
        if entry.file_type().is_dir() {
            let mut wanted = map! { "path" => place.display().to_string(), "state" => "directory" };
            for name in ["owner", "group"] {
                wanted.extend(args.get(name).map(|value| (name.to_owned(), value.clone())));
            }
            wanted.extend(dir_mode.clone().map(|mode| ("mode".to_owned(), mode)));
            let call = context.prepare("ansible.builtin.file", &wanted)?;
            batch.calls.push(Data::Map(call));
        } else {
            let mut wanted = args.clone();
            wanted.insert("dest".to_owned(), Data::from(place.display().to_string()));
            preserve_mode(&mut wanted, entry.path());
            let label = entry.path().display().to_string();
            let base = base_name(&label);
            let bytes = match local(context, entry.path())? {
                Content::Bytes(bytes) if bytes.len() <= INLINE => bytes,
                large => {
                    // What is above it has to be there first.
                    if !batch.send(context, &mut all, dest).await? {
                        return Ok(all);
                    }
                    let result = write(context, wanted, large, Some(&base), &label).await?;
                    if !add(&mut all, result) {
                        return Ok(all);
                    }
                    continue;
                }
            };
            describe(&mut wanted, Some(&base), &label);
            batch.size += bytes.len();
            wanted.insert("_content".to_owned(), Data::Bytes(bytes));
            let call = context.prepare("ansible.builtin.copy", &wanted)?;
            batch.calls.push(Data::Map(call));
        }
        if batch.is_full(context.diff) && !batch.send(context, &mut all, dest).await? {
            return Ok(all);
        }
    }
    batch.send(context, &mut all, dest).await?;
    Ok(all)
}

/// Calls that make folders and files, sent as one.
#[derive(Default)]
struct Batch {
    calls: Vec<Data>,
    /// Bytes of the files' contents.
    size: usize,
}

impl Batch {
    /// Requests and results have to fit into frames; with differences, a result has what was there.
    fn is_full(&self, diff: bool) -> bool {
        self.size > INLINE || self.calls.len() >= if diff { 100 } else { 2000 }
    }

    /// Sends what has come together. False when it failed: then `all` is the failure.
    async fn send(
        &mut self,
        context: &mut Context<'_>,
        all: &mut TaskResult,
        dest: &str,
    ) -> Result<bool, ActionError> {
        let Self { calls, .. } = std::mem::take(self);
        if calls.is_empty() {
            return Ok(true);
        }
        let args = map! { "dest" => dest, "_calls" => Data::List(calls) };
        let result = context.call_module("ansible.builtin.copy", &args).await?;
        Ok(add(all, result))
    }
}

/// Adds a part's result to the whole. False when it failed: then the whole is the failure.
fn add(all: &mut TaskResult, result: TaskResult) -> bool {
    if result.failed {
        *all = result;
        return false;
    }
    all.changed |= result.changed;
    all.diff.extend(result.diff);
    all.effects.extend(result.effects);
    true
}

/// A local file to be sent: read already, where it is small or vaulted.
pub(super) fn local(context: &Context<'_>, path: &Path) -> Result<Content, ActionError> {
    use std::io::Read;
    let read = &context.run.planner.files.secrets.files_read;
    let is_large = path.metadata().is_ok_and(|meta| meta.len() > INLINE as u64);
    let mut head = [0; VAULTED.len()];
    if is_large
        && std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut head).is_ok())
        && head != VAULTED
    {
        read.add_large(path).map_err(unreadable)?;
        return Ok(Content::File(path.to_path_buf()));
    }
    read_local(context, path).map(Content::Bytes)
}

/// The bytes of a local file, decrypted where it is vaulted and `decrypt` is not off.
pub(super) fn read_local(context: &Context<'_>, path: &Path) -> Result<Vec<u8>, ActionError> {
    let bytes = std::fs::read(path)
        .map_err(|error| ActionError::new(format!("cannot read `{}`: {error}", path.display())))?;
    let secrets = &context.run.planner.files.secrets;
    secrets.files_read.add(path, &bytes);
    if !bytes.starts_with(&VAULTED) || context.bool("decrypt")? == Some(false) {
        return Ok(bytes);
    }
    let envelope = String::from_utf8_lossy(&bytes);
    let bytes =
        vault::decrypt(&envelope, secrets).map_err(|error| ActionError::new(error.to_string()))?;
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
