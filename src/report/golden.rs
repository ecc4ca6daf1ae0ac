//! Every view against what Ansible showed for the same events: `tests/report`.

use std::io::{Result, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::event::Event;
use super::{Settings, read, view};
use crate::config::Config;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What the view of a recording shows: standard output and error.
fn shown(folder: &Path, events: &str, words: &[&str]) -> (String, String) {
    let variable = |name: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let config = Config::load(folder, &variable).value;
    let name = config.text("stdout_callback").unwrap();
    let (out, err) = (Buffer::default(), Buffer::default());
    let mut view = view(
        &name,
        &config,
        &Settings::new(&config, false),
        Box::new(out.clone()),
        Box::new(err.clone()),
    )
    .unwrap();
    let recorded = std::fs::read_to_string(folder.join(format!("{events}.ndjson"))).unwrap();
    for mut event in read(&recorded).unwrap() {
        if let Event::RunStarted { options } = &mut event {
            options.verbosity = u8::from(words.contains(&"-v"));
        }
        view.event(&event);
    }
    (out.text(), err.text())
}

/// The first line that differs, with what stands around it.
fn difference(name: &str, expected: &str, shown: &str) -> Option<String> {
    let pairs = expected.split('\n').zip(shown.split('\n')).enumerate();
    let (line, (expected_line, shown_line)) =
        pairs.into_iter().find(|(_, (a, b))| a != b).or_else(|| {
            let last = expected.lines().count().min(shown.lines().count());
            (expected != shown).then_some((last, ("(more or fewer lines)", "")))
        })?;
    Some(format!(
        "{name}:{}\n  ansible: {expected_line:?}\n  rplay:   {shown_line:?}",
        line + 1
    ))
}

#[test]
fn views_show_what_ansible_shows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report");
    let table = std::fs::read_to_string(folder.join("views.txt")).unwrap();
    let mut problems = vec![];
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [name, events, _, rest @ ..] = &words[..] else {
            continue;
        };
        let (out, err) = shown(&folder, events, rest);
        for (suffix, text) in [("out", out), ("err", err)] {
            let file = format!("{name}.{suffix}");
            let expected = std::fs::read_to_string(folder.join(&file)).unwrap_or_default();
            problems.extend(difference(&file, &expected, &text));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
