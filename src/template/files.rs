//! Template files: the `#jinja2:` header, and where includes are looked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexSet;

use super::ast::Template;
use super::fault::Fault;
use super::interp::Interp;
use super::parse::Syntax;
use super::value::{Entries, Value};
use super::{Remark, Scope};
use crate::config::Config;
use crate::diag::Source;

/// How a template file is read and written.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Removes the first newline after a block.
    pub trim_blocks: bool,
    /// Removes white space before a block on its line.
    pub lstrip_blocks: bool,
    /// What ends a line of the result.
    pub newline_sequence: String,
    /// Opens an expression; `None`: `{{`.
    pub variable_start_string: Option<String>,
    /// Closes an expression.
    pub variable_end_string: Option<String>,
    /// Opens a statement.
    pub block_start_string: Option<String>,
    /// Closes a statement.
    pub block_end_string: Option<String>,
    /// Opens a comment.
    pub comment_start_string: Option<String>,
    /// Closes a comment.
    pub comment_end_string: Option<String>,
    /// Files that it includes are looked for beside it last, as `template` does, not first.
    pub beside_last: bool,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            trim_blocks: true,
            lstrip_blocks: false,
            newline_sequence: "\n".into(),
            variable_start_string: None,
            variable_end_string: None,
            block_start_string: None,
            block_end_string: None,
            comment_start_string: None,
            comment_end_string: None,
            beside_last: false,
        }
    }
}

/// Whether a file has anything to render; any other one is taken as it is.
pub(crate) fn is_template(text: &str, options: &FileOptions) -> bool {
    let marks =
        |given: &Option<String>, default: &str| text.contains(given.as_deref().unwrap_or(default));
    text.starts_with(HEADER)
        || marks(&options.variable_start_string, "{{")
        || marks(&options.block_start_string, "{%")
        || marks(&options.comment_start_string, "{#")
}

/// The name of the text that says who wrote a file. Only templates know it without being told.
const MANAGED: &str = "ansible_managed";

/// What a template file knows besides its scope.
pub(crate) fn known(scope: &dyn Scope, config: Option<&Config>) -> Entries {
    if scope.get(MANAGED).is_some() {
        return Entries::new();
    }
    let text = config.and_then(|config| config.text(MANAGED));
    let text = text.unwrap_or_else(|| "Ansible managed".to_owned());
    Entries::from_iter([(MANAGED.into(), Value::str(text))])
}

/// What the first line of a file with settings of its own begins with.
pub(crate) const HEADER: &str = "#jinja2:";

/// Splits the header off; the body with the line ends that are asked for, and its syntax. An error tells what is wrong
/// in the header.
pub(crate) fn prepare(text: &str, options: &FileOptions) -> Result<(String, Syntax), String> {
    let given =
        |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.to_owned());
    let mut syntax = Syntax {
        trim_blocks: options.trim_blocks,
        lstrip_blocks: options.lstrip_blocks,
        keep_trailing_newline: false,
        variable_start: given(&options.variable_start_string, "{{"),
        variable_end: given(&options.variable_end_string, "}}"),
        block_start: given(&options.block_start_string, "{%"),
        block_end: given(&options.block_end_string, "%}"),
        comment_start: given(&options.comment_start_string, "{#"),
        comment_end: given(&options.comment_end_string, "#}"),
        plain_backslashes: false,
    };
    let mut newline = options.newline_sequence.clone();
    let body = take_header(text, &mut syntax, &mut newline)?;
    Ok((with_newlines(body, &newline), syntax))
}

/// The same of a variable: its text is what it is, but for the header.
pub(crate) fn without_header(text: &str, syntax: &Syntax) -> Result<(String, Syntax), String> {
    let mut syntax = syntax.clone();
    let mut newline = "\n".to_owned();
    let body = take_header(text, &mut syntax, &mut newline)?;
    let body = match newline.as_str() {
        "\n" => body.to_owned(),
        newline => with_newlines(body, newline),
    };
    Ok((body, syntax))
}

/// Reads the header, where there is one; what follows it.
fn take_header<'a>(
    text: &'a str,
    syntax: &mut Syntax,
    newline: &mut String,
) -> Result<&'a str, String> {
    let Some(rest) = text.strip_prefix(HEADER) else {
        return Ok(text);
    };
    let Some((header, body)) = rest.split_once('\n') else {
        return Err("Missing newline after '#jinja2:' override.".to_owned());
    };
    for pair in header.split(',') {
        if pair.trim().is_empty() {
            return Err("Empty '#jinja2:' override pair not allowed.".into());
        }
        let Some((name, value)) = pair.split_once(':') else {
            return Err(format!(
                "Missing key-value separator `:` in '#jinja2:' override pair '{pair}'."
            ));
        };
        set(syntax, newline, name.trim(), value.trim())?;
    }
    Ok(body)
}

/// The text with these line ends in place of all others.
pub(crate) fn with_newlines(text: &str, newline: &str) -> String {
    let plain = match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text.to_owned(),
    };
    match newline {
        "\n" => plain,
        newline => plain.replace('\n', newline),
    }
}

/// `template_path`, `template_host` and the other names that a template may print about itself.
/// `name` is what the task calls it, `path` where it was found.
pub(crate) fn about(name: &str, path: &Path, dest: Option<&str>) -> Vec<(&'static str, String)> {
    let full = std::path::absolute(path)
        .unwrap_or_else(|_| path.to_path_buf())
        .display()
        .to_string();
    let modified = path
        .metadata()
        .and_then(|meta| meta.modified())
        .unwrap_or(std::time::UNIX_EPOCH);
    let modified = jiff::Timestamp::try_from(modified)
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::system());
    let uid = rustix::process::geteuid().as_raw().to_string();
    let host = rustix::system::uname();
    let mut known = vec![
        (
            "template_host",
            host.nodename().to_string_lossy().into_owned(),
        ),
        ("template_path", name.to_owned()),
        ("template_fullpath", full),
        ("template_uid", std::env::var("USER").unwrap_or(uid)),
        (
            "template_mtime",
            modified.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        ),
        (
            "template_run_date",
            jiff::Zoned::now()
                .strftime("%Y-%m-%d %H:%M:%S.%6f")
                .to_string(),
        ),
    ];
    known.extend(dest.map(|dest| ("template_destpath", dest.to_owned())));
    known
}

/// Takes in one setting of the header.
fn set(syntax: &mut Syntax, newline: &mut String, name: &str, value: &str) -> Result<(), String> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let text = quote.and_then(|quote| value[1..].strip_suffix(quote));
    let malformed = || format!("malformed node or string on line 1: {value}");
    let truth = || match value {
        "True" => Ok(true),
        "False" => Ok(false),
        _ => {
            let kind = match (text, value.parse::<i64>()) {
                (Some(_), _) => "str",
                (_, Ok(_)) => "int",
                _ => return Err(malformed()),
            };
            Err(format!(
                "TemplateOverrides.{name} must be <class 'bool'> instead of <class '{kind}'>"
            ))
        }
    };
    let plain = || text.map(ToOwned::to_owned).ok_or_else(malformed);
    match name {
        "trim_blocks" => syntax.trim_blocks = truth()?,
        "lstrip_blocks" => syntax.lstrip_blocks = truth()?,
        "keep_trailing_newline" => syntax.keep_trailing_newline = truth()?,
        "variable_start_string" => syntax.variable_start = plain()?,
        "variable_end_string" => syntax.variable_end = plain()?,
        "block_start_string" => syntax.block_start = plain()?,
        "block_end_string" => syntax.block_end = plain()?,
        "comment_start_string" => syntax.comment_start = plain()?,
        "comment_end_string" => syntax.comment_end = plain()?,
        "newline_sequence" => {
            *newline = plain()?.replace("\\r", "\r").replace("\\n", "\n");
            if !["\n", "\r\n", "\r"].contains(&newline.as_str()) {
                return Err(format!(
                    "TemplateOverrides.newline_sequence must be one of ('\\n', '\\r\\n', '\\r') instead of {value}"
                ));
            }
        }
        "line_statement_prefix" | "line_comment_prefix" => {
            return Err(format!(
                "rplay does not have the '#jinja2:' override {name}"
            ));
        }
        _ => return Err(format!("Invalid '#jinja2:' override key '{name}'.")),
    }
    Ok(())
}

/// A compiled template, its text, and the file it is from.
pub(crate) type Loaded = (Arc<Template>, Arc<str>, Arc<Source>);

/// Loads the template that an include, import or extends names.
pub(crate) fn load(interp: &Interp<'_>, name: &str) -> Result<Loaded, Fault> {
    let mut folders = interp.folders.borrow().clone();
    if folders.is_empty() {
        folders.push(interp.scope.basedir());
    }
    for folder in &folders {
        let path = folder.join(name);
        if let Ok(text) = std::fs::read_to_string(&path) {
            let read = &interp.templar.secrets.files_read;
            read.add(&path, text.as_bytes());
            return compile(interp, &path, &with_newlines(&text, "\n"));
        }
    }
    let list: Vec<String> = folders
        .iter()
        .map(|path| format!("'{}'", path.display()))
        .collect();
    let plural = if list.len() == 1 { "" } else { "s" };
    Err(Fault::new(format!(
        "'{name}' not found in search path{plural}: {}",
        list.join(", ")
    )))
}

/// Where a template file's includes are looked for.
pub(crate) fn folders(path: &Path, options: &FileOptions, scope: &dyn Scope) -> Vec<PathBuf> {
    let beside = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut places: IndexSet<PathBuf> = scope.search_path().into_iter().collect();
    if options.beside_last {
        places.shift_remove(&beside);
    }
    let mut places: Vec<PathBuf> = places.into_iter().collect();
    if options.beside_last {
        places.extend([scope.basedir(), beside.clone()]);
    }
    let both = |place: PathBuf| [place.join("templates"), place];
    let places = places.into_iter().flat_map(both);
    match options.beside_last {
        true => places.collect(),
        false => std::iter::once(beside)
            .chain(places)
            .collect::<IndexSet<_>>()
            .into_iter()
            .collect(),
    }
}

fn compile(interp: &Interp<'_>, path: &Path, text: &str) -> Result<Loaded, Fault> {
    let syntax = interp.syntax.borrow().clone();
    let shared: Arc<str> = text.into();
    let source = Source::new(path, text);
    let template = interp.within(&shared, None, Some(Arc::clone(&source)), || {
        interp
            .templar
            .compile(&shared, &syntax)
            .map_err(|error| interp.syntax_fault(&error))
    })?;
    Ok((template, shared, source))
}

/// Some variables in front of a scope.
pub(crate) struct Layered<'a> {
    pub(crate) extra: &'a Entries,
    pub(crate) inner: &'a dyn Scope,
}

impl Scope for Layered<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        self.extra
            .get(name)
            .cloned()
            .or_else(|| self.inner.get(name))
    }
    fn remark(&self, name: &str) -> Option<Remark> {
        let hidden = self.extra.contains_key(name);
        if hidden {
            None
        } else {
            self.inner.remark(name)
        }
    }
    fn forecast(&self) -> bool {
        self.inner.forecast()
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
