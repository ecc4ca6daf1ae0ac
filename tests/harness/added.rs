//! What rplay adds to Ansible's messages: advice and places, which an expectation recorded from Ansible has not.
//!
//! Ansible's lines must all be there, in their order. The added ones stand in the block `added` of the case, so that
//! they are tested as well.

use std::sync::LazyLock;

use rplay_modules::regex::{Flags, Regex};

use super::stages::{Verdict, same};

/// A line that may be added wherever it stands: advice, the include chain, a further place.
static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let line = r"^(help: .|included at \S+:\d+:\d+$|(in this task|this task needs it|first defined here|named here|See also): \S+:\d+:\d+$)";
    Regex::new(line, Flags::default()).ok()
});

/// The head of a place: the lines around it may follow.
static ORIGIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^Origin: \S+(:\d+:\d+)?$", Flags::default()).ok());

/// A line of a place: one of the file, or the mark below it.
static EXCERPT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^( *\d+( .*)?| *\^( column \d+)?)$", Flags::default()).ok());

fn is(kind: &Option<Regex>, line: &str) -> bool {
    kind.as_ref()
        .is_some_and(|kind| matches!(kind.found(line), Ok(true)))
}

/// What the found text has beyond the expected one; the difference, if that is more than may be added.
pub(crate) fn beyond(what: &str, expected: &str, found: &str) -> Result<String, String> {
    additions(expected, found)
        .ok_or(())
        .or_else(|()| same(what, expected, found).map(|()| String::new()))
}

/// The added lines without the empty ones around them; nothing if the texts differ in another way.
fn additions(theirs: &str, ours: &str) -> Option<String> {
    let lines: Vec<&str> = ours.split_inclusive('\n').collect();
    let mut expected = theirs.split_inclusive('\n').peekable();
    let (mut added, mut after, mut place) = (String::new(), false, false);
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim_end_matches('\n');
        let origin = is(&ORIGIN, text);
        if expected.peek() == Some(line) {
            expected.next();
            // The empty line below an added `Origin:` may be Ansible's own.
            (after, place) = (false, place && text.is_empty());
        } else if is(&LINE, text) || origin || (place && is(&EXCERPT, text)) {
            added.push_str(line);
            (after, place) = (true, place || origin);
        } else if text.is_empty() && (after || starts(lines.get(at + 1))) {
        } else {
            return None;
        }
    }
    expected.peek().is_none().then_some(added)
}

/// Whether an added part begins here.
fn starts(line: Option<&&str>) -> bool {
    line.is_some_and(|line| {
        let text = line.trim_end_matches('\n');
        is(&LINE, text) || is(&ORIGIN, text)
    })
}

/// The harness's own tests: expected text, found text, and what is added, if that is allowed.
const TESTS: &[(&str, &str, &str, Option<&str>)] = &[
    ("equal texts", "a\n\nb\n", "a\n\nb\n", Some("")),
    (
        "advice",
        "[ERROR]: a\n\nfatal\n",
        "[ERROR]: a\n\nhelp: do b\n\nfatal\n",
        Some("help: do b\n"),
    ),
    (
        "advice without an empty line",
        "[ERROR]: a\n",
        "[ERROR]: a\nhelp: do b\n",
        Some("help: do b\n"),
    ),
    (
        "the chain of includes",
        "^ column 3\n\nfatal\n",
        "^ column 3\n\nincluded at <case>/a.yml:1:3\nincluded at <case>/b.yml:2:3\n\nfatal\n",
        Some("included at <case>/a.yml:1:3\nincluded at <case>/b.yml:2:3\n"),
    ),
    (
        "a place where Ansible has none",
        "[ERROR]: a\n\nb\n",
        "[ERROR]: a\nOrigin: <case>/a.yml:2:1\n\n1 x\n2 y\n  ^ column 1\n\nb\n",
        Some("Origin: <case>/a.yml:2:1\n1 x\n2 y\n  ^ column 1\n"),
    ),
    (
        "another place than Ansible's",
        "[ERROR]: a\nOrigin: <case>/a.yml:3:1\n\n1 x\n",
        "[ERROR]: a\nOrigin: <case>/a.yml:2:1\n\n1 x\n",
        None,
    ),
    ("a line is missing", "a\nb\n", "a\nhelp: c\n", None),
    ("another order", "a\nb\n", "b\na\n", None),
    ("any other line", "a\n", "a\nb\n", None),
    ("an empty line", "a\nb\n", "a\n\nb\n", None),
    ("a line of a file without a place", "a\n", "a\n1 b\n", None),
];

/// Runs them.
pub(crate) fn all() -> Vec<(String, Verdict)> {
    let check = |(name, theirs, ours, expected): &(&str, &str, &str, Option<&str>)| {
        let found = additions(theirs, ours);
        let verdict = match found.as_deref() == *expected {
            true => Verdict::Passed,
            false => Verdict::Failed(format!("{found:?} instead of {expected:?}")),
        };
        (format!("harness::added lines: {name}"), verdict)
    };
    TESTS.iter().map(check).collect()
}
