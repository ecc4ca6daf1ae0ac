//! Lookups over the controller's files: `file`, `fileglob`, `first_found`, `template`, `lines`, `pipe`, `csvfile`, `ini`.

use std::path::{Path, PathBuf};

use rplay_modules::regex::Flags;

use super::super::eval::Interp;
use super::super::fault::Fault;
use super::super::files::{FileOptions, Layered};
use super::super::filters;
use super::super::value::{Entries, Value};
use super::super::{csv, ini};
use super::Call;
use crate::diag::Diagnostic;

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

fn read(path: &Path) -> Result<String, Fault> {
    let bytes = std::fs::read(path).map_err(|error| {
        Fault::new(format!(
            "Unable to access the file '{}': {error}",
            path.display()
        ))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a file holds, opened if it is vaulted.
fn opened(interp: &Interp<'_>, path: &Path, name: &str) -> Result<String, Fault> {
    let text = read(path)?;
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
        let name = term.text();
        let path = find(interp, "files", &name).ok_or_else(|| {
            Fault::new(format!("Unable to access the file '{name}': File not found. Use -vvvvv to see paths searched."))
        })?;
        let text = opened(interp, &path, &name)?;
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

/// `fileglob`: files that match patterns.
pub(super) fn fileglob(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let term = term.text();
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

/// `first_found`: the first file that exists.
pub(super) fn first_found(interp: &Interp<'_>, call: &Call) -> Results {
    let mut names: Vec<String> = Vec::new();
    let mut skip = call.truth("skip", false);
    let strings = |value: Option<&Value>| -> Vec<String> {
        match value {
            Some(Value::List(list)) => list.to_vec().iter().map(Value::text).collect(),
            Some(Value::None) | None => vec![],
            Some(Value::Str(text)) => text
                .as_str()
                .split([',', ';'])
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
            Some(other) => vec![other.text()],
        }
    };
    // Paths may also be separated by colons.
    let folders = |value: Option<&Value>| -> Vec<String> {
        strings(value)
            .iter()
            .flat_map(|path| path.split(':').map(ToOwned::to_owned).collect::<Vec<_>>())
            .collect()
    };
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
    while let Some(term) = pending.pop() {
        match &term {
            Value::Dict(dict) => {
                let field = |name: &str| dict.get(name).filter(|value| !value.is_undefined());
                let paths = field("paths");
                combine(strings(field("files").as_ref()), folders(paths.as_ref()));
                skip |= field("skip").is_some_and(|value| {
                    filters::core::to_bool(&value).unwrap_or_else(|| value.is_true())
                });
            }
            Value::List(list) => pending.extend(list.to_vec().into_iter().rev()),
            Value::Undefined(_) => {}
            Value::Str(text) => combine(vec![text.as_str().to_owned()], vec![]),
            other => {
                return Err(Fault::new(format!(
                    "Invalid term supplied. A string, dict or list is required, not '{}').",
                    other.type_name()
                )));
            }
        }
    }
    combine(strings(call.option("files")), folders(call.option("paths")));
    let places = ["files", "templates", "vars", "tasks"];
    for name in &names {
        for place in places {
            if let Some(path) = find(interp, place, name).filter(|path| path.is_file()) {
                return Ok(vec![Value::str(path.to_string_lossy().into_owned())]);
            }
        }
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
        lstrip_blocks: call.truth("lstrip_blocks", false),
        variable_start_string: given("variable_start_string"),
        variable_end_string: given("variable_end_string"),
        comment_start_string: given("comment_start_string"),
        comment_end_string: given("comment_end_string"),
        ..FileOptions::default()
    };
    let mut out = Vec::new();
    for term in &call.terms {
        let name = term.text();
        let Some(path) = find(interp, "templates", &name) else {
            not_found(interp, &name);
            return Err(Fault::new(format!(
                "the template file {name} could not be found for the lookup"
            )));
        };
        let scope = Layered {
            extra: &extra,
            inner: interp.scope,
        };
        let value = interp
            .templar
            .render_file(&path, &opened(interp, &path, &name)?, &options, &scope)
            .map_err(|error| {
                let problem = &error.diagnostic;
                let place = problem.labels.first().map(|label| label.span.clone());
                let fault = match Value::undefined(problem.message.clone()) {
                    Value::Undefined(undefined) if error.undefined => Fault::undefined(&undefined),
                    _ => Fault::coded(problem.code, problem.message.clone()).complete(),
                };
                fault.at(|| place)
            })?;
        out.push(if call.truth("convert_data", false) {
            filters::yaml::documents(&value.text())?
                .into_iter()
                .next()
                .unwrap_or(Value::None)
        } else {
            value
        });
    }
    Ok(out)
}

fn shell(interp: &Interp<'_>, command: &str, name: &str) -> Result<String, Fault> {
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(interp.scope.basedir())
        .output()
        .map_err(|error| Fault::new(error.to_string()))?;
    if !output.status.success() {
        let code = output.status.code().unwrap_or(-1);
        return Err(Fault::new(format!(
            "lookup_plugin.{name}({command}) returned {code}"
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `pipe`: the output of commands.
pub(super) fn pipe(interp: &Interp<'_>, call: &Call) -> Results {
    call.terms
        .iter()
        .map(|term| Ok(Value::str(shell(interp, &term.text(), "pipe")?.trim_end())))
        .collect()
}

/// `lines`: the lines that commands print.
pub(super) fn lines(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        out.extend(
            shell(interp, &term.text(), "lines")?
                .lines()
                .map(|line| Value::str(line.trim_end())),
        );
    }
    Ok(out)
}

/// Splits `key option=value ...`.
fn inline(term: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut plain, mut named) = (vec![], vec![]);
    for word in term.split_whitespace() {
        match word.split_once('=') {
            Some((key, value)) => named.push((key.to_owned(), value.to_owned())),
            None => plain.push(word.to_owned()),
        }
    }
    (plain, named)
}

/// An option from the term itself, else of the lookup.
fn inline_option(call: &Call, named: &[(String, String)], name: &str, default: &str) -> String {
    let inline = named.iter().find(|(key, _)| key == name);
    inline
        .map(|(_, value)| value.clone())
        .or_else(|| call.option(name).map(Value::text))
        .unwrap_or_else(|| default.to_owned())
}

/// Refuses options that the lookup has not.
fn known(named: &[(String, String)], names: &[&str]) -> Result<(), Fault> {
    match named
        .iter()
        .find(|(name, _)| !names.contains(&name.as_str()))
    {
        Some((name, _)) => Err(Fault::new(format!("'{name}' is not a valid option"))),
        None => Ok(()),
    }
}

/// `csvfile`: a cell of the row that a key begins.
pub(super) fn csvfile(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let (plain, named) = inline(&term.text());
        known(
            &named,
            &["col", "default", "delimiter", "encoding", "file", "keycol"],
        )?;
        let option = |name: &str, default: &str| inline_option(call, &named, name, default);
        let key = plain
            .first()
            .cloned()
            .or_else(|| call.option("key").map(Value::text))
            .ok_or_else(|| Fault::new("Search key is required but was not found"))?;
        let name = option("file", "ansible.csv");
        let path = find(interp, "files", &name)
            .ok_or_else(|| Fault::new(format!("csvfile: file '{name}' not found")))?;
        let delimiter = match option("delimiter", "TAB").as_str() {
            "TAB" | "t" | "\\t" => '\t',
            other => other.chars().next().unwrap_or(','),
        };
        let (column, key_column) = (
            option("col", "1").parse().unwrap_or(1),
            option("keycol", "0").parse().unwrap_or(0),
        );
        let text = read(&path)?;
        let style = csv::Style {
            delimiter,
            skip_blanks: false,
            strict: false,
        };
        let row = csv::rows(&text, style)?
            .into_iter()
            .find(|row| row.get::<usize>(key_column) == Some(&key));
        let default = named.iter().find(|(name, _)| name == "default");
        match row {
            Some(row) => match row.get::<usize>(column) {
                Some(cell) => out.push(Value::str(cell.as_str())),
                None => return Err(Fault::new("list index out of range")),
            },
            None => out.extend(
                default
                    .map(|(_, value)| Value::str(value.as_str()))
                    .or_else(|| call.option("default").cloned()),
            ),
        }
    }
    Ok(out)
}

/// `unvault`: what files hold, vaults opened.
pub(super) fn unvault(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let name = term.text();
        let path = find(interp, "files", &name)
            .ok_or_else(|| Fault::new(format!("Unable to find file matching \"{name}\"")))?;
        out.push(Value::from(opened(interp, &path, &name)?));
    }
    Ok(out)
}

/// `ini`: values of an INI or properties file.
pub(super) fn ini(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let (plain, named) = inline(&term.text());
        known(
            &named,
            &[
                "allow_no_value",
                "case_sensitive",
                "default",
                "encoding",
                "file",
                "interpolation",
                "re",
                "section",
                "type",
            ],
        )?;
        let option = |name: &str, default: &str| inline_option(call, &named, name, default);
        let truth = |name: &str, default: &str| {
            filters::core::to_bool(&Value::from(option(name, default))).unwrap_or(false)
        };
        let name = option("file", "ansible.ini");
        let path = find(interp, "files", &name)
            .ok_or_else(|| Fault::new(format!("ini: file '{name}' not found")))?;
        let properties = option("type", "ini") == "properties";
        let wanted = if properties {
            String::new()
        } else {
            option("section", "global")
        };
        let style = ini::Style {
            delimiters: &['=', ':'],
            bare: truth("allow_no_value", "no"),
            strict: false,
        };
        let sections = ini::read(&read(&path)?, properties.then_some(""), &style)?;
        let Some(section) = sections.iter().find(|section| section.name == wanted) else {
            return Err(Fault::new(format!("No section '{wanted}' in '{name}'.")));
        };
        let key = plain.join(" ");
        let case = truth("case_sensitive", "no");
        let pattern = if truth("re", "no") {
            Some(filters::regex::compile(
                &key,
                Flags {
                    ignore_case: !case,
                    ..Flags::default()
                },
            )?)
        } else {
            None
        };
        let same = |name: &str| match &pattern {
            Some(pattern) => pattern.fits_start(name) == Ok(true),
            None if case => name == key,
            None => name.eq_ignore_ascii_case(&key),
        };
        let mut found: Vec<Value> = Vec::new();
        for (_, value) in section.entries.iter().filter(|(name, _)| same(name)) {
            let value = value.clone();
            // The last one of a name counts.
            if pattern.is_none() {
                found.clear();
            }
            if let Some(value) = value {
                if truth("interpolation", "yes") && value.contains("%(") {
                    return Err(Fault::new(format!(
                        "rplay's `ini` lookup does not interpolate '{value}'; set `interpolation=false`"
                    )));
                }
                found.push(Value::from(value));
            } else {
                found.push(Value::None);
            }
        }
        let default = named.iter().find(|(name, _)| name == "default");
        if found.is_empty() && pattern.is_none() {
            found.push(match default {
                Some((_, value)) => Value::str(value.as_str()),
                None => call
                    .option("default")
                    .cloned()
                    .unwrap_or_else(|| Value::str("")),
            });
        }
        // A key without a value counts as none at all.
        out.extend(
            found
                .into_iter()
                .filter(|value| !matches!(value, Value::None)),
        );
    }
    Ok(out)
}
