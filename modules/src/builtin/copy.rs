//! `copy`: puts content in place: what the controller sent, or a file or directory of the target.

mod tree;

use std::io;
use std::path::{Path, PathBuf};

use rplay_modules::args::{Mode, ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{
    FileArgs, Sides, Validated, add_path_info, backup, content_side, file_side, os_error,
    os_error_text, real_path, validate,
};
use rplay_modules::machine::digest::Algorithm;
use rplay_modules::machine::{Access, Content, FileKind, Machine, Stat};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::registry;

/// Copies files to the targets, from the controller or from the target itself.
#[derive(ModuleArgs)]
struct Args {
    /// The file or directory to copy: on the controller, or on the target with `remote_src`. Of a directory with a slash at the end the content is copied, without one the directory itself.
    #[arg(kind = "path")]
    src: Option<String>,
    /// The content of the file, instead of `src`.
    content: Option<Vec<u8>>,
    /// The path on the target. Where it is a directory or ends with a slash, the file keeps its name in it.
    #[arg(kind = "path")]
    dest: String,
    /// Keep a copy of the old file under a name with the time in it.
    #[arg(default = "false")]
    backup: bool,
    /// Replace a file with another content. Without it only a missing file is created.
    #[arg(default = "true")]
    force: bool,
    /// The permissions of directories that are created. With `mode` alone they get the system's default.
    directory_mode: Option<Mode>,
    /// The source is on the target.
    #[arg(default = "false")]
    remote_src: bool,
    /// Where `dest` is a symbolic link, write what it leads to. Without it a file takes the place of the link.
    #[arg(default = "false")]
    follow: bool,
    /// Copy what symbolic links on the controller lead to, not the links.
    #[arg(default = "true")]
    local_follow: bool,
    /// The SHA-1 checksum that the source has to have.
    checksum: Option<String>,
    /// A command that checks the file before it is put in place; `%s` is the path of the file to check. It is not run in check mode.
    validate: Option<String>,
    /// Decrypt a source that is encrypted by vault.
    #[arg(default = "true")]
    decrypt: bool,
    /// The content, sent by the controller.
    #[arg(name = "_content")]
    sent: Option<Vec<u8>>,
    /// The content in a file, sent by the controller.
    #[arg(name = "_blob")]
    spooled: Option<PathBuf>,
    /// SHA-1 and MD5 of what is in that file.
    #[arg(name = "_sums")]
    sums: Option<Vec<String>>,
    /// The checksum of the content, where `_blob` would be what is there already.
    #[arg(name = "_same")]
    same: Option<String>,
    /// The calls that make a tree of the controller, in their order.
    #[arg(name = "_calls")]
    calls: Option<Vec<Data>>,
    /// The name of the source, for a `dest` that is a directory.
    #[arg(name = "_original_basename")]
    basename: Option<String>,
    /// The path of the source on the controller, as differences show it.
    #[arg(name = "_source")]
    shown_source: Option<String>,
    #[arg(flatten)]
    file: FileArgs,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The path that was written.
    dest: String,
    /// The source, where it is on the target.
    src: String,
    /// SHA-1 checksum of the content.
    checksum: String,
    /// MD5 checksum of the content, when it was written.
    md5sum: String,
    /// The name of the copy of the old file, with `backup`.
    backup_file: String,
    /// What the path is now: `file` or `directory`.
    state: String,
    /// Permissions, `0644`.
    mode: String,
    /// Name of the owner.
    owner: String,
    /// Name of the group.
    group: String,
    /// Number of the owner.
    uid: i64,
    /// Number of the group.
    gid: i64,
    /// Size in bytes.
    size: i64,
}

module! { "ansible.builtin.copy", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    // What the controller does with its own files was done before the call.
    let _ = (args.local_follow, args.decrypt);
    if let Some(calls) = &args.calls {
        return several(machine, calls);
    }
    let source = Source::of(&mut args)?;
    if let Source::Remote(path) = &source {
        let stat = readable_source(machine, path)?;
        if args.file.mode == Some(Mode::Preserve) {
            args.file.mode = Some(Mode::Bits(stat.mode));
        }
        if stat.kind == FileKind::Directory {
            return tree::copy(machine, &args, path);
        }
    }
    let target = Target::find(machine, &args, &source)?;
    let checksum = source.checksum(machine, Algorithm::Sha1)?;
    if let Some(expected) = args
        .checksum
        .as_ref()
        .filter(|expected| **expected != checksum)
    {
        let failure =
            Failure::new("Copied file does not match the expected checksum. Transfer failed.");
        return Err(failure
            .with("checksum", checksum)
            .with("expected_checksum", expected.as_str()));
    }
    place(machine, &args, &source, &target, &checksum)
}

/// Makes directories and files in one call: a tree of small files would take a turn for each of them.
fn several(machine: &mut dyn Machine, calls: &[Data]) -> Result<Outcome, Failure> {
    let mut all = Outcome::default();
    for args in calls.iter().filter_map(Data::as_map) {
        let module = if args.contains_key("dest") {
            "ansible.builtin.copy"
        } else {
            "ansible.builtin.file"
        };
        let module = registry::find(module).ok_or("there is no such module".to_owned())?;
        let one = (module.run)(machine, args)?;
        all.changed |= one.changed;
        all.diff.extend(one.diff);
        all.warnings.extend(one.warnings);
    }
    Ok(all)
}

/// Where the content comes from.
enum Source {
    Bytes(Vec<u8>),
    /// A file that the agent spooled, with its SHA-1 and MD5. It goes away after the call, so it may
    /// be moved into place.
    Spooled(PathBuf, Vec<String>),
    /// The file that is there has the content already, with this checksum.
    Same(PathBuf, String),
    /// A path of the target, as it was written.
    Remote(String),
}

impl Source {
    fn of(args: &mut Args) -> Result<Self, Failure> {
        let sent = args.sent.take();
        match (args.content.take(), args.src.clone()) {
            (Some(_), Some(_)) => Err(Failure::new("src and content are mutually exclusive")),
            (Some(content), None) => Ok(Self::Bytes(sent.unwrap_or(content))),
            _ if sent.is_some() => Ok(Self::Bytes(sent.unwrap_or_default())),
            _ if args.same.is_some() => Ok(Self::Same(
                PathBuf::from(&args.dest),
                args.same.take().unwrap_or_default(),
            )),
            _ if args.spooled.is_some() => Ok(Self::Spooled(
                args.spooled.take().unwrap_or_default(),
                args.sums.take().unwrap_or_default(),
            )),
            (None, Some(src)) if args.remote_src => Ok(Self::Remote(src)),
            (None, Some(src)) => Err(Failure::new(format!("the content of {src} was not sent"))),
            (None, None) => Err(Failure::new("src (or content) is required")),
        }
    }

    fn content(&self) -> Content<'_> {
        match self {
            Self::Bytes(bytes) => Content::Bytes(bytes),
            Self::Spooled(path, _) => Content::Take(path),
            Self::Same(path, _) => Content::CopyOf(path),
            Self::Remote(path) => Content::CopyOf(Path::new(path)),
        }
    }

    fn checksum(&self, machine: &mut dyn Machine, algorithm: Algorithm) -> Result<String, Failure> {
        let known = match (self, algorithm) {
            (Self::Same(_, sum), Algorithm::Sha1) => Some(sum),
            (Self::Spooled(_, sums), Algorithm::Sha1) => sums.first(),
            (Self::Spooled(_, sums), Algorithm::Md5) => sums.get(1),
            _ => None,
        };
        if let Some(sum) = known {
            return Ok(sum.clone());
        }
        let sum = match self {
            Self::Bytes(bytes) => algorithm.of(&mut bytes.as_slice()),
            Self::Spooled(path, _) | Self::Same(path, _) => algorithm.of_file(machine, path),
            Self::Remote(path) => algorithm.of_file(machine, Path::new(path)),
        };
        Ok(sum.map_err(|error| format!("the source cannot be read: {}", os_error_text(&error)))?)
    }

    /// The name that the file has in a directory.
    fn name(&self, args: &Args) -> Option<String> {
        let own = match self {
            Self::Remote(path) => Path::new(path)
                .file_name()
                .map(|name| name.to_string_lossy().into_owned()),
            _ => None,
        };
        args.basename.clone().or(own)
    }
}

fn readable_source(machine: &mut dyn Machine, path: &str) -> Result<Stat, Failure> {
    let stat = machine
        .stat(Path::new(path), true)
        .map_err(|error| os_error(&error, Path::new(path)))?;
    let stat = stat.ok_or_else(|| format!("Source {path} not found"))?;
    if !machine.access(Path::new(path), Access::Read) {
        return Err(format!("Source {path} not readable").into());
    }
    if !matches!(stat.kind, FileKind::File | FileKind::Directory) {
        return Err(format!("Cannot copy invalid source '{path}': not a file").into());
    }
    Ok(stat)
}

/// Where the content goes.
struct Target {
    /// The path that is written.
    path: PathBuf,
    /// The path in differences: not looked through links.
    shown: PathBuf,
    /// What is there now.
    old: Option<Stat>,
}

impl Target {
    fn find(machine: &mut dyn Machine, args: &Args, source: &Source) -> Result<Self, Failure> {
        let dest = Path::new(&args.dest);
        let look = |machine: &mut dyn Machine,
                    path: &Path,
                    follow: bool|
         -> Result<Option<Stat>, Failure> {
            Ok(machine
                .stat(path, follow)
                .map_err(|error| os_error(&error, path))?)
        };
        let is_directory =
            look(machine, dest, true)?.is_some_and(|stat| stat.kind == FileKind::Directory);
        let mut path = dest.to_owned();
        if is_directory || args.dest.ends_with('/') {
            let name = source
                .name(args)
                .ok_or("can not use content with a dir as dest".to_owned())?;
            if !is_directory {
                tree::make_directories(machine, args, dest)?;
            }
            path.push(name);
        }
        let shown = path.clone();
        if args.follow
            && look(machine, &path, false)?.is_some_and(|stat| stat.kind == FileKind::Link)
        {
            path = real_path(machine, &path);
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let parent = machine
            .stat(folder, true)
            .map_err(|error| match error.raw_os_error() {
                Some(13) => format!(
                    "Destination directory {} is not accessible",
                    folder.display()
                ),
                _ => os_error(&error, folder),
            })?;
        if parent.is_none_or(|parent| parent.kind != FileKind::Directory) {
            return Err(
                format!("Destination directory {} does not exist", folder.display()).into(),
            );
        }
        if !args.file.unsafe_writes && !machine.access(folder, Access::Write) {
            return Err(format!("Destination {} not writable", folder.display()).into());
        }
        let old = look(machine, &path, false)?;
        if old
            .as_ref()
            .is_some_and(|old| old.kind == FileKind::Directory)
        {
            return Err(
                format!("cannot replace the directory {} by a file", path.display()).into(),
            );
        }
        Ok(Self { path, shown, old })
    }

    /// The checksum of what is there. Anything but a regular file is always replaced.
    fn checksum(&self, machine: &mut dyn Machine) -> Option<String> {
        self.old.as_ref().filter(|old| old.kind == FileKind::File)?;
        Algorithm::Sha1.of_file(machine, &self.path).ok()
    }
}

/// Writes the file where it differs, and makes its attributes what they should be.
fn place(
    machine: &mut dyn Machine,
    args: &Args,
    source: &Source,
    target: &Target,
    checksum: &str,
) -> Result<Outcome, Failure> {
    let path = &target.path;
    let remote = match source {
        Source::Remote(src) => Some(src.as_str()),
        _ => None,
    };
    if target.old.is_some() && !args.force {
        return Ok(already_there(machine, args, remote, path));
    }
    let mut results = Map::new();
    let writes = target.checksum(machine).is_none_or(|old| old != checksum);
    let diff = (writes && remote.is_none()).then(|| difference(machine, args, source, target));
    let md5sum = if writes || remote.is_some() {
        Some(source.checksum(machine, Algorithm::Md5)?)
    } else {
        None
    };
    if writes {
        results = write(machine, args, source, target, checksum)?;
    }
    // A file that was written has its owner and mode already; a symbolic mode must not be applied twice.
    let rest = match writes {
        true => FileArgs {
            owner: None,
            group: None,
            mode: None,
            ..args.file.clone()
        },
        false => args.file.clone(),
    };
    let mut sides = Sides::of(path);
    let changed = rest.ensure(machine, path, &mut sides)? || writes;
    let mut outcome = Outcome {
        changed,
        results,
        ..Outcome::default()
    };
    let mut add = |name: &str, value: Data| outcome.results.insert(name.to_owned(), value);
    add("dest", path.to_string_lossy().as_ref().into());
    add("checksum", checksum.into());
    if let Some(md5sum) = md5sum {
        add("md5sum", md5sum.into());
    } else {
        add("path", path.to_string_lossy().as_ref().into());
    }
    match remote {
        Some(src) => {
            add("src", src.into());
        }
        None => outcome.diff.push(diff.unwrap_or_else(|| sides.diff())),
    }
    add_path_info(machine, path, &mut outcome.results);
    Ok(outcome)
}

fn already_there(
    machine: &mut dyn Machine,
    args: &Args,
    remote: Option<&str>,
    path: &Path,
) -> Outcome {
    let Some(src) = remote else {
        return Outcome::unchanged().with("dest", args.dest.as_str());
    };
    let outcome = Outcome::unchanged()
        .with("msg", "file already exists")
        .with("src", src);
    let mut outcome = outcome.with("dest", path.to_string_lossy().as_ref());
    add_path_info(machine, path, &mut outcome.results);
    outcome
}

/// The difference of the content, with what is there before.
fn difference(machine: &mut dyn Machine, args: &Args, source: &Source, target: &Target) -> Diff {
    let after = match source {
        Source::Bytes(bytes) => content_side(Some(bytes)),
        Source::Spooled(path, _) | Source::Same(path, _) => file_side(machine, path),
        Source::Remote(path) => file_side(machine, Path::new(path)),
    };
    let shown = target.shown.to_string_lossy().into_owned();
    Diff {
        before: file_side(machine, &target.path),
        after,
        before_header: target.old.is_some().then(|| shown.clone()),
        after_header: Some(args.shown_source.clone().unwrap_or(shown)),
        prepared: None,
    }
}

/// Validates, saves the old file, and writes the new one with its attributes.
fn write(
    machine: &mut dyn Machine,
    args: &Args,
    source: &Source,
    target: &Target,
    checksum: &str,
) -> Result<Map, Failure> {
    let mut results = Map::new();
    let path = &target.path;
    let attrs = args.file.for_write(
        machine,
        target.old.as_ref().filter(|old| old.kind == FileKind::File),
    )?;
    if let Some(command) = &args.validate {
        // Moving it away would leave nothing to put in place.
        let content = match source.content() {
            Content::Take(path) => Content::CopyOf(path),
            other => other,
        };
        let verdict = validate(machine, command, content)
            .map_err(|failure| failure.with("checksum", checksum))?;
        if let Validated::Bad(output) = verdict {
            let failure = Failure::new("failed to validate")
                .with("exit_status", output.code)
                .with("checksum", checksum);
            return Err(failure
                .with("stdout", output.stdout_text())
                .with("stderr", output.stderr_text()));
        }
    }
    if args.backup
        && let Some(name) = backup(machine, path)?
    {
        results.insert("backup_file".to_owned(), name.into());
    }
    let written = machine.write(path, source.content(), &attrs);
    written.map_err(|error| cannot_write(args, &error, path))?;
    Ok(results)
}

fn cannot_write(args: &Args, error: &io::Error, path: &Path) -> Failure {
    let gives_away = args.file.owner.is_some() || args.file.group.is_some();
    // The one thing that needs this permission is changing the owner.
    let what = if gives_away && error.raw_os_error() == Some(1) {
        "chown failed"
    } else {
        "failed to copy"
    };
    format!("{what}: {}", os_error(error, path)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rplay_modules::args::prepare;
    use rplay_modules::machine::Attrs;
    use rplay_modules::machine::memory::Memory;
    use rplay_modules::map;
    use rplay_modules::outcome::DiffSide;

    fn call(machine: &mut Memory, args: Map) -> Result<Outcome, Failure> {
        let prepared = prepare(&MODULE, &args)
            .map_err(|problems| Failure::new(problems[0].message.clone()))?;
        (MODULE.run)(machine, &prepared.args)
    }

    #[test]
    fn content_is_written_once() {
        let mut machine = Memory::small();
        let args = map! { "content" => "hello\n", "dest" => "/tmp/f", "mode" => "0600", "owner" => "alice" };
        let outcome = call(&mut machine, args.clone()).unwrap();
        assert!(outcome.changed);
        assert_eq!(
            outcome.results["checksum"],
            Data::from("f572d396fae9206628714fb2ce00f72e94f2258f")
        );
        assert_eq!(outcome.diff[0].after, DiffSide::Text("hello\n".to_owned()));
        assert_eq!(outcome.diff[0].before_header, None);
        let again = call(&mut machine, args).unwrap();
        assert!(!again.changed);
        assert_eq!(again.results["path"], Data::from("/tmp/f"));
        let mode = call(
            &mut machine,
            map! { "content" => "hello\n", "dest" => "/tmp/f", "mode" => "u+x" },
        )
        .unwrap();
        assert_eq!(
            mode.diff[0].before,
            DiffSide::Attributes(map! { "path" => "/tmp/f", "mode" => "0600" })
        );
    }

    #[test]
    fn names_directories_and_links() {
        let mut machine = Memory::small();
        let sent = |dest: &str| map! { "src" => "x/app.conf", "_content" => Data::Bytes(b"x".to_vec()), "_original_basename" => "app.conf", "dest" => dest };
        assert_eq!(
            call(&mut machine, sent("/tmp")).unwrap().results["dest"],
            Data::from("/tmp/app.conf")
        );
        assert_eq!(
            call(&mut machine, sent("/tmp/new/dir/")).unwrap().results["dest"],
            Data::from("/tmp/new/dir/app.conf")
        );
        let failure = call(&mut machine, sent("/tmp/none/f")).unwrap_err();
        assert_eq!(
            failure.msg,
            "Destination directory /tmp/none does not exist"
        );
        let failure = call(&mut machine, map! { "content" => "x", "dest" => "/tmp" }).unwrap_err();
        assert_eq!(failure.msg, "can not use content with a dir as dest");
        machine
            .symlink(Path::new("app.conf"), Path::new("/tmp/l"))
            .unwrap();
        let follow = map! { "content" => "y", "dest" => "/tmp/l", "follow" => true };
        assert_eq!(
            call(&mut machine, follow).unwrap().results["dest"],
            Data::from("/tmp/app.conf")
        );
        assert!(
            call(&mut machine, map! { "content" => "y", "dest" => "/tmp/l" })
                .unwrap()
                .changed
        );
        assert_eq!(
            machine
                .stat(Path::new("/tmp/l"), false)
                .unwrap()
                .unwrap()
                .kind,
            FileKind::File
        );
    }

    #[test]
    fn remote_directories() {
        let mut machine = Memory::small();
        machine.make_dir(Path::new("/tmp/s"), None).unwrap();
        machine
            .write(
                Path::new("/tmp/s/f"),
                Content::Bytes(b"x"),
                &Attrs {
                    mode: Some(0o640),
                    ..Attrs::default()
                },
            )
            .unwrap();
        let args = map! { "src" => "/tmp/s", "dest" => "/tmp/t", "remote_src" => true, "owner" => "alice" };
        assert!(call(&mut machine, args.clone()).unwrap().changed);
        let stat = machine
            .stat(Path::new("/tmp/t/s/f"), false)
            .unwrap()
            .unwrap();
        assert_eq!((stat.mode, stat.uid), (0o640, 1000));
        assert!(!call(&mut machine, args).unwrap().changed);
    }
}
