//! `getent`: entries of the system's name databases as facts.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

/// Looks up entries of databases such as `passwd`, `group`, `hosts` and `services`.
#[derive(ModuleArgs)]
struct Args {
    /// The database.
    database: String,
    /// The entry; without one all entries.
    key: Option<String>,
    /// The source that is asked instead of the configured ones.
    service: Option<String>,
    /// What separates the fields of an entry.
    split: Option<String>,
    /// Fail when the entry is not found.
    #[arg(default = "true")]
    fail_key: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// `getent_DATABASE`: the fields of each entry under its key.
    ansible_facts: Map,
}

module! { "ansible.builtin.getent", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let mut argv = vec!["getent".to_owned()];
    if let Some(service) = &args.service {
        argv.extend(["-s".to_owned(), service.clone()]);
    }
    argv.push(args.database.clone());
    argv.extend(args.key.clone());
    let output = machine.query(&Command::new(argv)).map_err(|error| {
        Failure::new(format!(
            "Failed to find required executable \"getent\": {error}"
        ))
    })?;
    let colons = matches!(
        args.database.as_str(),
        "passwd" | "shadow" | "group" | "gshadow"
    );
    let split = args.split.or_else(|| colons.then(|| ":".to_owned()));
    let fact = format!("getent_{}", args.database);
    let facts = |entries: Map| Map::from([(fact.clone(), Data::Map(entries))]);
    let msg = match output.code {
        0 => {
            let entries = entries(&output.stdout_text(), split.as_deref());
            return Ok(Outcome {
                facts: facts(entries),
                ..Outcome::default()
            });
        }
        1 => "Missing arguments, or database unknown.".to_owned(),
        2 => "One or more supplied key could not be found in the database.".to_owned(),
        3 => "Enumeration not supported on this database.".to_owned(),
        code => format!("Unexpected failure! (rc: {code}) {}", output.stderr_text()),
    };
    match (args.key, output.code) {
        (Some(key), 2) if !args.fail_key => {
            let entries = Map::from([(key, Data::Null)]);
            Ok(Outcome {
                facts: facts(entries),
                ..Outcome::default()
            }
            .with("msg", msg))
        }
        _ => Err(Failure::new(msg)),
    }
}

/// Entries under their first field; several of one key become a list of them.
fn entries(text: &str, split: Option<&str>) -> Map {
    let mut entries = Map::new();
    let mut repeated: Vec<String> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = match split {
            Some(split) => line.split(split).collect(),
            None => line.split_whitespace().collect(),
        };
        let Some((key, rest)) = fields.split_first() else {
            continue;
        };
        let value = Data::from(rest.to_vec());
        match entries.get_mut(*key) {
            None => {
                entries.insert((*key).to_owned(), value);
            }
            Some(Data::List(list)) if repeated.iter().any(|one| one == key) => list.push(value),
            Some(old) => {
                *old = Data::List(vec![old.clone(), value]);
                repeated.push((*key).to_owned());
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn repeated_keys() {
        let found = entries("127.0.0.1 a\n127.0.0.1 b\n::1 c\n", None);
        let expected = map! { "127.0.0.1" => vec![vec!["a"], vec!["b"]], "::1" => vec!["c"] };
        assert_eq!(found, expected);
    }
}
