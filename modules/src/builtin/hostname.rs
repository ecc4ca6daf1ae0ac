//! `hostname`: the name of the machine.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::machine::attrs::os_error_text;
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine};
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use super::{programs, setup};

/// Sets the name of the machine, for now and for the next start.
#[derive(ModuleArgs)]
struct Args {
    /// The name.
    name: String,
    /// Who keeps the name; found out unless given. Only those of Linux are known.
    r#use: Option<Use>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Use {
    Alpine,
    Debian,
    Freebsd,
    Generic,
    Macos,
    Macosx,
    Darwin,
    Openbsd,
    Openrc,
    Redhat,
    Sles,
    Solaris,
    Systemd,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The name.
    name: String,
    /// `ansible_hostname`, `ansible_nodename`, `ansible_fqdn` and `ansible_domain`.
    ansible_facts: Map,
}

module! { "ansible.builtin.hostname", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let keeper = Keeper::of(machine, args.r#use)?;
    let name = &args.name;
    let old = keeper.old(machine)?;
    let changed = match &keeper {
        Keeper::Systemd => keeper.set_by_systemd(machine, name)?,
        _ if old == *name => false,
        _ => {
            keeper.write(machine, name)?;
            if args.r#use == Some(Use::Alpine) {
                keeper.load(machine)?;
            }
            true
        }
    };
    let node = Path::new("/proc/sys/kernel/hostname");
    let node = machine.read(node).unwrap_or_default();
    let full = setup::full_name(machine, String::from_utf8_lossy(&node).trim());
    let domain = full.split_once('.').map_or("", |(_, domain)| domain);
    let mut outcome = Outcome::new(changed).with("name", name.as_str());
    outcome.facts = map! {
        "ansible_hostname" => name.split('.').next().unwrap_or_default(),
        "ansible_nodename" => name.as_str(),
        "ansible_fqdn" => full.as_str(),
        "ansible_domain" => domain,
    };
    if changed {
        let text = |name: &str| format!("hostname = {name}\n");
        outcome = outcome.with_diff(Diff {
            before: rplay_modules::outcome::DiffSide::Text(text(&old)),
            after: rplay_modules::outcome::DiffSide::Text(text(name)),
            ..Diff::default()
        });
    }
    Ok(outcome)
}

/// Who keeps the name.
enum Keeper {
    /// `hostnamectl`.
    Systemd,
    /// A file that holds the name; the running system is not told.
    File(PathBuf),
    /// `HOSTNAME=` in a file of settings.
    Setting(PathBuf),
    /// `hostname="..."` in a file of settings.
    Openrc(PathBuf),
}

impl Keeper {
    fn of(machine: &mut dyn Machine, wanted: Option<Use>) -> Result<Self, Failure> {
        let there = |machine: &mut dyn Machine, path: &str| {
            matches!(machine.stat(Path::new(path), true), Ok(Some(_)))
        };
        Ok(match wanted {
            Some(Use::Systemd | Use::Debian) => Self::Systemd,
            Some(Use::Alpine) => Self::File("/etc/hostname".into()),
            Some(Use::Sles) => Self::File("/etc/HOSTNAME".into()),
            Some(Use::Redhat) => Self::Setting("/etc/sysconfig/network".into()),
            Some(Use::Openrc) => Self::Openrc("/etc/conf.d/hostname".into()),
            Some(other) => {
                let word = other.word();
                return Err(Failure::new(format!(
                    "`use: {word}` is not supported: it is for other systems than Linux, or names no way to keep a hostname"
                )));
            }
            None if there(machine, "/run/systemd/system") => Self::Systemd,
            None if there(machine, "/etc/conf.d/hostname") => {
                Self::Openrc("/etc/conf.d/hostname".into())
            }
            None if there(machine, "/etc/HOSTNAME") => Self::File("/etc/HOSTNAME".into()),
            None => Self::File("/etc/hostname".into()),
        })
    }

    fn old(&self, machine: &mut dyn Machine) -> Result<String, Failure> {
        let read = |machine: &mut dyn Machine, path: &Path| match machine.read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => {
                let error = os_error_text(&error);
                Err(Failure::new(format!("failed to read hostname: {error}")))
            }
        };
        match self {
            Self::Systemd => status(machine, "--static"),
            Self::File(path) => Ok(read(machine, path)?.trim().to_owned()),
            Self::Setting(path) | Self::Openrc(path) => {
                let text = read(machine, path)?;
                let key = self.key();
                let mut values = text
                    .lines()
                    .filter_map(|line| line.trim().strip_prefix(key));
                let Some(value) = values.next() else {
                    let (name, path) = (key.trim_end_matches('='), path.display());
                    let msg = format!("Unable to locate {name} entry in {path}");
                    return Err(Failure::new(msg));
                };
                Ok(value.trim().trim_matches(['"', '\'']).to_owned())
            }
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Openrc(_) => "hostname=",
            _ => "HOSTNAME=",
        }
    }

    /// Sets the names that systemd keeps, where they differ.
    fn set_by_systemd(&self, machine: &mut dyn Machine, name: &str) -> Result<bool, Failure> {
        let mut changed = false;
        for kind in ["--transient", "--static"] {
            if status(machine, kind)? == name {
                continue;
            }
            let mut words = vec!["hostnamectl", kind, "set-hostname", name];
            // The name for people goes with the one that lasts.
            if kind == "--static" {
                words.insert(1, "--pretty");
            }
            let command = Command::new(words).c_locale();
            if let Some(output) = programs::change(machine, &command)?
                && output.code != 0
            {
                return Err(failed(&output));
            }
            machine.assume(Change::Fact(
                format!("hostname:{kind}"),
                Some(name.to_owned()),
            ));
            changed = true;
        }
        Ok(changed)
    }

    /// Tells the running system.
    fn load(&self, machine: &mut dyn Machine) -> Result<(), Failure> {
        let command = Command::new(["hostname", "-F", "/etc/hostname"]).c_locale();
        match programs::change(machine, &command)? {
            Some(output) if output.code != 0 => Err(failed(&output)),
            _ => Ok(()),
        }
    }

    fn write(&self, machine: &mut dyn Machine, name: &str) -> Result<(), Failure> {
        let (path, text) = match self {
            Self::Systemd => return Ok(()),
            Self::File(path) => (path, format!("{name}\n")),
            Self::Setting(path) | Self::Openrc(path) => {
                let old = machine.read(path).unwrap_or_default();
                let old = String::from_utf8_lossy(&old).into_owned();
                let key = self.key();
                let line = match self {
                    Self::Openrc(_) => format!("{key}\"{name}\""),
                    _ => format!("{key}{name}"),
                };
                let mut lines: Vec<&str> = old.lines().collect();
                match lines.iter().position(|old| old.trim().starts_with(key)) {
                    Some(at) => lines[at] = &line,
                    None => lines.push(&line),
                }
                (path, format!("{}\n", lines.join("\n")))
            }
        };
        let written = machine.write(path, Content::Bytes(text.as_bytes()), &Attrs::default());
        written.map_err(|error| {
            let error = os_error_text(&error);
            Failure::new(format!("failed to update hostname: {error}"))
        })
    }
}

/// A name that systemd keeps.
fn status(machine: &mut dyn Machine, kind: &str) -> Result<String, Failure> {
    if let Some(name) = machine.assumed(&format!("hostname:{kind}")) {
        return Ok(name);
    }
    let output = programs::ask(machine, ["hostnamectl", kind, "status"])?;
    match output.code {
        0 => Ok(output.stdout_text().trim().to_owned()),
        _ => Err(failed(&output)),
    }
}

fn failed(output: &rplay_modules::machine::Output) -> Failure {
    let (code, out, error) = (output.code, output.stdout_text(), output.stderr_text());
    Failure::new(format!("Command failed rc={code}, out={out}, err={error}"))
}
