//! `mount`: a mount point in the table of file systems, and whether it is mounted.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::attrs::{backup, make_dirs, os_error_text, real_path};
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Keeps mount points in `/etc/fstab`, and mounts and unmounts them.
#[derive(ModuleArgs)]
struct Args {
    /// The mount point.
    #[arg(alias = "name")]
    path: PathBuf,
    /// `mounted`: in the table and mounted. `present`: in the table. `unmounted`: not mounted.
    /// `absent`: neither, and its folder is gone. `absent_from_fstab`: not in the table.
    /// `remounted`: mounted again. `ephemeral`: mounted, and not in the table.
    state: State,
    /// What is mounted.
    src: Option<String>,
    /// The type of file system.
    fstype: Option<String>,
    /// Options; `defaults` unless given.
    opts: Option<String>,
    /// The options are a secret.
    #[arg(
        default = "false",
        choices = "false, no, False",
        refused = "`no_log: true` of the task hides them everywhere"
    )]
    opts_no_log: Option<String>,
    /// Whether it is mounted when the system starts.
    #[arg(default = "true")]
    boot: bool,
    /// Whether `dump` saves it.
    #[arg(default = "0")]
    dump: String,
    /// When `fsck` checks it.
    #[arg(default = "0")]
    passno: String,
    /// The table; `/etc/fstab` unless given.
    fstab: Option<String>,
    /// Keep a copy of the table as it was.
    #[arg(default = "false")]
    backup: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    AbsentFromFstab,
    Mounted,
    Present,
    Unmounted,
    Remounted,
    Ephemeral,
}

/// What comes back: the arguments, as they were used.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The mount point.
    name: String,
    /// The table.
    fstab: String,
    /// The copy of the table as it was, or nothing.
    backup_file: String,
}

module! {
    "ansible.posix.mount", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.mount"],
    rules: Rules {
        required_if: &[
            ("state", "mounted", &["src", "fstype"], false),
            ("state", "present", &["src", "fstype"], false),
            ("state", "ephemeral", &["src", "fstype"], false),
        ],
        ..Rules::NONE
    },
}

const FSTAB: &str = "/etc/fstab";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let mut opts = args.opts.clone().unwrap_or_else(|| "defaults".to_owned());
    let noauto = opts.split(',').any(|opt| opt == "noauto");
    if !args.boot && !noauto {
        opts.push_str(",noauto");
    }
    let boot = args.boot;
    let fstab = args.fstab.clone().unwrap_or_else(|| FSTAB.to_owned());
    let mut table = Table {
        path: PathBuf::from(&fstab),
        line: Line {
            src: args.src.clone().unwrap_or_default(),
            name: args.path.to_string_lossy().into_owned(),
            fstype: args.fstype.clone().unwrap_or_default(),
            opts: opts.clone(),
            dump: args.dump.clone(),
            passno: args.passno.clone(),
        },
        keep: args.backup,
        saved: String::new(),
    };
    let changed = apply(machine, &args, &mut table)?;
    let mut outcome = Outcome::new(changed)
        .with("name", args.path.to_string_lossy().into_owned())
        .with("opts", opts)
        .with("boot", if boot { "yes" } else { "no" })
        .with("dump", args.dump)
        .with("passno", args.passno)
        .with("fstab", fstab)
        .with("backup_file", table.saved);
    if noauto && args.boot {
        let text = "Ignore the 'boot' due to 'opts' contains 'noauto'.";
        outcome.warnings.push(text.to_owned());
    }
    for (name, value) in [("src", args.src), ("fstype", args.fstype)] {
        if let Some(value) = value {
            outcome = outcome.with(name, value);
        }
    }
    Ok(outcome)
}

fn apply(machine: &mut dyn Machine, args: &Args, table: &mut Table) -> Result<bool, Failure> {
    let path = args.path.clone();
    let name = path.display();
    match args.state {
        State::Present => table.set(machine),
        State::AbsentFromFstab => table.unset(machine),
        State::Absent => {
            let changed = table.unset(machine)?;
            if changed {
                if is_mounted(machine, &path) {
                    unmount(machine, &path)?;
                }
                if matches!(machine.stat(&path, false), Ok(Some(_))) {
                    machine.remove(&path, false).map_err(|error| {
                        format!("Error rmdir {name}: {}", os_error_text(&error))
                    })?;
                }
            }
            Ok(changed)
        }
        State::Unmounted => {
            let mounted = is_mounted(machine, &path);
            if mounted {
                unmount(machine, &path)?;
            }
            Ok(mounted)
        }
        State::Mounted => mounted(machine, args, table),
        State::Remounted => remount(machine, args, table).map(|()| true),
        State::Ephemeral => ephemeral(machine, args, table),
    }
}

fn mounted(machine: &mut dyn Machine, args: &Args, table: &mut Table) -> Result<bool, Failure> {
    let path = &args.path;
    let made = made(machine, path)?;
    let before = table.text(machine)?;
    let changed = table.set(machine)?;
    if is_mounted(machine, path) {
        if changed {
            remount(machine, args, table)?;
        }
        return Ok(changed);
    }
    let name = path.to_string_lossy();
    let mut words = vec!["mount".to_owned()];
    if table.path != Path::new(FSTAB) {
        words.extend(["-T".to_owned(), table.path.to_string_lossy().into_owned()]);
    }
    words.push(name.into_owned());
    if let Err(failure) = mount(machine, path, words, &table.line.src) {
        // What cannot be mounted now must not keep the system from starting.
        if changed {
            table.write(machine, &before)?;
        }
        unmake(machine, &made);
        return Err(failure);
    }
    Ok(true)
}

fn ephemeral(machine: &mut dyn Machine, args: &Args, table: &Table) -> Result<bool, Failure> {
    let path = &args.path;
    let made = made(machine, path)?;
    if is_mounted(machine, path) {
        if source(machine, path).is_some_and(|source| source != table.line.src) {
            return Err(Failure::new(
                "Ephemeral mount point is already mounted with a different source than the specified one. Failing in order to prevent an unwanted unmount or override operation. Try replacing this command with a \"state: unmounted\" followed by a \"state: ephemeral\", or use a different destination path.",
            ));
        }
        remount(machine, args, table)?;
        return Ok(true);
    }
    let line = &table.line;
    let mut words: Vec<String> = ["mount", "-t", &line.fstype].map(str::to_owned).to_vec();
    words.extend(["-o".to_owned(), line.opts.clone(), line.src.clone()]);
    words.push(path.to_string_lossy().into_owned());
    if let Err(failure) = mount(machine, path, words, &line.src) {
        unmake(machine, &made);
        return Err(failure);
    }
    Ok(true)
}

/// Makes the mount point; returns the folders that were not there.
fn made(machine: &mut dyn Machine, path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|folder| !matches!(machine.stat(folder, true), Ok(Some(_))))
        .map(Path::to_owned)
        .collect();
    make_dirs(machine, path).map_err(|failure| {
        let why = failure
            .msg
            .rsplit(": ")
            .next()
            .unwrap_or_default()
            .to_owned();
        Failure::new(format!("Error making dir {}: {why}", path.display()))
    })?;
    Ok(missing)
}

fn unmake(machine: &mut dyn Machine, made: &[PathBuf]) {
    for folder in made {
        // A folder that somebody has filled meanwhile stays.
        let _ = machine.remove(folder, false);
    }
}

fn key(path: &Path) -> String {
    format!("mount:{}", path.display())
}

/// What is mounted at a path, as the kernel tells it.
fn source(machine: &mut dyn Machine, path: &Path) -> Option<String> {
    if let Some(source) = machine.assumed(&key(path)) {
        return Some(source).filter(|source| !source.is_empty());
    }
    let path = real_path(machine, path);
    let table = machine.read(Path::new("/proc/self/mounts")).ok()?;
    let table = String::from_utf8_lossy(&table).into_owned();
    let mut found = None;
    for line in table.lines() {
        let mut fields = line.split(' ').map(unescaped);
        let (source, point) = (fields.next()?, fields.next()?);
        if Path::new(&point) == path {
            found = Some(source);
        }
    }
    found
}

fn is_mounted(machine: &mut dyn Machine, path: &Path) -> bool {
    source(machine, path).is_some()
}

fn mount(
    machine: &mut dyn Machine,
    path: &Path,
    words: Vec<String>,
    source: &str,
) -> Result<(), Failure> {
    match programs::change(machine, &Command::new(words).c_locale())? {
        Some(output) if output.code != 0 => Err(Failure::new(format!(
            "Error mounting {}: {}",
            path.display(),
            programs::said(&output)
        ))),
        Some(_) => Ok(()),
        None => {
            machine.assume(Change::Fact(key(path), Some(source.to_owned())));
            Ok(())
        }
    }
}

fn unmount(machine: &mut dyn Machine, path: &Path) -> Result<(), Failure> {
    let name = path.to_string_lossy().into_owned();
    let command = Command::new(["umount", &name]).c_locale();
    match programs::change(machine, &command)? {
        Some(output) if output.code != 0 => {
            let text = programs::said(&output);
            Err(Failure::new(format!("Error unmounting {name}: {text}")))
        }
        Some(_) => Ok(()),
        None => {
            machine.assume(Change::Fact(key(path), None));
            Ok(())
        }
    }
}

/// Mounts again in place, or after unmounting where that is not possible.
fn remount(machine: &mut dyn Machine, args: &Args, table: &Table) -> Result<(), Failure> {
    let name = args.path.to_string_lossy().into_owned();
    let given = table.line.opts.as_str();
    let opts = match given {
        "defaults" => "remount".to_owned(),
        opts => format!("remount,{opts}"),
    };
    let fstab = table.path.to_string_lossy().into_owned();
    let other = table.path != Path::new(FSTAB) && args.state != State::Ephemeral;
    let source: Vec<&str> = if other { vec!["-T", &fstab] } else { vec![] };
    let mut words = vec!["mount", "-o", &opts];
    words.extend(&source);
    words.push(&name);
    match programs::change(machine, &Command::new(words).c_locale())? {
        None => return Ok(()),
        Some(output) if output.code == 0 => return Ok(()),
        Some(_) => {}
    }
    let fail = |output: &Output| {
        Failure::new(format!(
            "Error remounting {name}: {}",
            programs::said(output)
        ))
    };
    let mut again = vec!["mount"];
    again.extend(&source);
    again.push(&name);
    for words in [vec!["umount", &name], again] {
        if let Some(output) = programs::change(machine, &Command::new(words).c_locale())?
            && output.code != 0
        {
            return Err(fail(&output));
        }
    }
    Ok(())
}

/// A line of the table.
#[derive(Clone, PartialEq)]
struct Line {
    src: String,
    name: String,
    fstype: String,
    opts: String,
    dump: String,
    passno: String,
}

impl Line {
    /// The line, if it is one; the last two fields may be left out.
    fn parse(line: &str) -> Option<Self> {
        if line.trim_start().starts_with('#') {
            return None;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [src, name, fstype, opts, rest @ ..] = fields.as_slice() else {
            return None;
        };
        let number = |at: usize| (*rest.get(at).unwrap_or(&"0")).to_owned();
        (rest.len() <= 2).then(|| Self {
            src: unescaped(src),
            name: unescaped(name),
            fstype: unescaped(fstype),
            opts: unescaped(opts),
            dump: number(0),
            passno: number(1),
        })
    }

    fn text(&self) -> String {
        let [src, name, fstype, opts] =
            [&self.src, &self.name, &self.fstype, &self.opts].map(|field| escaped(field));
        format!(
            "{src} {name} {fstype} {opts} {} {}\n",
            self.dump, self.passno
        )
    }
}

/// White space and backslashes stand as octal numbers.
const CODES: [(&str, &str); 4] = [
    ("\\", "\\134"),
    (" ", "\\040"),
    ("\n", "\\012"),
    ("\t", "\\011"),
];

fn escaped(field: &str) -> String {
    CODES.iter().fold(field.to_owned(), |text, (letter, code)| {
        text.replace(letter, code)
    })
}

fn unescaped(field: &str) -> String {
    CODES
        .iter()
        .rev()
        .fold(field.to_owned(), |text, (letter, code)| {
            text.replace(code, letter)
        })
}

/// The table of file systems, and the line that is meant.
struct Table {
    path: PathBuf,
    line: Line,
    keep: bool,
    /// The copy of the table as it was.
    saved: String,
}

impl Table {
    fn text(&self, machine: &mut dyn Machine) -> Result<String, Failure> {
        match machine.read(&self.path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => {
                let path = self.path.display();
                let error = os_error_text(&error);
                Err(Failure::unexpected(format!("{error}: '{path}'")))
            }
        }
    }

    /// Whether a line is the one that is meant; swap has no mount point, so its source counts.
    fn is_ours(&self, line: &Line) -> bool {
        let no_point = matches!(self.line.name.as_str(), "none" | "swap");
        line.name == self.line.name && (!no_point || line.src == self.line.src)
    }

    fn set(&mut self, machine: &mut dyn Machine) -> Result<bool, Failure> {
        let text = self.text(machine)?;
        let (mut out, mut found) = (String::new(), false);
        for old in text.lines() {
            match Line::parse(old).filter(|line| self.is_ours(line)) {
                Some(line) => {
                    found = true;
                    // A line without its last fields gets them.
                    let whole = old.split_whitespace().count() == 6;
                    match whole && line == self.line {
                        true => out.push_str(&format!("{old}\n")),
                        false => out.push_str(&self.line.text()),
                    }
                }
                None => out.push_str(&format!("{old}\n")),
            }
        }
        if !found {
            out.push_str(&self.line.text());
        }
        self.replace(machine, &text, &out)
    }

    fn unset(&mut self, machine: &mut dyn Machine) -> Result<bool, Failure> {
        let text = self.text(machine)?;
        let kept: String = text
            .lines()
            .filter(|old| !Line::parse(old).is_some_and(|line| self.is_ours(&line)))
            .map(|old| format!("{old}\n"))
            .collect();
        match kept.lines().count() == text.lines().count() {
            true => Ok(false),
            false => self.replace(machine, &text, &kept),
        }
    }

    fn replace(
        &mut self,
        machine: &mut dyn Machine,
        old: &str,
        new: &str,
    ) -> Result<bool, Failure> {
        if old == new || old.lines().eq(new.lines()) {
            return Ok(false);
        }
        if self.keep {
            if !matches!(machine.stat(&self.path, true), Ok(Some(_))) {
                // As Ansible does: a table that is not there is an empty one, and is kept as such.
                self.write(machine, "")?;
            }
            self.saved = backup(machine, &self.path)?.unwrap_or_default();
        }
        self.write(machine, new)?;
        Ok(true)
    }

    fn write(&self, machine: &mut dyn Machine, text: &str) -> Result<(), Failure> {
        let target = real_path(machine, &self.path);
        let written = machine.write(&target, Content::Bytes(text.as_bytes()), &Attrs::default());
        written.map_err(|error| {
            let (path, error) = (self.path.display(), os_error_text(&error));
            Failure::unexpected(format!("{error}: '{path}'"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = Line::parse("none /mnt/a\\040b tmpfs size=1m").unwrap();
        assert_eq!(line.name, "/mnt/a b");
        assert_eq!(line.text(), "none /mnt/a\\040b tmpfs size=1m 0 0\n");
        assert!(Line::parse("# /x").is_none() && Line::parse("a b c").is_none());
    }
}
