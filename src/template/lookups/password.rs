//! The lookup `password`: a text by chance, kept in a file.

use super::super::fault::Fault;
use super::super::filters::crypt::{self, Wanted};
use super::super::filters::random::Random;
use super::super::interp::Interp;
use super::super::value::Value;
use super::{Call, options};

/// Reads or makes passwords.
pub(super) fn run(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    call.terms
        .iter()
        .map(|term| one(interp, call, super::text_term(term)?))
        .collect()
}

fn one(interp: &Interp<'_>, call: &Call, term: &str) -> Result<Value, Fault> {
    let words: Vec<&str> = term.split(' ').collect();
    // The first word is the path, whatever it looks like.
    let split = words
        .iter()
        .skip(1)
        .position(|word| word.contains('='))
        .map_or(words.len(), |at| at + 1);
    let name = words[..split].join(" ");
    // What the term says counts alone: all other options of the call are passed over then, as Ansible does.
    let inline = split < words.len();
    let option = |key: &str| match inline {
        true => {
            let mut said = words[split..]
                .iter()
                .filter_map(|word| word.split_once('='));
            said.rfind(|(name, _)| *name == key)
                .map(|(_, value)| Value::from(value))
        }
        false => call.option(key).cloned(),
    };
    if words[split..].iter().any(|word| !word.contains('=')) {
        return Err(Fault::new(
            "Unrecognized value after key=value parameters given to password lookup",
        ));
    }
    const OPTIONS: [&str; 5] = ["length", "encrypt", "chars", "ident", "seed"];
    if let Some((name, _)) = words[split..]
        .iter()
        .filter_map(|word| word.split_once('='))
        .find(|(name, _)| !OPTIONS.contains(name))
    {
        return Err(Fault::new(format!(
            "Unrecognized parameter(s) given to password lookup: {name}"
        )));
    }
    let set = |key: &str| {
        let value = option(key).filter(|value| value.is_true());
        value.map(|value| value.text())
    };
    let encrypt = set("encrypt");
    let path = interp.scope.basedir().join(&name);
    let keep = name != "/dev/null";
    if keep && let Ok(text) = std::fs::read_to_string(&path) {
        let line = text.trim_end();
        let (line, ident) = line
            .rsplit_once(" ident=")
            .map_or((line, None), |(line, ident)| (line, Some(ident)));
        let (password, salt) = line
            .rsplit_once(" salt=")
            .map_or((line, None), |(line, salt)| (line, Some(salt)));
        let Some(name) = encrypt else {
            return Ok(Value::str(password));
        };
        let wanted = Wanted {
            salt: Some(salt.map_or_else(|| crypt::salt_for(&name), ToOwned::to_owned)),
            ident: ident.map(ToOwned::to_owned).or_else(|| set("ident")),
            ..Wanted::default()
        };
        let hash = crypt::hashed(password, &name, &wanted)?;
        if salt.is_none() {
            keep_text(&path, &noted(password, &wanted))?;
        }
        return Ok(Value::from(hash));
    }
    let length = match option("length") {
        None => 20,
        Some(given) => match options::of("password", "length", given)? {
            Value::Int(length) => usize::try_from(length.max(0)).unwrap_or(usize::MAX),
            _ => 20,
        },
    };
    super::super::limits::items(length)?;
    let classes = match option("chars") {
        None => vec!["ascii_letters".into(), "digits".into(), ".,:-_".into()],
        Some(Value::List(list)) => list.to_vec().iter().map(Value::text).collect(),
        Some(chars) => split_classes(&chars.text(), inline),
    };
    let alphabet: Vec<char> = classes
        .iter()
        .flat_map(|class| characters(class))
        // Quotes would need quoting wherever the password goes.
        .filter(|c| !matches!(c, '"' | '\''))
        .collect();
    if alphabet.is_empty() && length > 0 {
        return Err(Fault::new("Cannot choose from an empty sequence"));
    }
    let seed = option("seed");
    let mut random = Random::new(seed.as_ref());
    let text: String = (0..length)
        .map(|_| alphabet[usize::try_from(random.below(alphabet.len() as u64)).unwrap_or(0)])
        .collect();
    let Some(name) = encrypt else {
        if keep {
            keep_text(&path, &text)?;
        }
        return Ok(Value::str(text));
    };
    let wanted = Wanted {
        salt: Some(crypt::salt_for(&name)),
        ident: set("ident"),
        ..Wanted::default()
    };
    let hash = crypt::hashed(&text, &name, &wanted)?;
    if keep {
        keep_text(&path, &noted(&text, &wanted))?;
    }
    Ok(Value::from(hash))
}

/// The line of a password's file: also the salt, so that the next run gives the same hash.
fn noted(password: &str, wanted: &Wanted) -> String {
    let mut line = password.to_owned();
    if let Some(salt) = &wanted.salt {
        line += &format!(" salt={salt}");
    }
    if let Some(ident) = &wanted.ident {
        line += &format!(" ident={ident}");
    }
    line
}

fn keep_text(path: &std::path::Path, line: &str) -> Result<(), Fault> {
    let shown =
        |path: &std::path::Path| Value::Bytes(path.as_os_str().as_encoded_bytes().into()).repr();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| {
            Fault::new(format!(
                "Unable to create local directories {}: {error}",
                shown(folder)
            ))
        })?;
    }
    write(path, line).map_err(|error| Fault::new(format!("cannot write {}: {error}", shown(path))))
}

/// Classes of letters between commas; in a term, two of them are one that belongs to the letters.
fn split_classes(chars: &str, inline: bool) -> Vec<String> {
    let classes = chars.split(',').filter(|part| !part.is_empty());
    let comma = inline && chars.contains(",,");
    let comma = comma.then(|| ",".to_owned());
    comma
        .into_iter()
        .chain(classes.map(ToOwned::to_owned))
        .collect()
}

const WHITESPACE: [char; 6] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];

fn characters(class: &str) -> Vec<char> {
    match class {
        "ascii_letters" => ('a'..='z').chain('A'..='Z').collect(),
        "ascii_lowercase" => ('a'..='z').collect(),
        "ascii_uppercase" => ('A'..='Z').collect(),
        "digits" => ('0'..='9').collect(),
        "hexdigits" => ('0'..='9').chain('a'..='f').chain('A'..='F').collect(),
        "octdigits" => ('0'..='7').collect(),
        "punctuation" => (33u8..127)
            .map(char::from)
            .filter(char::is_ascii_punctuation)
            .collect(),
        "whitespace" => WHITESPACE.to_vec(),
        "printable" => ["digits", "ascii_letters", "punctuation", "whitespace"]
            .into_iter()
            .flat_map(characters)
            .collect(),
        other => other.chars().collect(),
    }
}

fn write(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes())
}
