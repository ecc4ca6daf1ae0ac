//! Local facts: files and programs that the machine's owner put into a folder.

use std::path::Path;

use super::Gather;
use super::platform::json;
use crate::data::{Data, Map};
use crate::machine::{Access, Command};

/// `local`.
pub(super) fn local(gather: &mut Gather<'_>) {
    let folder = gather.fact_path.clone();
    let mut local = Map::new();
    for name in gather.names(&folder) {
        if let Some(stem) = name.strip_suffix(".fact") {
            let value = one(gather, &folder.join(&name));
            local.insert(stem.to_owned(), value);
        }
    }
    gather.set("local", local);
}

fn one(gather: &mut Gather<'_>, path: &Path) -> Data {
    let runs = matches!(gather.machine.stat(path, true), Ok(Some(stat)) if stat.mode & 0o100 != 0)
        && gather.machine.access(path, Access::Execute);
    let text = if runs {
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
        match gather.machine.read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(format!("error reading {}: {error}", path.display())),
        }
    };
    let value = text.and_then(|text| {
        json(&text).or_else(|| ini(&text)).ok_or_else(|| {
            format!(
                "error loading facts as JSON or ini - please check content: {}",
                path.display()
            )
        })
    });
    value.unwrap_or_else(|why| {
        gather.warnings.push(why.clone());
        Data::Str(why)
    })
}

/// Sections of `key = value` lines; keys are lower case, as Python's reader makes them.
fn ini(text: &str) -> Option<Data> {
    let mut sections = Map::new();
    let mut section: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            sections.insert(name.to_owned(), Data::Map(Map::new()));
            section = Some(name.to_owned());
            continue;
        }
        let (key, value) = trimmed.split_once(['=', ':'])?;
        if let Some(Data::Map(map)) = sections.get_mut(section.as_ref()?) {
            map.insert(key.trim().to_lowercase(), Data::from(value.trim()));
        }
    }
    Some(Data::Map(sections))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn ini_facts() {
        let expected = Data::from(map! { "s" => map! { "k" => "v", "n" => "2" } });
        assert_eq!(ini("[s]\nk=v\nN = 2\n"), Some(expected));
        assert_eq!(ini("garbage"), None);
    }
}
