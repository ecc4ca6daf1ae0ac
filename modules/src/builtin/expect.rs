//! `expect`: a program that asks questions on its terminal.

use std::path::PathBuf;

use rplay_modules::args::{CheckMode, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Command, Machine, Turn};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::regex::{Flags, Regex};
use rplay_modules::text::{lines, split_words};
use rplay_modules::{map, module};

use super::command::add_times;

/// How much of what was written a question is looked for in, in bytes.
const WINDOW: usize = 2000;

/// Runs a program on a terminal of its own, not through a shell, and answers its questions.
#[derive(ModuleArgs)]
struct Args {
    /// The command to run.
    command: String,
    /// A regular expression for each question, with its answer, or its answers in turn.
    responses: Map,
    /// How many seconds a question may be waited for; null: any time.
    #[arg(default = "30")]
    timeout: Option<Data>,
    /// Whether the output has the answers.
    #[arg(default = "false")]
    echo: bool,
    /// When this is there, the command is not run.
    creates: Option<PathBuf>,
    /// When this is not there, the command is not run.
    removes: Option<PathBuf>,
    /// The working directory.
    chdir: Option<PathBuf>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The command.
    cmd: String,
    /// The exit code.
    rc: i32,
    /// What it wrote.
    stdout: String,
    /// The same line by line.
    stdout_lines: Vec<String>,
    /// When it started.
    start: String,
    /// When it ended.
    end: String,
    /// How long it took.
    delta: String,
}

module! {
    "ansible.builtin.expect", args: Args, returns: Values, run: run,
    rules: Rules { check_mode: CheckMode::Skipped, ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let limit = match &args.timeout {
        None => None,
        Some(value) => Some(seconds(value)?),
    };
    let mut partner = Partner::of(&args.responses)?;
    if args.command.trim().is_empty() {
        return Err(Failure::new("no command given").with("rc", 256));
    }
    let there = |machine: &mut dyn Machine, path: &PathBuf| {
        let path = args
            .chdir
            .as_ref()
            .map_or(path.clone(), |dir| dir.join(path));
        matches!(machine.stat(&path, true), Ok(Some(_)))
    };
    let mut skipped = None;
    if let Some(path) = args.creates.as_ref().filter(|path| there(machine, path)) {
        skipped = Some(format!("skipped, since {} exists", path.display()));
    }
    if let Some(path) = args.removes.as_ref().filter(|path| !there(machine, path)) {
        skipped.get_or_insert(format!("skipped, since {} does not exist", path.display()));
    }
    if let Some(text) = skipped {
        return Ok(Outcome::unchanged()
            .with("cmd", args.command)
            .with("stdout", text)
            .with("rc", 0));
    }
    if let Some(folder) = &args.chdir
        && !matches!(machine.stat(folder, true), Ok(Some(_)))
    {
        let folder = Data::from(folder.to_string_lossy().as_ref()).repr();
        let text = format!("[Errno 2] No such file or directory: {folder}");
        return Err(Failure::unexpected(text));
    }
    let command = Command {
        cwd: args.chdir.clone(),
        ..Command::new(split_words(&args.command)?)
    };
    let start = machine.now();
    let ran = machine.converse(&command, args.echo, &mut |text| partner.turn(text, limit));
    let output = ran.map_err(|error| match error.kind() {
        std::io::ErrorKind::TimedOut => Failure::new("command exceeded timeout"),
        _ => {
            let name = command.argv.first().cloned().unwrap_or_default();
            Failure::new(format!(
                "The command was not found or was not executable: {name}."
            ))
        }
    })?;
    let mut results = map! { "cmd" => args.command };
    add_times(machine, start, &mut results);
    let text = output.stdout_text();
    let stdout = text.trim_end_matches(['\r', '\n']);
    results.insert("stdout".to_owned(), stdout.into());
    results.insert("stdout_lines".to_owned(), lines(stdout).into());
    let failed = |msg: &str, results: Map| Failure {
        msg: msg.to_owned(),
        results,
        changed: true,
        ..Failure::default()
    };
    match partner.ended {
        Some(Ended::NoAnswer(text)) => return Err(Failure::new(text)),
        Some(Ended::TooLong(text)) => return Err(Failure::unexpected(text)),
        Some(Ended::Late) => return Err(failed("command exceeded timeout", results)),
        None => {}
    }
    results.insert("rc".to_owned(), output.code.into());
    match output.code {
        0 => Ok(Outcome {
            results,
            ..Outcome::new(true)
        }),
        _ => Err(failed("non-zero return code", results)),
    }
}

/// A time limit.
fn seconds(value: &Data) -> Result<f64, Failure> {
    let text = value.text();
    match text.trim().parse::<i64>() {
        #[expect(clippy::cast_precision_loss, reason = "a time in seconds is small")]
        Ok(number) => Ok(number as f64),
        Err(_) => {
            let (kind, shown) = (value.type_name(), value.repr());
            Err(Failure::new(format!(
                "argument 'timeout' is of type <class '{kind}'> and we were unable to convert to int: \"{shown}\" cannot be converted to an int"
            )))
        }
    }
}

/// Who answers.
struct Partner {
    /// Questions with their answers; several are given one after the other.
    questions: Vec<(String, Regex, Answers)>,
    /// How much of the output has been answered.
    answered: usize,
    /// When the last answer was given.
    since: std::time::Instant,
    /// Why the program had to end.
    ended: Option<Ended>,
}

enum Answers {
    Always(String),
    InTurn(std::vec::IntoIter<String>),
}

enum Ended {
    /// There is no answer left.
    NoAnswer(String),
    /// A pattern takes too long.
    TooLong(String),
    /// No question came in time.
    Late,
}

impl Partner {
    fn of(responses: &Map) -> Result<Self, Failure> {
        let mut questions = vec![];
        for (pattern, answer) in responses {
            let regex = Regex::new(
                pattern,
                Flags {
                    dot_all: true,
                    ..Flags::default()
                },
            )
            .map_err(Failure::unexpected)?;
            let line = |data: &Data| format!("{}\n", data.text().trim_end_matches('\n'));
            let answers = match answer {
                Data::List(items) => {
                    let lines: Vec<String> = items.iter().map(line).collect();
                    Answers::InTurn(lines.into_iter())
                }
                one => Answers::Always(line(one)),
            };
            questions.push((pattern.clone(), regex, answers));
        }
        Ok(Self {
            questions,
            answered: 0,
            since: std::time::Instant::now(),
            ended: None,
        })
    }

    /// Looks for the first question in what is new.
    fn turn(&mut self, text: &[u8], limit: Option<f64>) -> Turn {
        let new = &text[self.answered.max(text.len().saturating_sub(WINDOW))..];
        let shown = String::from_utf8_lossy(new);
        let mut first: Option<(std::ops::Range<usize>, usize)> = None;
        for (index, (_, regex, _)) in self.questions.iter().enumerate() {
            match regex.captures(&shown) {
                Ok(Some(found)) => {
                    let range = found.range(0).unwrap_or(0..0);
                    if first
                        .as_ref()
                        .is_none_or(|(best, _)| range.start < best.start)
                    {
                        first = Some((range, index));
                    }
                }
                Ok(None) => {}
                Err(error) => return self.end(Ended::TooLong(error.to_string())),
            }
        }
        let Some((range, index)) = first else {
            let late = limit.is_some_and(|limit| self.since.elapsed().as_secs_f64() > limit);
            return match late {
                true => self.end(Ended::Late),
                false => Turn::Wait,
            };
        };
        let (pattern, _, answers) = &mut self.questions[index];
        let answer = match answers {
            Answers::Always(answer) => Some(answer.clone()),
            Answers::InTurn(rest) => rest.next(),
        };
        let Some(answer) = answer else {
            let seen = Data::Bytes(text[self.answered..].to_vec()).repr();
            let text = format!("No remaining responses for '{pattern}', output was '{seen}'");
            return self.end(Ended::NoAnswer(text));
        };
        // Places in the text are those of the bytes, unless some of them are no text.
        let end = match &shown {
            std::borrow::Cow::Borrowed(_) => text.len() - new.len() + range.end,
            std::borrow::Cow::Owned(_) => text.len(),
        };
        self.answered = end;
        self.since = std::time::Instant::now();
        Turn::Type(answer.into_bytes())
    }

    fn end(&mut self, why: Ended) -> Turn {
        self.ended = Some(why);
        Turn::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_in_their_order() {
        let responses = map! { "B" => "second", "A" => "first", "Q" => vec!["a", "b"] };
        let mut partner = Partner::of(&responses).unwrap();
        let typed = |text: &str| Turn::Type(format!("{text}\n").into_bytes());
        assert_eq!(partner.turn(b"xAB", None), typed("first"));
        assert_eq!(partner.turn(b"xAB", None), typed("second"));
        assert_eq!(partner.turn(b"xAB", None), Turn::Wait);
        assert_eq!(partner.turn(b"xABQ", None), typed("a"));
        assert_eq!(partner.turn(b"xABQ\xffQ", None), typed("b"));
        assert_eq!(partner.turn(b"xABQ\xffQ\nQ", None), Turn::End);
        assert!(matches!(partner.ended, Some(Ended::NoAnswer(text)) if text.contains("'Q'")));
    }
}
