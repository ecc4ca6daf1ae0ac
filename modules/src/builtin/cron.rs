//! `cron`: entries and variables of a user's crontab, or of a file below `/etc/cron.d`.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::attrs::{os_error, temporary_file};
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use super::programs;

/// Adds, changes and removes entries and variables of crontabs.
#[derive(ModuleArgs)]
struct Args {
    /// What the entry is called in the comment above it; or the name of the variable.
    name: String,
    /// Whose crontab; that of the user who acts unless given. In a file: who runs the job.
    user: Option<String>,
    /// The command; or the value of the variable.
    #[arg(alias = "value")]
    job: Option<String>,
    /// A file instead of a crontab; a relative path is below `/etc/cron.d`.
    cron_file: Option<PathBuf>,
    /// Whether the entry or variable is there or gone.
    #[arg(default = "present")]
    state: State,
    /// Minutes.
    #[arg(default = "*")]
    minute: String,
    /// Hours.
    #[arg(default = "*")]
    hour: String,
    /// Days of the month.
    #[arg(alias = "dom", default = "*")]
    day: String,
    /// Months.
    #[arg(default = "*")]
    month: String,
    /// Days of the week.
    #[arg(alias = "dow", default = "*")]
    weekday: String,
    /// A time by name.
    special_time: Option<Special>,
    /// Comment the entry out.
    #[arg(default = "false")]
    disabled: bool,
    /// A variable is meant, not an entry.
    #[arg(default = "false")]
    env: bool,
    /// The variable behind which a new one goes.
    insertafter: Option<String>,
    /// The variable before which a new one goes.
    insertbefore: Option<String>,
    /// Keep a copy of the crontab as it was.
    #[arg(default = "false")]
    backup: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Special {
    Reboot,
    Yearly,
    Annually,
    Monthly,
    Weekly,
    Daily,
    Hourly,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The names of all entries.
    jobs: Vec<String>,
    /// The names of all variables.
    envs: Vec<String>,
    /// The file, where one is meant.
    cron_file: String,
    /// The copy of the crontab as it was.
    backup_file: String,
}

module! {
    "ansible.builtin.cron", args: Args, returns: Values, run: run,
    rules: Rules { mutually_exclusive: &[&["insertafter", "insertbefore"]], ..Rules::NONE },
}

/// What an entry's comment begins with.
const MARK: &str = "#Ansible: ";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let place = Place::of(machine, &args);
    let warnings = check(&args)?;
    let before = place.read(machine)?;
    let mut lines: Vec<String> = before.lines().map(str::to_owned).collect();
    let mut backup = None;
    if args.backup {
        let content = Content::Bytes(before.as_bytes());
        let file = temporary_file(machine, "crontab", "", content).map_err(Failure::unexpected)?;
        backup = Some(file.to_string_lossy().into_owned());
    }
    let changed = match args.env {
        true => variable(&mut lines, &args)?,
        false => entry(&mut lines, &args),
    };
    let after = match lines.iter().all(|line| line.trim().is_empty()) {
        true => String::new(),
        false => format!("{}\n", lines.join("\n").trim_end_matches(['\r', '\n'])),
    };
    // A file that holds nothing any more goes, where its last entry went.
    let removed = changed && place.file.is_some() && after.is_empty();
    let mut outcome = Outcome::new(changed);
    outcome.warnings = warnings;
    if changed {
        let header = place.header();
        let new_header = if removed { "/dev/null" } else { &header };
        let diff = Diff::text(before, after.clone(), &header, new_header);
        outcome = outcome.with_diff(diff);
        match (&place.file, removed) {
            (Some(file), true) => machine
                .remove(file, false)
                .map_err(|error| Failure::unexpected(os_error(&error, file)))?,
            _ => place.write(machine, &after)?,
        }
    }
    outcome = match removed {
        true => outcome.with("state", "absent"),
        false => outcome
            .with("jobs", names(&lines))
            .with("envs", variables(&lines)),
    };
    if let Some(file) = &args.cron_file {
        outcome = outcome.with("cron_file", file.to_string_lossy().into_owned());
    }
    match backup.filter(|_| changed) {
        Some(file) => Ok(outcome.with("backup_file", file)),
        None => Ok(outcome),
    }
}

/// What is wrong with the arguments, or only odd.
fn check(args: &Args) -> Result<Vec<String>, Failure> {
    let fail = |msg: &str| Err(Failure::new(msg));
    let present = args.state == State::Present;
    let times = [
        &args.minute,
        &args.hour,
        &args.day,
        &args.month,
        &args.weekday,
    ];
    if args.special_time.is_some() && times.iter().any(|time| *time != "*") {
        return fail(
            "You cannot combine special_time with any of the time or day/date parameters.",
        );
    }
    if present && args.cron_file.is_some() && args.user.is_none() {
        return fail("To use cron_file=... parameter you must specify user=... as well");
    }
    if present && args.job.is_none() {
        return fail("You must specify 'job' to install a new cron job or variable");
    }
    if (args.insertafter.is_some() || args.insertbefore.is_some()) && !args.env {
        return fail("Insertafter and insertbefore parameters are valid only with env=yes");
    }
    if args.env && args.name.contains(' ') {
        return fail("Invalid name for environment variable");
    }
    let mut warnings = Vec::new();
    if args
        .job
        .as_deref()
        .is_some_and(|job| job.contains(['\r', '\n']))
    {
        warnings.push("Job should not contain line breaks".to_owned());
    }
    let file = args.cron_file.as_deref().and_then(Path::file_name);
    if let Some(file) = file.map(|name| name.to_string_lossy().into_owned()) {
        let usual = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        if !file.chars().all(usual) {
            warnings.push(format!(
                "Filename portion of cron_file (\"{file}\") should consist solely of upper- and lower-case letters, digits, underscores, and hyphens"
            ));
        }
    }
    Ok(warnings)
}

/// Where the entries are.
struct Place {
    /// A file; otherwise a user's crontab.
    file: Option<PathBuf>,
    /// The user of the crontab.
    user: String,
    /// The user is named to `crontab`.
    named: bool,
    /// The user as the task has it.
    written: Option<String>,
}

impl Place {
    fn of(machine: &mut dyn Machine, args: &Args) -> Self {
        let uid = machine.process().uid;
        let own = machine
            .user_by_id(uid)
            .map_or_else(|| uid.to_string(), |user| user.name);
        Self {
            file: args
                .cron_file
                .as_ref()
                .map(|file| Path::new("/etc/cron.d").join(file)),
            named: args.user.as_ref().is_some_and(|user| *user != own),
            user: args.user.clone().unwrap_or(own),
            written: args.user.clone(),
        }
    }

    fn header(&self) -> String {
        match (&self.file, &self.written) {
            (Some(file), _) => file.to_string_lossy().into_owned(),
            (None, Some(user)) => format!("crontab for user \"{user}\""),
            (None, None) => "crontab".to_owned(),
        }
    }

    fn command(&self, word: &str) -> Command {
        let mut argv = vec!["crontab".to_owned()];
        if self.named {
            argv.extend(["-u".to_owned(), self.user.clone()]);
        }
        argv.push(word.to_owned());
        Command::new(argv).c_locale()
    }

    /// What check mode keeps of the crontab.
    fn key(&self) -> String {
        format!("crontab:{}", self.user)
    }

    fn read(&self, machine: &mut dyn Machine) -> Result<String, Failure> {
        if let Some(file) = &self.file {
            return match machine.stat(file, true) {
                Ok(None) => Ok(String::new()),
                _ => match machine.read(file) {
                    Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                    Err(error) => Err(Failure::unexpected(os_error(&error, file))),
                },
            };
        }
        if let Some(text) = machine.assumed(&self.key()) {
            return Ok(text);
        }
        let output = programs::query(machine, &self.command("-l"))?;
        match output.code {
            0 => Ok(without_header(&output.stdout_text())),
            // There is none yet.
            1 => Ok(String::new()),
            _ => Err(Failure::unexpected("Unable to read crontab")),
        }
    }

    fn write(&self, machine: &mut dyn Machine, text: &str) -> Result<(), Failure> {
        if let Some(file) = &self.file {
            let attrs = Attrs {
                mode: Some(0o644),
                ..Attrs::default()
            };
            return machine
                .write(file, Content::Bytes(text.as_bytes()), &attrs)
                .map_err(|error| Failure::unexpected(os_error(&error, file)));
        }
        let command = Command {
            stdin: Some(text.as_bytes().to_vec()),
            ..self.command("-")
        };
        match programs::change(machine, &command)? {
            Some(output) if output.code != 0 => {
                let said = output.stderr_text();
                Err(Failure::new(said.trim_end()).with("rc", output.code))
            }
            Some(_) => Ok(()),
            None => {
                machine.assume(Change::Fact(self.key(), Some(text.to_owned())));
                Ok(())
            }
        }
    }
}

/// A crontab without the lines that `crontab` itself puts above it.
fn without_header(text: &str) -> String {
    let is_header = |line: &&str| {
        line.starts_with("# DO NOT EDIT THIS FILE - edit the master and reinstall.")
            || line.starts_with("# (/tmp/") && line.contains("installed on")
            || line.starts_with("# (") && line.contains("version")
    };
    let count = text.lines().take(3).take_while(is_header).count();
    text.split_inclusive('\n').skip(count).collect()
}

/// The names of the entries.
fn names(lines: &[String]) -> Vec<String> {
    let names = lines.iter().filter_map(|line| line.strip_prefix(MARK));
    names.map(str::to_owned).collect()
}

/// The names of the variables.
fn variables(lines: &[String]) -> Vec<String> {
    let name = |line: &String| {
        let (name, _) = line.split_once('=')?;
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        is_name.then(|| name.to_owned())
    };
    lines.iter().filter_map(name).collect()
}

/// Makes a variable what it should be.
fn variable(lines: &mut Vec<String>, args: &Args) -> Result<bool, Failure> {
    let find = |lines: &[String], name: &str| {
        let start = format!("{name}=");
        lines.iter().position(|line| line.starts_with(&start))
    };
    let old = find(lines, &args.name);
    if args.state == State::Absent {
        if let Some(at) = old {
            lines.remove(at);
        }
        return Ok(old.is_some());
    }
    let job = args.job.as_deref().unwrap_or_default();
    let new = format!("{}=\"{job}\"", args.name);
    if let Some(at) = old {
        let differs = lines[at] != new;
        lines[at] = new;
        return Ok(differs);
    }
    let beside = args.insertafter.as_ref().map(|name| (name, 1));
    let beside = beside.or(args.insertbefore.as_ref().map(|name| (name, 0)));
    let at = match beside {
        None => 0,
        Some((name, step)) => match find(lines, name) {
            Some(at) => at + step,
            None => return Err(Failure::new(format!("Variable named '{name}' not found."))),
        },
    };
    lines.insert(at, new);
    Ok(true)
}

/// Makes an entry what it should be.
fn entry(lines: &mut Vec<String>, args: &Args) -> bool {
    let comment = format!("{MARK}{}", args.name);
    let mut old = lines.iter().position(|line| *line == comment);
    if args.state == State::Absent {
        if let Some(at) = old {
            lines.drain(at..lines.len().min(at + 2));
        }
        return old.is_some();
    }
    let job = job(args);
    let mut adopted = false;
    if old.is_none()
        && let Some(at) = lines.iter().position(|line| *line == job)
    {
        // The same job without a name gets one.
        match at.checked_sub(1).map(|above| lines[above].as_str()) {
            Some(above) if above == format!("{MARK}None") => {
                lines[at - 1] = comment.clone();
                (old, adopted) = (Some(at - 1), true);
            }
            Some(above) if above.starts_with(MARK) => {}
            _ => {
                lines.insert(at, comment.clone());
                (old, adopted) = (Some(at), true);
            }
        }
    }
    let Some(at) = old else {
        lines.extend([comment, job]);
        return true;
    };
    match lines.get_mut(at + 1) {
        Some(line) if *line == job => adopted,
        Some(line) => {
            *line = job;
            true
        }
        None => {
            lines.push(job);
            true
        }
    }
}

/// The line of the entry.
fn job(args: &Args) -> String {
    let off = if args.disabled { "#" } else { "" };
    let job = args.job.as_deref().unwrap_or_default();
    let job = job.trim_end_matches(['\r', '\n']);
    let time = match &args.special_time {
        Some(special) => format!("@{}", special.word()),
        None => format!(
            "{} {} {} {} {}",
            args.minute, args.hour, args.day, args.month, args.weekday
        ),
    };
    match (&args.cron_file, &args.user) {
        (Some(_), Some(user)) => format!("{off}{time} {user} {job}"),
        _ => format!("{off}{time} {job}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_crontab() {
        let text = "# DO NOT EDIT THIS FILE - edit the master and reinstall.\n\
                    # (/tmp/x installed on Mon)\n# (Cron version -- $Id$)\n# mine\n* * * * * a\n";
        assert_eq!(without_header(text), "# mine\n* * * * * a\n");
    }
}
