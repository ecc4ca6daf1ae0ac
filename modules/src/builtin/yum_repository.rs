//! `yum_repository`: a repository of packages for dnf and yum.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::attrs::{FileArgs, Sides, os_error_text};
use rplay_modules::machine::{Attrs, Content, FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

/// Adds, changes and removes a repository in the files of dnf and yum.
#[derive(ModuleArgs)]
struct Args {
    /// The repository's name, between brackets in the file.
    name: String,
    /// Whether it is there or gone.
    #[arg(default = "present")]
    state: State,
    /// The file, without its ending; otherwise it has the name of the repository.
    file: Option<String>,
    /// The folder of the files.
    #[arg(default = "/etc/yum.repos.d")]
    reposdir: PathBuf,
    /// Owner, group and mode.
    #[arg(flatten)]
    attributes: FileArgs,
    /// What stands in the file.
    #[arg(flatten)]
    settings: Settings,
}

#[derive(ArgEnum, Clone, Copy)]
enum Failover {
    #[arg(name = "roundrobin")]
    RoundRobin,
    Priority,
}

#[derive(ArgEnum, Clone, Copy)]
enum Caching {
    All,
    Packages,
    None,
}

#[derive(ArgEnum, Clone, Copy)]
enum Resolve {
    #[arg(name = "4")]
    Four,
    #[arg(name = "6")]
    Six,
    #[arg(name = "IPv4")]
    V4,
    #[arg(name = "IPv6")]
    V6,
    #[arg(name = "whatever")]
    Whatever,
}

#[derive(ArgEnum, Clone, Copy)]
enum Filter {
    Never,
    #[arg(name = "read-only:past")]
    Past,
    #[arg(name = "read-only:present")]
    Present,
    #[arg(name = "read-only:future")]
    Future,
}

macro_rules! settings {
    ($($(#[$attr:meta])* $name:ident: $kind:ty = $key:literal,)*) => {
        /// The settings of a repository, under their names in the file.
        #[derive(ModuleArgs)]
        struct Settings {
            $($(#[$attr])* $name: Option<$kind>,)*
        }

        impl Settings {
            /// Those that are given, as the file has them.
            fn rows(&self) -> Vec<(&'static str, String)> {
                let mut rows = Vec::new();
                $(if let Some(value) = &self.$name {
                    rows.push(($key, value.written($key)));
                })*
                crate::order::sort(&mut rows);
                rows
            }
        }
    };
}

/// A value as the file has it.
trait Written {
    fn written(&self, key: &str) -> String;
}

impl Written for String {
    fn written(&self, _: &str) -> String {
        self.clone()
    }
}

impl Written for bool {
    fn written(&self, _: &str) -> String {
        u8::from(*self).to_string()
    }
}

impl Written for Vec<String> {
    fn written(&self, key: &str) -> String {
        self.join(match key {
            "exclude" | "includepkgs" => " ",
            _ => "\n",
        })
    }
}

macro_rules! word {
    ($($kind:ty)*) => {
        $(impl Written for $kind {
            fn written(&self, _: &str) -> String {
                self.word().to_owned()
            }
        })*
    };
}

word! { Failover Caching Resolve Filter }

settings! {
    /// Has no effect any more.
    r#async: bool = "async",
    /// How fast it is downloaded from at most.
    bandwidth: String = "bandwidth",
    /// Its addresses.
    baseurl: Vec<String> = "baseurl",
    /// Its cost in comparison with others.
    cost: String = "cost",
    /// Whether the machine is counted.
    countme: bool = "countme",
    /// From which share of a list on differences are no longer downloaded.
    deltarpm_metadata_percentage: String = "deltarpm_metadata_percentage",
    /// From which share of a package on differences are no longer downloaded.
    deltarpm_percentage: String = "deltarpm_percentage",
    /// What it is, for people.
    description: String = "name",
    /// Whether it is in use.
    enabled: bool = "enabled",
    /// Whether its groups are in use.
    enablegroups: bool = "enablegroups",
    /// Packages that are not taken from it.
    #[arg(alias = "excludepkgs")]
    exclude: Vec<String> = "exclude",
    /// Which address is next.
    failovermethod: Failover = "failovermethod",
    /// The key of the authority that signs keys.
    gpgcakey: String = "gpgcakey",
    /// Whether signatures of packages are checked.
    gpgcheck: bool = "gpgcheck",
    /// The addresses of its keys.
    gpgkey: Vec<String> = "gpgkey",
    /// Which caches on the way are allowed.
    http_caching: Caching = "http_caching",
    /// A file of further settings.
    include: String = "include",
    /// The only packages that are taken from it.
    includepkgs: Vec<String> = "includepkgs",
    /// Which kind of addresses of the network are used.
    ip_resolve: Resolve = "ip_resolve",
    /// Whether connections are kept.
    keepalive: bool = "keepalive",
    /// How long its lists are good.
    metadata_expire: String = "metadata_expire",
    /// Which commands are content with old lists.
    metadata_expire_filter: Filter = "metadata_expire_filter",
    /// The address of a list of mirrors with checksums.
    metalink: String = "metalink",
    /// The address of a list of mirrors.
    mirrorlist: String = "mirrorlist",
    /// How long the list of mirrors is good.
    mirrorlist_expire: String = "mirrorlist_expire",
    /// Whether its packages go before those of modules.
    module_hotfixes: bool = "module_hotfixes",
    /// The password for a log-in.
    #[arg(secret)]
    password: String = "password",
    /// Its rank among others.
    priority: String = "priority",
    /// Whether its packages are kept from those of others.
    protect: bool = "protect",
    /// The proxy.
    proxy: String = "proxy",
    /// The password for the proxy.
    #[arg(secret)]
    proxy_password: String = "proxy_password",
    /// The user for the proxy.
    proxy_username: String = "proxy_username",
    /// Whether the signature of its lists is checked.
    repo_gpgcheck: bool = "repo_gpgcheck",
    /// How often a download is tried.
    retries: String = "retries",
    /// Whether it is one of S3.
    s3_enabled: bool = "s3_enabled",
    /// Whether it may be out of reach.
    skip_if_unavailable: bool = "skip_if_unavailable",
    /// Whether permissions of certificates are checked.
    ssl_check_cert_permissions: bool = "ssl_check_cert_permissions",
    /// The authorities that are trusted.
    #[arg(alias = "ca_cert")]
    sslcacert: String = "sslcacert",
    /// The client certificate.
    #[arg(alias = "client_cert")]
    sslclientcert: String = "sslclientcert",
    /// The key of the client certificate.
    #[arg(alias = "client_key")]
    sslclientkey: String = "sslclientkey",
    /// Whether certificates are checked.
    #[arg(alias = "validate_certs")]
    sslverify: bool = "sslverify",
    /// How fast it is downloaded from.
    throttle: String = "throttle",
    /// How many seconds to wait for it.
    timeout: String = "timeout",
    /// Has no effect any more.
    ui_repoid_vars: String = "ui_repoid_vars",
    /// The user for a log-in.
    username: String = "username",
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The repository.
    repo: String,
    /// Whether it is there.
    state: String,
}

module! {
    "ansible.builtin.yum_repository", args: Args, returns: Values, run: run,
    rules: Rules {
        required_if: &[
            ("state", "present", &["baseurl", "mirrorlist", "metalink"], true),
            ("state", "present", &["description"], false),
        ],
        ..Rules::NONE
    },
}

/// The sections of a file.
type Sections = IndexMap<String, IndexMap<String, String>>;

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let folder = &args.reposdir;
    let is_folder =
        matches!(machine.stat(folder, true), Ok(Some(stat)) if stat.kind == FileKind::Directory);
    if !is_folder {
        let shown = folder.display();
        return Err(Failure::new(format!(
            "Repo directory '{shown}' does not exist."
        )));
    }
    let name = args.file.as_ref().unwrap_or(&args.name);
    let path = folder.join(format!("{name}.repo"));
    let old = machine.read(&path).ok();
    let old_text = old
        .as_ref()
        .map(|old| String::from_utf8_lossy(old).into_owned());
    let mut sections = parse(old_text.as_deref().unwrap_or_default())
        .map_err(|why| format!("Cannot read {}: {why}", path.display()))?;
    let before = shown(&sections);
    match args.state {
        State::Absent => {
            sections.shift_remove(&args.name);
        }
        State::Present => {
            let rows = args.settings.rows().into_iter();
            let rows = rows.map(|(key, value)| (key.to_owned(), value)).collect();
            sections.insert(args.name.clone(), rows);
        }
    }
    let after = shown(&sections);
    let mut changed = before != after;
    if changed {
        put(machine, &path, &sections, args.attributes.unsafe_writes)?;
    }
    if args.state == State::Present {
        changed |= args
            .attributes
            .ensure(machine, &path, &mut Sides::default())?;
    }
    let header = path.display().to_string();
    Ok(Outcome::new(changed)
        .with_diff(Diff::text(before, after, &header, &header))
        .with("repo", args.name)
        .with("state", args.state.word()))
}

fn put(
    machine: &mut dyn Machine,
    path: &Path,
    sections: &Sections,
    in_place: bool,
) -> Result<(), Failure> {
    let text = written(sections);
    let done = match text.is_empty() {
        true => machine.remove(path, false),
        false => {
            let attrs = Attrs {
                in_place,
                ..Attrs::default()
            };
            machine.write(path, Content::Bytes(text.as_bytes()), &attrs)
        }
    };
    done.map_err(|error| {
        let (error, path) = (os_error_text(&error), path.display());
        Failure::new(format!("Problems handling file {path}: {error}"))
    })
}

/// Sections with their settings; lines that begin with a blank go on with the value before.
fn parse(text: &str) -> Result<Sections, String> {
    let mut sections = Sections::new();
    let mut last: Option<String> = None;
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with(['#', ';']) {
            continue;
        }
        let head = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((name, _)) = head {
            sections.entry(name.to_owned()).or_default();
            last = None;
            continue;
        }
        let Some((_, section)) = sections.last_mut() else {
            return Err(format!("no section before the line {bare:?}"));
        };
        if line.starts_with([' ', '\t'])
            && let Some(value) = last.as_ref().and_then(|key| section.get_mut(key))
        {
            value.push('\n');
            value.push_str(bare);
            continue;
        }
        let (key, value) = bare.split_once(['=', ':']).unwrap_or((bare, ""));
        let key = key.trim().to_lowercase();
        section.insert(key.clone(), value.trim().to_owned());
        last = Some(key);
    }
    Ok(sections)
}

/// The text of the sections and their settings, each in order, as a difference has it.
fn shown(sections: &Sections) -> String {
    let mut sections = sections.clone();
    sections.sort_unstable_keys();
    for section in sections.values_mut() {
        section.sort_unstable_keys();
    }
    text(&sections, "\n")
}

/// The text of the sections as the file has it.
fn written(sections: &Sections) -> String {
    text(sections, "\n\t")
}

/// `next` stands between the lines of a value.
fn text(sections: &Sections, next: &str) -> String {
    let mut text = String::new();
    for (name, section) in sections {
        text += &format!("[{name}]\n");
        for (key, value) in section {
            text += &format!("{key} = {}\n", value.replace('\n', next));
        }
        text.push('\n');
    }
    text
}
