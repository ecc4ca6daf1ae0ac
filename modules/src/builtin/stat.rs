//! `stat`: what is known about a path.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{os_error_text, real_path, selinux_context, stat_facts};
use rplay_modules::machine::digest::Algorithm;
use rplay_modules::machine::{Access, Command, FileKind, Machine};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{map, module};

/// Retrieves facts about a file, like the program `stat`.
#[derive(ModuleArgs)]
struct Args {
    /// The path.
    #[arg(alias = "dest", alias = "name")]
    path: PathBuf,
    /// Look through a symbolic link.
    #[arg(default = "false")]
    follow: bool,
    /// Return a checksum of a file that can be read.
    #[arg(default = "true")]
    get_checksum: bool,
    /// The algorithm of the checksum.
    #[arg(default = "sha1", alias = "checksum", alias = "checksum_algo")]
    checksum_algorithm: Algorithm,
    /// Return the kind of content, found by the program `file`.
    #[arg(
        default = "true",
        alias = "mime",
        alias = "mime_type",
        alias = "mime-type"
    )]
    get_mime: bool,
    /// Return the attributes of the file system, found by the program `lsattr`.
    #[arg(default = "true", alias = "attr", alias = "attributes")]
    get_attributes: bool,
    /// Return the SELinux context.
    #[arg(default = "false")]
    get_selinux_context: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Everything that is known about the path. `exists` is always there; when the path is, so are `path`, `mode`, `isdir`, `ischr`, `isblk`, `isreg`, `isfifo`, `islnk`, `issock`, `uid`, `gid`, `size`, `inode`, `dev`, `nlink`, `atime`, `mtime`, `ctime`, `blocks`, `block_size`, `disk_usage_bytes`, `device_type`, a boolean for each permission (`rusr` to `xoth`, `isuid`, `isgid`), `readable`, `writeable`, `executable`, `pw_name` and `gr_name`; on request `checksum`, `mimetype`, `charset`, `attributes`, `attr_flags`, `version` and `selinux_context`; for a link `lnk_target` and `lnk_source`.
    stat: Map,
}

module! { "ansible.builtin.stat", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let path = &args.path;
    let Some(stat) = machine
        .stat(path, args.follow)
        .map_err(|error| message(&error))?
    else {
        below_a_file(machine, path)?;
        return Ok(Outcome::unchanged().with("stat", map! { "exists" => false }));
    };
    let mut facts = stat_facts(path, &stat);
    facts.extend(map! {
        "exists" => true,
        "block_size" => stat.block_size,
        "device_type" => stat.rdev,
    });
    for (name, access) in [
        ("readable", Access::Read),
        ("writeable", Access::Write),
        ("executable", Access::Execute),
    ] {
        facts.insert(name.to_owned(), machine.access(path, access).into());
    }
    if let Some(user) = machine.user_by_id(stat.uid) {
        facts.insert("pw_name".to_owned(), user.name.into());
    }
    if let Some(group) = machine.group_by_id(stat.gid) {
        facts.insert("gr_name".to_owned(), group.name.into());
    }
    if stat.kind == FileKind::Link {
        let target = machine.read_link(path).map_err(|error| message(&error))?;
        facts.insert(
            "lnk_target".to_owned(),
            target.to_string_lossy().as_ref().into(),
        );
        facts.insert(
            "lnk_source".to_owned(),
            real_path(machine, path).to_string_lossy().as_ref().into(),
        );
    }
    if args.get_checksum
        && stat.kind == FileKind::File
        && let Ok(sum) = args.checksum_algorithm.of_file(machine, path)
    {
        facts.insert("checksum".to_owned(), sum.into());
    }
    if args.get_mime {
        facts.extend(mime(machine, path));
    }
    if args.get_attributes {
        facts.extend(attributes(machine, path));
    }
    if args.get_selinux_context {
        let context = match selinux_context(machine, path) {
            Some(context) => context.splitn(4, ':').map(Data::from).collect(),
            None => vec![Data::Null; 3],
        };
        facts.insert("selinux_context".to_owned(), Data::List(context));
    }
    Ok(Outcome::unchanged().with("stat", facts))
}

/// The system's words without the number, as Ansible has them here.
fn message(error: &std::io::Error) -> String {
    let text = os_error_text(error);
    text.split_once("] ")
        .map_or(text.clone(), |(_, words)| words.to_owned())
}

/// A path below something that is no directory is an error, not a path that is missing.
fn below_a_file(machine: &mut dyn Machine, path: &Path) -> Result<(), Failure> {
    for folder in path.ancestors().skip(1) {
        match machine.stat(folder, true) {
            Ok(Some(stat)) if stat.kind != FileKind::Directory => {
                return Err(Failure::new("Not a directory"));
            }
            Ok(Some(_)) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

fn mime(machine: &mut dyn Machine, path: &Path) -> Map {
    let command = Command::new(["file", "-i", "--", &path.to_string_lossy()]).c_locale();
    let text = machine
        .query(&command)
        .ok()
        .filter(|output| output.code == 0)
        .map(|output| output.stdout_text());
    let parts = text.as_deref().and_then(|text| {
        let (kind, charset) = text.rsplit_once(':')?.1.split_once(';')?;
        Some((
            kind.trim().to_owned(),
            charset.split_once('=')?.1.trim().to_owned(),
        ))
    });
    let (kind, charset) = parts.unwrap_or_else(|| ("unknown".to_owned(), "unknown".to_owned()));
    map! { "mimetype" => kind, "charset" => charset }
}

fn attributes(machine: &mut dyn Machine, path: &Path) -> Map {
    let command = Command::new(["lsattr", "-vd", &path.to_string_lossy()]).c_locale();
    let text = machine
        .query(&command)
        .ok()
        .filter(|output| output.code == 0)
        .map(|output| output.stdout_text());
    let mut words = text.as_deref().unwrap_or_default().split_whitespace();
    let version: Option<String> = words.next().map(str::to_owned);
    let flags = words.next().unwrap_or_default().replace('-', "");
    let names: Vec<&str> = flags.chars().filter_map(attribute_name).collect();
    map! { "version" => version, "attr_flags" => flags, "attributes" => names }
}

/// Ansible's name of a flag of `lsattr`.
fn attribute_name(flag: char) -> Option<&'static str> {
    Some(match flag {
        'A' => "noatime",
        'a' => "append",
        'c' => "compressed",
        'C' => "nocow",
        'd' => "nodump",
        'D' => "dirsync",
        'e' => "extents",
        'E' => "encrypted",
        'h' => "blocksize",
        'i' => "immutable",
        'I' => "indexed",
        'j' => "journalled",
        'N' => "inline",
        's' => "zero",
        'S' => "synchronous",
        't' => "notail",
        'T' => "blockroot",
        'u' => "undelete",
        'X' => "compressedraw",
        'Z' => "compresseddirty",
        _ => return None,
    })
}
