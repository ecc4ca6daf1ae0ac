//! `get_url`: a file from a web server, downloaded on the host.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{
    FileArgs, Sides, add_path_info, backup, os_error, os_error_text, real_path,
};
use rplay_modules::machine::{FileKind, Machine, Scratch, Stat};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::unpercent;
use rplay_modules::time;

use crate::http::{self, Answer, Follow, HttpArgs, Request};
use crate::machine::digest::Algorithm;

/// Downloads a file from HTTP or HTTPS to the host.
#[derive(ModuleArgs)]
struct Args {
    /// The address.
    url: String,
    /// Where the file goes; a folder gets it under the name that the server or the address gives.
    #[arg(kind = "path")]
    dest: String,
    /// Keep a copy of the file as it was.
    #[arg(default = "false")]
    backup: bool,
    /// `ALGORITHM:CHECKSUM`; the checksum may be the address of a list of checksums.
    #[arg(default = "")]
    checksum: String,
    /// How many seconds the server may take.
    #[arg(default = "10")]
    timeout: u64,
    /// The user for a log-in.
    #[arg(alias = "username")]
    url_username: Option<String>,
    /// Where the file is kept while it is downloaded.
    #[arg(refused = "downloads are kept beside the file until they are complete")]
    tmp_dest: Option<PathBuf>,
    #[arg(flatten)]
    http: HttpArgs,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

/// Bytes of a download that check mode keeps.
const PREDICTED: u64 = 64 << 20;

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The file.
    dest: String,
    /// The address.
    url: String,
    /// The SHA-1 checksum of the file before.
    checksum_dest: String,
    /// The SHA-1 checksum of what was downloaded.
    checksum_src: String,
    /// The MD5 checksum of the file.
    md5sum: String,
    /// The server's status.
    status_code: u16,
    /// The copy of the file as it was.
    backup_file: String,
}

module! { "ansible.builtin.get_url", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    args.http.check()?;
    let begin = machine.now();
    let given = PathBuf::from(&args.dest);
    let stat = machine
        .stat(&given, true)
        .map_err(|error| os_error(&error, &given))?;
    let folder = args.dest.ends_with('/')
        || stat
            .as_ref()
            .is_some_and(|stat| stat.kind == FileKind::Directory);
    let guessed = if folder {
        given.join(name_of(&args.url))
    } else {
        given.clone()
    };
    let old = if folder {
        machine.stat(&guessed, true).ok().flatten()
    } else {
        stat
    };
    let wanted = checksum(machine, &args)?;
    if let (Some(old), false) = (&old, args.http.force)
        && let Some(outcome) = there(machine, &args, &guessed, old, wanted.as_ref())?
    {
        return Ok(outcome.with("elapsed", elapsed(machine, begin)));
    }
    let since = old
        .as_ref()
        .filter(|_| !args.http.force && wanted.is_none());
    if !args.url.contains(':') {
        let failure = Failure::new(format!("unknown url type: '{}'", args.url));
        return Err(failure.with("url", args.url).with("status", -1));
    }
    let answer = ask(machine, &args, &args.url, since).map_err(|why| {
        let failure = Failure::new(format!("Request failed: {why}"))
            .with("dest", guessed.display().to_string());
        let mut failure = failure.with("url", args.url.clone()).with("elapsed", 0);
        if old.is_some() {
            add_path_info(machine, &guessed, &mut failure.results);
        }
        failure
    })?;
    let dest = if folder {
        given.join(named(&answer).unwrap_or_else(|| name_of(&args.url)))
    } else {
        guessed
    };
    let outcome = place(machine, &args, answer, &dest, wanted)?;
    Ok(outcome.with("elapsed", elapsed(machine, begin)))
}

#[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
fn elapsed(machine: &mut dyn Machine, begin: f64) -> i64 {
    (machine.now() - begin) as i64
}

fn ask(
    machine: &mut dyn Machine,
    args: &Args,
    url: &str,
    since: Option<&Stat>,
) -> Result<Answer, String> {
    let mut headers = Vec::new();
    match url.split_once(':') {
        Some((name, rest)) if name.eq_ignore_ascii_case("file") => return local(machine, rest),
        Some((name, _)) if !["http", "https", "ftp"].contains(&name.to_lowercase().as_str()) => {
            return Err(format!(
                "<urlopen error unknown url type: {}>",
                name.to_lowercase()
            ));
        }
        _ => {}
    }
    if let Some(stat) = since {
        let text = time::utc(
            stat.mtime.0.saturating_mul(1_000_000),
            "%a, %d %b %Y %H:%M:%S GMT",
        );
        headers.push(("If-Modified-Since".to_owned(), text));
    }
    let request = Request {
        method: "GET",
        url,
        headers,
        body: Vec::new(),
        follow: Follow::All,
        timeout: args.timeout,
        user: args.url_username.as_deref(),
        roots: None,
        socket: None,
    };
    http::fetch(machine, &args.http, request)
}

/// A file of the target as an answer, by what follows `file:`.
fn local(machine: &mut dyn Machine, rest: &str) -> Result<Answer, String> {
    let path = match rest.strip_prefix("//") {
        Some(rest) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => rest,
    };
    let path = unpercent(path);
    let failed = |error: std::io::Error| {
        let text = os_error_text(&error);
        format!("<urlopen error {text}: '{path}'>")
    };
    let stat = machine.stat(Path::new(&path), true).map_err(failed)?;
    if stat.is_some_and(|stat| stat.kind == FileKind::Directory) {
        return Err(failed(rustix::io::Errno::ISDIR.into()));
    }
    let file = machine.open(Path::new(&path)).map_err(failed)?;
    Ok(Answer {
        status: 200,
        reason: String::new(),
        url: format!("file://{path}"),
        redirected: false,
        headers: vec![],
        body: Box::new(file),
    })
}

/// The last part of an address's path.
fn name_of(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    match path
        .split_once('/')
        .and_then(|(_, path)| path.rsplit('/').next())
    {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "index.html".to_owned(),
    }
}

/// The name that the server gives in `Content-Disposition`.
fn named(answer: &Answer) -> Option<String> {
    let header = answer.header("content-disposition")?;
    let name = header
        .split(';')
        .find_map(|part| part.trim().strip_prefix("filename="))?
        .trim_matches('"');
    let name = name
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty() && *name != "..")?;
    Some(name.to_owned())
}

/// The checksum that is wanted, looked up when it is an address.
fn checksum(
    machine: &mut dyn Machine,
    args: &Args,
) -> Result<Option<(Algorithm, String, String)>, Failure> {
    if args.checksum.is_empty() {
        return Ok(None);
    }
    let wrong =
        || Failure::new("The checksum parameter has to be in format <algorithm>:<checksum>");
    let (name, value) = args.checksum.split_once(':').ok_or_else(wrong)?;
    let algorithm = match name.to_lowercase().as_str() {
        "md5" => Algorithm::Md5,
        "sha1" => Algorithm::Sha1,
        "sha224" => Algorithm::Sha224,
        "sha256" => Algorithm::Sha256,
        "sha384" => Algorithm::Sha384,
        "sha512" => Algorithm::Sha512,
        other => {
            return Err(Failure::new(format!(
                "the checksum algorithm `{other}` is not known"
            )));
        }
    };
    let value = value.trim();
    if value.contains("://") {
        return listed(machine, args, value).map(|sum| Some((algorithm, name.to_owned(), sum)));
    }
    let sum: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase();
    if sum.chars().any(|letter| !letter.is_ascii_hexdigit()) {
        return Err(Failure::new("The checksum format is invalid"));
    }
    Ok(Some((algorithm, name.to_owned(), sum)))
}

/// The checksum of the file in a list such as `sha256sum` writes.
fn listed(machine: &mut dyn Machine, args: &Args, url: &str) -> Result<String, Failure> {
    let failed = |why: String| Failure::new(format!("Unable to get checksum from {url}: {why}"));
    let mut answer = ask(machine, args, url, None).map_err(failed)?;
    if answer.status != 200 {
        return Err(failed(format!(
            "HTTP Error {}: {}",
            answer.status, answer.reason
        )));
    }
    let bytes = http::read_all(&mut answer.body).map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    let name = name_of(&args.url);
    let mut lines = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.is_empty());
    let found = lines.clone().find_map(|words| match words[..] {
        [sum, file] if file.trim_start_matches(['*', '.', '/']) == name => Some(sum.to_lowercase()),
        _ => None,
    });
    let alone = || {
        lines
            .next()
            .filter(|words| words.len() == 1)
            .map(|words| words[0].to_lowercase())
    };
    found.or_else(alone).ok_or_else(|| {
        Failure::new(format!(
            "Unable to find a checksum for file '{name}' in '{url}'"
        ))
    })
}

/// Nothing to download: the file is there and has the wanted checksum.
fn there(
    machine: &mut dyn Machine,
    args: &Args,
    dest: &Path,
    old: &Stat,
    wanted: Option<&(Algorithm, String, String)>,
) -> Result<Option<Outcome>, Failure> {
    let Some((algorithm, _, sum)) = wanted.filter(|_| old.kind == FileKind::File) else {
        return Ok(None);
    };
    let now = algorithm
        .of_file(machine, dest)
        .map_err(|error| Failure::new(os_error_text(&error)))?;
    if now != *sum {
        return Ok(None);
    }
    let changed = args.file.ensure(machine, dest, &mut Sides::default())?;
    let msg = if changed {
        "file already exists but file attributes changed"
    } else {
        "file already exists"
    };
    let outcome = Outcome::new(changed)
        .with("msg", msg)
        .with("checksum_src", Data::Null)
        .with("checksum_dest", Data::Null);
    Ok(Some(located(machine, args, dest, outcome)))
}

fn located(machine: &mut dyn Machine, args: &Args, dest: &Path, outcome: Outcome) -> Outcome {
    let mut outcome = outcome
        .with("url", args.url.clone())
        .with("dest", dest.display().to_string());
    add_path_info(machine, dest, &mut outcome.results);
    outcome
}

/// Puts the answer's body in place.
fn place(
    machine: &mut dyn Machine,
    args: &Args,
    mut answer: Answer,
    dest: &Path,
    wanted: Option<(Algorithm, String, String)>,
) -> Result<Outcome, Failure> {
    let shown = dest.display().to_string();
    let about = |failure: Failure| {
        failure
            .with("dest", shown.clone())
            .with("url", args.url.clone())
            .with("elapsed", 0)
    };
    let reason = format!("HTTP Error {}: {}", answer.status, answer.reason);
    if answer.status == 304 {
        let changed = args.file.ensure(machine, dest, &mut Sides::default())?;
        let outcome = Outcome::new(changed)
            .with("msg", reason)
            .with("status_code", 304);
        return Ok(located(machine, args, dest, outcome));
    }
    if answer.status != 200 {
        return Err(about(Failure::new("Request failed"))
            .with("status_code", u32::from(answer.status))
            .with("response", reason));
    }
    let parent = dest.parent().unwrap_or(Path::new("/"));
    if !matches!(machine.stat(parent, true), Ok(Some(_))) {
        let failure = Failure::new(format!("Destination {} does not exist", parent.display()));
        let new = Algorithm::Sha1.of(&mut answer.body).ok();
        return Err(about(failure)
            .with("checksum_src", new)
            .with("checksum_dest", Data::Null));
    }
    let failed = |error: std::io::Error| {
        about(Failure::new(format!(
            "failed to create temporary content file: {error}"
        )))
    };
    // Check mode has no place for files: it keeps as much as later looks may reasonably want.
    let (mut scratch, limit) = match machine.scratch(dest).map_err(failed)? {
        Some(scratch) => (scratch, u64::MAX),
        None => (
            Box::new(std::io::Cursor::new(Vec::new())) as Box<dyn Scratch>,
            PREDICTED,
        ),
    };
    let mut body = answer.body.as_mut().take(limit);
    let size = std::io::copy(&mut body, &mut scratch)
        .and_then(|size| scratch.flush().map(|()| size))
        .map_err(failed)?;
    let mut sum = |algorithm: Algorithm| {
        scratch
            .seek(SeekFrom::Start(0))
            .and_then(|_| algorithm.of(&mut scratch))
            .map_err(failed)
    };
    let (new, md5) = (sum(Algorithm::Sha1)?, sum(Algorithm::Md5)?);
    let old = machine
        .stat(dest, true)
        .ok()
        .flatten()
        .filter(|stat| stat.kind == FileKind::File);
    let before = old
        .as_ref()
        .and_then(|_| Algorithm::Sha1.of_file(machine, dest).ok());
    if let Some((algorithm, _, wanted)) = wanted {
        let found = sum(algorithm)?;
        if found != wanted && size < limit {
            let failure = Failure::new(format!(
                "The checksum for {} did not match {wanted}; it was {found}.",
                args.url
            ));
            return Err(about(failure)
                .with("checksum_src", new)
                .with("checksum_dest", before));
        }
    }
    let mut changed = before.as_deref() != Some(new.as_str());
    let mut saved = None;
    if changed {
        if args.backup && before.is_some() {
            saved = backup(machine, dest)?;
        }
        let attrs = args.file.for_write(machine, old.as_ref())?;
        let target = real_path(machine, dest);
        machine
            .publish(scratch, &target, &attrs)
            .map_err(|error| about(Failure::new(format!("failed to copy to {shown}: {error}"))))?;
    }
    changed |= args.file.ensure(machine, dest, &mut Sides::default())?;
    // A file has none.
    let status = (!answer.url.starts_with("file:")).then_some(u32::from(answer.status));
    let mut outcome = Outcome::new(changed)
        .with(
            "msg",
            format!(
                "OK ({} bytes)",
                answer
                    .header("content-length")
                    .map_or_else(|| size.to_string(), str::to_owned)
            ),
        )
        .with("status_code", status)
        .with("checksum_src", new)
        .with("checksum_dest", before)
        .with("md5sum", md5);
    if let Some(name) = saved {
        outcome = outcome.with("backup_file", name);
    }
    Ok(located(machine, args, dest, outcome))
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn names() {
        assert_eq!(name_of("http://h/a/b.tgz?x=1#y"), "b.tgz");
        assert_eq!(name_of("http://h"), "index.html");
        assert_eq!(name_of("http://h/"), "index.html");
    }
}
