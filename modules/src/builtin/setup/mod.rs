//! `setup`: facts about the machine, under the names that playbooks know.

mod distribution;
mod hardware;
mod local;
mod network;
mod platform;
mod virtualization;

use std::path::{Path, PathBuf};

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Command, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

/// Gathers facts about a host: its system, hardware, network, users and local facts.
#[derive(ModuleArgs)]
struct Args {
    /// Which facts: `all`, `min`, or names of subsets; a name after `!` is left out.
    #[arg(default = "all")]
    gather_subset: Vec<String>,
    /// How long, in seconds, a single program that is asked for facts may take.
    #[arg(default = "10")]
    gather_timeout: u64,
    /// Patterns of the names of facts that are kept; none keeps all.
    #[arg(default = "[]")]
    filter: Vec<String>,
    /// The folder with local facts (`*.fact`).
    #[arg(default = "/etc/ansible/facts.d")]
    fact_path: PathBuf,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The facts.
    ansible_facts: Map,
}

module! { "ansible.builtin.setup", args: Args, returns: Values, run: run }

/// What the collectors share.
struct Gather<'a> {
    machine: &'a mut dyn Machine,
    fact_path: PathBuf,
    timeout: std::time::Duration,
    warnings: Vec<String>,
    facts: Map,
    /// Facts of other programs, under names of their own.
    foreign: Map,
}

/// The machine's full name, as the resolver gives it for its short one.
pub(super) fn full_name(machine: &mut dyn Machine, node: &str) -> String {
    let mut gather = Gather {
        machine,
        fact_path: PathBuf::new(),
        timeout: std::time::Duration::from_secs(10),
        warnings: Vec::new(),
        facts: Map::new(),
        foreign: Map::new(),
    };
    platform::fqdn(&mut gather, node)
}

impl Gather<'_> {
    /// The text of a file without white space at its ends; nothing when it cannot be read.
    fn text(&mut self, path: impl AsRef<Path>) -> Option<String> {
        let bytes = self.machine.read(path.as_ref()).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn exists(&mut self, path: impl AsRef<Path>) -> bool {
        matches!(self.machine.stat(path.as_ref(), true), Ok(Some(_)))
    }

    fn names(&mut self, path: impl AsRef<Path>) -> Vec<String> {
        let names = self.machine.list(path.as_ref()).unwrap_or_default();
        names
            .into_iter()
            .filter_map(|name| name.into_string().ok())
            .collect()
    }

    /// The last part of what a symbolic link points to.
    fn link_name(&mut self, path: impl AsRef<Path>) -> Option<String> {
        let target = self.machine.read_link(path.as_ref()).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    /// Standard output of a program that went well.
    fn ask<const N: usize>(&mut self, argv: [&str; N]) -> Option<String> {
        self.said(&argv)
            .filter(|said| said.code == 0)
            .map(|said| said.stdout_text())
    }

    /// What a program left; nothing where there is none, or where it takes too long.
    fn said(&mut self, argv: &[&str]) -> Option<Output> {
        let mut command = Command {
            timeout: Some(self.timeout),
            ..Command::new(argv.iter().copied()).c_locale()
        };
        // Of users who have no such folders in their search path, too.
        let path = self.machine.process().env.remove("PATH");
        let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let path = format!("{path}:/sbin:/usr/sbin:/usr/local/sbin");
        command.env.push(("PATH".to_owned(), Some(path)));
        self.machine.query(&command).ok()
    }

    fn set(&mut self, name: &str, value: impl Into<Data>) {
        self.facts.insert(name.to_owned(), value.into());
    }
}

/// One group of facts.
struct Collector {
    name: &'static str,
    /// Names of facts that select the whole group.
    ids: &'static [&'static str],
    /// Whether it belongs to `min`.
    minimal: bool,
    /// Collectors that are always gathered with it.
    needs: &'static [&'static str],
    gather: fn(&mut Gather<'_>),
}

const fn collector(
    name: &'static str,
    minimal: bool,
    gather: fn(&mut Gather<'_>),
    ids: &'static [&'static str],
) -> Collector {
    Collector {
        name,
        ids,
        minimal,
        needs: &[],
        gather,
    }
}

const fn with_needs(collector: Collector, needs: &'static [&'static str]) -> Collector {
    Collector { needs, ..collector }
}

/// In the order in which they are gathered: others ask for what `platform` found.
const COLLECTORS: &[Collector] = &[
    collector(
        "platform",
        true,
        platform::platform,
        &[
            "architecture",
            "kernel",
            "kernel_version",
            "machine",
            "machine_id",
            "python_version",
            "system",
        ],
    ),
    collector("apparmor", true, platform::apparmor, &[]),
    collector(
        "caps",
        true,
        platform::capabilities,
        &["system_capabilities", "system_capabilities_enforced"],
    ),
    collector("chroot", false, platform::chroot, &["is_chroot"]),
    collector("cmdline", true, platform::cmdline, &[]),
    collector("date_time", true, platform::date_time, &[]),
    collector(
        "distribution",
        true,
        distribution::distribution,
        &[
            "distribution_major_version",
            "distribution_release",
            "distribution_version",
            "os_family",
        ],
    ),
    collector("dns", true, platform::dns, &[]),
    collector("env", true, platform::env, &[]),
    collector("facter", false, platform::facter, &[]),
    collector("fips", true, platform::fips, &[]),
    with_needs(
        collector(
            "hardware",
            false,
            hardware::hardware,
            &[
                "devices",
                "mounts",
                "processor",
                "processor_cores",
                "processor_count",
            ],
        ),
        &["platform"],
    ),
    collector("loadavg", false, hardware::loadavg, &[]),
    collector("local", true, local::local, &[]),
    collector("lsb", true, distribution::lsb, &[]),
    with_needs(
        collector(
            "network",
            false,
            network::network,
            &[
                "all_ipv4_addresses",
                "all_ipv6_addresses",
                "default_ipv4",
                "default_ipv6",
                "interfaces",
            ],
        ),
        &["platform", "distribution"],
    ),
    collector("fibre_channel_wwn", false, platform::fibre_channel, &[]),
    collector("iscsi", false, platform::iscsi, &[]),
    collector("nvme", false, platform::nvme, &[]),
    collector("ohai", false, platform::ohai, &[]),
    with_needs(
        collector("pkg_mgr", true, distribution::pkg_mgr, &[]),
        &["distribution"],
    ),
    collector("python", true, platform::python, &[]),
    collector("selinux", true, platform::selinux, &[]),
    with_needs(
        collector("service_mgr", true, distribution::service_mgr, &[]),
        &["platform", "distribution"],
    ),
    collector(
        "ssh_pub_keys",
        true,
        platform::ssh_keys,
        &[
            "ssh_host_key_dsa_public",
            "ssh_host_key_ecdsa_public",
            "ssh_host_key_ed25519_public",
            "ssh_host_key_rsa_public",
            "ssh_host_pub_keys",
        ],
    ),
    collector("systemd", false, platform::systemd, &[]),
    collector(
        "user",
        true,
        platform::user,
        &[
            "effective_group_ids",
            "effective_user_id",
            "real_user_id",
            "user_dir",
            "user_gecos",
            "user_gid",
            "user_id",
            "user_shell",
            "user_uid",
        ],
    ),
    collector(
        "virtual",
        false,
        virtualization::virtualization,
        &[
            "virtualization_role",
            "virtualization_tech_guest",
            "virtualization_tech_host",
            "virtualization_type",
        ],
    ),
];

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let mut subset = args.gather_subset;
    if subset.is_empty() {
        subset.push("all".to_owned());
    }
    let chosen = choose(&subset)?;
    let timeout = std::time::Duration::from_secs(args.gather_timeout.max(1));
    let mut gather = Gather {
        machine,
        fact_path: args.fact_path,
        timeout,
        warnings: Vec::new(),
        facts: Map::new(),
        foreign: Map::new(),
    };
    for collector in chosen {
        (collector.gather)(&mut gather);
    }
    let Gather {
        warnings,
        facts,
        foreign,
        ..
    } = gather;
    let mut named: Map = facts
        .into_iter()
        .map(|(name, value)| (format!("ansible_{name}"), value))
        .chain(foreign)
        .collect();
    named.insert("gather_subset".to_owned(), Data::from(subset));
    named.insert("module_setup".to_owned(), Data::Bool(true));
    let filter: Vec<&str> = args
        .filter
        .iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty() && *word != "*")
        .collect();
    if !filter.is_empty() && filter.len() == args.filter.len() {
        named.retain(|name, _| filter.iter().any(|pattern| keeps(pattern, name)));
    }
    named.sort_keys();
    let mut outcome = Outcome::unchanged();
    if named.is_empty() {
        outcome = outcome.with("ansible_facts", named);
    } else {
        outcome.facts = named;
    }
    outcome.warnings = warnings;
    Ok(outcome)
}

fn keeps(pattern: &str, name: &str) -> bool {
    matches(pattern, name)
        || name
            .strip_prefix("ansible_")
            .is_some_and(|short| matches(pattern, short))
}

/// Shell patterns over whole names, as Python's `fnmatch`.
fn matches(pattern: &str, name: &str) -> bool {
    crate::text::fits(pattern, name)
}

/// The collectors that a `gather_subset` means.
fn choose(subset: &[String]) -> Result<Vec<&'static Collector>, Failure> {
    let (mut wanted, mut refused) = (Vec::new(), Vec::new());
    for word in subset {
        if let Some(word) = word.strip_prefix('!') {
            // It may be anything: what is not there needs no leaving out.
            refused.push(word);
            continue;
        }
        let word = word.as_str();
        let known =
            matches!(word, "all" | "min") || COLLECTORS.iter().any(|one| one.answers_to(word));
        if !known {
            return Err(Failure::new(format!(
                "Bad subset '{word}' given to Ansible. gather_subset options allowed: {}",
                allowed()
            )));
        }
        wanted.push(word);
    }
    let all = subset.is_empty() || wanted.contains(&"all") && !refused.contains(&"all");
    let min = !refused.contains(&"min");
    let picked = |one: &Collector| {
        let named = wanted.iter().any(|word| one.answers_to(word))
            || (one.minimal && min && wanted.contains(&"min"));
        let out = refused
            .iter()
            .any(|word| one.name == *word || one.ids.contains(word) && one.ids.len() == 1);
        named || (!out && if one.minimal { min } else { all })
    };
    let mut names: Vec<&str> = COLLECTORS
        .iter()
        .filter(|one| picked(one))
        .map(|one| one.name)
        .collect();
    let needed: Vec<&str> = COLLECTORS
        .iter()
        .filter(|one| names.contains(&one.name))
        .flat_map(|one| one.needs)
        .copied()
        .collect();
    names.extend(needed);
    Ok(COLLECTORS
        .iter()
        .filter(|one| names.contains(&one.name))
        .collect())
}

impl Collector {
    fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.ids.contains(&word)
    }
}

fn allowed() -> String {
    let mut words: Vec<&str> = COLLECTORS
        .iter()
        .flat_map(|one| one.ids.iter().copied().chain([one.name]))
        .collect();
    words.extend(["all"]);
    crate::order::sort(&mut words);
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(subset: &[&str]) -> Vec<&'static str> {
        let subset: Vec<String> = subset.iter().map(|word| (*word).to_owned()).collect();
        choose(&subset)
            .unwrap()
            .iter()
            .map(|one| one.name)
            .collect()
    }

    #[test]
    fn subsets() {
        assert_eq!(names(&["all"]).len(), COLLECTORS.len());
        assert!(names(&["!all", "!min"]).is_empty());
        assert_eq!(
            names(&["!all", "!min", "default_ipv4"]),
            ["platform", "distribution", "network"]
        );
        assert!(!names(&["!hardware"]).contains(&"hardware"));
        assert!(names(&["network"]).contains(&"env"));
        assert!(!names(&["min"]).contains(&"network"));
        assert!(choose(&["bogus".to_owned()]).is_err());
        assert!(
            keeps("dist*", "ansible_distribution") && keeps("ansible_kernel", "ansible_kernel")
        );
    }
}
