//! `command`: runs a program without a shell.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ModuleArgs, Returns, Rules, expand_path};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::cannot_run;
use rplay_modules::machine::glob::glob;
use rplay_modules::machine::{Command, FileKind, Machine, Output, Ran};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::{lines, quote, split_words};
use rplay_modules::time::{self, micros};
use rplay_modules::{map, module};

/// Runs a program on the targets, not through a shell: `$HOME` is expanded, while `<`, `>`, `|`, `;` and `&` mean nothing.
#[derive(ModuleArgs)]
struct Args {
    #[arg(flatten)]
    command: CommandArgs,
    /// Expand `$VAR` and `~` in the words of the command.
    #[arg(default = "true")]
    expand_argument_vars: bool,
    /// Not used: the shell of the `shell` module.
    executable: Option<String>,
}

/// Arguments of whatever runs a command.
#[derive(ModuleArgs)]
pub(crate) struct CommandArgs {
    /// The command as a free-form string, set by the controller.
    #[arg(name = "_raw_params")]
    raw: Option<String>,
    /// The command to run.
    cmd: Option<String>,
    /// The command as a list of its words; no word is split or quoted again.
    argv: Option<Vec<String>>,
    /// A path or a shell pattern. When it is there, the command is not run.
    creates: Option<PathBuf>,
    /// A path or a shell pattern. When it is not there, the command is not run.
    removes: Option<PathBuf>,
    /// The working directory.
    chdir: Option<PathBuf>,
    /// What the program reads from its standard input.
    stdin: Option<String>,
    /// Add a line break to `stdin`.
    #[arg(default = "true")]
    stdin_add_newline: bool,
    /// Remove line breaks from the ends of `stdout` and `stderr`.
    #[arg(default = "true")]
    strip_empty_ends: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
pub(crate) struct Values {
    /// The command: a list of words, or the line that the shell got.
    cmd: Data,
    /// The exit code; minus the number of the signal that ended the program.
    rc: i64,
    /// Standard output.
    stdout: String,
    /// Standard output, line by line.
    stdout_lines: Vec<String>,
    /// Standard error.
    stderr: String,
    /// Standard error, line by line.
    stderr_lines: Vec<String>,
    /// When it started.
    start: String,
    /// When it ended.
    end: String,
    /// How long it took.
    delta: String,
    /// Why it was not run, or what is wrong.
    msg: String,
}

/// One way to say what is run.
pub(super) const RULES: Rules = Rules {
    mutually_exclusive: &[&["_raw_params", "cmd", "argv"]],
    required_one_of: &[&["_raw_params", "cmd", "argv"]],
    ..Rules::NONE
};

module! { "ansible.builtin.command", args: Args, returns: Values, run: run, free_form: "_raw_params", rules: RULES }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let words = args.command.words()?;
    if words.is_empty() {
        return Err(Failure::new("no command given").with("rc", 256));
    }
    let mut argv = words.clone();
    if args.expand_argument_vars {
        argv.iter_mut()
            .for_each(|word| *word = expand_path(machine, word));
    }
    let mut result = execute(machine, &args.command, words.into(), Command::new(argv));
    if let Some(executable) = args.executable {
        let warning = format!(
            "As of Ansible 2.4, the parameter 'executable' is no longer supported with the 'command' module. \
             Not using '{executable}'."
        );
        match &mut result {
            Ok(outcome) => outcome.warnings.push(warning),
            Err(failure) => failure.warnings.push(warning),
        }
    }
    result
}

/// How the command was given.
pub(super) enum Given {
    /// As words.
    Words(Vec<String>),
    /// As a line.
    Line(String),
}

impl CommandArgs {
    /// The command, as it was given.
    pub(super) fn given(&self) -> Given {
        match &self.argv {
            Some(words) => Given::Words(words.clone()),
            None => Given::Line(
                self.raw
                    .clone()
                    .or_else(|| self.cmd.clone())
                    .unwrap_or_default(),
            ),
        }
    }

    /// The command's words.
    pub(crate) fn words(&self) -> Result<Vec<String>, Failure> {
        Ok(match self.given() {
            Given::Words(words) => words,
            Given::Line(line) => split_words(&line)?,
        })
    }
}

/// Runs `command`, which results call `cmd`, unless `creates` or `removes` says no.
pub(crate) fn execute(
    machine: &mut dyn Machine,
    args: &CommandArgs,
    cmd: Data,
    mut command: Command,
) -> Result<Outcome, Failure> {
    let mut results = map! {
        "cmd" => cmd, "stdout" => "", "stderr" => "", "start" => Data::Null, "end" => Data::Null, "delta" => Data::Null,
    };
    let failed = |msg: &str, results: Map, changed| Failure {
        msg: msg.to_owned(),
        results,
        changed,
        ..Failure::default()
    };
    if let Some(folder) = &args.chdir
        && !machine
            .stat(folder, true)
            .is_ok_and(|stat| stat.is_some_and(|stat| stat.kind == FileKind::Directory))
    {
        add_lines(&mut results);
        return Err(failed(
            "Unable to change directory before execution.",
            results,
            false,
        ));
    }
    results.insert("rc".to_owned(), 0.into());
    if let Some((what, why)) = reason_not_to_run(machine, args) {
        results.insert("stdout".to_owned(), format!("skipped, since {what}").into());
        results.insert(
            "msg".to_owned(),
            format!("Did not run command since {why}").into(),
        );
        add_lines(&mut results);
        return Ok(Outcome {
            results,
            ..Outcome::default()
        });
    }
    command.cwd.clone_from(&args.chdir);
    command.stdin = args.stdin.as_ref().map(|text| {
        let end = if args.stdin_add_newline { "\n" } else { "" };
        format!("{text}{end}").into_bytes()
    });
    let start = machine.now();
    let ran = machine
        .run(&command)
        .map_err(|error| cannot_run(&command.argv, &error))?;
    let Ran::Done(output) = ran else {
        results.insert(
            "msg".to_owned(),
            "Command would have run if not in check mode".into(),
        );
        add_lines(&mut results);
        // With a condition that holds, something would have changed; without one nobody knows.
        let conditional = args.creates.is_some() || args.removes.is_some();
        return Ok(Outcome {
            changed: conditional,
            skipped: !conditional,
            not_run: true,
            results,
            ..Outcome::default()
        });
    };
    add_times(machine, start, &mut results);
    add_output(&output, args.strip_empty_ends, &mut results);
    if output.code != 0 {
        return Err(failed(
            "The command exited with a non-zero return code.",
            results,
            true,
        ));
    }
    results.insert("msg".to_owned(), "".into());
    Ok(Outcome {
        changed: true,
        results,
        ..Outcome::default()
    })
}

/// Why `creates` or `removes` says no, in two forms.
fn reason_not_to_run(machine: &mut dyn Machine, args: &CommandArgs) -> Option<(String, String)> {
    let mut there = |path: &Path| {
        let folder = args.chdir.as_deref().unwrap_or(Path::new(""));
        !glob(machine, &folder.join(path)).is_empty()
    };
    if let Some(path) = args.creates.as_deref().filter(|path| there(path)) {
        return Some((
            format!("{} exists", path.display()),
            format!("'{}' exists", path.display()),
        ));
    }
    let path = args.removes.as_deref().filter(|path| !there(path))?;
    Some((
        format!("{} does not exist", path.display()),
        format!("'{}' does not exist", path.display()),
    ))
}

fn add_output(output: &Output, strip: bool, results: &mut Map) {
    let text = |text: String| {
        if strip {
            text.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            text
        }
    };
    results.insert("rc".to_owned(), output.code.into());
    results.insert("stdout".to_owned(), text(output.stdout_text()).into());
    results.insert("stderr".to_owned(), text(output.stderr_text()).into());
    add_lines(results);
}

/// Adds the output line by line.
pub(super) fn add_lines(results: &mut Map) {
    for (name, lines_name) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
        let lines = results
            .get(name)
            .and_then(Data::as_str)
            .map(lines)
            .unwrap_or_default();
        results.insert(lines_name.to_owned(), lines.into());
    }
}

pub(super) fn add_times(machine: &mut dyn Machine, start: f64, results: &mut Map) {
    let end = machine.now();
    let zone = time::Zone::of(machine);
    for (name, seconds) in [("start", start), ("end", end)] {
        let text = time::local(&zone, micros(seconds), "%Y-%m-%d %H:%M:%S.%f");
        results.insert(name.to_owned(), text.into());
    }
    results.insert(
        "delta".to_owned(),
        delta_text(micros(end) - micros(start)).into(),
    );
}

/// A duration as Python writes it: `0:00:00.004073`, `1 day, 2:03:04.000000`.
fn delta_text(micros: i64) -> String {
    let (seconds, rest) = (micros.max(0) / 1_000_000, micros.max(0) % 1_000_000);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        days => format!("{days} days, "),
    };
    format!("{days}{hours}:{minutes:02}:{:02}.{rest:06}", seconds % 60)
}

/// Words as one line for the shell.
pub(super) fn join(words: &[String]) -> String {
    words
        .iter()
        .map(|word| quote(word))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rplay_modules::args::prepare;
    use rplay_modules::machine::memory::Memory;
    use rplay_modules::machine::overlay::Overlay;

    fn call(machine: &mut dyn Machine, args: Map) -> Result<Outcome, Failure> {
        let prepared = prepare(&MODULE, &args)
            .map_err(|problems| Failure::new(problems[0].message.clone()))?;
        (MODULE.run)(machine, &prepared.args)
    }

    #[test]
    fn words_conditions_and_failures() {
        let mut machine = Memory::small();
        machine.answer("echo a b /root", 0, "a\r\nb\n\n", "");
        let outcome = call(&mut machine, map! { "_raw_params" => "echo 'a b' $HOME" }).unwrap();
        assert_eq!(
            outcome.results["cmd"],
            Data::from(vec!["echo", "a b", "$HOME"])
        );
        assert_eq!(outcome.results["stdout"], Data::from("a\r\nb"));
        assert_eq!(outcome.results["stdout_lines"], Data::from(vec!["a", "b"]));
        assert_eq!(outcome.results["delta"], Data::from("0:00:00.000000"));
        let skipped = call(&mut machine, map! { "cmd" => "x", "creates" => "/et*" }).unwrap();
        assert_eq!(
            skipped.results["stdout"],
            Data::from("skipped, since /et* exists")
        );
        machine.answer("false", 1, "", "");
        let failure = call(&mut machine, map! { "cmd" => "false" }).unwrap_err();
        assert!(failure.changed && failure.results["rc"] == Data::from(1));
        let failure = call(&mut machine, map! { "argv" => vec!["no such"] }).unwrap_err();
        assert_eq!(
            (&failure.results["rc"], &failure.results["cmd"]),
            (&Data::from(2), &Data::from("'no such'"))
        );
        assert_eq!(
            call(&mut machine, map! {}).unwrap_err().msg,
            "one of the following is required: _raw_params, cmd, argv"
        );
    }

    #[test]
    fn check_mode_predicts() {
        let mut machine = Overlay::new(Memory::small());
        assert!(call(&mut machine, map! { "cmd" => "x" }).unwrap().skipped);
        let conditional = call(&mut machine, map! { "cmd" => "x", "creates" => "/none" }).unwrap();
        assert!(conditional.changed && !conditional.skipped);
    }

    #[test]
    fn durations() {
        assert_eq!(delta_text(93_784_000_005), "1 day, 2:03:04.000005");
    }
}
