//! Filters over paths.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::value::Value;

super::filters! {
    "basename": "what follows the last slash" => |_, a| Ok(Value::str(path(a.operand())?.rsplit('/').next().unwrap_or_default()));
    "dirname": "what precedes the last slash" => |_, a| Ok(Value::str(dirname(&path(a.operand())?)));
    "splitext": "the name and its extension" => |_, a| Ok(splitext(&path(a.operand())?));
    "path_join": "one path of several parts" => |_, a| join(a);
    "normpath": "without `.`, `..` and repeated slashes" => |_, a| normalized(a);
    "realpath": "with links followed" => |_, a| Ok(Value::str(real(&path(a.operand())?)));
    "relpath": "seen from a folder" => |_, a| {
        let path = path(a.operand())?;
        if path.is_empty() {
            return Err(Fault::new("no path specified"));
        }
        let start = match a.get(1, "start") {
            None | Some(Value::None) => ".".to_owned(),
            Some(start) => self::path(start)?,
        };
        Ok(Value::str(relative(&path, &start)))
    };
    "expanduser": "with `~` expanded" => |_, a| Ok(Value::str(expand_user(&path(a.operand())?)));
    "expandvars": "with environment variables expanded" => |_, a| Ok(Value::str(expand_vars(&path(a.operand())?)));
    "commonpath": "the folder that all paths are in" => |_, a| common(a);
    "fileglob": "the files that match a pattern" => |_, a| Ok(Value::list(super::super::lookups::glob(&a.operand().text()).into_iter().map(Value::from).collect()));
    "win_basename": "what follows the last backslash" => |_, a| Ok(Value::str(path(a.operand())?.rsplit(['\\', '/']).next().unwrap_or_default()));
    "win_dirname": "what precedes the last backslash" => |_, a| Ok(Value::str(path(a.operand())?.rsplit_once(['\\', '/']).map_or("", |(folder, _)| if folder.ends_with(':') { folder } else { folder.trim_end_matches(['\\', '/']) })));
    "win_splitdrive": "the drive and the rest" => |_, a| {
        let text = path(a.operand())?;
        let (drive, rest) = text.split_at(drive_length(&text));
        Ok(Value::tuple(vec![drive.into(), rest.into()]))
    };
}

fn normalized(args: &Args) -> Outcome {
    let count = args.pos.len() + args.kw.len();
    match args.operand() {
        _ if count > 1 => Err(Fault::new(format!(
            "_path_normpath() takes at most 1 argument ({count} given)"
        ))),
        Value::Str(text) => Ok(Value::str(normal(text.as_str()))),
        other => Err(Fault::new(format!(
            "_path_normpath: path should be string, bytes or os.PathLike, not {}",
            other.type_name()
        ))),
    }
}

/// The text of a path; other kinds are refused as Python does.
fn path(value: &Value) -> Result<String, Fault> {
    match value {
        Value::Str(text) => Ok(text.as_str().to_owned()),
        Value::Bytes(_) => Ok(value.text()),
        other => Err(Fault::new(format!(
            "expected str, bytes or os.PathLike object, not {}",
            other.type_name()
        ))),
    }
}

fn dirname(path: &str) -> String {
    let Some(at) = path.rfind('/') else {
        return String::new();
    };
    let folder = &path[..=at];
    if folder.bytes().all(|byte| byte == b'/') {
        folder.to_owned()
    } else {
        folder.trim_end_matches('/').to_owned()
    }
}

fn splitext(path: &str) -> Value {
    let start = path.rfind('/').map_or(0, |at| at + 1);
    let name = path[start..].trim_start_matches('.');
    let offset = path.len() - name.len();
    let at = name.rfind('.').map_or(path.len(), |at| offset + at);
    Value::tuple(vec![path[..at].into(), path[at..].into()])
}

fn join(args: &Args) -> Outcome {
    let parts: Vec<String> = match args.operand() {
        Value::Str(text) => vec![text.as_str().to_owned()],
        Value::List(list) => list.to_vec().iter().map(path).collect::<Result<_, _>>()?,
        Value::Tuple(items) => items.iter().map(path).collect::<Result<_, _>>()?,
        other => {
            return Err(Fault::new(format!(
                "|path_join expects string or sequence, got {} instead.",
                super::dict::python_type(other)
            )));
        }
    };
    if parts.is_empty() {
        return Err(Fault::new(
            "join() missing 1 required positional argument: 'a'",
        ));
    }
    let mut path = String::new();
    for (index, part) in parts.iter().enumerate() {
        if part.starts_with('/') || index == 0 {
            path.clone_from(part);
        } else {
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(part);
        }
    }
    Ok(Value::str(path))
}

/// Python's `normpath`.
pub(crate) fn normal(path: &str) -> String {
    let root = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else if path.starts_with('/') {
        "/"
    } else {
        ""
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() {
        ".".into()
    } else {
        joined
    }
}

fn absolute(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    normal(&here.join(path).to_string_lossy())
}

fn real(path: &str) -> String {
    let path = absolute(path);
    std::fs::canonicalize(&path).map_or(path, |path| path.to_string_lossy().into_owned())
}

fn relative(path: &str, start: &str) -> String {
    let (path, start) = (absolute(path), absolute(start));
    let split = |path: &str| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    };
    let (path, start) = (split(&path), split(&start));
    let shared = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), start.len() - shared);
    let parts: Vec<String> = up.chain(path[shared..].iter().cloned()).collect();
    if parts.is_empty() {
        ".".into()
    } else {
        parts.join("/")
    }
}

/// A leading `~` as the home folder.
pub(crate) fn expand_user(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => std::env::var("HOME")
            .map_or_else(
                |_| path.to_owned(),
                |home| home.trim_end_matches('/').to_owned() + rest,
            ),
        _ => path.to_owned(),
    }
}

fn expand_vars(text: &str) -> String {
    crate::config::expand(text, &|name| std::env::var(name).ok())
}

/// How long the drive is: a letter, or a server with its share.
fn drive_length(path: &str) -> usize {
    let separator = |from: usize| {
        let rest = path.get(from..)?;
        rest.find(['\\', '/']).map(|at| from + at)
    };
    if path.get(1..2) == Some(":") {
        return 2;
    }
    if separator(0) != Some(0) || separator(1) != Some(1) {
        return 0;
    }
    let device = path
        .get(..8)
        .map(|start| start.replace('/', "\\").to_uppercase());
    let start = if device.as_deref() == Some("\\\\?\\UNC\\") {
        8
    } else {
        2
    };
    separator(start)
        .and_then(|server| separator(server + 1))
        .unwrap_or(path.len())
}

fn common(args: &Args) -> Outcome {
    if !matches!(args.operand(), Value::List(_) | Value::Tuple(_)) {
        return Err(Fault::new(format!(
            "|commonpath expects sequence, got {} instead.",
            super::dict::python_type(args.operand())
        )));
    }
    let paths = super::super::ops::iterate(args.operand())?
        .iter()
        .map(path)
        .collect::<Result<Vec<String>, _>>()?;
    if paths.is_empty() {
        return Err(Fault::new("commonpath() arg is an empty sequence"));
    }
    if paths.iter().any(|path| path.starts_with('/'))
        && !paths.iter().all(|path| path.starts_with('/'))
    {
        return Err(Fault::new("Can't mix absolute and relative paths"));
    }
    let root = if paths.iter().all(|path| path.starts_with('/')) {
        "/"
    } else {
        ""
    };
    let split = |path: &String| -> Vec<String> {
        path.split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(ToOwned::to_owned)
            .collect()
    };
    let mut shared = paths.first().map(split).unwrap_or_default();
    for path in &paths {
        let count = split(path)
            .iter()
            .zip(&shared)
            .take_while(|(a, b)| a == b)
            .count();
        shared.truncate(count);
    }
    Ok(Value::str(format!("{root}{}", shared.join("/"))))
}
