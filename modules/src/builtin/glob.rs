//! Shell patterns over names, as Python's `fnmatch` and Ansible's `find` and `setup` have them.

/// Whether the whole of `name` fits `pattern` (`*`, `?`, `[a-z]`, `[!a]`).
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    fits(&pattern, &name)
}

fn fits(pattern: &[char], name: &[char]) -> bool {
    // After a mismatch only the last star needs to take more: earlier ones found their shortest fit.
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < name.len() {
        if at < pattern.len() && pattern[at] == '*' {
            star = Some((at + 1, from));
            at += 1;
            continue;
        }
        match one(&pattern[at..], name[from]) {
            Some(width) => {
                at += width;
                from += 1;
            }
            None => match star {
                Some((after, begin)) => {
                    at = after;
                    from = begin + 1;
                    star = Some((after, begin + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// How many letters of the pattern fit one letter of the name.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class(pattern) {
            Some((end, negated, items)) => (contains(items, letter) != negated).then_some(end),
            None => (letter == '[').then_some(1),
        },
        other => (*other == letter).then_some(1),
    }
}

fn class(pattern: &[char]) -> Option<(usize, bool, &[char])> {
    let negated = matches!(pattern.get(1), Some('!'));
    let begin = if negated { 2 } else { 1 };
    // A bracket right after the opening one is a member.
    let length = pattern
        .get(begin + 1..)?
        .iter()
        .position(|letter| *letter == ']')?;
    let end = begin + 1 + length;
    Some((end + 1, negated, &pattern[begin..end]))
}

fn contains(items: &[char], letter: char) -> bool {
    let mut rest = items;
    loop {
        match rest {
            [low, '-', high, more @ ..] => {
                if (*low..=*high).contains(&letter) {
                    return true;
                }
                rest = more;
            }
            [item, more @ ..] => {
                if *item == letter {
                    return true;
                }
                rest = more;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        assert!(matches("*.log", "a.log") && !matches("*.log", "a.log.1"));
        assert!(matches("a?c*e", "abcde") && matches("*", ""));
        assert!(matches("[a-c]x[!0-9]", "bxz") && !matches("[a-c]x[!0-9]", "bx1"));
        assert!(matches("[]]", "]") && matches("[x", "[x"));
    }
}
