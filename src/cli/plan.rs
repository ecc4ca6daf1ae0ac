//! `rplay plan`, `apply`, `show` and `diff`: a run in check mode as a document, and the run of exactly
//! what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use clap::Parser;

use super::playbook::{self, Loaded};
use super::programs::{Call, parse};
use super::runs::{self, Called};
use super::session;
use super::{CommandError, Exit, finish, passwords};
use crate::diag::Diagnostic;
use crate::inventory::Inventory;
use crate::load::inputs::{FilesRead, digest};
use crate::load::vault::VaultSecrets;
use crate::report::plan::{Collector, Plan, Unlike};
use crate::report::{self, Kept};
use crate::run::prompt;
use crate::secrets::{Secrets, Tags};

/// The exit code of `rplay plan --detailed-exitcode` when there are changes, and of `rplay diff` when
/// the plans differ. None of Ansible's codes (0, 1, 2, 4, 5, 99, 250).
const CHANGES: i32 = 10;

/// The name of the planning program, which messages about stored arguments use, too.
const PLAN: &str = "rplay plan";

/// Runs playbooks in check mode with differences, and writes what would happen into a file.
#[derive(Debug, Parser)]
pub(super) struct Planning {
    #[command(flatten)]
    run: playbook::Arguments,
    /// Write the plan into this file, for `rplay apply`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 10 when there are changes, or tasks that check mode does not know
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Runs exactly what a plan says, or nothing.
#[derive(Debug, Parser)]
pub(super) struct Apply {
    /// File that `rplay plan --out` wrote
    plan: PathBuf,
    /// Do not ask on a terminal (where there is none, nobody is asked)
    #[arg(long)]
    auto_approve: bool,
}

/// Shows what a plan says.
#[derive(Debug, Parser)]
pub(super) struct Show {
    /// File that `rplay plan --out` wrote
    plan: PathBuf,
}

/// Shows in what two plans, or two recorded runs, differ; exits with 10 when they do.
#[derive(Debug, Parser)]
pub(super) struct Diff {
    /// One plan: a file, or a run by its name in `rplay runs`
    first: PathBuf,
    /// The other one
    second: PathBuf,
}

/// Tells which hosts are not as the playbooks want them; exits with 10 when one is not.
#[derive(Debug, Parser)]
pub(super) struct Drift {
    #[command(flatten)]
    run: playbook::Arguments,
}

/// Runs `rplay drift`.
pub(super) fn drift(call: &Call) -> Exit {
    run::<Drift>(call, |arguments, hidden| {
        let (exit, plan) = make(arguments.run, &call.words(), Shown::Reports, hidden)?;
        for (host, summary) in plan.by_host() {
            report::print(&format!("{host}: {}\n", summary.to_words()));
        }
        let drifted = exit.code() == 0 && plan.has_changes();
        Ok(if drifted { Exit::Run(CHANGES) } else { exit })
    })
}

/// Runs `rplay plan`.
pub(super) fn main(call: &Call) -> Exit {
    run::<Planning>(call, |arguments, hidden| {
        let Planning {
            run,
            out,
            detailed_exitcode,
        } = arguments;
        if let Some(out) = &out {
            writable(out)?;
            if let Some(word) = call.args.iter().find(|word| word.to_str().is_none()) {
                let word = word.display();
                let text = format!("the argument '{word}' is no UTF-8, and a plan is text");
                let hint = "give what it names another name, or run it without a plan";
                let problem = Diagnostic::error("plan-file", text).hint(hint);
                return Err(CommandError::new(Exit::Error, problem));
            }
        }
        passwords::keep_salts(BTreeMap::new());
        let (exit, mut plan) = make(run, &call.words(), Shown::All, hidden)?;
        plan.salts = passwords::salts();
        if let Some(out) = &out {
            save(&plan, out, hidden)?;
        }
        report::print(&format!("{}\n", plan.to_line()));
        let pending = detailed_exitcode && exit.code() == 0 && plan.has_changes();
        Ok(if pending { Exit::Run(CHANGES) } else { exit })
    })
}

/// Runs `rplay apply`.
pub(super) fn apply(call: &Call) -> Exit {
    run::<Apply>(call, |arguments, hidden| {
        passwords::keep_answers();
        let plan = read(&arguments.plan)?;
        passwords::keep_salts(plan.salts.clone());
        let words = &plan.arguments;
        refuse(&arguments.plan, &outdated(&plan))?;
        let (_, now) = make(stored(words)?, words, Shown::Nothing, hidden)?;
        let mut reasons = plan.unlike(&now).iter().map(drifted).collect::<Vec<_>>();
        reasons.extend(new_inputs(&plan, &now));
        reasons.extend(moved(&plan, &now));
        refuse(&arguments.plan, &reasons)?;
        if plan.exit_code != 0 {
            let why = "the run that it foretells fails; mend what fails and plan again";
            refuse(&arguments.plan, &[why.to_owned()])?;
        }
        report::print(&plan.to_display());
        let question = "Apply this plan? Only `yes` is taken for an answer: ";
        if !arguments.auto_approve && !approved(question)? {
            return Err(problem(
                "not-approved",
                "Nothing was done: the plan was not approved",
            ));
        }
        let (exit, done) = execute(stored(words)?, words, false, Shown::All, hidden)?;
        if told_deviations(&plan, &done, hidden) == 0 && exit.code() == 0 {
            report::print("Done as planned.\n");
        }
        Ok(exit)
    })
}

/// Runs `rplay show`.
pub(super) fn show(call: &Call) -> Exit {
    run::<Show>(call, |arguments, _| {
        report::print(&read(&arguments.plan)?.to_display());
        Ok(Exit::Ok)
    })
}

/// Runs `rplay diff`.
pub(super) fn diff(call: &Call) -> Exit {
    run::<Diff>(call, |arguments, hidden| {
        let first = plan_or_run(&arguments.first, hidden)?;
        let second = plan_or_run(&arguments.second, hidden)?;
        let unlike = first.unlike(&second);
        let side = |mark: char, text: &Option<String>| match text {
            None => format!("{mark} not there\n"),
            Some(text) => text
                .lines()
                .map(|line| format!("{mark} {line}\n"))
                .collect(),
        };
        for one in &unlike {
            let (first, second) = (side('<', &one.first), side('>', &one.second));
            report::print(&format!("{}\n{first}{second}\n", one.place));
        }
        Ok(match unlike.len() {
            0 => {
                let what = if first.is_run() { "runs" } else { "plans" };
                report::print(&format!("The {what} say the same.\n"));
                Exit::Ok
            }
            _ => Exit::Run(CHANGES),
        })
    })
}

fn run<T: clap::CommandFactory + clap::FromArgMatches>(
    call: &Call,
    work: impl FnOnce(T, &Secrets) -> Result<Exit, CommandError>,
) -> Exit {
    let hidden = Secrets::default();
    match parse::<T>(call) {
        Ok(arguments) => finish(work(arguments, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn problem(code: &'static str, text: impl Into<String>) -> CommandError {
    CommandError::new(Exit::Error, Diagnostic::error(code, text.into()))
}

/// The run that the arguments of a plan ask for.
pub(super) fn stored(words: &[String]) -> Result<playbook::Arguments, CommandError> {
    let call = Call {
        name: PLAN,
        args: words.iter().map(OsString::from).collect(),
    };
    let parsed = parse::<Planning>(&call).map(|arguments| arguments.run);
    parsed.map_err(|exit| CommandError {
        exit,
        problems: vec![],
    })
}

/// What is shown of a run.
#[derive(Clone, Copy)]
enum Shown {
    /// The run, and the reports that are asked for.
    All,
    /// Only these.
    Reports,
    /// Nothing: it is only held against another one.
    Nothing,
}

/// A run in check mode as a plan.
fn make(
    arguments: playbook::Arguments,
    words: &[String],
    shown: Shown,
    hidden: &Secrets,
) -> Result<(Exit, Plan), CommandError> {
    let (exit, mut plan) = execute(arguments, words, true, shown, hidden)?;
    plan.arguments = words.to_vec();
    plan.environment = environment();
    Ok((exit, plan))
}

/// Runs the playbooks, in check mode or in earnest, and collects what happens. What is done in earnest
/// is recorded.
fn execute(
    mut arguments: playbook::Arguments,
    words: &[String],
    check: bool,
    shown: Shown,
    hidden: &Secrets,
) -> Result<(Exit, Plan), CommandError> {
    if arguments.only_lists() || arguments.step {
        let text = "a plan is made of a whole run: --syntax-check, --list-hosts, --list-tasks, --list-tags and --step have no place in it";
        let problem = Diagnostic::error("usage", text);
        return Err(CommandError::new(Exit::Options, problem));
    }
    arguments.options.how.check = check;
    arguments.options.how.diff = true;
    arguments.options.files_read = FilesRead::kept();
    let read = arguments.options.files_read.clone();
    let loaded = playbook::load(&arguments, hidden)?;
    let secrets = &loaded.inputs.files.secrets;
    let vault_ids = secrets.ids().map(str::to_owned).collect();
    let settings = loaded.inputs.config.file.clone();
    let (collector, plan) = Collector::new();
    let tags = Arc::new(tags(secrets));
    let id = tags.id();
    let variables = origins(&loaded.inputs.inventory, &tags);
    let beside = match shown {
        Shown::All | Shown::Reports => playbook::reports(&arguments, &loaded.inputs)?,
        Shown::Nothing => vec![],
    };
    let name = playbook::view_name(&arguments, &loaded.inputs);
    let record = match check {
        true => None,
        false => {
            let paths = runs::paths(&loaded.playbooks);
            let called = Called {
                program: "plan",
                words,
                playbooks: &paths,
                resumes: None,
                undoes: None,
            };
            runs::begin(&called, &loaded.inputs)
        }
    };
    let kept = Kept {
        record,
        tagged: Some((Box::new(collector), tags)),
    };
    let view = match shown {
        Shown::All => session::view(&name, None, &loaded.inputs, beside, kept)?,
        Shown::Reports | Shown::Nothing => report::masked(beside, &secrets.hidden, kept),
    };
    let told = playbook::told(&arguments, &loaded.inputs);
    let Loaded {
        inputs,
        planner,
        playbooks,
    } = loaded;
    let exit = session::execute(inputs, planner, &playbooks, view, told)?;
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
    plan.vault_ids = vault_ids;
    plan.variables = variables;
    plan.tags = Some(id);
    if let Some(file) = settings
        && let Ok(bytes) = std::fs::read(&file)
    {
        read.add(&file, &bytes);
    }
    let files = read.all().into_iter();
    plan.inputs = files
        .map(|(path, digest)| (crate::files::from_here(&path).display().to_string(), digest))
        .collect();
    Ok((exit, plan))
}

/// What makes tags of secrets: by the vault's password, else by a key of the user's.
pub(super) fn tags(secrets: &VaultSecrets) -> Tags {
    if let Some((_, password)) = secrets.first(None) {
        return Tags::of_password(password);
    }
    let path = crate::files::state_folder().map(|folder| folder.join("tag-key"));
    let known = path.and_then(|path| Tags::of_file(&path).ok());
    known.unwrap_or_else(|| {
        // Without a home there is nothing to compare with: the key is good for this plan alone.
        let chance = format!("{:?} {}", std::time::SystemTime::now(), std::process::id());
        Tags::of_password(chance.as_bytes())
    })
}

/// The settings in the environment, without their values.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars()
        .filter(|(name, _)| name.starts_with("ANSIBLE_"))
        .map(|(name, value)| (name, digest(value.as_bytes())))
        .collect()
}

/// A file that cannot be written is told before the run.
fn writable(path: &Path) -> Result<(), CommandError> {
    crate::files::writable(path).map_err(|error| {
        let text = format!("the plan cannot be written to '{}'", path.display());
        let problem = Diagnostic::error("plan-file", text).cause(error.to_string());
        CommandError::new(Exit::Error, problem)
    })
}

fn save(plan: &Plan, path: &Path, hidden: &Secrets) -> Result<(), CommandError> {
    if let Some(word) = plan
        .arguments
        .iter()
        .find(|word| hidden.text(word) != **word)
    {
        let text = format!(
            "an argument holds a secret, which a plan may not: {}",
            hidden.text(word)
        );
        let problem = Diagnostic::error("plan-secret", text).hint("put it into a file: `-e @FILE`");
        return Err(CommandError::new(Exit::Error, problem));
    }
    let text = plan
        .to_text()
        .map_err(|error| problem("plan-file", error.to_string()))?;
    crate::files::write(path, text.as_bytes()).map_err(|error| {
        let text = format!("the plan cannot be written to '{}'", path.display());
        let problem = Diagnostic::error("plan-file", text).cause(error.to_string());
        CommandError::new(Exit::Error, problem)
    })
}

/// The plan in a file, or what a recorded run came to.
fn plan_or_run(path: &Path, hidden: &Secrets) -> Result<Plan, CommandError> {
    let word = path.to_str().filter(|_| !path.exists());
    let place = runs::place(&session::settings(hidden)?)?;
    match word.filter(|word| !place.meant(word).is_empty()) {
        Some(word) => Ok(Plan::of_events(&runs::find(&place, word)?.events)),
        None => read(path),
    }
}

fn read(path: &Path) -> Result<Plan, CommandError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let text = format!("the plan '{shown}' cannot be read");
        let mut problem = Diagnostic::error("plan-file", text).cause(error.to_string());
        if let Some(near) = crate::diag::similar_file(path) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        CommandError::new(Exit::Error, problem)
    })?;
    Plan::from_text(&text).map_err(|why| {
        let text = format!("the plan '{shown}' is refused: {why}");
        let problem =
            Diagnostic::error("plan-file", text).hint("make it again with `rplay plan --out`");
        CommandError::new(Exit::Error, problem)
    })
}

/// What is not as it was when the plan was made: the program, its files, its settings.
fn outdated(plan: &Plan) -> Vec<String> {
    let mut files = plan.inputs.keys().map(Path::new).peekable();
    let mut reasons = match files.peek().is_some() && !files.any(Path::exists) {
        true => {
            let why = "none of the files that it was made of is here: apply it in the folder in which it was made";
            vec![why.to_owned()]
        }
        false => plan.changed_inputs(),
    };
    let engine = env!("CARGO_PKG_VERSION");
    if plan.engine != engine {
        let text = format!("it was made by rplay {}; this is {engine}", plan.engine);
        reasons.push(text);
    }
    reasons.extend(changed_environment(&plan.environment, &environment()));
    reasons
}

/// The settings in the environment that are not what they were.
pub(super) fn changed_environment(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let changed = names
        .into_iter()
        .filter(|name| then.get(*name) != now.get(*name));
    changed
        .map(|name| format!("the environment variable {name} has changed"))
        .collect()
}

/// Files that the plan was not made of.
fn new_inputs(plan: &Plan, now: &Plan) -> Vec<String> {
    let new = now.inputs.keys();
    let new = new.filter(|path| !plan.inputs.contains_key(*path));
    new.map(|path| format!("{path} is new")).collect()
}

/// The hosts of the plays.
fn hosts(plan: &Plan) -> BTreeSet<&str> {
    let hosts = plan.plays.iter().flat_map(|play| &play.hosts);
    hosts.map(String::as_str).collect()
}

/// Hosts that came or went or are other machines by now, and variables of the inventory that are others.
fn moved(plan: &Plan, now: &Plan) -> Vec<String> {
    let (then_hosts, now_hosts) = (hosts(plan), hosts(now));
    let gone = then_hosts.difference(&now_hosts);
    let mut reasons: Vec<String> = gone
        .map(|host| format!("{host} is no host of its plays any longer"))
        .collect();
    let new = now_hosts.difference(&then_hosts);
    reasons.extend(new.map(|host| format!("{host} is a host that the plan does not have")));
    let changed = |then: &BTreeMap<String, String>, now: &BTreeMap<String, String>| {
        let pairs = then
            .iter()
            .filter(|(name, then)| now.get(*name).is_some_and(|now| now != *then));
        pairs.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let hosts = changed(&plan.targets, &now.targets).into_iter();
    let hosts = hosts.map(|host| format!("{host} is another machine than the plan was made with"));
    reasons.extend(hosts);
    // Digests by another key say nothing.
    if plan.tags == now.tags {
        let origins = changed(&plan.variables, &now.variables).into_iter();
        reasons.extend(origins.map(|origin| format!("variables that {origin} gives have changed")));
        let new = now
            .variables
            .keys()
            .filter(|origin| !plan.variables.contains_key(*origin));
        reasons.extend(new.map(|origin| format!("variables come from {origin}, which gave none")));
        let gone = plan
            .variables
            .keys()
            .filter(|origin| !now.variables.contains_key(*origin));
        reasons.extend(gone.map(|origin| format!("no variables come from {origin} any longer")));
    }
    reasons
}

/// The variables of the inventory as digests, by the source that gave them: of a program or a plugin the
/// source may be what it was, and what comes of it another.
fn origins(inventory: &Inventory, tags: &Tags) -> BTreeMap<String, String> {
    let groups = inventory
        .groups
        .values()
        .map(|group| ("group", &group.name, &group.vars));
    let hosts = inventory
        .hosts
        .values()
        .map(|host| ("host", &host.name, &host.vars));
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (kind, owner, vars) in groups.chain(hosts) {
        for (name, node) in vars.iter() {
            let source = crate::files::from_here(&node.span.source.path)
                .display()
                .to_string();
            let value = node.written();
            texts
                .entry(source)
                .or_default()
                .push(format!("{kind} {owner} {name} {value}"));
        }
    }
    let digest = |mut lines: Vec<String>| {
        lines.sort_unstable();
        tags.digest(&lines.join("\n"))
    };
    texts
        .into_iter()
        .map(|(source, lines)| (source, digest(lines)))
        .collect()
}

fn drifted(one: &Unlike) -> String {
    let first_line = |text: &Option<String>| match text {
        None => "not there".to_owned(),
        Some(text) => text.lines().next().unwrap_or_default().to_owned(),
    };
    let (then, now) = (first_line(&one.first), first_line(&one.second));
    match then == now {
        true => format!("{}: {then}, with another difference", one.place),
        false => format!("{}: planned {then}, now {now}", one.place),
    }
}

/// Tells what was done otherwise than planned; how much that is.
pub(super) fn told_deviations(plan: &Plan, done: &Plan, hidden: &Secrets) -> usize {
    let deviations = plan.deviations(done);
    let problems: Vec<Diagnostic> = deviations.iter().map(deviated).collect();
    super::tell(&problems, hidden);
    deviations.len()
}

fn deviated(one: &Unlike) -> Diagnostic {
    let text = match (&one.first, &one.second) {
        (None, _) => format!("{}: changed, which was not planned", one.place),
        (_, None) => format!("{}: did not change, which was planned", one.place),
        _ => format!("{}: changed in another way than planned", one.place),
    };
    Diagnostic::warning("not-as-planned", text)
}

/// Stops with all reasons, when there are any.
fn refuse(path: &Path, reasons: &[String]) -> Result<(), CommandError> {
    let text = format!("the plan '{}' is refused", path.display());
    let hint = "plan again, and have the new plan reviewed";
    super::refuse("plan-refused", &text, reasons, hint)
}

/// Asks, where somebody can answer, also of what is shown elsewhere (`| tee`).
pub(super) fn approved(question: &str) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    if !std::io::stdout().is_terminal()
        && let Some(answer) = prompt::ask(question, true)
    {
        return Ok(answer.trim() == "yes");
    }
    report::prompt(question);
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| problem("prompt", error.to_string()))?;
    Ok(answer.trim() == "yes")
}
