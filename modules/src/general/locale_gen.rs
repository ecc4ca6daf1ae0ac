//! `locale_gen`: locales of the C library.

use std::path::Path;

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::os_error;
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{map, module};

use crate::builtin::programs;

/// Makes locales with `locale-gen`, by their lines in `/etc/locale.gen`, or removes them.
#[derive(ModuleArgs)]
struct Args {
    /// The locales, as `de_CH.UTF-8`.
    name: Vec<String>,
    /// Whether they are there.
    #[arg(default = "present")]
    state: State,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The locales.
    name: Vec<String>,
    /// How they are made.
    mechanism: String,
    /// Whether it is done as older versions of Ubuntu do.
    ubuntu_mode: bool,
}

module! {
    "community.general.locale_gen", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.locale_gen"],
}

const LIST: &str = "/etc/locale.gen";
const SUPPORTED: &str = "/usr/share/i18n/SUPPORTED";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let told = |outcome: Outcome| {
        outcome
            .with("name", args.name.clone())
            .with("mechanism", "glibc")
            .with("ubuntu_mode", false)
    };
    if matches!(
        machine.stat(Path::new("/var/lib/locales/supported.d"), true),
        Ok(Some(_))
    ) && !matches!(machine.stat(Path::new(LIST), true), Ok(Some(_)))
    {
        let text = "locales in /var/lib/locales/supported.d, as older versions of Ubuntu have them, are not supported";
        return Err(Failure::new(text));
    }
    let list = read(machine, LIST);
    let Some(text) = list else {
        let text = format!("{LIST} is missing. Is the package \"locales\" installed?");
        return Err(Failure::new(text));
    };
    let supported = read(machine, SUPPORTED).unwrap_or_default();
    let unknown: Vec<&str> = args
        .name
        .iter()
        .filter(|name| {
            line_of(&supported, name)
                .or_else(|| line_of(&text, name))
                .is_none()
        })
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        let text = format!(
            "The following locales you have entered are not available on your system: {unknown}"
        );
        let all =
            map! { "name" => args.name.clone(), "mechanism" => "glibc", "ubuntu_mode" => false };
        let mut failure = Failure::new(text);
        failure.results.extend(all.clone());
        // Ansible's module tells all it knows twice more.
        return Err(failure.with("output", all.clone()).with("vars", all));
    }
    let present = args.state == State::Present;
    let mut wrong = vec![];
    let known = installed(machine)?;
    for name in &args.name {
        let there = match machine.assumed(&key(name)) {
            Some(there) => there == "present",
            None => known.contains(&plain(name)),
        };
        if there != present {
            wrong.push(name);
        }
    }
    if wrong.is_empty() {
        return Ok(told(Outcome::unchanged()));
    }
    let mut new = text.clone();
    for name in &wrong {
        let charset = line_of(&supported, name).or_else(|| line_of(&text, name));
        new = edited(&new, name, &charset.unwrap_or_default(), present);
    }
    if new != text {
        let path = Path::new(LIST);
        let attrs = Attrs {
            in_place: true,
            ..Attrs::default()
        };
        let written = machine.write(path, Content::Bytes(new.as_bytes()), &attrs);
        written.map_err(|error| Failure::new(os_error(&error, path)))?;
    }
    let program = programs::required(machine, "locale-gen")?;
    programs::must(machine, &Command::new([program]).c_locale())?;
    for name in wrong {
        let state = args.state.word().to_owned();
        machine.assume(Change::Fact(key(name), Some(state)));
    }
    Ok(told(Outcome::new(true)))
}

fn key(name: &str) -> String {
    format!("locale:{}", plain(name))
}

fn read(machine: &mut dyn Machine, path: &str) -> Option<String> {
    let bytes = machine.read(Path::new(path)).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The locales that there are, each in its plain form.
fn installed(machine: &mut dyn Machine) -> Result<Vec<String>, Failure> {
    let program = programs::required(machine, "locale")?;
    let output = programs::ask(machine, [program.as_str(), "-a"])?;
    Ok(output.stdout_text().lines().map(plain).collect())
}

/// A name whose character set is written in the one way that `locale` has: `de_CH.utf8@euro`.
fn plain(name: &str) -> String {
    let Some((language, rest)) = name.trim().split_once('.') else {
        return name.trim().to_owned();
    };
    let (charset, modifier) = rest.split_once('@').unwrap_or((rest, ""));
    let charset: String = charset
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let charset = charset.to_ascii_lowercase();
    match modifier {
        "" => format!("{language}.{charset}"),
        modifier => format!("{language}.{charset}@{modifier}"),
    }
}

/// The character set in the line of a locale, whether it is a comment or not.
fn line_of(text: &str, name: &str) -> Option<String> {
    let words = |line: &str| {
        let mut words = line.trim_start_matches('#').split_whitespace();
        let found = words.next() == Some(name);
        words.next().filter(|_| found).map(str::to_owned)
    };
    text.lines().find_map(words)
}

/// The list with the locale's line as wanted; a new one comes to the end.
fn edited(text: &str, name: &str, charset: &str, present: bool) -> String {
    let wanted = match present {
        true => format!("{name} {charset}"),
        false => format!("# {name} {charset}"),
    };
    let (mut out, mut seen) = (String::new(), false);
    for line in text.lines() {
        let own = line_of(line, name).is_some_and(|found| found == charset);
        match own {
            true if !seen || line.starts_with('#') == present => out.push_str(&wanted),
            _ => out.push_str(line),
        }
        seen |= own;
        out.push('\n');
    }
    if !seen && present {
        out.push_str(&wanted);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(plain("nl_NL.UTF-8@x"), "nl_NL.utf8@x");
        assert_eq!(plain("de_CH"), "de_CH");
        let text = "# Comment\n# de_CH ISO-8859-1\n# de_CH.UTF-8 UTF-8\n";
        let one = edited(text, "de_CH.UTF-8", "UTF-8", true);
        assert_eq!(one, "# Comment\n# de_CH ISO-8859-1\nde_CH.UTF-8 UTF-8\n");
        assert_eq!(edited(&one, "de_CH.UTF-8", "UTF-8", false), text);
        assert_eq!(edited("", "C.x", "X", true), "C.x X\n");
        assert_eq!(line_of(text, "de_CH").as_deref(), Some("ISO-8859-1"));
    }
}
