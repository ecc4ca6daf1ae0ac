//! The lookup `random_string` of `community.general`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::args::whole;
use super::super::fault::Fault;
use super::super::filters::random::Random;
use super::super::value::Value;
use super::Call;

const DIGITS: &str = "0123456789";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const SPECIAL: &str = r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##;

/// The longest text that is made.
const LONGEST: usize = 1 << 20;

/// A text by chance, of the kinds of characters that are asked for.
pub(super) fn run(call: &Call) -> Result<Vec<Value>, Fault> {
    if !call.terms.is_empty() {
        return Err(Fault::new(
            "The lookup plugin does not accept positional arguments",
        ));
    }
    let count = |name: &str, default: usize| {
        let given = call.option(name).and_then(whole);
        given.map_or(default, |count| {
            usize::try_from(count).unwrap_or(0).min(LONGEST)
        })
    };
    let text = |name: &str| {
        call.option(name)
            .filter(|value| !matches!(value, Value::None))
            .map(Value::text)
    };
    let similar = text("similar_chars").unwrap_or_else(|| "il1LoO0".to_owned());
    let alike = call.truth("ignore_similar_chars", false);
    let usable = |characters: &str| -> Vec<char> {
        characters
            .chars()
            .filter(|c| !alike || !similar.contains(*c))
            .collect()
    };
    let special = usable(&text("override_special").unwrap_or_else(|| SPECIAL.to_owned()));
    let (digits, lower, upper) = (usable(DIGITS), usable(LOWER), usable(UPPER));
    let mut all: Vec<char> = match text("override_all") {
        Some(characters) => characters.chars().collect(),
        None => [
            ("upper", &upper),
            ("lower", &lower),
            ("numbers", &digits),
            ("special", &special),
        ]
        .into_iter()
        .filter(|(name, _)| call.truth(name, true))
        .flat_map(|(_, characters)| characters.iter().copied())
        .collect(),
    };
    let seed = text("seed").map(Value::from);
    let mut random = Random::new(seed.as_ref());
    let mut out = String::new();
    let mut add = |characters: &[char], count: usize| {
        for _ in 0..count {
            let at = random.below(characters.len() as u64);
            out.extend(characters.get(usize::try_from(at).unwrap_or(0)));
        }
    };
    let least = [
        ("min_numeric", &digits),
        ("min_lower", &lower),
        ("min_upper", &upper),
        ("min_special", &special),
    ];
    let mut fixed = 0;
    for (name, characters) in least {
        let wanted = count(name, 0);
        fixed += wanted;
        add(characters, wanted);
    }
    let rest = count("length", 8).saturating_sub(fixed);
    if all.is_empty() {
        if rest > 0 {
            return Err(Fault::new(
                "Available characters cannot be None, please change constraints",
            ));
        }
        all = digits.clone();
    }
    add(&all, rest);
    if call.truth("base64", false) {
        out = STANDARD.encode(out);
    }
    Ok(vec![Value::from(out)])
}
