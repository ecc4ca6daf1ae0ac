//! Names of hosts as an inventory writes them: `web[01:10].example.org:2222`.

/// How many hosts a pattern may stand for.
const MOST: usize = 100_000;

/// How many digits a number in a name may have: names of hosts are not longer.
const WIDEST: usize = 255;

/// A host pattern of an inventory: the names it stands for, and the port after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) names: Vec<String>,
    pub(super) port: Option<i128>,
}

/// Names and port of a host pattern. Errors are messages.
pub(super) fn expand(pattern: &str) -> Result<Expanded, String> {
    if pattern.ends_with(':') {
        return Err(format!(
            "Invalid host pattern '{pattern}' supplied, ending in ':' is not allowed, \
             this character is reserved to provide a port."
        ));
    }
    if pattern == "---" {
        return Err(format!(
            "Invalid host pattern '{pattern}' supplied, '---' is normally a sign this is a YAML file."
        ));
    }
    // Most names stand for themselves, and an inventory may have very many.
    if !pattern.bytes().any(|byte| matches!(byte, b'[' | b':')) {
        return Ok(Expanded {
            names: vec![pattern.to_owned()],
            port: None,
        });
    }
    let (name, port) = split_port(pattern);
    Ok(Expanded {
        names: expand_ranges(name)?,
        port,
    })
}

/// Splits `host:port` and `[address]:port`; a bare IPv6 address has no port.
pub(super) fn split_port(pattern: &str) -> (&str, Option<i128>) {
    let whole = (pattern, None);
    let Some((host, port)) = pattern.rsplit_once(':') else {
        return whole;
    };
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return whole;
    }
    let Ok(number) = port.parse() else {
        return whole;
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(inner) = bracketed.filter(|inner| !inner.contains(['[', ']'])) {
        return (inner, Some(number));
    }
    let mut inside = false;
    for c in host.chars() {
        match c {
            '[' if !inside => inside = true,
            ']' if inside => inside = false,
            '[' | ']' => return whole,
            ':' if !inside => return whole,
            _ => {}
        }
    }
    if inside { whole } else { (host, Some(number)) }
}

/// From left to right, so that a text full of brackets needs no stack.
fn expand_ranges(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((head, after)) = rest.split_once('[') {
        let Some((range, tail)) = after.split_once(']') else {
            return Err(format!("host range in '{rest}' has no closing bracket"));
        };
        let items = range_items(range)?;
        if names.len().saturating_mul(items.len()) > MOST {
            return Err(too_many(pattern));
        }
        let with = |name: &String| -> Vec<String> {
            let one = |item: &String| format!("{name}{head}{item}");
            items.iter().map(one).collect()
        };
        names = names.iter().flat_map(with).collect();
        rest = tail;
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

fn too_many(pattern: &str) -> String {
    format!("host range '{pattern}' has more than a hundred thousand hosts")
}

fn range_items(range: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match parts[..] {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err("host range must be begin:end or begin:end:step".to_owned()),
    };
    let begin = if begin.is_empty() { "0" } else { begin };
    if end.is_empty() {
        return Err("host range must specify end value".to_owned());
    }
    let step: usize = step
        .parse()
        .map_err(|_| format!("host range has an invalid step: '{step}'"))?;
    if step == 0 {
        return Err("host range has a step of 0".to_owned());
    }
    let letter = |text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii_alphabetic() => Some(*byte),
        _ => None,
    };
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        return letters(first, last, step);
    }
    let width = if begin.len() > 1 && begin.starts_with('0') {
        begin.len()
    } else {
        0
    };
    if width > 0 && width != end.len() {
        return Err("host range must specify equal-length begin and end formats".to_owned());
    }
    if width > WIDEST {
        return Err(too_many(range));
    }
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| {
            format!("host range must be made of numbers or single letters, got: '{range}'")
        })
    };
    let (first, last) = (number(begin)?, number(end)?);
    if last.saturating_sub(first) / step as u64 >= MOST as u64 {
        return Err(too_many(range));
    }
    Ok((first..=last)
        .step_by(step)
        .map(|item| format!("{item:0width$}"))
        .collect())
}

fn letters(first: u8, last: u8, step: usize) -> Result<Vec<String>, String> {
    // Python's order of letters has the small ones first.
    let alphabet: Vec<u8> = (b'a'..=b'z').chain(b'A'..=b'Z').collect();
    let place = |letter: u8| {
        alphabet
            .iter()
            .position(|other| *other == letter)
            .unwrap_or_default()
    };
    if place(first) > place(last) {
        return Err("host range must have begin <= end".to_owned());
    }
    let chosen = alphabet[place(first)..=place(last)].iter().step_by(step);
    Ok(chosen
        .map(|letter| char::from(*letter).to_string())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_as_ansible_expands_them() {
        for (pattern, names, port) in [
            ("h[:3]", "h0 h1 h2 h3", None),
            ("k[08:11]", "k08 k09 k10 k11", None),
            ("l[a:e:2]x[1:2]", "lax1 lax2 lcx1 lcx2 lex1 lex2", None),
            ("m[1:02]", "m1 m2", None),
            ("n[1:10:4]:22", "n1 n5 n9", Some(22)),
            ("h[3:1]", "", None),
            ("[fe80::1]:22", "fe80::1", Some(22)),
            ("fe80::1", "fe80::1", None),
            ("1.2.3.4:22", "1.2.3.4", Some(22)),
            ("bad:host:x", "bad:host:x", None),
        ] {
            let expanded = expand(pattern).unwrap();
            assert_eq!(expanded.names.join(" "), names, "{pattern}");
            assert_eq!(expanded.port, port, "{pattern}");
        }
        for pattern in [
            "o[1-3]",
            "web:",
            "---",
            "[g",
            "h[1:3:0]",
            "h[01:100]",
            "h[c:a]",
            "h[1:]",
            "h[0:9999999]",
            &format!("h[{0}:{0}]", "0".repeat(70_000)),
            "h[0:9999][0:9999]",
        ] {
            assert!(expand(pattern).is_err(), "{pattern}");
        }
    }
}
