//! `ini_file`: options and sections of an INI file are there, or gone.

use std::path::PathBuf;

use rplay_modules::args::spec;
use rplay_modules::args::state::State;
use rplay_modules::args::{ModuleArgs, Returns, Rules, coerce};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{
    FileArgs, Sides, add_path_info, backup, make_dirs, os_error_text, real_path,
};
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::{args::Kind, map};

/// Sets and removes options and sections of an INI file, and leaves the rest of it as it is.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(alias = "dest")]
    path: PathBuf,
    /// The section; without one the lines before the first section are meant.
    section: Option<String>,
    /// Of several sections of one name, the first that has all these options: mappings of `option`
    /// and `value` or `values`.
    section_has_values: Option<Vec<Map>>,
    /// The option. Without it the section itself is meant.
    option: Option<String>,
    /// The value of the option.
    value: Option<String>,
    /// Several values of the option, each on a line of its own.
    values: Option<Vec<String>>,
    /// Whether the option or section is there or gone.
    #[arg(default = "present")]
    state: State,
    /// No other lines of this option stay. Off: only the given values are added or removed.
    #[arg(default = "true")]
    exclusive: bool,
    /// An option may stand without a value and an equals sign.
    #[arg(default = "false")]
    allow_no_value: bool,
    /// Write no spaces around the equals sign.
    #[arg(default = "false")]
    no_extra_spaces: bool,
    /// A line that differs in spaces around the equals sign alone is left as it is.
    #[arg(default = "false")]
    ignore_spaces: bool,
    /// A line of the option that is commented out is taken for it, and becomes active.
    #[arg(default = "true")]
    modify_inactive_option: bool,
    /// Make the file when it is not there.
    #[arg(default = "true")]
    create: bool,
    /// Keep a copy of the file as it was.
    #[arg(default = "false")]
    backup: bool,
    /// Change the file that a link leads to, not the link.
    #[arg(default = "false")]
    follow: bool,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The file.
    path: String,
    /// What was done.
    msg: String,
    /// The copy of the file as it was.
    backup_file: String,
}

module! {
    "community.general.ini_file", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.ini_file"],
    rules: Rules { mutually_exclusive: &[&["value", "values"]], ..Rules::NONE },
}

/// What begins a file for programs of another system; it stays before the first line.
const BYTE_ORDER_MARK: char = '\u{feff}';

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let conditions = conditions(&args)?;
    if args.section.is_none() && conditions.is_some() {
        return Err(Failure::new("section_has_values needs a section"));
    }
    let values = wanted_values(&args);
    if args.state == State::Present && !args.allow_no_value && values.is_empty() {
        return Err(Failure::new(
            "Parameter 'value(s)' must be defined if state=present and allow_no_value=False.",
        ));
    }
    let target = match args.follow {
        true => real_path(machine, &args.path),
        false => args.path.clone(),
    };
    let exists = matches!(machine.stat(&target, true), Ok(Some(_)));
    let shown = args.path.display();
    if !exists && !args.create {
        let msg = format!("Destination {} does not exist!", target.display());
        return Err(Failure::new(msg).with("rc", 257));
    }
    let before = match exists {
        true => read(machine, &target)?,
        false => String::new(),
    };
    let mut edit = Edit {
        args: &args,
        values,
        conditions,
        msg: "OK",
    };
    let after = edit.text(&before);
    let (msg, edited) = (
        edit.msg,
        edit.msg != "OK" || exists && !before.is_empty() && after != before,
    );
    let mut saved = None;
    if edited {
        if !exists && let Some(folder) = target.parent() {
            make_dirs(machine, folder)?;
        }
        if args.backup {
            saved = backup(machine, &target)?;
        }
        let attrs = Attrs {
            in_place: args.file.unsafe_writes,
            ..Attrs::default()
        };
        let written = machine.write(&target, Content::Bytes(after.as_bytes()), &attrs);
        written.map_err(|error| {
            let error = os_error_text(&error);
            format!("Could not replace file: {}: {error}", target.display())
        })?;
    }
    let attributes = args.file.ensure(machine, &target, &mut Sides::default())?;
    let header = format!("{shown} (content)");
    let mut outcome = Outcome::new(edited || attributes)
        .with_diff(Diff::text(before, after, &header, &header))
        .with("msg", msg)
        .with("path", shown.to_string());
    add_path_info(machine, &args.path, &mut outcome.results);
    if let Some(saved) = saved {
        outcome = outcome.with("backup_file", saved);
    }
    Ok(outcome)
}

fn read(machine: &mut dyn Machine, path: &std::path::Path) -> Result<String, Failure> {
    let shown = path.display();
    let bytes = machine
        .read(path)
        .map_err(|error| Failure::unexpected(format!("{}: '{shown}'", os_error_text(&error))))?;
    String::from_utf8(bytes)
        .map_err(|_| format!("cannot edit {shown}: it is not UTF-8 text").into())
}

/// The values, each once.
fn wanted_values(args: &Args) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for value in args.value.iter().chain(args.values.iter().flatten()) {
        if !all.contains(value) {
            all.push(value.clone());
        }
    }
    all
}

/// An option that a section must have, with any of the values, or with any at all.
struct Condition {
    option: String,
    values: Vec<String>,
}

fn conditions(args: &Args) -> Result<Option<Vec<Condition>>, Failure> {
    let Some(given) = &args.section_has_values else {
        return Ok(None);
    };
    let table = map! { "section_has_values" => map! {
        "type" => "list", "elements" => "dict",
        "mutually_exclusive" => vec![vec!["value", "values"]],
        "options" => map! {
            "option" => map! { "required" => true },
            "value" => Map::new(),
            "values" => map! { "type" => "list", "elements" => "str" },
        },
    } };
    let call = map! { "section_has_values" => given.clone() };
    if let Some(problem) = spec::validate(&table, &call).problems.into_iter().next() {
        let unknown = problem.contains("Supported parameters include");
        return Err(match unknown {
            true => format!("Unsupported parameters for (ini_file) module: {problem}"),
            false => problem,
        }
        .into());
    }
    let condition = |item: &Map| -> Result<Condition, String> {
        let given = |name: &str| item.get(name).filter(|value| **value != Data::Null);
        let values = match (given("value"), given("values")) {
            (Some(value), _) => vec![value.text()],
            (None, Some(values)) => match coerce(Kind::List(&Kind::Str), values)? {
                Data::List(items) => items.iter().map(Data::text).collect(),
                other => vec![other.text()],
            },
            (None, None) => vec![],
        };
        Ok(Condition {
            option: item.get("option").map(Data::text).unwrap_or_default(),
            values,
        })
    };
    let all: Result<Vec<_>, _> = given.iter().map(condition).collect();
    Ok(Some(all?))
}

/// A line of an option, taken apart.
struct Line<'a> {
    inactive: bool,
    value: &'a str,
}

/// The line, if it is one of the option: perhaps commented out, perhaps without a value.
fn option_line<'a>(option: &str, line: &'a str) -> Option<Line<'a>> {
    let blank = [' ', '\t'];
    let text = line.strip_suffix('\n').unwrap_or(line);
    let text = text.trim_start_matches(blank);
    let (inactive, text) = match text.strip_prefix(['#', ';']) {
        // An option may begin with such a letter itself.
        Some(rest) if !option.starts_with(['#', ';']) => (true, rest.trim_start_matches(blank)),
        _ => (false, text),
    };
    let rest = text.strip_prefix(option)?.trim_start_matches(blank);
    let value = match rest.strip_prefix('=') {
        Some(value) => value.trim_start_matches(blank),
        // A comment that is but the option's name is a comment.
        None if rest.is_empty() && !inactive => "",
        None => return None,
    };
    Some(Line { inactive, value })
}

fn is_blank_or_comment(line: &str) -> bool {
    let text = line.trim_end_matches('\n').trim_start_matches([' ', '\t']);
    text.is_empty() || text.starts_with(['#', ';'])
}

/// Whether a line is the head of the section.
fn is_head(name: &str, line: &str) -> bool {
    let rest = line.strip_prefix('[').map(str::trim_start);
    let rest = rest.and_then(|rest| rest.strip_prefix(name.trim()));
    rest.is_some_and(|rest| rest.trim_start().starts_with(']'))
}

/// One edit of a file's text.
struct Edit<'a> {
    args: &'a Args,
    /// The values that have no line yet.
    values: Vec<String>,
    conditions: Option<Vec<Condition>>,
    msg: &'static str,
}

/// The lines of a section, the head among them.
struct Section {
    lines: Vec<String>,
    /// Whether a line is settled, and is to be neither changed nor removed.
    settled: Vec<bool>,
    /// How many of the lines are the head.
    head: usize,
}

impl Edit<'_> {
    fn text(&mut self, text: &str) -> String {
        let marked = text.strip_prefix(BYTE_ORDER_MARK);
        let mut lines: Vec<String> = marked
            .unwrap_or(text)
            .split_inclusive('\n')
            .map(str::to_owned)
            .collect();
        match lines.last_mut() {
            None => lines.push("\n".to_owned()),
            Some(last) if !last.ends_with('\n') => last.push('\n'),
            Some(_) => {}
        }
        let found = self.range(&lines);
        match (found, self.args.state) {
            (Some(range), _) => {
                let count = range.len();
                let mut section = Section {
                    lines: lines[range.clone()].to_vec(),
                    settled: vec![false; count],
                    head: usize::from(self.args.section.is_some()),
                };
                self.section(&mut section);
                lines.splice(range, section.lines);
            }
            (None, State::Present) => self.append(&mut lines),
            (None, State::Absent) => {}
        }
        let mark = marked.map(|_| BYTE_ORDER_MARK);
        mark.into_iter().map(String::from).chain(lines).collect()
    }

    /// The lines of the section that is meant.
    fn range(&self, lines: &[String]) -> Option<std::ops::Range<usize>> {
        let end = |start: usize| {
            let rest = &lines[start..];
            let next = rest.iter().position(|line| line.starts_with('['));
            next.map_or(lines.len(), |at| start + at)
        };
        let Some(name) = &self.args.section else {
            let range = 0..end(0);
            return self.fits(&lines[range.clone()]).then_some(range);
        };
        let heads = (0..lines.len()).filter(|at| is_head(name, &lines[*at]));
        let mut ranges = heads.map(|at| at..end(at + 1));
        ranges.find(|range| self.fits(&lines[range.clone()]))
    }

    fn fits(&self, lines: &[String]) -> bool {
        let has = |condition: &Condition| {
            lines.iter().any(|line| {
                option_line(&condition.option, line).is_some_and(|found| {
                    condition.values.is_empty()
                        || condition.values.iter().any(|value| value == found.value)
                })
            })
        };
        self.conditions
            .as_ref()
            .is_none_or(|conditions| conditions.iter().all(has))
    }

    fn assignment(&self, option: &str, value: &str) -> String {
        match self.args.no_extra_spaces {
            true => format!("{option}={value}\n"),
            false => format!("{option} = {value}\n"),
        }
    }

    fn section(&mut self, section: &mut Section) {
        match (self.args.state, self.args.option.as_deref()) {
            (State::Present, Some(option)) => {
                let bare = self.keep_wanted(section, option);
                if self.args.exclusive && !self.args.allow_no_value {
                    self.replace_others(section, option);
                }
                self.insert(section, option, bare);
            }
            (State::Present, None) => {}
            (State::Absent, Some(option)) => self.remove(section, option),
            (State::Absent, None) if section.lines.is_empty() => {}
            (State::Absent, None) => {
                section.lines.clear();
                self.msg = "section removed";
            }
        }
    }

    /// The line of the option, where a line of it may be changed.
    fn line_of<'a>(&self, option: &str, line: &'a str) -> Option<Line<'a>> {
        option_line(option, line)
            .filter(|found| self.args.modify_inactive_option || !found.inactive)
    }

    /// Puts a line in place of another one of the same option.
    fn update(&mut self, section: &mut Section, at: usize, option: &str, new: String) {
        let old = &section.lines[at];
        let differs = match option_line(option, old).filter(|_| self.args.ignore_spaces) {
            Some(line) if !line.inactive => {
                option_line(option, &new).is_none_or(|new| new.value != line.value)
            }
            _ => *old != new,
        };
        if differs {
            section.lines[at] = new;
            self.msg = "option changed";
        }
        section.settled[at] = true;
    }

    /// Brings lines that have a wanted value into form; returns whether the option stands without
    /// a value.
    fn keep_wanted(&mut self, section: &mut Section, option: &str) -> bool {
        let (mut bare, none) = (false, self.values.is_empty());
        for at in 0..section.lines.len() {
            let line = section.lines[at].clone();
            let Some(found) = self.line_of(option, &line) else {
                continue;
            };
            let known = self.values.iter().position(|value| value == found.value);
            if let Some(index) = known {
                let value = self.values.remove(index);
                let new = if value.is_empty() && self.args.allow_no_value {
                    bare = true;
                    format!("{option}\n")
                } else {
                    self.assignment(option, &value)
                };
                self.update(section, at, option, new);
            } else if none && self.args.allow_no_value {
                bare = true;
                self.update(section, at, option, format!("{option}\n"));
                break;
            }
        }
        bare
    }

    /// Gives the other lines of the option the values that are left, and removes the rest of them.
    fn replace_others(&mut self, section: &mut Section, option: &str) {
        for at in 0..section.lines.len() {
            if self.values.is_empty() {
                break;
            }
            let fits = self.line_of(option, &section.lines[at]).is_some();
            if fits && !section.settled[at] {
                let value = self.values.remove(0);
                let new = self.assignment(option, &value);
                self.update(section, at, option, new);
            }
        }
        for at in (section.head..section.lines.len()).rev() {
            let fits = self.line_of(option, &section.lines[at]).is_some();
            if fits && !section.settled[at] {
                section.lines.remove(at);
                section.settled.remove(at);
                self.msg = "option changed";
            }
        }
    }

    /// Adds what has no line yet, behind the last line that is neither blank nor a comment.
    fn insert(&mut self, section: &mut Section, option: &str, bare: bool) {
        let last = (section.head..section.lines.len())
            .rev()
            .find(|at| !is_blank_or_comment(&section.lines[*at]));
        let at = last.map_or(section.head, |at| at + 1);
        let values = std::mem::take(&mut self.values);
        let mut new: Vec<String> = values
            .iter()
            .map(|value| self.assignment(option, value))
            .collect();
        if new.is_empty() && self.args.allow_no_value && !bare && !self.has_values() {
            new.push(format!("{option}\n"));
        }
        if !new.is_empty() {
            section.lines.splice(at..at, new);
            self.msg = "option added";
        }
    }

    /// Whether the task names values at all.
    fn has_values(&self) -> bool {
        self.args.value.is_some()
            || self
                .args
                .values
                .as_ref()
                .is_some_and(|values| !values.is_empty())
    }

    fn remove(&mut self, section: &mut Section, option: &str) {
        let before = section.lines.len();
        let (exclusive, values) = (self.args.exclusive, &self.values);
        section.lines.retain(|line| {
            let active = option_line(option, line).filter(|found| !found.inactive);
            active
                .is_none_or(|found| !exclusive && !values.iter().any(|value| value == found.value))
        });
        if section.lines.len() != before {
            self.msg = "option changed";
        }
    }

    /// Adds a section that is not there, with what it is to have.
    fn append(&mut self, lines: &mut Vec<String>) {
        if let Some(name) = &self.args.section {
            lines.push(format!("[{name}]\n"));
        }
        let option = self.args.option.as_deref();
        for condition in self.conditions.take().into_iter().flatten() {
            if Some(condition.option.as_str()) == option {
                for value in condition.values {
                    if !self.values.contains(&value) {
                        self.values.push(value);
                    }
                }
                continue;
            }
            for value in &condition.values {
                lines.push(self.assignment(&condition.option, value));
            }
            if condition.values.is_empty() && self.args.allow_no_value {
                lines.push(format!("{}\n", condition.option));
            }
        }
        self.msg = "only section added";
        let Some(option) = option else { return };
        for value in &self.values {
            lines.push(self.assignment(option, value));
        }
        if self.values.is_empty() && self.args.allow_no_value {
            lines.push(format!("{option}\n"));
        }
        self.msg = "section and option added";
    }
}
