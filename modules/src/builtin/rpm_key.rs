//! `rpm_key`: keys that rpm trusts.

use std::path::Path;

use rplay_modules::args::state::State;
use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::temporary_file;
use rplay_modules::machine::{Change, Command, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;
use crate::{http, openpgp};

/// Adds and removes keys that rpm trusts.
#[derive(ModuleArgs)]
struct Args {
    /// The key: a file, an address, or to remove it its number.
    key: String,
    /// Whether it is there or gone.
    #[arg(default = "present")]
    state: State,
    /// Whether certificates are checked.
    #[arg(default = "true")]
    validate_certs: bool,
    /// The fingerprints that the key must have.
    fingerprint: Option<Vec<String>>,
}

/// What comes back.
#[derive(Returns)]
struct Values {}

module! { "ansible.builtin.rpm_key", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let rpm = programs::required(machine, "rpm")?;
    let key = &args.key;
    let content = if key.contains("://") {
        let fetched = http::get(machine, key, args.validate_certs).map_err(|why| {
            format!("failed to fetch key at {key} , error was: Request failed: {why}")
        })?;
        Some(fetched)
    } else if openpgp::is_identifier(key) {
        None
    } else {
        let read = machine.read(Path::new(key));
        Some(read.map_err(|_| format!("Not a valid key {key}"))?)
    };
    let (ids, prints): (Vec<String>, Vec<String>) = match &content {
        None => (vec![openpgp::identifier(key)], Vec::new()),
        Some(content) => {
            let keys = openpgp::keys(content)
                .ok_or_else(|| Failure::unexpected("Unable to parse PGP key armor"))?;
            let ids = keys.iter().map(|key| key.short().to_owned()).collect();
            (
                ids,
                keys.into_iter().flat_map(|key| key.fingerprints).collect(),
            )
        }
    };
    // rpm knows keys by the last eight digits.
    let ids: Vec<String> = ids
        .iter()
        .map(|id| openpgp::tail(id, 8).to_lowercase())
        .collect();
    if args.state == State::Present && content.is_none() {
        return Err(Failure::new(
            "When importing a key, a valid file must be given",
        ));
    }
    let installed = installed(machine, &rpm)?;
    let is_there = |id: &String| installed.contains(id);
    match args.state {
        State::Present => {
            if ids.iter().all(is_there) {
                return Ok(Outcome::unchanged());
            }
            check(args.fingerprint.as_deref().unwrap_or_default(), &prints)?;
            let file = temporary_file(
                machine,
                "rpm_key",
                ".key",
                Content::Bytes(content.as_deref().unwrap_or_default()),
            )?;
            let argv = [rpm.as_str(), "--import", &file.to_string_lossy()];
            let done = programs::must(machine, &Command::new(argv).c_locale());
            // It is only a copy; what rpm says matters more.
            let _ = machine.remove(&file, false);
            done?;
        }
        State::Absent => {
            if !ids.iter().any(is_there) {
                return Ok(Outcome::unchanged());
            }
            for id in ids.iter().filter(|id| is_there(id)) {
                let package = format!("gpg-pubkey-{id}");
                let argv = [rpm.as_str(), "--erase", "--allmatches", &package];
                programs::must(machine, &Command::new(argv).c_locale())?;
            }
        }
    }
    for id in ids {
        let there = if args.state == State::Present {
            "1"
        } else {
            ""
        };
        machine.assume(Change::Fact(
            format!("rpm_key {id}"),
            Some(there.to_owned()),
        ));
        let all = machine.assumed("rpm_key").unwrap_or_default();
        machine.assume(Change::Fact(
            "rpm_key".to_owned(),
            Some(format!("{all}{id} ")),
        ));
    }
    Ok(Outcome::new(true))
}

/// The keys that rpm trusts, in check mode with what earlier tasks foretold.
fn installed(machine: &mut dyn Machine, rpm: &str) -> Result<Vec<String>, Failure> {
    let words = [rpm, "-q", "gpg-pubkey", "--queryformat", "%{version}\\n"];
    let output = programs::ask(machine, words)?;
    let mut ids: Vec<String> = match output.code {
        0 => output.stdout_text().lines().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let foretold = machine.assumed("rpm_key").unwrap_or_default();
    for id in foretold.split_whitespace() {
        ids.retain(|one| one != id);
        if machine.assumed(&format!("rpm_key {id}")).as_deref() == Some("1") {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

/// Whether the key has the fingerprints that it must have.
fn check(wanted: &[String], prints: &[String]) -> Result<(), Failure> {
    let wanted: Vec<String> = wanted
        .iter()
        .map(|print| openpgp::identifier(print))
        .collect();
    if wanted.iter().all(|print| prints.contains(print)) {
        return Ok(());
    }
    let set = |items: &[String]| {
        let items: Vec<String> = items
            .iter()
            .map(|item| Data::from(item.as_str()).repr())
            .collect();
        format!("{{{}}}", items.join(", "))
    };
    let (wanted, prints) = (set(&wanted), set(prints));
    Err(Failure::new(format!(
        "The specified fingerprint, '{wanted}', does not match any key fingerprints in 'frozenset({prints})'"
    )))
}
