//! `unarchive`: the content of an archive in a folder, read and compared without programs.

mod open;
mod zip;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::CrcReader;
use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::machine::attrs::{
    FileArgs, Sides, add_path_info, make_dirs, os_error_text, real_path,
};
use rplay_modules::machine::{Attrs, Content, FileKind, Machine, Stat};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::text::fits;
use open::Archive;

/// Unpacks archives: tar, plain or compressed, and zip.
///
/// Archives are read by rplay itself, file by file, so that check mode tells what would change and
/// a second run changes nothing. Only `bzip2`, `xz` and `zstd` are run, for archives that they made.
#[derive(ModuleArgs)]
struct Args {
    /// The archive: a file of the controller; with `remote_src` a file of the target or an address.
    src: String,
    /// The folder, which has to be there.
    dest: PathBuf,
    /// The archive is on the target, or at an address from which the target gets it.
    #[arg(default = "false")]
    remote_src: bool,
    /// The archive is on the controller.
    #[arg(default = "true")]
    copy: bool,
    /// Do nothing when this path is there.
    creates: Option<PathBuf>,
    /// Tell the names that are in the archive.
    #[arg(default = "false")]
    list_files: bool,
    /// What is left out; `*`, `?` and `[...]` fit as in a shell.
    #[arg(default = "[]")]
    exclude: Vec<String>,
    /// What is unpacked; without it everything.
    #[arg(default = "[]")]
    include: Vec<String>,
    /// Leave files alone that are newer than in the archive.
    #[arg(default = "false")]
    keep_newer: bool,
    /// Options of `tar` and `unzip`: those for stripping components and for keeping owner,
    /// permissions and times are known.
    #[arg(default = "[]")]
    extra_opts: Vec<String>,
    /// Accepted; rplay decides how much it reads at once.
    #[arg(default = "65536")]
    io_buffer_size: u32,
    /// Whether certificates are checked when the archive comes from an address.
    #[arg(default = "true")]
    validate_certs: bool,
    /// Open an archive of the controller that is vaulted.
    #[arg(default = "true")]
    decrypt: bool,
    /// The archive, sent by the controller.
    #[arg(name = "_content")]
    sent: Option<Vec<u8>>,
    /// The archive in a file, sent by the controller.
    #[arg(name = "_blob")]
    spooled: Option<PathBuf>,
    /// Owner, group and mode of what is unpacked.
    #[arg(flatten)]
    file: FileArgs,
}

/// What comes back, beside what is told of the folder.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The folder.
    dest: String,
    /// The archive.
    src: String,
    /// The kind of archive, in Ansible's words.
    handler: String,
    /// What is in the archive, where `list_files` asks for it.
    files: Vec<String>,
}

module! {
    "ansible.builtin.unarchive", args: Args, returns: Values, run: run,
    rules: Rules { mutually_exclusive: &[&["include", "exclude"]], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    // These concern the controller, or nothing that rplay does.
    let _ = (
        args.copy,
        args.remote_src,
        args.io_buffer_size,
        args.decrypt,
    );
    if let Some(path) = &args.creates
        && matches!(machine.stat(path, true), Ok(Some(_)))
    {
        let msg = format!("skipped, since {} exists", path.display());
        let skipped = Outcome {
            skipped: true,
            ..Outcome::default()
        };
        return Ok(skipped.with("msg", msg));
    }
    let is_folder = |stat: &Stat| stat.kind == FileKind::Directory;
    if !matches!(machine.stat(&args.dest, true), Ok(Some(stat)) if is_folder(&stat)) {
        let msg = format!("dest '{}' must be an existing dir", args.dest.display());
        return Err(Failure::new(msg));
    }
    let options = Options::of(&args)?;
    let mut archive = Archive::open(machine, &args)?;
    let result = unpack(machine, &args, &options, &mut archive);
    archive.close(machine);
    result
}

fn unpack(
    machine: &mut dyn Machine,
    args: &Args,
    options: &Options,
    archive: &mut Archive,
) -> Result<Outcome, Failure> {
    let root = real_path(machine, &args.dest);
    let (mut files, mut wrong, mut told) = (Vec::new(), Vec::new(), String::new());
    archive.each(&mut |at, member, content| {
        if !options.takes(&member.name, archive_is_zip(&member)) {
            return Ok(());
        }
        if !options
            .exclude
            .iter()
            .any(|pattern| fits(pattern, &member.name))
        {
            files.push(member.name.clone());
        }
        let Some(path) = options.place(&root, &member)? else {
            return Ok(());
        };
        if let Some(line) = differs(machine, args, options, &member, &path, content)? {
            told.push_str(&line);
            wrong.push(at);
        }
        Ok(())
    })?;
    let mut folders = Vec::new();
    if !wrong.is_empty() {
        archive.each(&mut |at, member, content| {
            let Some(path) = options
                .place(&root, &member)?
                .filter(|_| wrong.contains(&at))
            else {
                return Ok(());
            };
            put(machine, options, &root, &member, &path, content)?;
            if matches!(member.kind, Kind::Folder) && options.times {
                folders.push((path, member.mtime));
            }
            Ok(())
        })?;
    }
    // What is put into a folder changes its time, so this comes last.
    for (path, mtime) in folders.into_iter().rev() {
        let _ = machine.set_times(&path, None, Some((mtime, 0)));
    }
    let mut changed = !wrong.is_empty();
    for name in &files {
        let path = root.join(name.trim_end_matches('/'));
        if matches!(machine.stat(&path, false), Ok(Some(_))) {
            changed |= args.file.ensure(machine, &path, &mut Sides::default())?;
        }
    }
    let mut outcome = Outcome::new(changed)
        .with("dest", args.dest.to_string_lossy().into_owned())
        .with("src", args.src.clone())
        .with("handler", archive.handler());
    add_path_info(machine, &args.dest, &mut outcome.results);
    if archive.is_zip() && !told.is_empty() {
        outcome = outcome.with_diff(Diff {
            prepared: Some(told),
            ..Diff::default()
        });
    }
    Ok(match args.list_files {
        true => outcome.with("files", files),
        false => outcome,
    })
}

/// What tells the members of an archive apart from those of another: see [`fingerprint`].
pub(crate) fn fingerprints(
    machine: &mut dyn Machine,
    path: &Path,
) -> Result<BTreeSet<String>, Failure> {
    let source = machine.open(path).map_err(|error| os_error_text(&error))?;
    let shown = path.to_string_lossy();
    let mut archive = Archive::of(machine, source, Some(path), &shown)?;
    let mut found = BTreeSet::new();
    let result = archive.each(&mut |_, member, content| {
        let mut sum = CrcReader::new(content);
        io::copy(&mut sum, &mut io::sink()).map_err(|error| os_error_text(&error))?;
        let header = (!archive_is_zip(&member)).then_some((member.mode.unwrap_or(0), member.mtime));
        let target = match &member.kind {
            Kind::Link(target) if !archive_is_zip(&member) => Some(target.as_path()),
            _ => None,
        };
        found.insert(fingerprint(&member.name, header, target, sum.crc().sum()));
        Ok(())
    });
    archive.close(machine);
    result.map(|()| found)
}

/// A member in a line: its name, in a tar archive its mode and time, a link's target, and the sum
/// of its content.
pub(crate) fn fingerprint(
    name: &str,
    header: Option<(u32, i64)>,
    target: Option<&Path>,
    sum: u32,
) -> String {
    format!("{name}|{header:?}|{target:?}|{sum:08x}")
}

fn archive_is_zip(member: &Member) -> bool {
    member.owner.is_none()
}

/// What is in an archive.
struct Member {
    /// As it is written there; folders end with a slash.
    name: String,
    kind: Kind,
    mode: Option<u32>,
    /// Numbers and names of owner and group; zip has none.
    owner: Option<Owner>,
    mtime: i64,
    size: u64,
}

/// Who owns a file in an archive.
struct Owner {
    uid: u32,
    gid: u32,
    user: String,
    group: String,
}

enum Kind {
    File,
    Folder,
    /// With what it leads to.
    Link(PathBuf),
    /// Another name of this member.
    Hard(PathBuf),
    /// A device or the like, which is not made.
    Other,
}

/// How the archive is unpacked.
struct Options {
    include: Vec<String>,
    exclude: Vec<String>,
    /// Components that names lose at their beginning.
    strip: usize,
    keep_newer: bool,
    owners: bool,
    modes: bool,
    times: bool,
    /// Mode bits that a new file does not get.
    umask: u32,
}

impl Options {
    fn of(args: &Args) -> Result<Self, Failure> {
        let mut options = Self {
            include: args.include.clone(),
            exclude: args.exclude.clone(),
            strip: 0,
            keep_newer: args.keep_newer,
            owners: true,
            modes: true,
            times: true,
            umask: 0,
        };
        let mut words = args.extra_opts.iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = || value.clone().or_else(|| words.next().cloned());
            match name {
                "--strip-components" | "--strip" => {
                    let count = value().unwrap_or_default();
                    options.strip = count
                        .parse()
                        .map_err(|_| format!("{word}: `{count}` is no number"))?;
                }
                "--exclude" => options.exclude.extend(value()),
                "--no-same-owner" | "-o" => options.owners = false,
                "--no-same-permissions" => options.modes = false,
                "--touch" | "-m" | "-DD" => options.times = false,
                "--keep-newer-files" => options.keep_newer = true,
                // What rplay does anyhow, or what says how much is printed.
                "--same-owner"
                | "--same-permissions"
                | "-p"
                | "--preserve-permissions"
                | "--overwrite"
                | "--no-overwrite-dir"
                | "--wildcards"
                | "--verbose"
                | "-v"
                | "--quiet"
                | "-q"
                | "-o-" => {}
                _ => {
                    return Err(Failure::new(format!(
                        "`{word}` in extra_opts is not supported: archives are read without `tar` and `unzip`"
                    )));
                }
            }
        }
        Ok(options)
    }

    /// Whether a member is wanted.
    fn takes(&self, name: &str, zip: bool) -> bool {
        let name = name.trim_end_matches('/');
        if !self.include.is_empty() {
            return self.include.iter().any(|wanted| {
                let wanted = wanted.trim_end_matches('/');
                let below = name
                    .strip_prefix(wanted)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                below || zip && fits(wanted, name)
            });
        }
        !self.exclude.iter().any(|pattern| excluded(pattern, name))
    }

    /// Where a member goes; nowhere when its name is stripped away.
    fn place(&self, root: &Path, member: &Member) -> Result<Option<PathBuf>, Failure> {
        let mut parts = Vec::new();
        for part in Path::new(&member.name).components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::ParentDir => {
                    let name = &member.name;
                    return Err(Failure::new(format!(
                        "failed to unpack: member `{name}` would leave the folder"
                    )));
                }
                _ => {}
            }
        }
        if parts.len() <= self.strip {
            return Ok(None);
        }
        let below: PathBuf = parts[self.strip..].iter().collect();
        Ok(Some(root.join(below)))
    }
}

/// As `tar --exclude`: a pattern fits a name, a part of it that begins behind a slash, or a folder
/// above it.
fn excluded(pattern: &str, name: &str) -> bool {
    let pattern = pattern.trim_end_matches('/');
    let starts = std::iter::once(0).chain(name.match_indices('/').map(|(at, _)| at + 1));
    starts.into_iter().any(|start| {
        let rest = &name[start..];
        let ends = rest.match_indices('/').map(|(at, _)| at);
        ends.chain(std::iter::once(rest.len()))
            .any(|end| fits(pattern, &rest[..end]))
    })
}

/// A line of what differs between a member and its place; nothing where nothing does.
fn differs(
    machine: &mut dyn Machine,
    args: &Args,
    options: &Options,
    member: &Member,
    path: &Path,
    content: &mut dyn Read,
) -> Result<Option<String>, Failure> {
    let letter = match member.kind {
        Kind::File => 'f',
        Kind::Folder => 'd',
        Kind::Link(_) => 'L',
        Kind::Hard(_) => 'h',
        Kind::Other => return Ok(None),
    };
    let line =
        |mark: char, flags: &str| Some(format!("{mark}{letter}{flags}.?? {}\n", member.name));
    let stat = machine
        .stat(path, false)
        .map_err(|error| failed(&error, path))?;
    let Some(stat) = stat else {
        return Ok(line('>', "++++++"));
    };
    let mut flags = ['.'; 6];
    match &member.kind {
        Kind::File if stat.kind == FileKind::File => {
            let newer = stat.mtime.0 > member.mtime;
            if options.keep_newer && newer {
                return Ok(None);
            }
            if stat.size != member.size {
                flags[1] = 's';
            }
            if stat.size != member.size || !same(machine, path, content)? {
                flags[0] = 'c';
            }
            if options.times && stat.mtime.0 != member.mtime {
                flags[2] = 't';
            }
        }
        Kind::Folder if stat.kind == FileKind::Directory => {}
        Kind::Link(target) if stat.kind == FileKind::Link => {
            if machine.read_link(path).ok().as_ref() != Some(target) {
                flags[0] = 'c';
            }
        }
        Kind::Hard(_) if stat.kind == FileKind::File && stat.nlink > 1 => {}
        _ => return Ok(line('>', "c+++++")),
    }
    let is_link = matches!(member.kind, Kind::Link(_) | Kind::Hard(_));
    let mode = mode_of(machine, options, member);
    if !is_link && args.file.mode.is_none() && mode.is_some_and(|mode| mode != stat.mode) {
        flags[3] = 'p';
    }
    let (uid, gid) = owner_of(machine, options, member);
    if args.file.owner.is_none() && uid.is_some_and(|uid| uid != stat.uid) {
        flags[4] = 'o';
    }
    if args.file.group.is_none() && gid.is_some_and(|gid| gid != stat.gid) {
        flags[5] = 'g';
    }
    let flags: String = flags.iter().collect();
    Ok((flags != "......").then(|| line('.', &flags)).flatten())
}

/// The mode that a member gets: all of it for root, else under the umask.
fn mode_of(machine: &mut dyn Machine, options: &Options, member: &Member) -> Option<u32> {
    let process = machine.process();
    let keeps = options.modes && (process.uid == 0 || member.owner.is_none());
    let umask = if keeps { options.umask } else { process.umask };
    member.mode.map(|mode| mode & !umask)
}

/// Owner and group that a member gets: only root gives files away.
fn owner_of(
    machine: &mut dyn Machine,
    options: &Options,
    member: &Member,
) -> (Option<u32>, Option<u32>) {
    let Some(owner) = member.owner.as_ref().filter(|_| options.owners) else {
        return (None, None);
    };
    if machine.process().uid != 0 {
        return (None, None);
    }
    let user = machine.user_by_name(&owner.user);
    let group = machine.group_by_name(&owner.group);
    (
        Some(user.map_or(owner.uid, |user| user.uid)),
        Some(group.map_or(owner.gid, |group| group.gid)),
    )
}

/// Whether a file has the content of a stream.
fn same(machine: &mut dyn Machine, path: &Path, content: &mut dyn Read) -> Result<bool, Failure> {
    let mut file = machine.open(path).map_err(|error| failed(&error, path))?;
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = fill(content, &mut left).map_err(|error| failed(&error, path))?;
        let other = fill(&mut file, &mut right).map_err(|error| failed(&error, path))?;
        if left[..count] != right[..other] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}

fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match stream.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

fn failed(error: &io::Error, path: &Path) -> Failure {
    let error = os_error_text(error);
    Failure::new(format!("failed to unpack {}: {error}", path.display()))
}

/// Content up to this size is put in place from memory.
const SMALL: u64 = 1 << 20;

/// Puts a member in its place.
fn put(
    machine: &mut dyn Machine,
    options: &Options,
    root: &Path,
    member: &Member,
    path: &Path,
    content: &mut dyn Read,
) -> Result<(), Failure> {
    let fail = |error: io::Error| failed(&error, path);
    if let Some(folder) = path.parent() {
        // A link that an earlier member has left must not lead out of the folder.
        if !real_path(machine, folder).starts_with(root) {
            return Err(Failure::new(format!(
                "failed to unpack {}: a link leads out of the folder",
                path.display()
            )));
        }
        make_dirs(machine, folder)?;
    }
    let old = machine.stat(path, false).map_err(fail)?;
    let is_folder = old
        .as_ref()
        .is_some_and(|stat| stat.kind == FileKind::Directory);
    if is_folder && !matches!(member.kind, Kind::Folder) {
        machine.remove(path, false).map_err(fail)?;
    }
    let mode = mode_of(machine, options, member);
    let (uid, gid) = owner_of(machine, options, member);
    let attrs = Attrs {
        mode,
        uid,
        gid,
        in_place: false,
    };
    match &member.kind {
        Kind::File => {
            write(machine, member, path, &attrs, content)?;
            if options.times {
                let time = Some((member.mtime, 0));
                machine.set_times(path, time, time).map_err(fail)?;
            }
        }
        Kind::Folder => {
            match old {
                Some(_) if is_folder => {}
                Some(_) => {
                    machine.remove(path, false).map_err(fail)?;
                    machine.make_dir(path, mode).map_err(fail)?;
                }
                None => machine.make_dir(path, mode).map_err(fail)?,
            }
            machine.chown(path, uid, gid, false).map_err(fail)?;
            if let Some(mode) = mode {
                machine.chmod(path, mode, false).map_err(fail)?;
            }
        }
        Kind::Link(target) => {
            machine.symlink(target, path).map_err(fail)?;
            machine.chown(path, uid, gid, false).map_err(fail)?;
        }
        Kind::Hard(target) => {
            let target = Member {
                name: target.to_string_lossy().into_owned(),
                ..nameless()
            };
            if let Some(target) = options.place(root, &target)? {
                machine.hard_link(&target, path).map_err(fail)?;
            }
        }
        Kind::Other => {}
    }
    Ok(())
}

/// A member of which only the name counts.
fn nameless() -> Member {
    Member {
        name: String::new(),
        kind: Kind::File,
        mode: None,
        owner: None,
        mtime: 0,
        size: 0,
    }
}

fn write(
    machine: &mut dyn Machine,
    member: &Member,
    path: &Path,
    attrs: &Attrs,
    content: &mut dyn Read,
) -> Result<(), Failure> {
    let fail = |error: io::Error| failed(&error, path);
    if member.size > SMALL
        && let Some(mut scratch) = machine.scratch(path).map_err(fail)?
    {
        io::copy(content, &mut scratch).map_err(fail)?;
        return machine.publish(scratch, path, attrs).map_err(fail);
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(fail)?;
    machine
        .write(path, Content::Bytes(&bytes), attrs)
        .map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(excluded("a", "a") && excluded("a", "d/a/b") && excluded("*.o", "d/x.o"));
        assert!(excluded("d/b", "d/b") && !excluded("b", "ab") && !excluded("d/b", "d/c"));
    }
}
