//! Local facts: files and programs that the machine's owner put into a folder.

use std::path::Path;

use super::Gather;
use crate::data::{Data, Map};
use crate::json;
use crate::machine::Command;

/// `local`.
pub(super) fn local(gather: &mut Gather<'_>) {
    let folder = gather.fact_path.clone();
    let mut local = Map::new();
    for name in gather.names(&folder) {
        if name.ends_with(".fact") && !name.starts_with('.') {
            let value = one(gather, &folder.join(&name));
            local.insert(name.replace(".fact", ""), value);
        }
    }
    gather.set("local", local);
}

fn one(gather: &mut Gather<'_>, path: &Path) -> Data {
    // Whoever may run it: a program that only others may run is told, not shown as text.
    let stat = gather.machine.stat(path, true);
    let there = matches!(stat, Ok(Some(_)));
    let runs = matches!(stat, Ok(Some(stat)) if stat.mode & 0o100 != 0);
    let text = if !there {
        let path = path.display();
        Err(format!(
            "Could not stat fact ({path}): [Errno 2] No such file or directory: '{path}'"
        ))
    } else if runs {
        let command = Command {
            timeout: Some(gather.timeout),
            ..Command::new([path.to_string_lossy()])
        };
        match gather.machine.query(&command) {
            Ok(output) if output.code == 0 => Ok(output.stdout_text()),
            Ok(output) => Err(format!(
                "Failure executing fact script ({}), rc: {}, err: {}",
                path.display(),
                output.code,
                output.stderr_text()
            )),
            Err(error) => Err(format!(
                "Could not execute fact script ({}): {error}",
                path.display()
            )),
        }
    } else {
        // What cannot be read as text is empty.
        let bytes = gather.machine.read(path).unwrap_or_default();
        Ok(String::from_utf8(bytes).unwrap_or_default())
    };
    let value = text.and_then(|text| {
        json::read(&text).or_else(|_| ini(&text)).map_err(|fault| {
            let (kinds, why) = match fault {
                Some(why) => ("ini", format!(" ({why})")),
                None => ("JSON or ini", String::new()),
            };
            format!(
                "error loading facts as {kinds} - please check content: {}{why}",
                path.display()
            )
        })
    });
    value.unwrap_or_else(|why| {
        gather.warnings.push(why.clone());
        Data::Str(why)
    })
}

/// Sections of `key = value` lines as Python's reader takes them: keys are lower case, what stands deeper goes
/// on with a value, `[DEFAULT]` is in every section, nothing is there twice. An error may say why.
fn ini(text: &str) -> Result<Data, Option<String>> {
    let mut sections: Vec<(String, Vec<(String, String)>)> = vec![("DEFAULT".to_owned(), vec![])];
    // The section that is read, and how deep the key stands whose value may go on.
    let (mut at, mut deep) = (None, None);
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        let goes_on = deep.is_some_and(|deep| trimmed.is_empty() || depth > deep);
        if let (true, Some(at)) = (goes_on, at) {
            let section: &mut (String, Vec<(String, String)>) = &mut sections[at];
            if let Some((_, value)) = section.1.last_mut() {
                value.push('\n');
                value.push_str(trimmed);
            }
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let name = trimmed
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'));
        if let Some((name, _)) = name {
            deep = None;
            at = Some(match sections.iter().position(|(other, _)| other == name) {
                Some(0) => 0,
                Some(_) => return Err(None),
                None => {
                    sections.push((name.to_owned(), vec![]));
                    sections.len() - 1
                }
            });
            continue;
        }
        let (key, value) = trimmed.split_once(['=', ':']).ok_or(None)?;
        let key = key.trim().to_lowercase();
        let section = &mut sections[at.ok_or(None)?].1;
        if section.iter().any(|(other, _)| *other == key) {
            return Err(None);
        }
        section.push((key, value.trim().to_owned()));
        deep = Some(depth);
    }
    let defaults = sections.remove(0).1;
    let section = |(name, keys): (String, Vec<(String, String)>)| {
        let all: Vec<(String, String)> = defaults.iter().cloned().chain(keys).collect();
        let filled: Result<Map, String> = all
            .iter()
            .map(|(key, value)| Ok((key.clone(), Data::Str(fill(value, key, &name, &all, 1)?))))
            .collect();
        Ok((name, Data::Map(filled?)))
    };
    let filled: Result<Map, String> = sections.into_iter().map(section).collect();
    filled.map(Data::Map).map_err(Some)
}

/// How often a value may name another one.
const DEPTH: usize = 10;

/// Puts the values of other keys into `%(key)s`.
fn fill(
    value: &str,
    key: &str,
    section: &str,
    keys: &[(String, String)],
    depth: usize,
) -> Result<String, String> {
    if depth > DEPTH {
        return Err(format!(
            "Recursion limit exceeded in value substitution: option '{key}' in section '{section}' contains an \
             interpolation key which cannot be substituted in {DEPTH} steps. Raw value: '{value}'"
        ));
    }
    let (mut filled, mut rest) = (String::new(), value.trim_end());
    while let Some((before, after)) = rest.split_once('%') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            filled.push('%');
            rest = after;
            continue;
        }
        let found = &rest[before.len()..];
        let Some(inner) = after.strip_prefix('(') else {
            return Err(format!(
                "'%' must be followed by '%' or '(', found: '{found}'"
            ));
        };
        let Some((name, after)) = inner.split_once(")s") else {
            return Err(format!("bad interpolation variable reference '{found}'"));
        };
        let wanted = name.to_lowercase();
        // The last one is the section's own.
        let Some((_, other)) = keys.iter().rev().find(|(key, _)| *key == wanted) else {
            return Err(format!(
                "Bad value substitution: option '{key}' in section '{section}' contains an interpolation key \
                 '{wanted}' which is not a valid option name. Raw value: '{value}'"
            ));
        };
        filled.push_str(&fill(other, key, section, keys, depth + 1)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn ini_facts() {
        let expected = Data::from(map! { "s" => map! { "k" => "v", "n" => "2" } });
        assert_eq!(ini("[s]\nk=v\nN = 2\n"), Ok(expected));
        assert_eq!(ini("garbage"), Err(None));
    }
}
