//! `singularity`: a container image as a SIF file, pulled natively or by the program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{self, FileArgs, Sides};
use rplay_modules::machine::{Attrs, FileKind, Machine};
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::oci::Digest;
use crate::oci::credentials::Credentials;
use crate::oci::image::Platform;
use crate::oci::program::{self, Program};
use crate::oci::pull::{self, Decision, Present, Wanted};
use crate::oci::reference::{self, Source};
use crate::oci::registry::Access;
use crate::oci::sif::{Found, Record};
use crate::oci::tls::Trust;

/// Keeps a container image as a SIF file, as `singularity pull` and `apptainer pull` write it.
///
/// The image comes from a registry, an OCI layout, an archive or a finished SIF file. Its digest is
/// recorded inside of the file, so that a second run knows it again and a moved tag is seen. The
/// native engine needs no program and no rights on the machine, and writes the same file each time.
#[derive(ModuleArgs)]
struct Args {
    /// The image: `docker://REPOSITORY:TAG`, `oras://`, `library://`, `oci:FOLDER:TAG`,
    /// `oci-archive:FILE`, `docker-archive:FILE`, `https://`, or the path of a SIF file or of a
    /// definition (`.def`, which the program builds), on the machine of the task.
    #[arg(alias = "src")]
    image: Option<String>,
    /// The SIF file. In a folder that is there it is named `NAME_TAG.sif`, as the program does.
    #[arg(kind = "path", alias = "path")]
    dest: String,
    /// `present`: there, and made from this image. `latest`: also of the digest that the tag has
    /// now. `absent`: gone.
    #[arg(default = "present")]
    state: State,
    /// Make it anew although it is there, and replace a file that is no SIF file.
    #[arg(default = "false")]
    force: bool,
    /// The architecture (`amd64`, `arm64`, `arm/v7` ...); that of the machine unless given.
    #[arg(alias = "architecture")]
    arch: Option<String>,
    /// `native`: rplay itself. `program`: `apptainer` or `singularity`, whichever there is, or the
    /// one that is named here. `auto`: the program where `executable` or `module` names it or only
    /// it knows the image's scheme.
    #[arg(default = "auto")]
    engine: Engine,
    /// The program; `apptainer` or `singularity` in `PATH` unless given.
    executable: Option<String>,
    /// Lmod modules that are loaded before the program is run.
    #[arg(alias = "modules")]
    module: Option<Vec<String>>,
    /// The user of the registry. Log-ins that `apptainer`, `podman` or `docker` have left are used,
    /// too.
    username: Option<String>,
    /// The password or access token of the registry.
    #[arg(secret, alias = "token")]
    password: Option<String>,
    /// Talk to the registry without TLS. Unless said, only on the machine's own addresses.
    #[arg(alias = "insecure", alias = "no_https", alias = "nohttps")]
    plain_http: Option<bool>,
    /// Whether the registry's certificate is checked.
    #[arg(default = "true")]
    validate_certs: bool,
    /// How many seconds the registry may be silent.
    #[arg(default = "60")]
    timeout: u32,
    /// The digest that the image must have: that of its manifest or list of manifests, or that of
    /// the file where the image is a SIF file.
    #[arg(alias = "checksum")]
    digest: Option<String>,
    /// Registries that are asked before that of the image, in order: `HOST`, `HOST/PREFIX`, or with
    /// `http://` for one without TLS. They get no `username` and `password`.
    #[arg(alias = "mirror")]
    mirrors: Option<Vec<String>>,
    /// The address of the library that `library://` means.
    library: Option<String>,
    /// Owner, group and mode of the file. A new one can be run, as those of the program can.
    #[arg(flatten)]
    file: FileArgs,
}

/// What is to be.
#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    Latest,
    Absent,
}

/// What pulls.
#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Auto,
    Native,
    Program,
    Apptainer,
    Singularity,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The SIF file.
    dest: String,
    /// The image as it was written.
    image: String,
    /// The digest of the image's manifest, where the file records it.
    digest: String,
    /// The digest of the list of manifests that led to it.
    index_digest: String,
    /// What the image runs on, `linux/amd64`.
    platform: String,
    /// Bytes of the image's layers as they are stored.
    image_size: i64,
    /// The image's labels.
    labels: Map,
    /// The engine that was, or would be, used.
    engine: String,
    /// Size of the file in bytes; in check mode not that of the file to be.
    size: i64,
    /// Permissions of the file; with `owner`, `group`, `uid`, `gid` and `state`, as files have them.
    mode: String,
}

module! {
    "rplay.general.singularity", args: Args, returns: Values, run: run,
    aliases: ["rplay.general.apptainer"],
    rules: Rules {
        required_if: &[("state", "present", &["image"], false), ("state", "latest", &["image"], false)],
        required_together: &[&["username", "password"]],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    if let Engine::Apptainer | Engine::Singularity = args.engine {
        let named = args.engine.word().to_owned();
        args.executable.get_or_insert(named);
        args.engine = Engine::Program;
    }
    if args.state == State::Absent {
        return remove(machine, Path::new(&args.dest));
    }
    let wanted = wanted(&args)?;
    let dest = destination(machine, &args, &wanted)?;
    let new = attributes(machine, &args, &dest)?;
    let present = look(machine, &args, &dest)?;
    let by_program = by_program(&args, &wanted)?;
    let before = describe(present.as_ref(), &dest);

    let kept = present.as_ref().filter(|_| !args.force);
    let known =
        kept.is_some_and(|present| pull::known(&wanted, present, args.state == State::Latest));
    let (made, record) = match (known, by_program) {
        (true, _) => (false, present.as_ref().and_then(Present::record).cloned()),
        (_, true) => with_program(machine, &args, &wanted, &dest, kept, &new)?,
        (_, false) => natively(machine, &wanted, &dest, kept, &new)?,
    };
    let mut sides = Sides::of(&dest);
    if made {
        sides.before = before;
        sides.after = file_at(&dest);
        sides.after.extend(record.iter().flat_map(origin));
    }
    let changed = args.file.ensure(machine, &dest, &mut sides)? || made;
    let mut outcome = Outcome::new(changed);
    if changed {
        outcome = outcome.with_diff(sides.diff());
    }
    let engine = if by_program { "program" } else { "native" };
    let mut outcome = results(outcome, record.as_ref())
        .with("dest", dest.to_string_lossy().into_owned())
        .with("image", args.image)
        .with("engine", engine);
    attrs::add_path_info(machine, &dest, &mut outcome.results);
    Ok(outcome)
}

fn wanted(args: &Args) -> Result<Wanted, Failure> {
    let text = args.image.clone().unwrap_or_default();
    let source = reference::parse(&text)?;
    let credentials = args.username.clone().zip(args.password.clone());
    let credentials = credentials.map(|(username, password)| Credentials { username, password });
    if let (Source::Library(..), Some(_)) = (&source, &credentials) {
        let text = "`username` and `password` are those of a registry; a library wants a token, which only the program \
                    sends (`engine: program`, after `apptainer remote login`)";
        return Err(Failure::new(text));
    }
    Ok(Wanted {
        source,
        platform: Platform::parse(args.arch.as_deref())?,
        digest: args.digest.as_deref().map(Digest::parse).transpose()?,
        access: Access {
            credentials,
            plain_http: args.plain_http,
            trust: Trust::of(args.validate_certs, None),
            timeout: Duration::from_secs(args.timeout.max(1).into()),
        },
        mirrors: args.mirrors.clone().unwrap_or_default(),
        library: args.library.clone(),
        text,
    })
}

/// The file, and the folder in which it will be.
fn destination(
    machine: &mut dyn Machine,
    args: &Args,
    wanted: &Wanted,
) -> Result<PathBuf, Failure> {
    let mut dest = PathBuf::from(&args.dest);
    let stat = |machine: &mut dyn Machine, path: &Path| {
        machine
            .stat(path, true)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    };
    if stat(machine, &dest)?.is_some_and(|stat| stat.kind == FileKind::Directory) {
        dest.push(default_name(&wanted.source));
    }
    let folder = dest
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match stat(machine, folder)? {
        Some(stat) if stat.kind == FileKind::Directory => Ok(dest),
        Some(_) => Err(Failure::new(format!(
            "Destination {} is not a directory",
            folder.display()
        ))),
        None => Err(Failure::new(format!(
            "Destination directory {} does not exist",
            folder.display()
        ))),
    }
}

/// `NAME_TAG.sif`, as the program has it.
fn default_name(source: &Source) -> String {
    let last = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let (name, tag) = match source {
        Source::Registry(name) | Source::Oras(name) => {
            let repository = name
                .repository
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            (
                repository,
                name.tag.clone().or(name
                    .digest
                    .as_ref()
                    .map(|digest| digest.hex()[..12].to_owned())),
            )
        }
        Source::Layout(place) | Source::OciArchive(place) | Source::DockerArchive(place) => {
            let stem = last(&place.path);
            (stem.trim_end_matches(".tar").to_owned(), place.tag.clone())
        }
        Source::File(path) => return last(path),
        Source::Definition(path) => (last(path).trim_end_matches(".def").to_owned(), None),
        Source::Library(_, name) => {
            let name = name.rsplit('/').next().unwrap_or_default();
            let (name, tag) = name.split_once(':').unwrap_or((name, ""));
            (name.to_owned(), Some(tag.to_owned()))
        }
        Source::Url(url) => return url.rsplit('/').next().unwrap_or_default().to_owned(),
        Source::Foreign(_) => ("image".to_owned(), Some("latest".to_owned())),
    };
    let tag = tag.unwrap_or_else(|| "latest".to_owned());
    format!("{name}_{}.sif", tag.replace(['/', ':'], "_"))
}

fn look(machine: &mut dyn Machine, args: &Args, dest: &Path) -> Result<Option<Present>, Failure> {
    let present = pull::look(machine, dest)?;
    if let Some(Present {
        found: Found::Other,
        ..
    }) = &present
        && !args.force
    {
        return Err(Failure::new(format!(
            "{} exists and is not a SIF file; `force: true` replaces it",
            dest.display()
        )));
    }
    Ok(present)
}

fn by_program(args: &Args, wanted: &Wanted) -> Result<bool, Failure> {
    let named = args.executable.is_some()
        || args
            .module
            .as_ref()
            .is_some_and(|modules| !modules.is_empty());
    let by_program = match args.engine {
        Engine::Auto => {
            named || matches!(wanted.source, Source::Foreign(_) | Source::Definition(_))
        }
        Engine::Native if named => {
            return Err(Failure::new(
                "`executable` and `module` belong to the engine `program`, not to `native`",
            ));
        }
        engine => engine == Engine::Program,
    };
    if by_program && !args.validate_certs {
        return Err(Failure::new(
            "the engine `program` cannot go without checking certificates; use `native`",
        ));
    }
    if by_program && !wanted.mirrors.is_empty() {
        return Err(Failure::new(
            "the engine `program` takes its mirrors from its own configuration; `mirrors` belongs to `native`",
        ));
    }
    Ok(by_program)
}

/// Pulls with rplay itself; says whether the file is another one now, and where it comes from.
fn natively(
    machine: &mut dyn Machine,
    wanted: &Wanted,
    dest: &Path,
    kept: Option<&Present>,
    attrs: &Attrs,
) -> Result<(bool, Option<Record>), Failure> {
    match pull::decide(machine, wanted, kept.map(|present| (dest, present)))? {
        Decision::Keep(record) => Ok((false, Some(record))),
        Decision::Make(located) => {
            let record = pull::record(wanted, &located);
            pull::make(machine, wanted, located, dest, attrs)?;
            Ok((true, Some(record)))
        }
    }
}

/// Pulls with the program. Which image it will get is found out without it, where that can be.
fn with_program(
    machine: &mut dyn Machine,
    args: &Args,
    wanted: &Wanted,
    dest: &Path,
    kept: Option<&Present>,
    attrs: &Attrs,
) -> Result<(bool, Option<Record>), Failure> {
    let record = match &wanted.source {
        Source::Definition(path) => {
            let text = machine
                .read(path)
                .map_err(|error| crate::oci::Error::io(path.display(), &error))?;
            let record = Record {
                image: wanted.text.clone(),
                digest: Digest::of(&text).as_str().to_owned(),
                platform: wanted.platform.to_string(),
                ..Record::default()
            };
            let known = kept.and_then(Present::record);
            if known.is_some_and(|known| known.digest == record.digest) {
                return Ok((false, Some(record)));
            }
            record
        }
        source => match pull::decide(machine, wanted, kept.map(|present| (dest, present))) {
            Ok(Decision::Keep(record)) => return Ok((false, Some(record))),
            Ok(Decision::Make(located)) => pull::record(wanted, &located),
            // What only the program can follow, or is let in to.
            Err(_) if matches!(source, Source::Foreign(_) | Source::Library(..)) => Record {
                image: wanted.text.clone(),
                ..Record::default()
            },
            Err(error) => return Err(error.into()),
        },
    };
    let program = Program {
        executable: args.executable.clone(),
        modules: args.module.clone().unwrap_or_default(),
        arch: args.arch.clone(),
    };
    let changed = program::pull(machine, &program, wanted, &record, dest, attrs)?;
    Ok((changed, Some(record)))
}

fn remove(machine: &mut dyn Machine, dest: &Path) -> Result<Outcome, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("{} cannot be removed: {error}", dest.display()))
    };
    let outcome = |changed| {
        Outcome::new(changed)
            .with("dest", dest.to_string_lossy().into_owned())
            .with("state", "absent")
    };
    match machine.stat(dest, false).map_err(failed)? {
        None => Ok(outcome(false)),
        Some(stat) if stat.kind == FileKind::Directory => Err(Failure::new(format!(
            "{} is a directory, not an image",
            dest.display()
        ))),
        Some(_) => {
            let before = describe(pull::look(machine, dest)?.as_ref(), dest);
            machine.remove(dest, false).map_err(failed)?;
            Ok(outcome(true).with_diff(Diff::attributes(before, describe(None, dest))))
        }
    }
}

/// One side of the difference.
fn describe(present: Option<&Present>, dest: &Path) -> Map {
    let Some(present) = present else {
        return map! { "path" => dest.to_string_lossy().into_owned(), "state" => "absent" };
    };
    let mut side = file_at(dest);
    match &present.found {
        Found::Other => side.extend(map! { "content" => "not a SIF file" }),
        Found::Damaged(why) => {
            side.extend(map! { "content" => format!("a damaged SIF file: {why}") })
        }
        Found::Sif(None) => {
            side.extend(map! { "content" => "a SIF file without a record of its origin" })
        }
        Found::Sif(Some(record)) => side.extend(origin(record)),
    }
    side
}

fn file_at(dest: &Path) -> Map {
    map! { "path" => dest.to_string_lossy().into_owned(), "state" => "file" }
}

/// Where an image comes from, as far as it is known.
fn origin(record: &Record) -> Map {
    let mut side = map! { "image" => record.image.as_str() };
    if !record.digest.is_empty() {
        side.extend(map! {
            "digest" => record.digest.as_str(),
            "platform" => record.platform.as_str(),
        });
    }
    // What a definition makes is known only when it is built.
    if record.size > 0 {
        side.extend(map! { "image_size" => record.size, "labels" => Data::Map(record.labels()) });
    }
    side
}

fn results(outcome: Outcome, record: Option<&Record>) -> Outcome {
    let Some(record) = record.filter(|record| !record.digest.is_empty()) else {
        return outcome;
    };
    outcome
        .with("digest", record.digest.as_str())
        .with("index_digest", record.index.clone())
        .with("platform", record.platform.as_str())
        .with("image_size", record.size)
        .with("labels", Data::Map(record.labels()))
}

/// The attributes of a new file; it can be run unless the user wants another mode.
fn attributes(machine: &mut dyn Machine, args: &Args, dest: &Path) -> Result<Attrs, Failure> {
    let umask = machine.process().umask;
    let old = machine.stat(dest, true).ok().flatten();
    let mut attrs = args.file.for_write(machine, old.as_ref())?;
    if old.is_none() {
        let runnable = 0o777 & !umask;
        attrs.mode = Some(
            args.file
                .mode
                .as_ref()
                .map_or(runnable, |mode| mode.apply(runnable, false, umask)),
        );
    }
    Ok(attrs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::prepare;
    use crate::machine::Content;
    use crate::machine::memory::Memory;
    use crate::machine::overlay::Overlay;

    /// The layout of the example deployment, in a machine in memory.
    fn machine() -> Memory {
        let mut memory = Memory::small();
        let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playbooks/setonix/files/image");
        for folder in ["/image", "/image/blobs", "/image/blobs/sha256"] {
            memory.make_dir(Path::new(folder), None).unwrap();
        }
        for entry in walkdir::WalkDir::new(&layout)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.path().is_file())
        {
            let path = Path::new("/image").join(entry.path().strip_prefix(&layout).unwrap());
            memory
                .write(
                    &path,
                    Content::Bytes(&std::fs::read(entry.path()).unwrap()),
                    &Attrs::default(),
                )
                .unwrap();
        }
        memory
    }

    fn call(machine: &mut dyn Machine, given: Map) -> Result<Outcome, String> {
        let mut given = given;
        given.entry("arch".to_owned()).or_insert("amd64".into());
        given
            .entry("dest".to_owned())
            .or_insert("/root/demo".into());
        let prepared = prepare(&MODULE, &given).map_err(|problems| problems[0].message.clone())?;
        (MODULE.run)(machine, &prepared.args).map_err(|failure| failure.msg)
    }

    #[test]
    fn an_image_is_made_once_and_made_anew_for_another_version() {
        let mut machine = machine();
        let first = call(&mut machine, map! { "image" => "oci:/image:1.0.0" }).unwrap();
        assert!(first.changed);
        assert_eq!(first.results.get("mode"), Some(&Data::from("0755")));
        let bytes = machine.read(Path::new("/root/demo")).unwrap();
        assert!(
            !call(&mut machine, map! { "image" => "oci:/image:1.0.0" })
                .unwrap()
                .changed
        );
        assert!(
            !call(
                &mut machine,
                map! { "image" => "oci:/image:1.0.0", "state" => "latest" }
            )
            .unwrap()
            .changed
        );
        assert!(
            call(
                &mut machine,
                map! { "image" => "oci:/image:1.0.0", "force" => true }
            )
            .unwrap()
            .changed
        );
        assert!(
            machine.read(Path::new("/root/demo")).unwrap() == bytes,
            "the same image gives another file"
        );
        assert!(
            call(&mut machine, map! { "image" => "oci:/image:1.1.0" })
                .unwrap()
                .changed
        );
        let moded = call(
            &mut machine,
            map! { "image" => "oci:/image:1.1.0", "mode" => "0700" },
        )
        .unwrap();
        assert!(moded.changed && moded.diff.len() == 1);
        assert!(
            call(&mut machine, map! { "state" => "absent" })
                .unwrap()
                .changed
        );
        assert!(
            !call(&mut machine, map! { "state" => "absent" })
                .unwrap()
                .changed
        );
    }

    #[test]
    fn check_mode_predicts_what_the_run_then_reports() {
        let args = || map! { "image" => "oci:/image:1.0.0" };
        let mut check = Overlay::new(machine());
        let predicted = call(&mut check, args()).unwrap();
        assert!(!call(&mut check, args()).unwrap().changed);
        let real = check.below();
        assert!(real.stat(Path::new("/root/demo"), false).unwrap().is_none());
        let done = call(real, args()).unwrap();
        assert_eq!(
            (predicted.changed, &predicted.diff),
            (done.changed, &done.diff)
        );
        for key in ["digest", "platform", "labels", "mode", "image_size"] {
            assert_eq!(predicted.results.get(key), done.results.get(key), "{key}");
        }
    }

    #[test]
    fn mistakes_leave_nothing_behind() {
        let mut machine = machine();
        machine
            .write(
                Path::new("/root/other"),
                Content::Bytes(b"text"),
                &Attrs::default(),
            )
            .unwrap();
        for (given, part) in [
            (
                map! { "image" => "oci:/image:2" },
                "no image `2`; it has 1.0.0, 1.1.0",
            ),
            (
                map! { "image" => "oci:/image:1.0.0", "arch" => "s390x" },
                "no image for linux/s390x",
            ),
            (
                map! { "image" => "oci:/image:1.0.0", "digest" => Digest::of(b"").as_str() },
                "wrong digest",
            ),
            (map! { "image" => "oci:/none:1" }, "/none does not exist"),
            (
                map! { "image" => "oci:/image:1.0.0", "dest" => "/no/x" },
                "Destination directory /no does not exist",
            ),
            (
                map! { "image" => "oci:/image:1.0.0", "dest" => "/root/other" },
                "is not a SIF file",
            ),
            (
                map! { "image" => "shub://x" },
                "`apptainer` nor `singularity`",
            ),
            (
                map! {},
                "state is present but all of the following are missing: image",
            ),
        ] {
            let message = call(&mut machine, given).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        assert!(
            machine
                .stat(Path::new("/root/demo"), false)
                .unwrap()
                .is_none()
        );
        assert_eq!(machine.read(Path::new("/root/other")).unwrap(), b"text");
    }

    #[test]
    fn files_in_a_folder_are_named_as_the_program_does() {
        let name = |text: &str| default_name(&reference::parse(text).unwrap());
        assert_eq!(name("docker://alpine"), "alpine_latest.sif");
        assert_eq!(name("docker://ghcr.io/a/b:1.0"), "b_1.0.sif");
        assert_eq!(name("oci:/x/image:1.0"), "image_1.0.sif");
        assert_eq!(name("https://x/y/z.sif"), "z.sif");
    }
}
