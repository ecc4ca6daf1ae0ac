//! What the modules that edit files share: owner, group and mode, backups, validation.

use std::path::{Path, PathBuf};

use rplay_modules::args::{Mode, ModuleArgs};
use rplay_modules::data::Map;
use rplay_modules::machine::{Attrs, Command, Content, FileKind, Machine, Ran};
use rplay_modules::outcome::Failure;

use crate::map;
use crate::text::split_words;

/// Owner, group and mode of a file.
#[derive(ModuleArgs, Default)]
pub(crate) struct FileArgs {
    /// The permissions: octal as text or number, or symbolic.
    pub(crate) mode: Option<Mode>,
    /// The owner, by name or number.
    pub(crate) owner: Option<String>,
    /// The group, by name or number.
    pub(crate) group: Option<String>,
    /// The user of the `SELinux` context.
    #[arg(refused = "SELinux contexts are not supported yet")]
    pub(crate) seuser: Option<String>,
    /// The role of the `SELinux` context.
    #[arg(refused = "SELinux contexts are not supported yet")]
    pub(crate) serole: Option<String>,
    /// The type of the `SELinux` context.
    #[arg(refused = "SELinux contexts are not supported yet")]
    pub(crate) setype: Option<String>,
    /// The level of the `SELinux` context.
    #[arg(refused = "SELinux contexts are not supported yet")]
    pub(crate) selevel: Option<String>,
    /// Flags of the file system, as `chattr` takes them.
    #[arg(
        alias = "attr",
        refused = "flags of the file system are not supported yet"
    )]
    pub(crate) attributes: Option<String>,
    /// Write into the file where it cannot be replaced in one step.
    #[arg(default = "false")]
    pub(crate) unsafe_writes: bool,
}

impl FileArgs {
    /// How a new content is written: the rest of the attributes stays as it is.
    pub(crate) fn attrs(&self) -> Attrs {
        Attrs {
            in_place: self.unsafe_writes,
            ..Attrs::default()
        }
    }
}

/// The attributes that were changed, before and after.
#[derive(Default)]
pub(crate) struct Changed {
    pub(crate) before: Map,
    pub(crate) after: Map,
}

impl Changed {
    pub(crate) fn any(&self) -> bool {
        !self.after.is_empty()
    }
}

/// Sets owner, group and mode where they differ.
pub(crate) fn apply(
    machine: &mut dyn Machine,
    path: &Path,
    args: &FileArgs,
) -> Result<Changed, Failure> {
    let mut changed = Changed::default();
    if args.owner.is_none() && args.group.is_none() && args.mode.is_none() {
        return Ok(changed);
    }
    let shown = path.display().to_string();
    let fail = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(format!("{what}: {error}")).with("path", shown.clone())
    };
    let Some(stat) = machine
        .stat(path, true)
        .map_err(|error| fail("stat failed", &error))?
    else {
        return Ok(changed);
    };
    if let Some(owner) = &args.owner {
        let uid = match owner.parse::<u32>() {
            Ok(uid) => uid,
            Err(_) => machine
                .user_by_name(owner)
                .map(|user| user.uid)
                .ok_or_else(|| fail("chown failed", &format!("failed to look up user {owner}")))?,
        };
        if uid != stat.uid {
            machine
                .chown(path, Some(uid), None, true)
                .map_err(|error| fail("chown failed", &error))?;
            changed.before.extend(map! { "owner" => stat.uid });
            changed.after.extend(map! { "owner" => uid });
        }
    }
    if let Some(group) = &args.group {
        let gid = match group.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => machine
                .group_by_name(group)
                .map(|group| group.gid)
                .ok_or_else(|| fail("chgrp failed", &format!("failed to look up group {group}")))?,
        };
        if gid != stat.gid {
            machine
                .chown(path, None, Some(gid), true)
                .map_err(|error| fail("chgrp failed", &error))?;
            changed.before.extend(map! { "group" => stat.gid });
            changed.after.extend(map! { "group" => gid });
        }
    }
    if let Some(mode) = &args.mode {
        let umask = machine.process().umask;
        let bits = mode.apply(stat.mode, stat.kind == FileKind::Directory, umask);
        if bits != stat.mode {
            machine
                .chmod(path, bits, true)
                .map_err(|error| fail("chmod failed", &error))?;
            changed
                .before
                .extend(map! { "mode" => format!("{:04o}", stat.mode) });
            changed
                .after
                .extend(map! { "mode" => format!("{bits:04o}") });
        }
    }
    Ok(changed)
}

/// What Ansible adds to results that name a file: owner, group, mode, size, state.
pub(crate) fn path_info(machine: &mut dyn Machine, path: &Path) -> Map {
    let Ok(Some(stat)) = machine.stat(path, false) else {
        return map! { "state" => "absent" };
    };
    let state = match stat.kind {
        FileKind::Link => "link",
        FileKind::Directory => "directory",
        _ if stat.nlink > 1 => "hard",
        _ => "file",
    };
    map! {
        "uid" => stat.uid,
        "gid" => stat.gid,
        "owner" => machine.user_by_id(stat.uid).map_or_else(|| stat.uid.to_string(), |user| user.name),
        "group" => machine.group_by_id(stat.gid).map_or_else(|| stat.gid.to_string(), |group| group.name),
        "mode" => format!("{:04o}", stat.mode),
        "state" => state,
        "size" => stat.size,
    }
}

/// Keeps a copy of a file beside it and returns its name.
pub(crate) fn backup(machine: &mut dyn Machine, path: &Path) -> Result<Option<String>, Failure> {
    let Ok(Some(stat)) = machine.stat(path, true) else {
        return Ok(None);
    };
    let pid = machine
        .read_link(Path::new("/proc/self"))
        .map_or_else(|_| "0".to_owned(), |pid| pid.display().to_string());
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
    let seconds = machine.now() as i64;
    let time = jiff::Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::system());
    let name = format!(
        "{}.{pid}.{}~",
        path.display(),
        time.strftime("%Y-%m-%d@%H:%M:%S")
    );
    let attrs = Attrs {
        mode: Some(stat.mode),
        uid: Some(stat.uid),
        gid: Some(stat.gid),
        in_place: false,
    };
    let target = PathBuf::from(&name);
    machine
        .write(&target, Content::CopyOf(path), &attrs)
        .and_then(|()| machine.set_times(&target, Some(stat.atime), Some(stat.mtime)))
        .map_err(|error| {
            Failure::new(format!(
                "Could not make backup of {} to {name}: {error}",
                path.display()
            ))
        })?;
    Ok(Some(name))
}

/// Puts a new content in place, after a program of the user found it good.
pub(crate) fn write(
    machine: &mut dyn Machine,
    path: &Path,
    content: &[u8],
    attrs: &Attrs,
    validate: Option<&str>,
) -> Result<(), Failure> {
    if let Some(command) = validate {
        check(machine, content, command)?;
    }
    // A link stays a link: what it points to gets the content.
    let target = resolve(machine, path);
    machine
        .write(&target, Content::Bytes(content), attrs)
        .map_err(|error| {
            Failure::new(format!(
                "Could not replace file: {}: {error}",
                path.display()
            ))
        })
}

fn check(machine: &mut dyn Machine, content: &[u8], command: &str) -> Result<(), Failure> {
    if !command.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {command}")));
    }
    let file = temporary(machine, "validate");
    let attrs = Attrs {
        mode: Some(0o600),
        ..Attrs::default()
    };
    machine
        .write(&file, Content::Bytes(content), &attrs)
        .map_err(|error| Failure::new(error.to_string()))?;
    let words: Vec<String> = split_words(command)?
        .into_iter()
        .map(|word| word.replace("%s", &file.to_string_lossy()))
        .collect();
    let ran = machine.run(&Command::new(words));
    // Its only reader has ended.
    let _ = machine.remove(&file, false);
    match ran {
        Ok(Ran::Done(output)) if output.code != 0 => Err(Failure::new(format!(
            "failed to validate: rc:{} error:{}",
            output.code,
            output.stderr_text()
        ))),
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(format!("failed to validate: {error}"))),
    }
}

/// A name in the folder for temporary files that nobody has yet.
pub(crate) fn temporary(machine: &mut dyn Machine, what: &str) -> PathBuf {
    let folder = machine
        .process()
        .env
        .get("TMPDIR")
        .filter(|folder| folder.starts_with('/'))
        .cloned();
    let folder = PathBuf::from(folder.unwrap_or_else(|| "/tmp".to_owned()));
    loop {
        let path = folder.join(format!("ansible.{what}.{}", random_name(machine)));
        if !matches!(machine.stat(&path, false), Ok(Some(_))) {
            return path;
        }
    }
}

/// Eight letters that nobody can guess, where the machine has a source of chance.
pub(crate) fn random_name(machine: &mut dyn Machine) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_";
    let chance = machine
        .read(Path::new("/proc/sys/kernel/random/uuid"))
        .unwrap_or_default();
    let hex: String = String::from_utf8_lossy(&chance)
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    let clock = u128::from(machine.now().to_bits());
    let mut number = u128::from_str_radix(&hex, 16).unwrap_or(clock);
    let mut name = String::new();
    for _ in 0..8 {
        let index = usize::try_from(number % LETTERS.len() as u128).unwrap_or(0);
        name.push(char::from(LETTERS[index]));
        number /= LETTERS.len() as u128;
    }
    name
}

/// Follows symbolic links to the file that is meant.
pub(crate) fn resolve(machine: &mut dyn Machine, path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        match machine.stat(&path, false) {
            Ok(Some(stat)) if stat.kind == FileKind::Link => {}
            _ => break,
        }
        let Ok(target) = machine.read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    path
}

/// Makes a directory with those above it that are missing.
pub(crate) fn make_dirs(machine: &mut dyn Machine, path: &Path) -> Result<(), Failure> {
    let mut missing = Vec::new();
    let mut at = Some(path);
    while let Some(folder) = at.filter(|folder| !folder.as_os_str().is_empty()) {
        if matches!(machine.stat(folder, true), Ok(Some(_))) {
            break;
        }
        missing.push(folder.to_path_buf());
        at = folder.parent();
    }
    for folder in missing.iter().rev() {
        machine.make_dir(folder, None).map_err(|error| {
            Failure::new(format!("Error creating {}: {error}", folder.display()))
        })?;
    }
    Ok(())
}
