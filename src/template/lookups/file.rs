//! Lookups over the controller's files: `file`, `fileglob`, `first_found`, `template`, `lines`, `pipe`, `csvfile`, `ini`.

use std::path::{Path, PathBuf};

use super::super::eval::Interp;
use super::super::fault::Fault;
use super::super::files::FileOptions;
use super::super::filters;
use super::super::value::{Entries, Value};
use super::Call;

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

/// `file`: what files hold.
pub(super) fn file(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let name = term.text();
        let path = find(interp, "files", &name).ok_or_else(|| {
            Fault::new(format!("Unable to access the file '{name}': File not found. Use -vvvvv to see paths searched."))
        })?;
        let text = read(&path)?;
        if text.starts_with("$ANSIBLE_VAULT;") {
            return Err(Fault::new(format!(
                "'{name}' is vaulted; rplay's `file` lookup reads plain files only"
            )));
        }
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
        for path in candidates(interp, "files", &term.text()) {
            let found = super::glob(&path.to_string_lossy());
            if !found.is_empty() {
                out.extend(found.into_iter().map(Value::from));
                break;
            }
        }
    }
    Ok(out)
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
                combine(strings(field("files").as_ref()), strings(paths.as_ref()));
                skip |= field("skip").is_some_and(|value| {
                    filters::core::to_bool(&value).unwrap_or_else(|| value.is_true())
                });
            }
            Value::List(list) => pending.extend(list.to_vec().into_iter().rev()),
            Value::Undefined(_) => {}
            other => combine(vec![other.text()], vec![]),
        }
    }
    combine(strings(call.option("files")), strings(call.option("paths")));
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
            return Err(Fault::new(format!(
                "the template file '{name}' could not be found for the lookup"
            )));
        };
        let scope = Layered {
            extra: &extra,
            inner: interp.scope,
        };
        let text = interp
            .templar
            .render_file(&path, &read(&path)?, &options, &scope)
            .map_err(|error| {
                Fault::coded(error.diagnostic.code, error.diagnostic.message.clone()).at(|| {
                    error
                        .diagnostic
                        .labels
                        .first()
                        .map(|label| label.span.clone())
                })
            })?;
        out.push(if call.truth("convert_data", false) {
            filters::yaml::documents(&text)?
                .into_iter()
                .next()
                .unwrap_or(Value::None)
        } else {
            Value::str(text)
        });
    }
    Ok(out)
}

/// Some variables in front of a scope.
struct Layered<'a> {
    extra: &'a Entries,
    inner: &'a dyn super::super::Scope,
}

impl super::super::Scope for Layered<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        self.extra
            .get(name)
            .cloned()
            .or_else(|| self.inner.get(name))
    }
    fn names(&self) -> Vec<String> {
        self.extra
            .keys()
            .map(|key| key.0.text())
            .chain(self.inner.names())
            .collect()
    }
    fn search_path(&self) -> Vec<PathBuf> {
        self.inner.search_path()
    }
    fn basedir(&self) -> PathBuf {
        self.inner.basedir()
    }
}

fn shell(interp: &Interp<'_>, command: &str) -> Result<String, Fault> {
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(interp.scope.basedir())
        .output()
        .map_err(|error| Fault::new(error.to_string()))?;
    if !output.status.success() {
        let code = output.status.code().unwrap_or(-1);
        return Err(Fault::new(format!(
            "lookup_plugin.pipe({command}) returned {code}"
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `pipe`: the output of commands.
pub(super) fn pipe(interp: &Interp<'_>, call: &Call) -> Results {
    call.terms
        .iter()
        .map(|term| Ok(Value::str(shell(interp, &term.text())?.trim_end())))
        .collect()
}

/// `lines`: the lines that commands print.
pub(super) fn lines(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        out.extend(
            shell(interp, &term.text())?
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

/// `csvfile`: a cell of the row that a key begins.
pub(super) fn csvfile(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let (plain, named) = inline(&term.text());
        let option = |name: &str, default: &str| inline_option(call, &named, name, default);
        let key = plain
            .first()
            .cloned()
            .or_else(|| call.option("key").map(Value::text))
            .unwrap_or_default();
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
        let row = text
            .lines()
            .map(|line| csv(line, delimiter))
            .find(|row| row.get::<usize>(key_column) == Some(&key));
        match row.and_then(|row| row.get::<usize>(column).cloned()) {
            Some(cell) => out.push(Value::from(cell)),
            None => out.extend(call.option("default").cloned()),
        }
    }
    Ok(out)
}

fn csv(line: &str, delimiter: char) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (vec![], String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                cell.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

/// `ini`: values of an INI or properties file.
pub(super) fn ini(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let (plain, named) = inline(&term.text());
        let option = |name: &str, default: &str| inline_option(call, &named, name, default);
        if call.truth("re", false) || option("re", "no") == "true" {
            return Err(Fault::new("rplay's `ini` lookup has no option `re` yet"));
        }
        let name = option("file", "ansible.ini");
        let path = find(interp, "files", &name)
            .ok_or_else(|| Fault::new(format!("ini: file '{name}' not found")))?;
        let properties = option("type", "ini") == "properties";
        let wanted = if properties {
            String::new()
        } else {
            option("section", "global")
        };
        let case = call.truth("case_sensitive", false);
        let same = |a: &str, b: &str| {
            if case {
                a == b
            } else {
                a.eq_ignore_ascii_case(b)
            }
        };
        let key = plain.join(" ");
        let (mut section, mut found) = (String::new(), None);
        for line in read(&path)?.lines() {
            let line = line.trim();
            if let Some(inner) = line
                .strip_prefix('[')
                .and_then(|inner| inner.strip_suffix(']'))
            {
                inner.clone_into(&mut section);
            } else if let Some((name, value)) = line.split_once(['=', ':'])
                && !line.starts_with(['#', ';'])
                && section == wanted
                && same(name.trim(), &key)
            {
                found = Some(value.trim().to_owned());
            }
        }
        out.push(found.map_or_else(
            || {
                call.option("default")
                    .cloned()
                    .unwrap_or_else(|| Value::str(""))
            },
            Value::from,
        ));
    }
    Ok(out)
}
