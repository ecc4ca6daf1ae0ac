//! Values that must never be shown: collected where they are opened, masked where text leaves.
//!
//! What was opened from a vault, a password or a `no_log` value is known by its text alone: from
//! then on a view cannot tell it from any other text, wherever a template or a program puts it.
//! So every text that leaves is searched for all of them in one pass.
//!
//! | value | masked |
//! | --- | --- |
//! | [`SHORTEST`] characters and more | wherever it occurs, also in the forms of `forms.rs` |
//! | the beginning of such a one, where a line was cut off | there |
//! | shorter | where a value of a result is this text and nothing else |
//! | a line of a value with several lines (the first `LINES`), of [`LINE`] characters and more | as a value of its own |
//! | a text in the result of a `no_log` task, of [`LINE`] characters and more | as a value |
//! | truth values, null and the words of `PLAIN` | never: they say nothing and are everywhere |

mod forms;
mod tags;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use aho_corasick::AhoCorasick;
use rplay_modules::data::{Data, Map};
use rplay_modules::text;

pub use tags::{Tags, untagged};

/// What stands for a secret, as in Ansible's output.
pub const STARS: &str = "********";

/// Shorter values would blot out ordinary text, so they are masked as whole values only.
pub const SHORTEST: usize = 4;

/// What stands where a line was cut off.
const CUTS: &[&[u8]] = &[b"[...]", b"..."];

/// The shortest line of a longer value that is a secret of its own.
pub const LINE: usize = 8;

/// How many lines of one value become secrets of their own.
const LINES: usize = 2_000;

/// Words that tell nothing, and whose masking would make every output unreadable.
const PLAIN: &[&str] = &[
    "true",
    "false",
    "null",
    "none",
    "localhost",
    "127.0.0.1",
    "local",
    "root",
    "sudo",
    "present",
    "absent",
];

/// Results in which a module hands over content, as opposed to paths, owners and states.
const CONTENT: &[&str] = &[
    "stdout",
    "stderr",
    "content",
    "json",
    "cookies",
    "ansible_facts",
];

/// Variables that hold passwords whoever sets them.
const PASSWORDS: &[&str] = &[
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_su_pass",
    "ansible_doas_pass",
    "ansible_private_key_passphrase",
    "ansible_ssh_private_key_passphrase",
];

/// The secrets known so far. Clones are one collection: it only ever grows.
#[derive(Clone, Default)]
pub struct Secrets {
    known: Arc<Mutex<Known>>,
    /// Variables that hold secrets besides `PASSWORDS`: names, or patterns with `*`.
    names: Arc<OnceLock<Vec<String>>>,
}

#[derive(Default)]
struct Known {
    /// Texts masked wherever they occur.
    anywhere: BTreeSet<String>,
    /// Texts masked where they are a whole value.
    whole: Arc<BTreeSet<String>>,
    /// Built when a text is to be masked, and again after something was added.
    matcher: Option<Arc<Matcher>>,
}

/// Tells how many there are, never which.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.known().whole.len())
    }
}

impl Secrets {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a secret.
    pub fn add(&self, secret: &str) {
        let mut known = self.known();
        known.add(secret);
        for line in lines(secret) {
            known.add(line);
        }
    }

    /// Adds a text that may hold templates: what stands between them. What they come to is
    /// known by the variables that they name.
    pub fn add_template(&self, text: &str) {
        if !text.contains("{{") && !text.contains("{%") {
            return self.add(text);
        }
        for piece in literals(text) {
            if piece.trim().chars().count() >= LINE {
                self.add(piece);
            }
        }
    }

    /// Adds what a vaulted file holds that is no list of variables: its lines, and in a line
    /// `name=value` or `name: value` the value.
    pub fn add_content(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.add(&text);
        for line in text.lines().take(LINES) {
            if let Some((_, value)) = line.split_once(['=', ':']) {
                self.add(value.trim().trim_matches(['"', '\'']));
            }
        }
    }

    /// Adds the content in the result of a `no_log` task; with `all` every text of it.
    pub fn add_result(&self, result: &Map, all: bool) {
        // The items of a loop were told one by one.
        let all = all && !result.contains_key("results");
        let loop_var = result.get("ansible_loop_var").and_then(Data::as_str);
        for (name, value) in result {
            let name = name.as_str();
            if all || CONTENT.contains(&name) || loop_var == Some(name) {
                self.add_data(value);
            }
            if name == "content" && result.get("encoding").and_then(Data::as_str) == Some("base64")
            {
                self.add_data(&Data::Bytes(forms::unbase64(&value.text())));
            }
        }
    }

    fn add_data(&self, data: &Data) {
        match data {
            Data::List(items) => items.iter().for_each(|item| self.add_data(item)),
            Data::Map(map) => map.values().for_each(|value| self.add_data(value)),
            Data::Null | Data::Bool(_) => {}
            other => {
                let text = other.text();
                if text.trim().chars().count() >= LINE {
                    self.add(&text);
                }
            }
        }
    }

    /// From now on variables of these names hold secrets; `*` stands for anything. It is said once.
    pub fn name(&self, names: Vec<String>) {
        self.names.get_or_init(|| names);
    }

    /// Whether the name of a variable says that its value is secret.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        let named = || self.names.get().into_iter().flatten();
        PASSWORDS.contains(&name) || named().any(|one| text::fits(one, name))
    }

    /// Adds the value of a variable whose name says that it is secret.
    pub fn add_named(&self, name: &str, value: &str) {
        if self.is_named(name) {
            self.add_template(value);
        }
    }

    /// Adds what a variable came to whose name says that it is secret; of lists and mappings only what
    /// is long enough to be no ordinary word.
    pub fn add_value(&self, value: &Data) {
        match value {
            Data::Str(text) => self.add(text),
            Data::Int(_) | Data::Float(_) => self.add(&value.text()),
            other => self.add_data(other),
        }
    }

    /// What finds them; `None` while there are none.
    #[must_use]
    pub fn matcher(&self) -> Option<Arc<Matcher>> {
        let mut known = self.known();
        if known.matcher.is_none() && !known.whole.is_empty() {
            // It fails for more patterns than memory holds.
            let automaton = AhoCorasick::new(&known.anywhere).ok()?;
            known.matcher = Some(Arc::new(Matcher {
                automaton,
                whole: Arc::clone(&known.whole),
                tags: None,
            }));
        }
        known.matcher.clone()
    }

    /// Whether something of a value is secret.
    #[must_use]
    pub fn is_in(&self, value: &Data) -> bool {
        self.matcher().is_some_and(|matcher| matcher.is_in(value))
    }

    /// A text without the secrets.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.matcher()
            .and_then(|matcher| matcher.masked(text))
            .map_or(Cow::Borrowed(text), Cow::Owned)
    }
}

/// The lines of a text that are long enough to be secrets of their own.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let several = text.trim().contains('\n');
    text.lines()
        .filter(move |_| several)
        .map(str::trim)
        .filter(|line| line.chars().count() >= LINE)
        .take(LINES)
}

/// What stands outside of the templates in a text.
fn literals(mut text: &str) -> Vec<&str> {
    let mut pieces = vec![];
    while let Some((open, close)) = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")]
        .into_iter()
        .filter_map(|(open, close)| Some((text.find(open)?, close)))
        .min()
    {
        pieces.push(&text[..open]);
        text = text[open..].split_once(close).map_or("", |(_, rest)| rest);
    }
    pieces.push(text);
    pieces
}

impl Known {
    fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        let plain = PLAIN.iter().any(|word| word.eq_ignore_ascii_case(secret));
        if secret.is_empty() || plain || self.whole.contains(secret) {
            return;
        }
        Arc::make_mut(&mut self.whole).insert(secret.to_owned());
        if secret.chars().count() >= SHORTEST {
            self.anywhere.extend(forms::of(secret));
            self.anywhere.insert(secret.to_owned());
        }
        self.matcher = None;
    }
}

/// Finds secrets in texts.
#[derive(Debug)]
pub struct Matcher {
    automaton: AhoCorasick,
    whole: Arc<BTreeSet<String>>,
    /// What stands behind the stars.
    tags: Option<Arc<Tags>>,
}

impl Matcher {
    /// The same, with tags behind the stars.
    #[must_use]
    pub fn tagged(&self, tags: &Arc<Tags>) -> Self {
        Self {
            automaton: self.automaton.clone(),
            whole: Arc::clone(&self.whole),
            tags: Some(Arc::clone(tags)),
        }
    }

    /// What stands for a secret.
    fn mark(&self, secret: &str) -> Cow<'static, str> {
        let tags = self.tags.as_ref();
        tags.map_or(Cow::Borrowed(STARS), |tags| Cow::Owned(tags.mark(secret)))
    }

    /// The places of secrets, in order; those that overlap as one.
    fn places(&self, text: &[u8]) -> Vec<Range<usize>> {
        let Ok(found) = self.automaton.try_find_overlapping_iter(text) else {
            return vec![];
        };
        let mut places: Vec<Range<usize>> = found.map(|found| found.range()).collect();
        places.extend(self.beginnings(text));
        places.sort_by_key(|place| place.start);
        places.dedup_by(|next, last| {
            let overlap = next.start < last.end;
            if overlap {
                last.end = last.end.max(next.end);
            }
            overlap
        });
        places
    }

    /// Where a line was cut off inside of a secret, as excerpts of sources are: its beginning.
    fn beginnings(&self, text: &[u8]) -> Vec<Range<usize>> {
        let cut = |line: &[u8]| {
            CUTS.iter()
                .find_map(|mark| Some(line.strip_suffix(*mark)?.len()))
        };
        let mut places = vec![];
        let mut start = 0;
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(length) = cut(line) {
                let line = &line[..length];
                let known = |secret: &String| -> Option<usize> {
                    let ends = secret.char_indices().map(|(at, _)| at).skip(SHORTEST);
                    ends.filter(|end| line.ends_with(&secret.as_bytes()[..*end]))
                        .last()
                };
                let longest = self.whole.iter().filter_map(known).max();
                places.extend(longest.map(|part| start + length - part..start + length));
            }
            start += line.len() + 1;
        }
        places
    }

    /// The text without secrets; `None` when there is none in it.
    #[must_use]
    pub fn masked(&self, text: &str) -> Option<String> {
        let places = self.places(text.as_bytes());
        if places.is_empty() {
            return None;
        }
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for place in places {
            shown.push_str(&text[from..place.start]);
            shown.push_str(&self.mark(&text[place.clone()]));
            from = place.end;
        }
        shown.push_str(&text[from..]);
        Some(shown)
    }

    /// Masks a text.
    pub fn text(&self, text: &mut String) {
        if let Some(masked) = self.masked(text) {
            *text = masked;
        }
    }

    /// Masks a value.
    pub fn data(&self, data: &mut Data) {
        match data {
            Data::Str(text) if self.whole.contains(text.trim()) => {
                *text = self.mark(text.trim()).into_owned();
            }
            Data::Str(text) => self.text(text),
            Data::Bytes(bytes) => {
                if !self.places(bytes).is_empty() {
                    let mut text = String::from_utf8_lossy(bytes).into_owned();
                    self.text(&mut text);
                    *bytes = text.into_bytes();
                }
            }
            Data::List(items) => items.iter_mut().for_each(|item| self.data(item)),
            Data::Map(map) => self.map(map),
            // A number may be a secret too: a PIN. Short ones are ordinary counts and codes.
            Data::Int(_) | Data::Float(_) => {
                let text = data.text();
                if text.len() >= SHORTEST && self.whole.contains(&text) {
                    *data = Data::Str(self.mark(&text).into_owned());
                }
            }
            Data::Null | Data::Bool(_) => {}
        }
    }

    /// Whether something of a value is secret.
    #[must_use]
    pub fn is_in(&self, value: &Data) -> bool {
        let mut shown = value.clone();
        self.data(&mut shown);
        shown != *value
    }

    /// Masks the values of a mapping, and its names.
    pub fn map(&self, map: &mut Map) {
        map.values_mut().for_each(|value| self.data(value));
        if map
            .keys()
            .any(|key| !self.places(key.as_bytes()).is_empty())
        {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, value)| (self.masked(&key).unwrap_or(key), value))
                .collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hiding(secrets: &[&str]) -> Secrets {
        let all = Secrets::default();
        secrets.iter().for_each(|secret| all.add(secret));
        all
    }

    #[test]
    fn secrets_inside_text() {
        let all = hiding(&["s3cret", "s3cret-long", "long-tail"]);
        assert_eq!(all.text("nothing here"), "nothing here");
        assert_eq!(all.text("a s3cret b"), "a ******** b");
        // Those that overlap are one place: no end of one remains.
        assert_eq!(all.text("s3cret-long-tail!"), "********!");
        assert_eq!(all.text("s3crets3cret"), "****************");
    }

    #[test]
    fn secrets_that_are_cut_off() {
        let all = hiding(&["s3cret-long", "s3c"]);
        assert_eq!(
            all.text("a s3cret-l...\nb s3cret-"),
            "a ********...\nb s3cret-"
        );
        assert_eq!(all.text("s3cre[...]\ns3c..."), "********[...]\ns3c...");
    }

    #[test]
    fn short_and_plain_values() {
        let all = hiding(&["abc", "7", "True", "root", "8080"]);
        assert_eq!(all.text("abc 7 True root"), "abc 7 True root");
        let matcher = all.matcher().unwrap();
        let mut data = Data::List(vec![
            Data::from("abc"),
            Data::from("abcd"),
            Data::Int(7),
            Data::Int(8080),
            Data::from("root"),
        ]);
        matcher.data(&mut data);
        let expected = vec![
            Data::from(STARS),
            Data::from("abcd"),
            Data::Int(7),
            Data::from(STARS),
            Data::from("root"),
        ];
        assert_eq!(data, Data::List(expected));
    }

    #[test]
    fn several_lines() {
        let key = "-----BEGIN KEY-----\nMIIBVgIBADAN\nQ==\n-----END KEY-----\n";
        let all = hiding(&[key]);
        assert_eq!(all.text(&format!("<{key}>")), "<********\n>");
        assert_eq!(all.text("line MIIBVgIBADAN"), "line ********");
        let json = serde_json::to_string(key).unwrap();
        assert_eq!(all.text(&json), r#""********\n""#);
    }

    #[test]
    fn templates_and_content() {
        let all = Secrets::default();
        all.add_template("postgres://app:hunter22@{{ host }}/db");
        assert_eq!(all.text("postgres://app:hunter22@db1/db"), "********db1/db");
        all.add_content(b"[client]\nuser = app_user\npassword=\"pw-1234\"\n");
        assert_eq!(all.text("-u app_user -ppw-1234"), "-u ******** -p********");
        all.add_named("ansible_become_pass", "letmein");
        all.add_named("motd", "welcome");
        assert_eq!(all.text("letmein welcome"), "******** welcome");
        all.name(vec!["api_*".to_owned()]);
        all.add_named("api_token", "welcome");
        assert!(all.is_named("api_") && !all.is_named("my_api_x"));
        assert_eq!(all.text("letmein welcome"), "******** ********");
    }

    #[test]
    fn results_of_hidden_tasks() {
        let all = Secrets::default();
        let result = rplay_modules::map! { "stdout" => "token-abcdef\nok", "dest" => "/etc/app.conf", "rc" => 0 };
        all.add_result(&result, false);
        let slurped =
            rplay_modules::map! { "content" => "aGVsbG8td29ybGQ=", "encoding" => "base64" };
        all.add_result(&slurped, false);
        assert_eq!(
            all.text("token-abcdef /etc/app.conf hello-world ok"),
            "******** /etc/app.conf ******** ok"
        );
    }
}
