//! The filter `urlize`: addresses in a text as links of HTML.

use std::sync::LazyLock;

use rplay_modules::regex::{Flags, Regex};

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::value::Value;
use super::text::escaped;

super::filters! {
    "urlize": "with addresses as links of HTML" => |i, a| urlize(i, a);
}

/// What of a link is the same for all of a text.
struct Style {
    attributes: String,
    most: Option<Value>,
    schemes: Vec<String>,
}

fn urlize(interp: &Interp<'_>, args: &Args) -> Outcome {
    let mut schemes = vec![];
    if let Some(given) = args
        .get(5, "extra_schemes")
        .filter(|given| !matches!(given, Value::None))
    {
        for scheme in interp.iterate(given)? {
            if !fits(&SCHEME, &scheme.text()) {
                return Err(Fault::new(format!(
                    "{} is not a valid URI scheme prefix.",
                    scheme.repr()
                )));
            }
            schemes.push(scheme.text());
        }
    }
    let given = |index: usize, name: &str| args.get(index, name).filter(|value| value.is_true());
    let rel = given(4, "rel").map(Value::text).unwrap_or_default();
    let mut rel: Vec<&str> = rel.split_whitespace().chain(["noopener"]).collect();
    if args.truth(2, "nofollow", false) {
        rel.push("nofollow");
    }
    rel.sort_unstable();
    rel.dedup();
    let mut attributes = format!(" rel=\"{}\"", escaped(&rel.join(" ")));
    if let Some(target) = given(3, "target") {
        attributes.push_str(&format!(" target=\"{}\"", escaped(&target.text())));
    }
    let style = Style {
        attributes,
        most: args
            .get(1, "trim_url_limit")
            .filter(|most| !matches!(most, Value::None))
            .cloned(),
        schemes,
    };
    let text = escaped(&args.operand().text());
    let mut out = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let end = word.trim_end_matches(char::is_whitespace).len();
        let (word, space) = word.split_at(end);
        out.push_str(&linked(word, &style)?);
        out.push_str(space);
    }
    Ok(Value::from(out))
}

/// A word in which an address is a link; brackets and marks around it are not of it.
fn linked(word: &str, style: &Style) -> Result<String, Fault> {
    const OPEN: &[&str] = &["(", "<", "&lt;"];
    const CLOSE: &[&str] = &[")", ">", ".", ",", "&gt;"];
    let mut inside = word;
    while let Some(rest) = OPEN.iter().find_map(|mark| inside.strip_prefix(mark)) {
        inside = rest;
    }
    let head = &word[..word.len() - inside.len()];
    let whole = inside;
    while let Some(rest) = CLOSE.iter().find_map(|mark| inside.strip_suffix(mark)) {
        inside = rest;
    }
    let mut end = inside.len();
    for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
        let opened = whole[..end].matches(open).count();
        if opened <= whole[..end].matches(close).count() {
            continue;
        }
        for _ in 0..opened {
            let Some(at) = whole[end..].find(close) else {
                break;
            };
            end += at + close.len();
        }
    }
    let (middle, tail) = whole.split_at(end);
    Ok(format!("{head}{}{tail}", link(middle, style)?))
}

fn link(text: &str, style: &Style) -> Result<String, Fault> {
    let anchor = |address: &str, attributes: &str, shown: &str| {
        format!("<a href=\"{address}\"{attributes}>{shown}</a>")
    };
    if fits(&WEB, text) {
        let whole = text.starts_with("http://") || text.starts_with("https://");
        let start = if whole { "" } else { "https://" };
        let address = format!("{start}{text}");
        return Ok(anchor(
            &address,
            &style.attributes,
            &shortened(text, style)?,
        ));
    }
    if let Some(mail) = text.strip_prefix("mailto:")
        && fits(&MAIL, mail)
    {
        return Ok(anchor(text, "", mail));
    }
    if text.contains('@') && !text.starts_with("www.") && !text.contains(':') && fits(&MAIL, text) {
        return Ok(anchor(&format!("mailto:{text}"), "", text));
    }
    let scheme = |scheme: &String| text != scheme && text.starts_with(scheme.as_str());
    if style.schemes.iter().any(scheme) {
        return Ok(anchor(text, &style.attributes, text));
    }
    Ok(text.to_owned())
}

fn shortened(text: &str, style: &Style) -> Result<String, Fault> {
    let length = text.chars().count();
    match &style.most {
        None => Ok(text.to_owned()),
        Some(most @ (Value::Int(_) | Value::Bool(_) | Value::Float(_))) => {
            let most = super::super::args::whole(most).unwrap_or(0);
            let most = match usize::try_from(most) {
                Ok(most) => most,
                Err(_) => usize::try_from(most + length as i128).unwrap_or(0),
            };
            Ok(match length > most {
                true => format!("{}...", text.chars().take(most).collect::<String>()),
                false => text.to_owned(),
            })
        }
        Some(other) => Err(Fault::new(format!(
            "'>' not supported between instances of 'int' and '{}'",
            other.type_name()
        ))),
    }
}

type Pattern = LazyLock<Option<Regex>>;

fn pattern(text: &str) -> Option<Regex> {
    let flags = Flags {
        ignore_case: true,
        ..Flags::default()
    };
    Regex::new(text, flags).ok()
}

fn fits(pattern: &Pattern, text: &str) -> bool {
    pattern
        .as_ref()
        .is_some_and(|pattern| pattern.fits_start(text) == Ok(true))
}

/// An address with a scheme or `www.`, a name under one of the oldest top domains, or a number.
static WEB: Pattern = LazyLock::new(|| {
    let named = r"(?:https?://|www\.)(?:[\w%-]+\.)*(?:[a-z]{2,63}|xn--[\w%]{2,59})";
    let bare = r"(?:[\w%-]{2,63}\.)+(?:com|edu|gov|info|int|mil|net|org)";
    let number =
        r"https?://(?:\d{1,3}(?:\.\d{1,3}){3}|\[(?:[\da-f]{0,4}:){2}(?:[\da-f]{0,4}:?){1,6}\])";
    pattern(&format!(
        r"(?:{named}|{bare}|{number})(?::\d{{1,5}})?(?:[/?#]\S*)?$"
    ))
});

static MAIL: Pattern = LazyLock::new(|| pattern(r"\S+@\w[\w.-]*\.\w+$"));

static SCHEME: Pattern = LazyLock::new(|| pattern(r"[\w.+-]{2,}:/{0,2}$"));
