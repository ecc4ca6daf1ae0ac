//! Host patterns: `web:&staging:!w1`, `~regex`, `web[0:2]`, limits, and the order of hosts.

use std::cell::Cell;

use rplay_modules::regex::{Flags, Regex, TooLong};

use super::{Inventory, Mismatch, range};
use crate::diag::{Checked, Diagnostic, Severity, nearest};
use crate::ordered::OrderedSet;

/// For how many patterns without a match a name is suggested: it means comparing all names.
const SUGGESTIONS: usize = 20;

/// Ansible's sentence for a selection without any host.
pub const NO_HOSTS: &str =
    "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.";

/// The code of a problem: no plugin is enabled that could read an inventory.
pub const NO_PLUGINS: &str = "no-inventory-plugins";

/// The code of a problem: no source was read.
pub const UNPARSED: &str = "inventory-unparsed";

/// Ansible's sentence for an inventory without hosts.
pub const EMPTY: &str = "provided hosts list is empty, only localhost is available. \
                     Note that the implicit localhost does not match 'all'";

/// The keyword `order` of a play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As the pattern yields them.
    #[default]
    Inventory,
    /// The other way round.
    ReverseInventory,
    /// By name.
    Sorted,
    /// By name, the other way round.
    ReverseSorted,
    /// At random.
    Shuffle,
}

impl Order {
    /// The values of the keyword.
    pub const NAMES: [&'static str; 5] = [
        "inventory",
        "reverse_inventory",
        "sorted",
        "reverse_sorted",
        "shuffle",
    ];

    /// The order of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "inventory" => Self::Inventory,
            "reverse_inventory" => Self::ReverseInventory,
            "sorted" => Self::Sorted,
            "reverse_sorted" => Self::ReverseSorted,
            "shuffle" => Self::Shuffle,
            _ => return None,
        })
    }
}

/// Puts hosts in order; `seed` decides how they are shuffled.
#[must_use]
pub fn ordered(mut hosts: Vec<String>, order: Order, mut seed: u64) -> Vec<String> {
    match order {
        Order::Inventory => {}
        Order::ReverseInventory => hosts.reverse(),
        Order::Sorted => hosts.sort(),
        Order::ReverseSorted => hosts.sort_by(|a, b| b.cmp(a)),
        Order::Shuffle => {
            for last in (1..hosts.len()).rev() {
                // A multiplicative generator: nobody's safety depends on the order.
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                hosts.swap(last, (seed >> 33) as usize % (last + 1));
            }
        }
    }
    hosts
}

impl Inventory {
    /// The hosts that a pattern means within a limit, in Ansible's order. The implicit host is
    /// among them only if it is named.
    #[must_use]
    pub fn select(&self, pattern: &str, limit: Option<&str>) -> Checked<Vec<String>> {
        self.select_list(&[pattern.to_owned()], limit)
    }

    /// Like [`Inventory::select`] for a list of patterns.
    #[must_use]
    pub fn select_list(&self, patterns: &[String], limit: Option<&str>) -> Checked<Vec<String>> {
        let mut problems = vec![];
        let patterns: Vec<String> = patterns.iter().flat_map(|pattern| split(pattern)).collect();
        let mut hosts = self.evaluate(&patterns, &mut problems);
        if let Some(limit) = limit {
            let limits = limit_patterns(limit, &mut problems);
            let allowed = self.evaluate(&limits, &mut problems);
            hosts.retain(|host| allowed.contains(host));
        }
        Checked {
            value: hosts.into_iter().map(str::to_owned).collect(),
            problems,
        }
    }

    fn evaluate(&self, patterns: &[String], problems: &mut Vec<Diagnostic>) -> OrderedSet<&str> {
        let of = |mark: char| {
            patterns
                .iter()
                .filter(move |pattern| pattern.starts_with(mark))
        };
        let mut plain: Vec<&str> = patterns
            .iter()
            .map(String::as_str)
            .filter(|pattern| !pattern.starts_with(['!', '&']))
            .collect();
        if plain.is_empty() {
            plain.push("all");
        }
        let mut hosts = OrderedSet::default();
        for pattern in plain {
            // A host's own name needs no search, and wins over a group's.
            match self.hosts.get_key_value(pattern) {
                Some((name, _)) => drop(hosts.insert(name.as_str())),
                None if hosts.is_empty() => hosts = self.matches(pattern, problems),
                None => hosts.extend(self.matches(pattern, problems)),
            }
        }
        for pattern in of('&') {
            let both = self.matches(&pattern[1..], problems);
            hosts.retain(|host| both.contains(host));
        }
        for pattern in of('!') {
            let without = self.matches(&pattern[1..], problems);
            hosts.retain(|host| !without.contains(host));
        }
        hosts
    }

    fn matches(&self, pattern: &str, problems: &mut Vec<Diagnostic>) -> OrderedSet<&str> {
        let (name, subscript) = match subscript(pattern) {
            Some((name, subscript)) => (name, Some(subscript)),
            None => (pattern, None),
        };
        let hosts = self.enumerate(name, problems);
        let Some(subscript) = subscript else {
            return hosts;
        };
        if subscript.dash {
            let text = "Use [x:y] inclusive subscripts instead of [x-y] which has been removed";
            problems.push(Diagnostic::warning("host-pattern", text));
        }
        let chosen = subscript.apply(&hosts);
        if chosen.is_empty() && !hosts.is_empty() && !subscript.range {
            let text = format!("No hosts matched the subscripted pattern '{pattern}'");
            problems.push(Diagnostic::error("host-pattern", text));
        }
        chosen
    }

    fn enumerate(&self, pattern: &str, problems: &mut Vec<Diagnostic>) -> OrderedSet<&str> {
        let matcher = match Matcher::new(pattern) {
            Ok(matcher) => matcher,
            Err(message) => {
                let text = format!("Invalid host list pattern: {pattern}");
                problems.push(Diagnostic::error("host-pattern", text).cause(message));
                return OrderedSet::default();
            }
        };
        let names = self.groups.keys().map(String::as_str);
        let groups: Vec<&str> = names.filter(|name| matcher.matches(name)).collect();
        let mut found = match groups.split_first() {
            Some((first, _)) => self.group_hosts(first),
            None => OrderedSet::default(),
        };
        for name in groups.iter().skip(1) {
            found.extend(self.group_hosts(name));
        }
        if groups.is_empty()
            || matches!(matcher, Matcher::Regex(..))
            || pattern.contains(['.', '?', '*', '['])
        {
            let names = self.hosts.keys().map(String::as_str);
            found.extend(names.filter(|name| matcher.matches(name)));
        }
        if matches!(&matcher, Matcher::Regex(_, gave_up) if gave_up.get()) {
            let text = format!("Invalid host list pattern: {pattern}");
            problems.push(Diagnostic::error("host-pattern", text).cause(TooLong.to_string()));
            return OrderedSet::default();
        }
        if found.is_empty() {
            found.extend(self.localhost(pattern));
        }
        let silent = self.mismatch == Mismatch::Ignore || pattern == "all" || pattern == "*";
        if found.is_empty() && groups.is_empty() && !silent {
            let text = format!("Could not match supplied host pattern, ignoring: {pattern}");
            let known = self
                .groups
                .keys()
                .chain(self.hosts.keys())
                .map(String::as_str);
            let mut problem = Diagnostic::warning("host-pattern", text);
            if self.mismatch == Mismatch::Error {
                problem.severity = Severity::Error;
            }
            let name = (problems.len() < SUGGESTIONS)
                .then(|| nearest(pattern, known))
                .flatten();
            problems.push(match name {
                Some(name) => problem.hint(format!("did you mean `{name}`?")),
                None => problem,
            });
        }
        found
    }
}

/// The patterns of a limit: `@file` stands for the lines of a file.
fn limit_patterns(limit: &str, problems: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut patterns = vec![];
    for pattern in split(limit) {
        let Some(path) = pattern.strip_prefix('@') else {
            patterns.push(pattern);
            continue;
        };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                patterns.extend(
                    text.lines()
                        .map(str::trim)
                        .filter(|line| !line.is_empty())
                        .map(str::to_owned),
                );
            }
            Err(error) => {
                let text = format!("Unable to find limit file {path}");
                problems.push(Diagnostic::error("limit-file", text).cause(error.to_string()));
            }
        }
    }
    if patterns.is_empty() && problems.is_empty() {
        // Without a pattern it would be all hosts, and a variable that is not set a deployment to everywhere.
        let text = format!("the limit '{limit}' is empty");
        let hint = "leave `--limit` out to mean all hosts";
        problems.push(Diagnostic::error("limit-empty", text).hint(hint));
    }
    patterns
}

/// Splits a pattern at `,`, or else at `:` outside of brackets.
fn split(pattern: &str) -> Vec<String> {
    let trimmed = |text: &str| text.trim().to_owned();
    if pattern.contains(',') {
        return pattern
            .split(',')
            .map(trimmed)
            .filter(|part| !part.is_empty())
            .collect();
    }
    let ipv6 = pattern.parse::<std::net::Ipv6Addr>().is_ok();
    let (host, port) = range::split_port(pattern);
    if ipv6 || (port.is_some() && !host.contains(':')) {
        return vec![trimmed(pattern)];
    }
    let (mut parts, mut current) = (vec![], String::new());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        // Brackets hold colons and blanks together; one without the other separates like these.
        let bracket = rest.find(']').filter(|_| c == '[');
        let taken = bracket.map_or(c.len_utf8(), |end| end + 1);
        if bracket.is_none() && (matches!(c, ':' | '[' | ']') || c.is_whitespace()) {
            parts.push(std::mem::take(&mut current));
        } else {
            current.push_str(&rest[..taken]);
        }
        rest = &rest[taken..];
    }
    parts.push(current);
    parts.retain(|part| !part.is_empty());
    parts
}

/// `[3]`, `[-1]`, `[1:3]`, `[2:]` after a pattern.
#[derive(Debug, PartialEq)]
struct Subscript {
    first: i64,
    /// The last place of a range, itself included; none: up to the end.
    last: Option<i64>,
    range: bool,
    dash: bool,
}

fn subscript(pattern: &str) -> Option<(&str, Subscript)> {
    if pattern.starts_with('~') {
        return None;
    }
    let (name, inside) = pattern.strip_suffix(']')?.rsplit_once('[')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i64>().ok()).flatten()
    };
    if name.is_empty() {
        return None;
    }
    let single = inside
        .strip_prefix('-')
        .map_or_else(|| number(inside), |rest| number(rest).map(|value| -value));
    if let Some(first) = single {
        return Some((
            name,
            Subscript {
                first,
                last: None,
                range: false,
                dash: false,
            },
        ));
    }
    let at = inside.find([':', '-'])?;
    let (first, last) = (number(&inside[..at])?, &inside[at + 1..]);
    let last = if last.is_empty() {
        None
    } else {
        Some(number(last)?)
    };
    Some((
        name,
        Subscript {
            first,
            last,
            range: true,
            dash: inside[at..].starts_with('-'),
        },
    ))
}

impl Subscript {
    fn apply<'a>(&self, hosts: &OrderedSet<&'a str>) -> OrderedSet<&'a str> {
        let length = hosts.len() as i64;
        let (first, last) = match self.range {
            true => (self.first, self.last.unwrap_or(length - 1).min(length - 1)),
            false if self.first < 0 => (self.first + length, self.first + length),
            false => (self.first, self.first),
        };
        let Ok(first) = usize::try_from(first) else {
            return OrderedSet::default();
        };
        let count = last - first as i64 + 1;
        hosts
            .iter()
            .skip(first)
            .take(count.max(0) as usize)
            .copied()
            .collect()
    }
}

/// How names are compared.
enum Matcher {
    Exact(String),
    /// With whether a search took too long: then no further name is tried.
    Regex(Regex, Cell<bool>),
    Glob(Vec<char>),
}

impl Matcher {
    fn new(pattern: &str) -> Result<Self, String> {
        if let Some(regex) = pattern.strip_prefix('~') {
            let regex = Regex::new(regex, Flags::default())?;
            return Ok(Self::Regex(regex, Cell::new(false)));
        }
        if pattern.contains(['*', '?', '[']) {
            return Ok(Self::Glob(pattern.chars().collect()));
        }
        Ok(Self::Exact(pattern.to_owned()))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(text) => text == name,
            Self::Regex(regex, gave_up) => {
                let fits = (!gave_up.get()).then(|| regex.fits_start(name));
                gave_up.set(gave_up.get() || matches!(fits, Some(Err(_))));
                fits == Some(Ok(true))
            }
            Self::Glob(pattern) => glob(pattern, &name.chars().collect::<Vec<_>>()),
        }
    }
}

/// Whether a shell pattern (`*`, `?`, `[a-c]`, `[!x]`) fits a whole name.
fn glob(pattern: &[char], name: &[char]) -> bool {
    // After a mismatch only the latest `*` has to take more: one way back is enough.
    let (mut at, mut place, mut back) = (0, 0, None);
    while place < name.len() {
        match pattern.get(at) {
            Some('*') => {
                back = Some((at + 1, place));
                at += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = fits(&pattern[at..], name[place]) {
                    at += length;
                    place += 1;
                    continue;
                }
            }
            None => {}
        }
        let Some((after, start)) = back else {
            return false;
        };
        back = Some((after, start + 1));
        (at, place) = (after, start + 1);
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Whether the first element of a pattern fits a character; the answer is the element's length.
fn fits(pattern: &[char], c: char) -> Option<usize> {
    let close = || {
        pattern
            .iter()
            .skip(2 + usize::from(pattern.get(1) == Some(&'!')))
            .position(|c| *c == ']')
    };
    match pattern[0] {
        '?' => Some(1),
        '[' => match close() {
            Some(more) => {
                let negated = pattern[1] == '!';
                let begin = 1 + usize::from(negated);
                let end = begin + 1 + more;
                (in_set(&pattern[begin..end], c) != negated).then_some(end + 1)
            }
            None => (c == '[').then_some(1),
        },
        other => (other == c).then_some(1),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let mut rest = set;
    loop {
        rest = match rest {
            [] => return false,
            [first, '-', last, ..] if (*first..=*last).contains(&c) => return true,
            [_, '-', _, after @ ..] => after,
            [one, ..] if *one == c => return true,
            [_, after @ ..] => after,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::ini;

    const INVENTORY: &str = "u1\n[web]\nw[1:5]\n[db]\nd1\nw3\n[all2:children]\ndb\nweb\n";

    fn inventory() -> Inventory {
        let mut inventory = Inventory::empty();
        let source = crate::diag::Source::new("hosts", INVENTORY);
        ini::parse(
            &mut inventory,
            &source,
            &std::sync::Arc::from(std::path::Path::new("/hosts")),
        )
        .unwrap();
        inventory.reconcile();
        inventory
    }

    #[test]
    fn a_search_that_takes_long_is_given_up_once() {
        let mut inventory = inventory();
        for number in 0..200 {
            let name = format!("{}{number}", "a".repeat(40));
            inventory.add_host(&name, "ungrouped", None);
        }
        let selected = inventory.select("~(a|a)*b", None);
        assert_eq!(selected.value, [""; 0]);
        let cause = "the regular expression needs too many steps on this text";
        assert_eq!(selected.problems[0].causes, [cause]);
    }

    #[test]
    fn suggestions_end_some_time() {
        let unknown: Vec<String> = (0..100).map(|number| format!("webb{number}")).collect();
        let problems = inventory().select_list(&unknown, None).problems;
        let suggested = problems.iter().filter(|problem| !problem.hints.is_empty());
        assert!(suggested.count() <= SUGGESTIONS);
        assert_eq!(problems.len(), 100);
    }

    /// Recorded from `ansible --list-hosts`.
    #[test]
    fn patterns_mean_the_hosts_that_they_mean_to_ansible() {
        let inventory = inventory();
        for (pattern, limit, hosts) in [
            ("all", None, "u1 d1 w3 w1 w2 w4 w5"),
            ("a?l", None, "u1 d1 w3 w1 w2 w4 w5"),
            ("web[0]", None, "w1"),
            ("web[-1]", None, "w5"),
            ("web[1:3]", None, "w2 w3 w4"),
            ("web[2:]", None, "w3 w4 w5"),
            ("web[0-2]", None, "w1 w2 w3"),
            ("web[9]", None, ""),
            ("web[:2]", None, ""),
            ("web[-3:-1]", None, ""),
            ("web:!w2", None, "w1 w3 w4 w5"),
            ("web,&db", None, "w3"),
            ("~w[12]", None, "w1 w2"),
            ("~we", None, "w1 w2 w3 w4 w5"),
            ("db:web", None, "d1 w3 w1 w2 w4 w5"),
            ("w3,web", None, "w3 w1 w2 w4 w5"),
            ("127.0.0.1", None, "127.0.0.1"),
            ("!w1", None, "u1 d1 w3 w2 w4 w5"),
            ("&web", None, "w3 w1 w2 w4 w5"),
            ("!w1:web:w1", None, "w2 w3 w4 w5"),
            ("w*,!~w[12]", None, "w3 w4 w5"),
            ("w[!12]", None, "w3 w4 w5"),
            ("ungrouped", None, "u1"),
            ("all", Some("w3:u1"), "u1 w3"),
            ("all", Some("localhost"), ""),
        ] {
            assert_eq!(
                inventory.select(pattern, limit).value.join(" "),
                hosts,
                "{pattern} {limit:?}"
            );
        }
    }

    #[test]
    fn what_matches_nothing_is_said_in_ansible_s_words() {
        let inventory = inventory();
        let selected = inventory.select("web:d2", None);
        assert_eq!(
            selected.problems[0].message,
            "Could not match supplied host pattern, ignoring: d2"
        );
        assert_eq!(selected.problems[0].hints, ["did you mean `db`?"]);
        assert!(inventory.select("all", Some("nope")).value.is_empty());
    }
}
