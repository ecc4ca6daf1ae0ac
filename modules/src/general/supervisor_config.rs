//! `supervisor_config`: what supervisord is configured to do, and what of it is in force.

use std::time::Duration;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::supervisor::{Configuration, Reach};
use crate::xmlrpc::Trouble;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells what the configuration of supervisord says, and what of it is in force. It changes nothing.
///
/// Passwords are left out, and of environments the values.
#[derive(ModuleArgs)]
struct Args {
    #[arg(flatten)]
    reach: Reach,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// `supervisor_config`: the same, as a fact.
    ansible_facts: Map,
    /// The files, the configuration first.
    files: Vec<String>,
    /// The address of the server.
    server_url: String,
    /// The sections, each with its values.
    sections: Map,
    /// The groups, each with its programs.
    groups: Map,
    /// Whether the server answers.
    running: bool,
    /// The processes, as the server tells of them.
    processes: Vec<Map>,
    /// The groups that an update would change: `added`, `changed` and `removed`.
    pending: Map,
}

module! { "rplay.general.supervisor_config", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let found = args.reach.configuration(machine)?;
    let files = found.path.iter().chain(&found.files);
    let files = files.map(|path| Data::from(path.display().to_string()));
    let groups = found.groups().into_iter();
    let groups = groups.map(|(name, programs)| (name, Data::from(programs)));
    let mut told = map! {
        "files" => Data::List(files.collect()),
        "server_url" => args.reach.address(&found),
        "sections" => Data::Map(sections(&found)),
        "groups" => Data::Map(groups.collect()),
    };
    let mut server = args.reach.server(&found, PATIENCE)?;
    let mut call = |method: &str| server.call(machine, &format!("supervisor.{method}"), &[]);
    match call("getAllProcessInfo") {
        Ok(processes) => {
            told.insert("running".to_owned(), true.into());
            told.insert("processes".to_owned(), processes);
            let pending = call("reloadConfig").map_err(|why| Failure::new(why.to_string()))?;
            let Data::List(lists) = pending else {
                return Err(Failure::new("the server's answer is no list of groups"));
            };
            // A list in a list in a list: supervisord can only give back one thing.
            let mut lists = match lists.into_iter().next() {
                Some(Data::List(lists)) => lists.into_iter(),
                _ => vec![].into_iter(),
            };
            let names = ["added", "changed", "removed"];
            let pending = names.map(|name| (name.to_owned(), lists.next().unwrap_or_default()));
            told.insert(
                "pending".to_owned(),
                Data::Map(pending.into_iter().collect()),
            );
        }
        Err(Trouble::Unreachable(_)) => {
            told.insert("running".to_owned(), false.into());
        }
        Err(trouble) => return Err(Failure::new(trouble.to_string())),
    }
    let mut outcome = Outcome {
        results: told.clone(),
        ..Outcome::default()
    };
    outcome
        .facts
        .insert("supervisor_config".to_owned(), Data::Map(told));
    Ok(outcome)
}

/// The sections without what is nobody's to see.
fn sections(found: &Configuration) -> Map {
    let value = |name: &String, value: &String| match name.as_str() {
        "password" => None,
        "environment" => {
            let mut quote = None;
            // What stands between quotes ends nothing.
            let pairs = value.split(|sign| {
                match quote {
                    Some(open) if open == sign => quote = None,
                    None if matches!(sign, '"' | '\'') => quote = Some(sign),
                    _ => {}
                }
                quote.is_none() && matches!(sign, ',' | '\n')
            });
            let names = pairs.filter_map(|pair| Some(pair.split_once('=')?.0.trim()));
            Some((name.clone(), Data::List(names.map(Data::from).collect())))
        }
        _ => Some((name.clone(), found.expanded(value).into())),
    };
    let all = found.sections.iter().map(|(title, values)| {
        let values = values.iter().filter_map(|(name, text)| value(name, text));
        (title.clone(), Data::Map(values.collect()))
    });
    all.collect()
}
