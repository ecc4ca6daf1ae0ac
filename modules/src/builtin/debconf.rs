//! `debconf`: answers to the questions that Debian packages ask when they are set up.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use super::programs;

/// Answers a question of a package before it is set up; without one tells the answers.
#[derive(ModuleArgs)]
struct Args {
    /// The package.
    #[arg(alias = "pkg")]
    name: String,
    /// The question, as `tzdata/Areas`.
    #[arg(alias = "selection", alias = "setting")]
    question: Option<String>,
    /// The kind of the question.
    vtype: Option<Kind>,
    /// The answer.
    #[arg(alias = "answer")]
    value: Option<Data>,
    /// The question is still asked.
    #[arg(default = "false")]
    unseen: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Error,
    Multiselect,
    Note,
    Password,
    Seen,
    Select,
    String,
    Text,
    Title,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The answers as they are.
    current: Map,
    /// The answers as they were.
    previous: Map,
}

module! {
    "ansible.builtin.debconf", args: Args, returns: Values, run: run,
    rules: Rules { required_together: &[&["question", "vtype", "value"]], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let answers = answers(machine, &args.name)?;
    let (Some(question), Some(kind), Some(value)) = (&args.question, args.vtype, &args.value)
    else {
        return Ok(Outcome::unchanged()
            .with("msg", "")
            .with("current", answers));
    };
    let value = written(kind, value);
    let old = match answers.get(question) {
        Some(_) if kind == Kind::Password => Some(password(machine, &args.name, question)?),
        Some(answer) => Some(answer.text()),
        None => None,
    };
    let parts = |text: &str| {
        let mut parts: Vec<String> = text.split(", ").map(str::to_owned).collect();
        crate::order::sort(&mut parts);
        parts
    };
    let same = old.as_ref().is_some_and(|old| match kind {
        Kind::Multiselect => parts(old) == parts(&value),
        _ => *old == value,
    });
    if same {
        return Ok(Outcome::unchanged()
            .with("msg", "")
            .with("current", answers));
    }
    set(machine, &args, question, kind, &value)?;
    let mut previous = Map::new();
    match answers.get(question) {
        Some(answer) => {
            previous.insert(question.clone(), answer.clone());
        }
        None => {
            previous = answers;
            previous.insert(question.clone(), "".into());
        }
    }
    let mut current = Map::new();
    let shown = if kind == Kind::Password {
        OMITTED
    } else {
        &value
    };
    current.insert(question.clone(), shown.into());
    let mut after = previous.clone();
    after.extend(current.clone());
    Ok(Outcome::new(true)
        .with_diff(Diff::attributes(previous.clone(), after))
        .with("msg", "")
        .with("current", current)
        .with("previous", previous))
}

/// What debconf shows of a password.
const OMITTED: &str = "(password omitted)";

/// What stands before the name of a question whose answer is not shown.
const SECRET: &str = "*";

fn key(package: &str, question: &str) -> String {
    format!("debconf {package} {question}")
}

/// The answers of a package.
fn answers(machine: &mut dyn Machine, package: &str) -> Result<Map, Failure> {
    let program = programs::required(machine, "debconf-show")?;
    let output = programs::ask(machine, [program.as_str(), package])?;
    if output.code != 0 {
        return Err(programs::failed(output.stderr_text(), &output));
    }
    let mut answers = Map::new();
    for line in output.stdout_text().lines() {
        let line = line.trim_start_matches(['*', ' ']);
        if let Some((question, answer)) = line.split_once(':') {
            answers.insert(question.to_owned(), answer.trim().into());
        }
    }
    // What a check foretold, the questions that were not there before among it.
    let foretold = machine.assumed(&key(package, "")).unwrap_or_default();
    for line in foretold.lines() {
        if let Some(question) = line.strip_prefix(SECRET) {
            answers.insert(question.to_owned(), OMITTED.into());
        } else if let Some(answer) = machine.assumed(&key(package, line)) {
            let question = line;
            answers.insert(question.to_owned(), answer.into());
        }
    }
    Ok(answers)
}

/// The answer as debconf keeps it.
fn written(kind: Kind, value: &Data) -> String {
    match (kind, value) {
        (_, Data::List(items)) => {
            let items: Vec<String> = items.iter().map(Data::text).collect();
            items.join(", ")
        }
        (Kind::Boolean | Kind::Seen, value) => match value.text().to_lowercase().as_str() {
            "yes" => "true".to_owned(),
            "no" => "false".to_owned(),
            other => other.to_owned(),
        },
        (_, value) => value.text(),
    }
}

/// The password that is set, which the list of answers leaves out.
fn password(machine: &mut dyn Machine, package: &str, question: &str) -> Result<String, Failure> {
    if let Some(answer) = machine.assumed(&key(package, question)) {
        return Ok(answer);
    }
    let program = programs::required(machine, "debconf-communicate")?;
    let command = Command {
        stdin: Some(format!("GET {question}\n").into_bytes()),
        ..Command::new([program.as_str(), package]).c_locale()
    };
    let text = programs::query(machine, &command)?.stdout_text();
    let answer = text.trim_end_matches('\n').strip_prefix("0 ");
    Ok(answer.unwrap_or_default().to_owned())
}

fn set(
    machine: &mut dyn Machine,
    args: &Args,
    question: &str,
    kind: Kind,
    value: &str,
) -> Result<(), Failure> {
    let program = programs::required(machine, "debconf-set-selections")?;
    let mut argv = vec![program];
    argv.extend(args.unseen.then(|| "-u".to_owned()));
    let line = format!("{} {question} {} {value}", args.name, kind.word());
    let command = Command {
        stdin: Some(line.into_bytes()),
        ..Command::new(argv).c_locale()
    };
    if let Some(output) = programs::change(machine, &command)?
        && output.code != 0
    {
        return Err(programs::failed(output.stderr_text(), &output));
    }
    let foretold = machine.assumed(&key(&args.name, "")).unwrap_or_default();
    let mark = if kind == Kind::Password { SECRET } else { "" };
    let list = format!("{foretold}{mark}{question}\n");
    machine.assume(Change::Fact(key(&args.name, ""), Some(list)));
    let fact = key(&args.name, question);
    machine.assume(Change::Fact(fact, Some(value.to_owned())));
    Ok(())
}
