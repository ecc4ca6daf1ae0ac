//! `package_facts`: the packages that are installed, as facts.

use std::collections::HashMap;
use std::path::Path;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;

/// Tells which packages are installed: those of dpkg and those of rpm.
#[derive(ModuleArgs)]
struct Args {
    /// The package managers that are asked; `auto` for those that are there.
    #[arg(default = "auto")]
    manager: Vec<String>,
    /// Ask the first that is there, or all.
    #[arg(default = "first")]
    strategy: Strategy,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    First,
    All,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// `packages`: under each name a list of what is installed of it.
    ansible_facts: Map,
}

module! { "ansible.builtin.package_facts", args: Args, returns: Values, run: run }

/// Every manager that Ansible knows.
const KNOWN: &[&str] = &[
    "apk",
    "apt",
    "dnf",
    "dnf5",
    "openbsd_pkg",
    "pacman",
    "pkg",
    "pkg5",
    "pkg_info",
    "pkgng",
    "portage",
    "rpm",
    "yum",
    "zypper",
];

const STATUS: &str = "/var/lib/dpkg/status";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let wanted: Vec<String> = args
        .manager
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    let unknown: Vec<&str> = wanted
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "auto" && !KNOWN.contains(name))
        .collect();
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        let msg = format!("Unsupported package managers requested: {names}");
        return Err(Failure::new(msg));
    }
    let auto = wanted.iter().any(|name| name == "auto");
    let tried: Vec<&str> = match auto {
        true => vec!["apt", "rpm"],
        false => wanted.iter().map(String::as_str).collect(),
    };
    let (mut packages, mut found, mut warnings) = (Map::new(), false, Vec::new());
    for name in tried {
        let listed = match name {
            "apt" => apt(machine),
            "dnf" | "dnf5" | "rpm" | "yum" | "zypper" => rpm(machine),
            _ => Err(Failure::new("rplay knows dpkg and rpm only")),
        };
        match listed {
            Ok(listed) => {
                for (name, entry) in listed {
                    match packages.get_mut(&name) {
                        Some(Data::List(entries)) => entries.push(entry),
                        _ => {
                            packages.insert(name, Data::List(vec![entry]));
                        }
                    }
                }
                found = true;
            }
            Err(_) if auto => {}
            Err(failure) => warnings.push(format!(
                "Requested package manager {name} was not usable by this module: {}",
                failure.msg
            )),
        }
        if found && args.strategy == Strategy::First {
            break;
        }
    }
    if !found {
        let list = Data::from(args.manager.clone()).repr();
        let msg = format!(
            "Could not detect a supported package manager from the following list: {list}, or the required Python library is not installed. Check warnings for details."
        );
        return Err(Failure {
            warnings,
            ..Failure::new(msg)
        });
    }
    Ok(Outcome {
        facts: map! { "packages" => packages },
        warnings,
        ..Outcome::default()
    })
}

/// Names with what is told of each.
type Packages = Vec<(String, Data)>;

fn apt(machine: &mut dyn Machine) -> Result<Packages, Failure> {
    let status = machine
        .read(Path::new(STATUS))
        .map_err(|error| format!("{STATUS}: {error}"))?;
    let status = String::from_utf8_lossy(&status).into_owned();
    let mut installed = Vec::new();
    for paragraph in status.split("\n\n") {
        let field = |name: &str| {
            let mut lines = paragraph.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let is_installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
        let (Some(name), Some(version), Some(arch)) =
            (field("Package"), field("Version"), field("Architecture"))
        else {
            continue;
        };
        // In check mode an earlier task may have removed it.
        let gone = machine.assumed(&format!("package:{name}")).as_deref() == Some("");
        if is_installed && !gone {
            let section = field("Section").unwrap_or_default();
            installed.push([name, version, arch, section].map(str::to_owned));
        }
    }
    let origins = origins(machine, &installed);
    let entry = |[name, version, arch, section]: [String; 4]| {
        let origin = origins.get(&name).cloned().unwrap_or_default();
        let entry = map! {
            "name" => name.as_str(), "version" => version, "arch" => arch, "category" => section,
            "origin" => origin, "source" => "apt",
        };
        (name, Data::Map(entry))
    };
    Ok(installed.into_iter().map(entry).collect())
}

/// Where the installed versions come from, as apt knows it.
fn origins(machine: &mut dyn Machine, installed: &[[String; 4]]) -> HashMap<String, String> {
    let mut ask = |words: Vec<&str>| match programs::ask(machine, words) {
        Ok(output) if output.code == 0 => output.stdout_text(),
        _ => String::new(),
    };
    // The sources with their origins: a line of the source, then one that tells of it.
    let text = ask(vec!["apt-cache", "policy"]);
    let mut sources: HashMap<String, String> = HashMap::new();
    let mut source = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(release) = line.strip_prefix("release ") {
            let mut parts = release.split(',');
            if let Some(origin) = parts.find_map(|part| part.strip_prefix("o=")) {
                sources.insert(source.clone(), origin.to_owned());
            }
        } else {
            source = without_priority(line);
        }
    }
    let mut words = vec!["apt-cache", "policy"];
    words.extend(installed.iter().map(|[name, ..]| name.as_str()));
    let text = ask(words);
    let (mut found, mut name, mut ours) = (HashMap::new(), String::new(), false);
    for line in text.lines() {
        let bare = line.trim();
        if !line.starts_with(' ') {
            name = bare.trim_end_matches(':').to_owned();
            ours = false;
        } else if line.starts_with(" *** ") {
            ours = true;
        } else if line.starts_with("     ") && !line.starts_with("        ") {
            ours = false;
        } else if ours && let Some(origin) = sources.get(&without_priority(bare)) {
            found.entry(name.clone()).or_insert_with(|| origin.clone());
        }
    }
    found
}

/// A source without the number before it.
fn without_priority(line: &str) -> String {
    let (number, rest) = line.split_once(' ').unwrap_or(("", line));
    match number.parse::<i32>() {
        Ok(_) => rest.trim().to_owned(),
        Err(_) => line.to_owned(),
    }
}

fn rpm(machine: &mut dyn Machine) -> Result<Packages, Failure> {
    const FORMAT: &str = "%{NAME}\\t%{VERSION}\\t%{RELEASE}\\t%{EPOCH}\\t%{ARCH}\\n";
    let program = programs::required(machine, "rpm")?;
    let output = programs::ask(machine, [program.as_str(), "-qa", "--queryformat", FORMAT])?;
    if output.code != 0 {
        return Err(Failure::new(output.stderr_text()));
    }
    let entry = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, release, epoch, arch] = fields.as_slice() else {
            return None;
        };
        let entry = map! {
            "name" => *name, "version" => *version, "release" => *release,
            "epoch" => epoch.parse::<u32>().ok(),
            "arch" => Some(*arch).filter(|arch| *arch != "(none)"), "source" => "rpm",
        };
        Some(((*name).to_owned(), Data::Map(entry)))
    };
    Ok(output.stdout_text().lines().filter_map(entry).collect())
}
