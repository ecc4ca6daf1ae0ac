//! `apt_key`: keys that apt trusts for every source, read and written without `gpg`.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::State;
use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::machine::attrs::{make_dirs, os_error_text};
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::http;
use crate::openpgp::{self, Key, tail};

/// Adds and removes keys that apt trusts for every source.
#[derive(ModuleArgs)]
struct Args {
    /// The number of the key: eight digits or more.
    id: Option<String>,
    /// The key itself.
    data: Option<String>,
    /// A file with the key.
    file: Option<PathBuf>,
    /// The file that trusted keys are kept in.
    keyring: Option<PathBuf>,
    /// The address of the key.
    url: Option<String>,
    /// A server of keys, which is asked for `id`.
    keyserver: Option<String>,
    /// Whether certificates are checked.
    #[arg(default = "true")]
    validate_certs: bool,
    /// Whether it is there or gone.
    #[arg(default = "present")]
    state: State,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The keys before.
    before: Vec<String>,
    /// The keys after.
    after: Vec<String>,
    /// The fingerprint.
    fp: String,
    /// The number as it was given.
    id: String,
    /// The last sixteen digits of the fingerprint.
    key_id: String,
    /// The last eight digits of the fingerprint.
    short_id: String,
}

module! {
    "ansible.builtin.apt_key", args: Args, returns: Values, run: run,
    rules: Rules {
        mutually_exclusive: &[&["data", "file", "keyserver", "url"]],
        required_one_of: &[&["id", "data", "file", "url"]],
        ..Rules::NONE
    },
}

const KEYRING: &str = "/etc/apt/trusted.gpg";
const FURTHER: &str = "/etc/apt/trusted.gpg.d";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if let Some(id) = &args.id
        && (openpgp::identifier(id).len() < 8
            || u128::from_str_radix(tail(&openpgp::identifier(id), 16), 16).is_err())
    {
        return Err(Failure::new("Invalid key_id").with("id", id.clone()));
    }
    let given = given(machine, &args)?;
    let id = match (&args.id, given.first()) {
        (Some(id), _) => openpgp::identifier(id),
        (None, Some(key)) => key.fingerprints[0].clone(),
        (None, None) => return Err(Failure::new("key_id is required")),
    };
    if !given.is_empty() && !given.iter().any(|key| key.answers_to(&id)) {
        return Err(Failure::new(format!("the given key is not `{id}`")).with("id", id));
    }
    let target = args
        .keyring
        .clone()
        .unwrap_or_else(|| PathBuf::from(KEYRING));
    let mut rings = vec![target.clone()];
    if args.keyring.is_none() {
        for name in machine.list(Path::new(FURTHER)).unwrap_or_default() {
            let path = Path::new(FURTHER).join(name);
            if path
                .extension()
                .is_some_and(|ending| ending == "gpg" || ending == "asc")
            {
                rings.push(path);
            }
        }
    }
    let mut kept = Vec::new();
    for path in rings {
        let keys = read(machine, &path)?;
        kept.push((path, keys));
    }
    let numbers = |kept: &[(PathBuf, Vec<Key>)]| -> Vec<String> {
        let keys = kept.iter().flat_map(|(_, keys)| keys);
        keys.map(|key| tail(&key.fingerprints[0], 16).to_owned())
            .collect()
    };
    let before = numbers(&kept);
    let there = kept
        .iter()
        .flat_map(|(_, keys)| keys)
        .any(|key| key.answers_to(&id));
    let changed = match args.state {
        State::Present if !there => {
            if given.is_empty() {
                return Err(Failure::new("data, file, keyserver or url is required").with("id", id));
            }
            if let Some((path, keys)) = kept.first_mut() {
                keys.extend(given);
                write(machine, path, keys)?;
            }
            true
        }
        State::Absent if there => {
            for (path, keys) in &mut kept {
                let count = keys.len();
                keys.retain(|key| !key.answers_to(&id));
                if keys.len() != count {
                    write(machine, path, keys)?;
                }
            }
            true
        }
        _ => false,
    };
    let outcome = Outcome::new(changed)
        .with("before", before)
        .with("fp", id.as_str())
        .with("id", args.id.unwrap_or_else(|| id.clone()))
        .with("key_id", tail(&id, 16))
        .with("short_id", tail(&id, 8));
    Ok(match changed {
        true => outcome.with("after", numbers(&kept)),
        false => outcome,
    })
}

/// The keys that the arguments bring.
fn given(machine: &mut dyn Machine, args: &Args) -> Result<Vec<Key>, Failure> {
    let url = match (&args.url, &args.keyserver, &args.id) {
        (Some(url), _, _) => Some(url.clone()),
        (None, Some(server), Some(id)) if args.state == State::Present => Some(lookup(server, id)),
        (None, Some(_), None) => return Err(Failure::new("`keyserver` needs the `id` of the key")),
        _ => None,
    };
    let content = if let Some(url) = url {
        http::get(machine, &url, args.validate_certs)
            .map_err(|why| format!("error getting key id from url: {url}: {why}"))?
    } else if let Some(data) = &args.data {
        data.clone().into_bytes()
    } else if let Some(file) = &args.file {
        let read = machine.read(file);
        read.map_err(|error| format!("{}: '{}'", os_error_text(&error), file.display()))?
    } else {
        return Ok(Vec::new());
    };
    openpgp::keys(&content)
        .ok_or_else(|| Failure::new("no valid OpenPGP key was found in what was given"))
}

/// The address of a key on a server of keys.
fn lookup(server: &str, id: &str) -> String {
    let (scheme, host) = server.split_once("://").unwrap_or(("hkp", server));
    let base = match scheme {
        "hkps" | "https" => format!("https://{host}"),
        "http" => format!("http://{host}"),
        _ if host.contains(':') => format!("http://{host}"),
        _ => format!("http://{host}:11371"),
    };
    let id = openpgp::identifier(id);
    format!(
        "{}/pks/lookup?op=get&options=mr&search=0x{id}",
        base.trim_end_matches('/')
    )
}

fn read(machine: &mut dyn Machine, path: &Path) -> Result<Vec<Key>, Failure> {
    match machine.read(path) {
        Ok(content) if content.is_empty() => Ok(Vec::new()),
        Ok(content) => openpgp::keys(&content)
            .ok_or_else(|| format!("{} is no file of OpenPGP keys", path.display()).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(format!("{}: '{}'", os_error_text(&error), path.display()).into()),
    }
}

fn write(machine: &mut dyn Machine, path: &Path, keys: &[Key]) -> Result<(), Failure> {
    let done = if keys.is_empty() {
        machine.remove(path, false)
    } else {
        if let Some(folder) = path.parent() {
            make_dirs(machine, folder)?;
        }
        let packets: Vec<u8> = keys.iter().flat_map(|key| key.packets.clone()).collect();
        let content = if path.extension().is_some_and(|ending| ending == "asc") {
            openpgp::armored(&packets).into_bytes()
        } else {
            packets
        };
        let attrs = Attrs {
            mode: Some(0o644),
            ..Attrs::default()
        };
        machine.write(path, Content::Bytes(&content), &attrs)
    };
    done.map_err(|error| format!("{}: '{}'", os_error_text(&error), path.display()).into())
}
