//! Facts of machines that are described in `tests/facts/*.md`: a page is a subset of `setup`, a section a machine.
//!
//! Blocks with a path are the machine's files, `link` is a link, `program` what a program prints; `facts` and
//! `warnings` are what Ansible's `setup` made of the same files (`tests/facts/record.py`).

use std::fs;
use std::path::Path;

use rplay_modules::args::prepare;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::memory::Memory;
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::registry;

use crate::harness::page::{Case, Page, Part};
use crate::harness::stages::Verdict;

/// Gathers the facts of every wanted machine.
pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let mut results = vec![];
    let Ok(entries) = fs::read_dir(root.join("tests/facts")) else {
        return results;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let subset = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match Page::read(&path) {
            Err(reason) => results.push((subset, Verdict::Failed(reason))),
            Ok(page) => results.extend(page.cases.iter().filter_map(|case| {
                let name = format!("facts/{subset}::{}", case.title);
                wanted(&name).then(|| (name, check(&subset, case)))
            })),
        }
    }
    results
}

fn check(subset: &str, case: &Case) -> Verdict {
    match gather(subset, case) {
        Ok(found) => compare(case, found),
        Err(reason) => Verdict::Failed(reason),
    }
}

fn gather(subset: &str, case: &Case) -> Result<(Map, String), String> {
    let mut machine = machine(case).map_err(|fault| fault.to_string())?;
    let words = ["!all", "!min", subset].map(Data::from).to_vec();
    let mut args = Map::from_iter([("gather_subset".to_owned(), Data::List(words))]);
    for name in ["filter", "fact_path"] {
        if let Some(value) = case.flag(name) {
            let value = match name {
                "filter" => Data::List(value.split(',').map(Data::from).collect()),
                _ => Data::from(value),
            };
            args.insert(name.to_owned(), value);
        }
    }
    let setup = registry::find("setup").ok_or("there is no `setup`")?;
    let prepared = prepare(setup, &args).map_err(|_| "the arguments are wrong")?;
    let outcome = (setup.run)(&mut machine, &prepared.args).map_err(|failure| failure.msg)?;
    let facts = outcome.facts.into_iter();
    let facts = facts.filter_map(|(name, value)| match name.strip_prefix("ansible_") {
        Some(short) => Some((short.to_owned(), value)),
        None => (name.starts_with("facter_") || name.starts_with("ohai_")).then_some((name, value)),
    });
    let warnings = outcome.warnings.iter().map(|line| format!("{line}\n"));
    Ok((facts.collect(), warnings.collect()))
}

fn machine(case: &Case) -> std::io::Result<Memory> {
    let mut memory = Memory::small();
    for part in &case.parts {
        let Part::Block { info, text } = part else {
            continue;
        };
        let words: Vec<&str> = info.split(' ').collect();
        let [word, path, rest @ ..] = words.as_slice() else {
            continue;
        };
        if *word == "program" {
            memory.answer(&words[1..].join(" "), 0, text, "");
            continue;
        }
        let path = Path::new(path);
        let above: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in above.into_iter().rev() {
            if memory.stat(folder, true)?.is_none() {
                memory.make_dir(folder, Some(0o755))?;
            }
        }
        if *word == "link" {
            memory.symlink(Path::new(text.trim_end()), path)?;
            continue;
        }
        let mode = rest.iter().find_map(|word| word.strip_prefix("mode="));
        let attrs = Attrs {
            mode: Some(mode.map_or(0o644, |mode| u32::from_str_radix(mode, 8).unwrap_or(0o644))),
            ..Attrs::default()
        };
        memory.write(path, Content::Bytes(text.as_bytes()), &attrs)?;
    }
    Ok(memory)
}

fn compare(case: &Case, (found, warnings): (Map, String)) -> Verdict {
    let Some((_, expected)) = case.block("facts") else {
        return Verdict::Failed("no `facts`; record.py writes them".to_owned());
    };
    let expected: serde_json::Value = match serde_json::from_str(expected) {
        Ok(expected) => expected,
        Err(fault) => return Verdict::Failed(format!("`facts`: {fault}")),
    };
    let mut wrong = String::new();
    let expected = Data::from_json(&expected);
    let none = Map::new();
    let expected = expected.as_map().unwrap_or(&none);
    for name in expected
        .keys()
        .chain(found.keys().filter(|name| !expected.contains_key(*name)))
    {
        let text = |facts: &Map| {
            facts
                .get(name)
                .map_or("nothing".to_owned(), Data::json_text)
        };
        if expected.get(name) != found.get(name) {
            wrong.push_str(&format!(
                "{name}: Ansible {}, rplay {}\n",
                text(expected),
                text(&found)
            ));
        }
    }
    let told = case.block("warnings").map_or("", |(_, text)| text);
    if told != warnings {
        wrong.push_str(&format!("warnings: Ansible\n{told}rplay\n{warnings}"));
    }
    match (wrong.is_empty(), case.flag("differs")) {
        (true, None) | (false, Some(_)) => Verdict::Passed,
        (true, Some(_)) => Verdict::Failed("no longer differs".to_owned()),
        (false, None) => Verdict::Failed(wrong),
    }
}
