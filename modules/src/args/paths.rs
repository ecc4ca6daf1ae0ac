//! `~` and `$VAR` in arguments of kind `path`, expanded on the target.

use crate::data::{Data, Map};
use crate::machine::Machine;

/// The arguments, with those of these names expanded: paths, and lists of them.
#[must_use]
pub fn expand_paths(machine: &mut dyn Machine, names: &[&str], map: &Map) -> Map {
    let mut map = map.clone();
    for name in names {
        let paths = match map.get_mut(*name) {
            Some(Data::List(paths)) => paths.as_mut_slice(),
            Some(path) => std::slice::from_mut(path),
            None => continue,
        };
        for path in paths {
            if let Data::Str(path) = path {
                *path = expand_path(machine, path);
            }
        }
    }
    map
}

/// One path with `~`, `~user`, `$VAR` and `${VAR}` expanded; what is unknown stays as it is.
#[must_use]
pub fn expand_path(machine: &mut dyn Machine, path: &str) -> String {
    let path = expand_home(machine, path);
    if !path.contains('$') {
        return path;
    }
    expand_variables(&path, &machine.process().env)
}

fn expand_home(machine: &mut dyn Machine, path: &str) -> String {
    let Some(rest) = path.strip_prefix('~') else {
        return path.to_owned();
    };
    let (user, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let home = if user.is_empty() {
        Some(machine.process().home.to_string_lossy().into_owned())
    } else {
        machine.user_by_name(user).map(|user| user.home)
    };
    match home {
        Some(home) if home.trim_end_matches('/').is_empty() && rest.is_empty() => "/".to_owned(),
        Some(home) => format!("{}{rest}", home.trim_end_matches('/')),
        None => path.to_owned(),
    }
}

fn expand_variables(path: &str, env: &std::collections::BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = match after.strip_prefix('{') {
            Some(braced) => match braced.find('}') {
                Some(end) => (&braced[..end], end + 2),
                None => ("", 0),
            },
            None => {
                let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let end = after.find(|letter| !word(letter)).unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match env.get(name) {
            Some(value) => out.push_str(value),
            None => out.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let env = [("A".to_owned(), "x".to_owned())].into();
        assert_eq!(
            expand_variables("/$A/${A}b/$B/${C}/$", &env),
            "/x/xb/$B/${C}/$"
        );
        assert_eq!(expand_variables("${A", &env), "${A");
    }
}
