//! `sysctl`: a setting of the kernel, in a file of settings and in the running system.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{os_error, real_path};
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Keeps settings of the kernel in a file such as `/etc/sysctl.conf`, and sets them.
#[derive(ModuleArgs)]
struct Args {
    /// The setting, with dots or slashes.
    #[arg(alias = "key")]
    name: String,
    /// The value. Words that mean true and false become `1` and `0`.
    #[arg(alias = "val")]
    value: Option<String>,
    /// Whether the file has the setting.
    #[arg(default = "present")]
    state: State,
    /// The file.
    #[arg(default = "/etc/sysctl.conf")]
    sysctl_file: PathBuf,
    /// Load the file into the running system when it changed.
    #[arg(default = "true")]
    reload: bool,
    /// Look at the running system, too, and set the value there when it differs.
    #[arg(default = "false")]
    sysctl_set: bool,
    /// Settings that the kernel does not know are no failure.
    #[arg(default = "false")]
    ignoreerrors: bool,
}

/// What comes back: nothing of its own.
#[derive(Returns)]
struct Values {}

module! {
    "ansible.posix.sysctl", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.sysctl"],
    rules: Rules { required_if: &[("state", "present", &["value"], false)], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if args.name.is_empty() {
        return Err(Failure::new("name cannot be blank"));
    }
    let present = args.state == State::Present;
    if present && args.value.as_deref() == Some("") {
        return Err(Failure::new("value cannot be blank"));
    }
    let value = wanted(args.value.as_deref().unwrap_or_default());
    let file = real_path(machine, &args.sysctl_file);
    let old = read(machine, &file)?;
    let in_file = lookup(&old, &args.name);
    let rewrite = match present {
        true => in_file.as_deref() != Some(value.as_str()),
        false => in_file.is_some(),
    };
    let set = args.sysctl_set && {
        let now = running(machine, &args.name);
        now.is_none_or(|now| !now.split_whitespace().eq(value.split_whitespace()))
    };
    if set {
        change(
            machine,
            &args,
            &value,
            &["-w", &format!("{}={value}", args.name)],
            |error| format!("setting {} failed: {error}", args.name),
        )?;
    }
    if rewrite {
        let new = rewritten(&old, &args.name, present.then_some(value.as_str()));
        let written = machine.write(&file, Content::Bytes(new.as_bytes()), &Attrs::default());
        written.map_err(|error| {
            let file = file.display();
            let error = os_error(&error, &args.sysctl_file);
            Failure::unexpected(format!("Could not replace '{file}': {error}"))
        })?;
    }
    if args.reload && (rewrite || set) {
        let file = args.sysctl_file.to_string_lossy().into_owned();
        change(machine, &args, &value, &["-p", &file], |error| {
            format!("Failed to reload sysctl: {error}")
        })?;
    }
    Ok(Outcome::new(rewrite || set))
}

/// The value as it is written.
fn wanted(value: &str) -> String {
    match value.trim().to_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => "1".to_owned(),
        "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => "0".to_owned(),
        _ => value.trim().to_owned(),
    }
}

fn read(machine: &mut dyn Machine, file: &Path) -> Result<String, Failure> {
    match machine.stat(file, true) {
        Ok(Some(stat)) if stat.kind == rplay_modules::machine::FileKind::Directory => {
            Ok(String::new())
        }
        Ok(None) => Ok(String::new()),
        _ => {
            let bytes = machine.read(file).map_err(|error| {
                let file = Data::from(file.to_string_lossy().as_ref()).repr();
                let error = rplay_modules::machine::attrs::os_error_text(&error);
                Failure::new(format!(
                    "Failed to open {}: {error}",
                    file.trim_matches('\'')
                ))
            })?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

/// A setting's name and value; nothing for comments and other lines.
fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.split_once('=')?;
    Some((name.trim(), value.trim()))
}

/// The value in the file: the last one counts.
fn lookup(text: &str, name: &str) -> Option<String> {
    let mut found = text
        .lines()
        .filter_map(setting)
        .filter(|found| found.0 == name);
    found.next_back().map(|(_, value)| value.to_owned())
}

/// The text with the setting; without a value the setting goes. Every setting stays once.
fn rewritten(text: &str, name: &str, value: Option<&str>) -> String {
    let (mut seen, mut out) = (Vec::new(), String::new());
    for line in text.lines() {
        let Some((key, old)) = setting(line) else {
            out.push_str(line.trim());
            out.push('\n');
            continue;
        };
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let value = if key == name { value } else { Some(old) };
        if let Some(value) = value {
            out.push_str(&format!("{key}={value}\n"));
        }
    }
    if let Some(value) = value.filter(|_| !seen.contains(&name)) {
        out.push_str(&format!("{name}={value}\n"));
    }
    out
}

/// The value in the running system, or the one that it would have.
fn running(machine: &mut dyn Machine, name: &str) -> Option<String> {
    if let Some(value) = machine.assumed(&format!("sysctl:{name}")) {
        return Some(value);
    }
    // Dots separate, unless slashes do; then a dot belongs to a name.
    let first = name.find(['.', '/']).map(|at| &name[at..=at]);
    let path = match first {
        Some(".") => name.replace('/', "\0").replace('.', "/").replace('\0', "."),
        _ => name.to_owned(),
    };
    let bytes = machine.read(&Path::new("/proc/sys").join(path)).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// Runs `sysctl`, and remembers what it would have set.
fn change(
    machine: &mut dyn Machine,
    args: &Args,
    value: &str,
    words: &[&str],
    message: impl FnOnce(&str) -> String,
) -> Result<(), Failure> {
    let mut argv = vec!["sysctl"];
    argv.extend(args.ignoreerrors.then_some("-e"));
    argv.extend(words);
    match programs::change(machine, &Command::new(argv).c_locale())? {
        // Wrong keys are told of on standard error alone by some versions.
        Some(output) if output.code != 0 || (!args.ignoreerrors && unknown(&output.stderr)) => {
            Err(Failure::new(message(&programs::said(&output))))
        }
        Some(_) => Ok(()),
        None => {
            let key = format!("sysctl:{}", args.name);
            machine.assume(Change::Fact(key, Some(value.to_owned())));
            Ok(())
        }
    }
}

fn unknown(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).contains("Invalid argument")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let text = "# c\n\na=1\n b = 2 \na=3\nno setting\n";
        assert_eq!(lookup(text, "a").as_deref(), Some("3"));
        assert_eq!(
            rewritten(text, "a", Some("4")),
            "# c\n\na=4\nb=2\nno setting\n"
        );
        assert_eq!(rewritten(text, "b", None), "# c\n\na=1\nno setting\n");
    }
}
