//! `deb822_repository`: a source of packages for apt, in a file of fields.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::{FileArgs, Sides, add_path_info, make_dirs, os_error_text};
use rplay_modules::machine::{Attrs, Content, FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::args::Mode;
use crate::http;

/// Adds and removes a source of packages for apt, with the key that signs it.
#[derive(ModuleArgs)]
struct Args {
    /// Its name, after which the file is named.
    name: String,
    /// Packages may come without a signature that came with one before.
    allow_downgrade_to_insecure: Option<bool>,
    /// Packages without a signature are taken.
    allow_insecure: Option<bool>,
    /// Weak signatures are taken.
    allow_weak: Option<bool>,
    /// The architectures.
    architectures: Option<Vec<String>>,
    /// Lists are asked for by their checksums.
    by_hash: Option<bool>,
    /// The date of the source's index is checked.
    check_date: Option<bool>,
    /// The end of its validity is checked.
    check_valid_until: Option<bool>,
    /// The components, as `main`.
    components: Option<Vec<String>>,
    /// How many seconds its date may be in the future.
    date_max_future: Option<i64>,
    /// Whether it is in force.
    enabled: Option<bool>,
    /// Packages that are not taken from it.
    exclude: Option<Vec<String>>,
    /// The only packages that are taken from it.
    include: Option<Vec<String>>,
    /// The path of its index.
    inrelease_path: Option<String>,
    /// Install what the module itself needs; it needs nothing.
    #[arg(default = "false")]
    install_python_debian: bool,
    /// The languages of descriptions.
    languages: Option<Vec<String>>,
    /// The permissions of the file.
    #[arg(default = "0644")]
    mode: Mode,
    /// Lists are brought up to date by differences.
    pdiffs: Option<bool>,
    /// The key: its text, a path, an address, or a fingerprint.
    signed_by: Option<String>,
    /// Whether it is there or gone.
    #[arg(default = "present")]
    state: State,
    /// The suites, as `stable`; with a slash at the end a folder.
    suites: Option<Vec<String>>,
    /// Which lists are fetched.
    targets: Option<Vec<String>>,
    /// It is trusted without a signature.
    trusted: Option<bool>,
    /// `deb` and `deb-src`.
    #[arg(default = "deb")]
    types: Vec<Type>,
    /// The addresses.
    uris: Option<Vec<String>>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Type {
    Deb,
    #[arg(name = "deb-src")]
    DebSrc,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The content of the file.
    repo: String,
    /// The file.
    dest: String,
    /// The file of the key.
    key_filename: String,
}

module! { "ansible.builtin.deb822_repository", args: Args, returns: Values, run: run }

const SOURCES: &str = "/etc/apt/sources.list.d";
const KEYRINGS: &str = "/etc/apt/keyrings";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let _ = args.install_python_debian;
    let slug = slug(&args.name);
    let dest = Path::new(SOURCES).join(format!("{slug}.sources"));
    match args.state {
        State::Absent => remove(machine, &dest, &slug),
        State::Present => present(machine, &args, &dest, &slug),
    }
}

/// The name of the files: a blank is a dash in it, and what else is no letter, digit, dot or dash is
/// left out.
fn slug(name: &str) -> String {
    let known = |letter: &char| letter.is_ascii_alphanumeric() || "_.-".contains(*letter);
    name.replace(char::is_whitespace, "-")
        .chars()
        .filter(known)
        .collect()
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: '{}'", os_error_text(error), path.display()))
}

fn text_of(machine: &mut dyn Machine, path: &Path) -> Option<String> {
    let content = machine.read(path).ok()?;
    Some(String::from_utf8_lossy(&content).into_owned())
}

fn remove(machine: &mut dyn Machine, dest: &Path, slug: &str) -> Result<Outcome, Failure> {
    let key = |ending: &str| Path::new(KEYRINGS).join(format!("{slug}.{ending}"));
    let mut outcome = Outcome::unchanged();
    if let Some(before) = text_of(machine, dest) {
        let name = dest.display().to_string();
        outcome = outcome.with_diff(Diff::text(before, "", &name, "/dev/null"));
    }
    for path in [dest.to_owned(), key("asc"), key("gpg")] {
        if matches!(machine.stat(&path, false), Ok(Some(_))) {
            machine
                .remove(&path, false)
                .map_err(|error| failed(&path, &error))?;
            outcome.changed = true;
        }
    }
    Ok(outcome
        .with("repo", None::<String>)
        .with("dest", dest.display().to_string())
        .with("key_filename", key("gpg").display().to_string()))
}

fn present(
    machine: &mut dyn Machine,
    args: &Args,
    dest: &Path,
    slug: &str,
) -> Result<Outcome, Failure> {
    let (signed_by, key, new_key) = match &args.signed_by {
        Some(text) => signed(machine, text, slug)?,
        None => (None, None, false),
    };
    let content = content(args, signed_by.as_deref());
    let before = text_of(machine, dest);
    let differs = before.as_deref() != Some(content.as_str());
    if differs {
        if let Some(folder) = dest.parent() {
            make_dirs(machine, folder)?;
        }
        machine
            .write(dest, Content::Bytes(content.as_bytes()), &Attrs::default())
            .map_err(|error| failed(dest, &error))?;
    }
    let file = FileArgs {
        mode: Some(args.mode.clone()),
        ..FileArgs::default()
    };
    let attributes = file.ensure(machine, dest, &mut Sides::default())?;
    let mut outcome = Outcome::new(differs || attributes || new_key);
    if differs {
        let name = dest.display().to_string();
        let header = before.as_ref().map_or("/dev/null", |_| &name);
        let diff = Diff::text(before.clone().unwrap_or_default(), &content, header, &name);
        outcome = outcome.with_diff(diff);
    }
    add_path_info(machine, dest, &mut outcome.results);
    Ok(outcome
        .with("repo", content)
        .with("dest", dest.display().to_string())
        .with("key_filename", key.map(|path| path.display().to_string())))
}

/// What the field says, the file of the key, and whether that file is new.
type Signed = (Option<String>, Option<PathBuf>, bool);

/// Brings the key where apt finds it: a text stays in the field, an address is fetched.
fn signed(machine: &mut dyn Machine, text: &str, slug: &str) -> Result<Signed, Failure> {
    let path = PathBuf::from(text);
    if matches!(machine.stat(&path, true), Ok(Some(stat)) if stat.kind == FileKind::File) {
        return Ok((Some(text.to_owned()), Some(path), false));
    }
    if text.contains("-----BEGIN PGP") || !text.contains("://") {
        return Ok((Some(text.to_owned()), None, false));
    }
    let fail = |why: String| Failure::unexpected(format!("Could not fetch signed_by key: {why}"));
    let key = match text.strip_prefix("file://") {
        Some(path) => machine
            .read(Path::new(path))
            .map_err(|error| fail(os_error_text(&error)))?,
        None => http::get(machine, text, true).map_err(fail)?,
    };
    let armored = key.windows(14).any(|part| part == b"-----BEGIN PGP");
    let ending = if armored { "asc" } else { "gpg" };
    let path = Path::new(KEYRINGS).join(format!("{slug}.{ending}"));
    let old = machine.read(&path).ok();
    let differs = old.as_deref() != Some(key.as_slice());
    if differs {
        make_dirs(machine, Path::new(KEYRINGS))?;
        let attrs = Attrs {
            mode: Some(0o644),
            ..Attrs::default()
        };
        machine
            .write(&path, Content::Bytes(&key), &attrs)
            .map_err(|error| failed(&path, &error))?;
    }
    Ok((Some(path.display().to_string()), Some(path), differs))
}

fn content(args: &Args, signed_by: Option<&str>) -> String {
    let word = |value: Option<bool>| value.map(|on| if on { "yes" } else { "no" }.to_owned());
    let words = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join(" "));
    let types: Vec<&str> = args.types.iter().map(ArgEnum::word).collect();
    let fields = [
        (
            "Allow-Downgrade-To-Insecure",
            word(args.allow_downgrade_to_insecure),
        ),
        ("Allow-Insecure", word(args.allow_insecure)),
        ("Allow-Weak", word(args.allow_weak)),
        ("Architectures", words(&args.architectures)),
        ("By-Hash", word(args.by_hash)),
        ("Check-Date", word(args.check_date)),
        ("Check-Valid-Until", word(args.check_valid_until)),
        ("Components", words(&args.components)),
        (
            "Date-Max-Future",
            args.date_max_future.map(|number| number.to_string()),
        ),
        ("Enabled", word(args.enabled)),
        ("Exclude", words(&args.exclude)),
        ("Include", words(&args.include)),
        ("Inrelease-Path", args.inrelease_path.clone()),
        ("Languages", words(&args.languages)),
        ("X-Repolib-Name", Some(args.name.clone())),
        ("Pdiffs", word(args.pdiffs)),
        ("Signed-By", signed_by.map(str::to_owned)),
        ("Suites", words(&args.suites)),
        ("Targets", words(&args.targets)),
        ("Trusted", word(args.trusted)),
        ("Types", Some(types.join(" "))),
        ("URIs", words(&args.uris)),
    ];
    let mut text = String::new();
    for (name, value) in fields {
        let Some(value) = value else { continue };
        text += name;
        text.push(':');
        match value.trim() {
            "" => {}
            one if !one.contains('\n') => text += &format!(" {one}"),
            // Further lines begin with a blank, and an empty one is a dot.
            many => {
                for line in many.lines().map(str::trim) {
                    text += &format!("\n    {}", if line.is_empty() { "." } else { line });
                }
            }
        }
        text.push('\n');
    }
    text
}
