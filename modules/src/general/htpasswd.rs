//! `htpasswd`: a user of a web server's password file.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::crypt::{LETTERS, md5_crypt};
use rplay_modules::machine::attrs::{FileArgs, Sides, make_dirs, os_error_text, real_path};
use rplay_modules::machine::{Attrs, Content, FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use sha1::Sha1;

/// Adds, changes and removes users of a password file, as web servers read it.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(alias = "dest", alias = "destfile")]
    path: PathBuf,
    /// The user.
    #[arg(alias = "username")]
    name: String,
    /// The password.
    #[arg(secret)]
    password: Option<String>,
    /// How the password is hashed: `apr_md5_crypt`, `md5_crypt`, `ldap_sha1` or `plaintext`.
    #[arg(alias = "crypt_scheme", default = "apr_md5_crypt")]
    hash_scheme: String,
    /// Whether the user is there or gone.
    #[arg(default = "present")]
    state: State,
    /// Make the file when it is not there.
    #[arg(default = "true")]
    create: bool,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    msg: String,
}

module! {
    "community.general.htpasswd", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.htpasswd"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let path = real_path(machine, &args.path);
    let shown = args.path.display();
    let old = match machine.stat(&path, true) {
        Ok(Some(stat)) if stat.kind == FileKind::Directory => {
            let text = format!("[Errno 21] Is a directory: '{shown}'");
            return Err(Failure::new(text));
        }
        Ok(Some(_)) => {
            let bytes = machine
                .read(&path)
                .map_err(|error| format!("{}: '{shown}'", os_error_text(&error)))?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    };
    let (text, msg) = match args.state {
        State::Present => present(machine, &args, old.as_deref())?,
        State::Absent => {
            let Some(old) = &old else {
                let outcome =
                    Outcome::unchanged().with("msg", format!("{} not present", args.name));
                return Ok(Outcome {
                    warnings: vec![format!("{shown} does not exist")],
                    ..outcome
                });
            };
            match without(old, &args.name) {
                Some(new) => (Some(new), format!("Remove {}", args.name)),
                None => (None, format!("{} not present", args.name)),
            }
        }
    };
    let changed = text.is_some();
    if let Some(text) = text {
        if old.is_none()
            && let Some(folder) = path.parent()
        {
            make_dirs(machine, folder)?;
        }
        let attrs = Attrs {
            in_place: args.file.unsafe_writes,
            ..Attrs::default()
        };
        machine
            .write(&path, Content::Bytes(text.as_bytes()), &attrs)
            .map_err(|error| format!("{}: '{shown}'", os_error_text(&error)))?;
    }
    let mut msg = msg;
    let attributes = args.file.ensure(machine, &path, &mut Sides::default())?;
    if attributes {
        msg.push_str(if changed { " and " } else { "" });
        msg.push_str("ownership, perms or SE linux context changed");
    }
    Ok(Outcome::new(changed || attributes).with("msg", msg))
}

/// The new text, where there is one, and what is done.
fn present(
    machine: &mut dyn Machine,
    args: &Args,
    old: Option<&str>,
) -> Result<(Option<String>, String), Failure> {
    let Scheme(scheme) = Scheme::of(&args.hash_scheme)?;
    if old.is_none() && !args.create {
        let path = args.path.display();
        return Err(Failure::new(format!("Destination {path} does not exist")));
    }
    let Some(password) = &args.password else {
        return Err(Failure::new("secret must be unicode or bytes, not None"));
    };
    let name = &args.name;
    let known = old.and_then(|text| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(user, _)| user == name).map(|(_, hash)| hash)
    });
    if let Some(hash) = known
        && fits(password, hash)?
    {
        return Ok((None, format!("{name} already present")));
    }
    let line = format!("{name}:{}\n", hashed(machine, scheme, password));
    let msg = match old {
        None => format!("Created {} and added {name}", args.path.display()),
        Some(_) => format!("Add/update {name}"),
    };
    let mut text = String::new();
    let mut placed = false;
    for old in old.unwrap_or_default().lines() {
        match old.split_once(':').is_some_and(|(user, _)| user == name) {
            true if placed => {}
            true => {
                text.push_str(&line);
                placed = true;
            }
            false => text.push_str(&format!("{old}\n")),
        }
    }
    if !placed {
        text.push_str(&line);
    }
    Ok((Some(text), msg))
}

/// The text without a user; nothing where it has none of the name.
fn without(text: &str, name: &str) -> Option<String> {
    let is_ours = |line: &&str| line.split_once(':').is_some_and(|(user, _)| user == name);
    text.lines().any(|line| is_ours(&line)).then(|| {
        let kept = text.lines().filter(|line| !is_ours(line));
        kept.map(|line| format!("{line}\n")).collect()
    })
}

/// The name of a way to hash.
struct Scheme(&'static str);

impl Scheme {
    fn of(name: &str) -> Result<Self, Failure> {
        Ok(Self(match name {
            "apr_md5_crypt" => "$apr1$",
            "md5_crypt" => "$1$",
            "ldap_sha1" => "{SHA}",
            "plaintext" => "",
            "bcrypt" | "des_crypt" | "sha256_crypt" | "sha512_crypt" | "ldap_salted_sha1"
            | "portable_apache22" | "portable_apache24" | "host_apache22" | "host_apache24"
            | "portable" | "host" => {
                return Err(Failure::new(format!(
                    "`hash_scheme: {name}` is not supported yet, only apr_md5_crypt, md5_crypt, ldap_sha1 and plaintext are"
                )));
            }
            _ => return Err(Failure::new("'default scheme not found in policy'")),
        }))
    }
}

/// Whether a password is the one of a hash.
fn fits(password: &str, hash: &str) -> Result<bool, Failure> {
    for magic in ["$apr1$", "$1$"] {
        if let Some(rest) = hash.strip_prefix(magic) {
            let salt = rest.split('$').next().unwrap_or_default();
            return Ok(md5_crypt(password.as_bytes(), salt.as_bytes(), magic) == hash);
        }
    }
    if let Some(sum) = hash.strip_prefix("{SHA}") {
        return Ok(BASE64.encode(Sha1::digest(password)) == sum);
    }
    let other = ["$2", "$5$", "$6$", "{"]
        .iter()
        .any(|start| hash.starts_with(start));
    // Thirteen such letters are what crypt(3) of old makes.
    let des = hash.len() == 13 && hash.bytes().all(|byte| LETTERS.contains(&byte));
    match other || des && hash != password {
        true => Err(Failure::new(
            "the password that is there is hashed in a way that is not supported yet",
        )),
        false => Ok(hash == password),
    }
}

fn hashed(machine: &mut dyn Machine, scheme: &str, password: &str) -> String {
    match scheme {
        "" => password.to_owned(),
        "{SHA}" => format!("{{SHA}}{}", BASE64.encode(Sha1::digest(password))),
        magic => {
            let salt = salt(machine);
            md5_crypt(password.as_bytes(), salt.as_bytes(), magic)
        }
    }
}

/// Eight letters that nobody can guess, where the machine has a source of chance.
fn salt(machine: &mut dyn Machine) -> String {
    let uuid = machine.read(Path::new("/proc/sys/kernel/random/uuid"));
    let chance = Md5::new()
        .chain_update(uuid.unwrap_or_default())
        .chain_update(machine.now().to_bits().to_be_bytes())
        .finalize();
    let letters = chance.iter().take(8);
    letters
        .map(|byte| char::from(LETTERS[usize::from(byte % 64)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes() {
        let hash = "$apr1$abcdefgh$EfExgQSMBXioDhIVk8IOb1";
        assert_eq!(md5_crypt(b"myPassword", b"abcdefgh", "$apr1$"), hash);
        assert!(fits("myPassword", hash).unwrap() && !fits("other", hash).unwrap());
    }
}
