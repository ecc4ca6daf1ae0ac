//! Lookups over the controller's files: `file`, `fileglob`, `first_found`, `template`, `lines`, `pipe`, `unvault`, `binary_file`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::fault::Fault;
use super::super::files::{FileOptions, Layered, about};
use super::super::filters;
use super::super::interp::Interp;
use super::super::value::{Entries, Key, Value};
use super::{Call, coding};
use crate::diag::{Diagnostic, Source};

type Results = Result<Vec<Value>, Fault>;

/// Where a file may be: each folder of the search path, with and without a subfolder.
fn candidates(interp: &Interp<'_>, folder: &str, name: &str) -> Vec<PathBuf> {
    let name = filters::path::expand_user(name);
    if Path::new(&name).is_absolute() {
        return vec![PathBuf::from(name)];
    }
    let mut out = Vec::new();
    for base in interp
        .scope
        .search_path()
        .into_iter()
        .chain([interp.scope.basedir()])
    {
        out.push(base.join(folder).join(&name));
        out.push(base.join(&name));
    }
    out
}

/// The file of a name.
pub(super) fn find(interp: &Interp<'_>, folder: &str, name: &str) -> Option<PathBuf> {
    candidates(interp, folder, name)
        .into_iter()
        .find(|path| path.exists())
}

/// What a file holds.
pub(super) fn bytes(interp: &Interp<'_>, path: &Path) -> Result<Vec<u8>, Fault> {
    let bytes = std::fs::read(path).map_err(|error| {
        let shown = path.display();
        let why = match error.kind() {
            ErrorKind::IsADirectory => format!("[Errno 21] Is a directory: '{shown}'"),
            ErrorKind::PermissionDenied => format!("[Errno 13] Permission denied: '{shown}'"),
            _ => error.to_string(),
        };
        Fault::new(format!(
            "An error occurred while trying to read the file '{shown}': {why}"
        ))
    })?;
    interp.templar.secrets.files_read.add(path, &bytes);
    Ok(bytes)
}

/// What a file holds, opened if it is vaulted.
fn opened(interp: &Interp<'_>, path: &Path, name: &str) -> Result<String, Fault> {
    let text = String::from_utf8_lossy(&bytes(interp, path)?).into_owned();
    if !crate::load::vault::is_vaulted(text.as_bytes()) {
        return Ok(text);
    }
    let content = crate::load::vault::decrypt(&text, &interp.templar.secrets)
        .map_err(|error| Fault::new(format!("Unable to open the vault '{name}': {error}")))?;
    interp.templar.secrets.hidden.add_content(&content);
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// `file`: what files hold.
pub(super) fn file(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let refused =
            |why: &str| Fault::new(format!("Unable to access the file {}: {why}", term.repr()));
        let missing = || refused("File not found. Use -vvvvv to see paths searched.");
        if matches!(term, Value::None) {
            return Err(missing());
        }
        let name = super::text_term(term)?;
        let path = find(interp, "files", name).ok_or_else(missing)?;
        let text = opened(interp, &path, name).map_err(|fault| refused(&fault.inner()))?;
        let text = if call.truth("rstrip", true) {
            text.trim_end()
        } else {
            &text
        };
        out.push(Value::str(if call.truth("lstrip", false) {
            text.trim_start()
        } else {
            text
        }));
    }
    Ok(out)
}

/// A term that has to be a path.
pub(super) fn path_term(term: &Value) -> Result<&str, Fault> {
    term.as_str().ok_or_else(|| {
        Fault::new(format!(
            "expected str, bytes or os.PathLike object, not {}",
            term.type_name()
        ))
    })
}

/// `fileglob`: files that match patterns.
pub(super) fn fileglob(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let term = path_term(term)?.to_owned();
        if let Some((folder, _)) = term.rsplit_once('/')
            && !candidates(interp, "files", folder)
                .iter()
                .any(|path| path.exists())
        {
            not_found(interp, folder);
        }
        for path in candidates(interp, "files", &term) {
            let found = super::glob(&path.to_string_lossy());
            if !found.is_empty() {
                out.extend(found.into_iter().map(Value::from));
                break;
            }
        }
    }
    Ok(out)
}

/// Tells that something is in none of the places where it is looked for.
fn not_found(interp: &Interp<'_>, name: &str) {
    let text = format!("Unable to find '{name}' in expected paths (use -vvvvv to see paths)");
    interp.note(Diagnostic::warning("not-found", text));
}

/// The names in an option that is a list, or a text with commas; a name with other separators in
/// it is several, which Ansible is giving up.
fn names_in(
    interp: &Interp<'_>,
    value: Option<&Value>,
    separators: &[char],
    what: &str,
) -> Vec<String> {
    let names = match value {
        Some(Value::List(list)) => list.to_vec(),
        Some(Value::Str(text)) if text.as_str().contains(',') => {
            let parts = text.as_str().split(',').map(str::trim);
            parts.map(Value::str).collect()
        }
        Some(Value::None) | None => vec![],
        Some(other) => vec![other.clone()],
    };
    let mut out = vec![];
    for name in names {
        let text = name.text();
        if text.contains(separators) {
            let shown: String = separators.iter().collect();
            let problem = Diagnostic::deprecation_of(
                "first-found-splitting",
                "lookup plugin 'first_found'",
                &format!("Automatic splitting of {what} on '{shown}' is deprecated."),
                "2.23",
            );
            let place = name
                .origin()
                .unwrap_or_else(|| Source::named("<unknown>", text.as_str()));
            let hint = format!("Provide a list of paths for {what} instead.");
            interp.note(problem.at(&place).hint(hint));
        }
        out.extend(text.split(separators).map(str::to_owned));
    }
    out
}

/// `first_found`: the first file that exists.
pub(super) fn first_found(interp: &Interp<'_>, call: &Call) -> Results {
    let mut names: Vec<String> = Vec::new();
    let mut skip = call.truth("skip", false);
    let files = |value: Option<&Value>, what| names_in(interp, value, &[',', ';'], what);
    let folders =
        |value: Option<&Value>| names_in(interp, value, &[',', ':', ';'], "the \"paths\" option");
    let mut combine = |files: Vec<String>, paths: Vec<String>| {
        if paths.is_empty() {
            names.extend(files);
        } else {
            names.extend(paths.iter().flat_map(|path| {
                files
                    .iter()
                    .map(move |file| format!("{}/{file}", path.trim_end_matches('/')))
            }));
        }
    };
    let mut pending: Vec<Value> = call.terms.clone();
    pending.reverse();
    // Names alone are looked for in the paths beside them, and the files beside them do not count.
    let mut flat = call.terms.iter().flat_map(|term| match term {
        Value::List(list) => list.to_vec(),
        term => vec![term.clone()],
    });
    let names_alone = !call.terms.is_empty()
        && call.option("paths").is_some()
        && flat.all(|term| matches!(term, Value::Str(_)));
    let beside = match names_alone {
        true => folders(call.option("paths")),
        false => vec![],
    };
    while let Some(term) = pending.pop() {
        match &term {
            Value::Dict(dict) => {
                let field = |name: &str| dict.get(name).filter(|value| !value.is_undefined());
                let paths = field("paths");
                let wanted = files(field("files").as_ref(), "the 'files' option");
                combine(wanted, folders(paths.as_ref()));
                // The last dictionary decides, and not the option beside it.
                skip = field("skip").is_some_and(|value| {
                    filters::core::to_bool(&value).unwrap_or_else(|| value.is_true())
                });
            }
            Value::List(list) => pending.extend(list.to_vec().into_iter().rev()),
            Value::Undefined(_) => {}
            Value::Str(_) => {
                let term = Value::list(vec![term]);
                combine(files(Some(&term), "files"), beside.clone());
            }
            other => {
                return Err(Fault::new(format!(
                    "Invalid term supplied. A string, dict or list is required, not '{}').",
                    other.type_name()
                )));
            }
        }
    }
    if !names_alone {
        let wanted = files(call.option("files"), "files");
        combine(wanted, folders(call.option("paths")));
    }
    let found = names
        .iter()
        .find_map(|name| find(interp, interp.folder.get(), name));
    if let Some(path) = found {
        let path = filters::path::normal(&path.to_string_lossy());
        return Ok(vec![Value::str(path)]);
    }
    if skip {
        return Ok(vec![]);
    }
    Err(Fault::new("No file was found when using first_found."))
}

/// `template`: rendered template files.
pub(super) fn template(interp: &Interp<'_>, call: &Call) -> Results {
    let extra = match call.option("template_vars") {
        Some(Value::Dict(dict)) => dict.read().clone(),
        _ => Entries::new(),
    };
    let given = |name: &str| {
        call.option(name)
            .filter(|value| !matches!(value, Value::None))
            .map(Value::text)
    };
    let options = FileOptions {
        trim_blocks: call.truth("trim_blocks", true),
        variable_start_string: given("variable_start_string"),
        variable_end_string: given("variable_end_string"),
        comment_start_string: given("comment_start_string"),
        comment_end_string: given("comment_end_string"),
        ..FileOptions::default()
    };
    let mut out = Vec::new();
    for term in &call.terms {
        let missing = || {
            Fault::new(format!(
                "the template file {} could not be found for the lookup",
                term.text()
            ))
        };
        if matches!(term, Value::None) {
            return Err(missing());
        }
        let name = super::text_term(term)?;
        let Some(path) = find(interp, "templates", name) else {
            not_found(interp, name);
            return Err(missing());
        };
        let about = about(name, &path, None).into_iter();
        let mut known: Entries = about
            .map(|(name, text)| (Key::from(name), Value::from(text)))
            .collect();
        known.extend(extra.clone());
        let scope = Layered {
            extra: &known,
            inner: interp.scope,
        };
        let value = interp
            .templar
            .render_file(&path, &opened(interp, &path, name)?, &options, &scope)
            .map_err(|error| {
                let problem = &error.diagnostic;
                let place = problem.labels.first().map(|label| label.span.clone());
                let fault = match Value::undefined(problem.message.clone()) {
                    Value::Undefined(undefined) if error.undefined => Fault::undefined(&undefined),
                    _ => Fault::coded(problem.code, problem.message.clone()).complete(),
                };
                fault.at(|| place)
            })?;
        // `convert_data` does nothing any more: a template's result is what it renders to.
        out.push(value);
    }
    Ok(out)
}

/// What a command prints.
fn shell(interp: &Interp<'_>, command: &[String], told: &str) -> Result<Vec<u8>, Fault> {
    use std::os::unix::process::ExitStatusExt as _;
    let output = std::process::Command::new("/bin/sh")
        .arg("-c")
        .args(command)
        .current_dir(interp.scope.basedir())
        .output()
        .map_err(|error| Fault::new(error.to_string()))?;
    if !output.status.success() {
        let signal = output.status.signal().map(|signal| -signal);
        let code = output.status.code().or(signal).unwrap_or(-1);
        return Err(Fault::new(format!("lookup_plugin.{told} returned {code}")));
    }
    Ok(output.stdout)
}

/// `pipe`: the output of commands.
pub(super) fn pipe(interp: &Interp<'_>, call: &Call) -> Results {
    let one = |term: &Value| {
        let text = coding::decoded(
            &shell(interp, &[term.text()], &format!("pipe({})", term.text()))?,
            "utf-8",
        )?;
        Ok(Value::str(text.trim_end()))
    };
    call.terms.iter().map(one).collect()
}

fn word(value: &Value) -> Result<String, Fault> {
    let word = value.as_str().map(ToOwned::to_owned);
    word.ok_or_else(|| {
        Fault::new(format!(
            "expected str, bytes or os.PathLike object, not {}",
            value.type_name()
        ))
    })
}

/// `lines`: the lines that commands print.
pub(super) fn lines(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let command = match term {
            // The shell takes the first of several words as the command, and the others as its arguments.
            Value::List(words) => words.to_vec().iter().map(word).collect::<Result<_, _>>()?,
            Value::Str(text) => vec![text.as_str().to_owned()],
            other => {
                return Err(Fault::new(format!(
                    "'{}' object is not iterable",
                    other.type_name()
                )));
            }
        };
        let text = coding::decoded(
            &shell(interp, &command, &format!("lines({})", term.text()))?,
            "utf-8",
        )?;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        out.extend(text.lines().map(Value::str));
    }
    Ok(out)
}

/// `unvault`: what files hold, vaults opened.
pub(super) fn unvault(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let name = super::text_term(term)?;
        let path = find(interp, "files", name)
            .ok_or_else(|| Fault::new(format!("Unable to find file matching \"{name}\"")))?;
        out.push(Value::from(opened(interp, &path, name)?));
    }
    Ok(out)
}

/// `binary_file`: what files hold, in base64.
pub(super) fn binary(interp: &Interp<'_>, call: &Call) -> Results {
    let missing = call.option("not_exist").map(Value::text);
    let missing = missing.as_deref().unwrap_or("error");
    if !["empty", "empty_str", "error"].contains(&missing) {
        return Err(Fault::new(format!(
            "Invalid value '{missing}' for config 'not_exist' for 'ansible_collections.community.general.plugins.lookup.binary_file' lookup plugin."
        )));
    }
    let one = |term: &Value| {
        let name = super::text_term(term)?;
        Ok(match find(interp, "files", name) {
            Some(path) => Value::from(STANDARD.encode(bytes(interp, &path)?)),
            None if missing == "empty" => Value::str(""),
            None if missing == "empty_str" => Value::str("empty"),
            None => {
                return Err(Fault::new(format!(
                    "Could not locate file in community.general.binary_file lookup: {name}"
                )));
            }
        })
    };
    call.terms.iter().map(one).collect()
}
