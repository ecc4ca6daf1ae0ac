//! Patterns and what Python's `re` makes of them.

use super::{Captures, Flags, Regex};

/// Pattern, text, and the matches with their groups: `|` between matches, `/` between groups, `-` for a
/// group that took no part, `~` for a newline. Recorded with Python's `re.finditer`.
const FOUND: &[(&str, &str, &str)] = &[
    ("a|b", "xaby", "a|b"),
    ("(a+)(b*)", "aabab", "aab/aa/b|ab/a/b"),
    ("x*", "abxd", "||x||"),
    ("^a", "a\na", "a"),
    ("(?m)^a$", "a\nba\na\n", "a|a"),
    ("a$", "a\n", "a"),
    ("a\\Z", "a\n", ""),
    ("(?i)straße", "STRASSE Straße", "Straße"),
    ("(?i)ſ", "sS", "s|S"),
    ("(?i)[a-z]+", "ABCxyz1", "ABCxyz"),
    ("(?i)[^a]+", "aAbB", "bB"),
    ("\\w+", "naïve_1 ０x", "naïve_1|０x"),
    ("\\d+", "12 ٣٤ x", "12|٣٤"),
    ("(?a)\\w+", "naïve", "na|ve"),
    ("\\s+", "a \t\nb", " \t~"),
    ("\\bfoo\\b", "foo food foo", "foo|foo"),
    ("\\Boo", "foo oo", "oo"),
    (
        "(?P<k>\\w+)=(?P<v>.*)",
        "key=value here",
        "key=value here/key/value here",
    ),
    ("(?P<q>['\"]).*?(?P=q)", "say \"it's\" ok", "\"it's\"/\""),
    ("(a)|b\\1", "ab", "a/a"),
    ("(?:a|ab)(?:c|bcd)(d*)", "abcd", "abcd/"),
    ("(?=foo)f", "foo fo", "f"),
    ("(?!foo)f", "foo fo", "f"),
    ("(?<=\\d)x", "1x x", "x"),
    ("(?<!\\d)x", "1x x", "x"),
    ("(?>a*)ab", "aab", ""),
    ("a*+b", "aab", "aab"),
    ("a++a", "aaa", ""),
    ("(a?)*?b", "aab", "aab/a"),
    ("(a|b)*c", "ababc", "ababc/b"),
    ("(a*)*", "aab", "aa/|/|/"),
    ("(a*)+$", "aab", "/"),
    ("(?:a{2,3}){2}", "aaaaaaa", "aaaaaa"),
    ("x{,2}y", "xxxy", "xxy"),
    ("x{2", "x{2", "x{2"),
    ("x{}", "x{}", "x{}"),
    ("{a}", "{a}", "{a}"),
    ("a{0}b", "ab", "b"),
    (".+?,", "a,b,c,", "a,|b,|c,"),
    ("(?s).+", "a\nb", "a~b"),
    (".+", "a\nb", "a|b"),
    ("(?x) a b # comment\n c", "abc", "abc"),
    (
        "(<)?(\\w+@\\w+)(?(1)>|$)",
        "<a@b> a@b <a@b",
        "<a@b>/</a@b|a@b/-/a@b",
    ),
    ("(?i:A)b", "ab Ab aB", "ab|Ab"),
    ("(?-i:a)b", "ab AB", "ab"),
    ("[]a]+", "]a[", "]a"),
    ("[^]a]+", "x]a[", "x|["),
    ("[a\\-z]+", "a-z b", "a-z"),
    ("[\\w.-]+", "foo.bar-baz qux", "foo.bar-baz|qux"),
    ("[\\x41-\\x43\\u00e9]+", "ABCDé", "ABC|é"),
    ("\\x41\\101\\0?", "AA", "AA"),
    ("[\\d\\s]+", "1 2a", "1 2"),
    (
        "^\\s*#?\\s*PermitRootLogin",
        "  # PermitRootLogin yes",
        "  # PermitRootLogin",
    ),
    ("^(\\S+)\\s+(\\S+)$", "key   value", "key   value/key/value"),
    ("(\\d+)\\.(\\d+)\\.(\\d+)", "v1.22.333", "1.22.333/1/22/333"),
    ("(a(b(c)?)?)", "ab abc a", "ab/ab/b/-|abc/abc/bc/c|a/a/-/-"),
    ("(?:(a)|b)+", "ab", "ab/a"),
    ("(?:(a)|(b))*", "aba", "aba/a/b|/-/-"),
    ("(\\w)\\1", "hello aabb", "ll/l|aa/a|bb/b"),
    ("(?<=ab|cd)x", "abx cdx ex", "x|x"),
    ("^$", "", ""),
    ("(?m)^$", "a\n\nb", ""),
    ("$", "a\n", "|"),
    ("(?m)$", "a\nb\n", "||"),
    ("\\Aa", "aa", "a"),
    ("(?#note)a", "a", "a"),
    ("a|", "ba", "|a|"),
    ("(|a)+", "aa", "/|a/|/|a/|/"),
    ("(?:)*", "ab", "||"),
    ("é+?", "éé", "é|é"),
    ("(?=(a+))a*b\\1", "baaabac", "aba/a"),
    ("(?!(a))b", "ab", "b/-"),
    ("((?:\\\\.|[^\"\\\\])*)", "a\\\\\"b", "a\\\\/a\\\\|/|b/b|/"),
];

/// Patterns that Python refuses, and its words.
const REFUSED: &[(&str, &str)] = &[
    ("*a", "nothing to repeat at position 0"),
    ("a**", "multiple repeat at position 2"),
    ("(", "missing ), unterminated subpattern at position 0"),
    (")", "unbalanced parenthesis at position 0"),
    ("[a", "unterminated character set at position 0"),
    ("a{3,2}", "min repeat greater than max repeat at position 2"),
    (
        "(?P<a>x)(?P<a>y)",
        "redefinition of group name 'a' as group 2; was group 1 at position 12",
    ),
    ("(?P<1>x", "bad character in group name '1' at position 4"),
    ("\\1", "invalid group reference 1 at position 1"),
    ("(a\\1)", "cannot refer to an open group at position 2"),
    ("\\q", "bad escape \\q at position 0"),
    ("[b-a]", "bad character range b-a at position 1"),
    ("(?<=a*)b", "look-behind requires fixed-width pattern"),
    ("(?P=x)", "unknown group name 'x' at position 4"),
    (
        "a(?i)b",
        "global flags not at the start of the expression at position 1",
    ),
    ("(?<x)", "unknown extension ?<x at position 1"),
    ("\\", "bad escape (end of pattern) at position 0"),
    ("(?(1)a)", "invalid group reference 1 at position 3"),
];

fn shown(captures: &Captures<'_>) -> String {
    let groups =
        (0..captures.len()).map(|index| captures.get(index).unwrap_or("-").replace('\n', "~"));
    groups.collect::<Vec<_>>().join("/")
}

#[test]
fn python_finds_the_same() {
    for (pattern, text, wanted) in FOUND {
        let regex = Regex::new(pattern, Flags::default()).unwrap();
        let all = regex.all(text).unwrap();
        let found = all.iter().map(shown).collect::<Vec<_>>().join("|");
        assert_eq!(found, *wanted, "{pattern:?} on {text:?}");
    }
}

#[test]
fn python_refuses_the_same() {
    for (pattern, wanted) in REFUSED {
        let refused = Regex::new(pattern, Flags::default()).err();
        assert_eq!(refused.as_deref(), Some(*wanted), "{pattern:?}");
    }
}

#[test]
fn a_hostile_text_does_not_keep_it_busy() {
    let regex = Regex::new("(a|aa)+$", Flags::default()).unwrap();
    assert!(regex.captures(&format!("{}b", "a".repeat(60))).is_err());
    let long = "x".repeat(1_000_000);
    let missing = Regex::new(".*y", Flags::default()).unwrap();
    assert_ne!(missing.found(&long), Ok(true));
    let all = Regex::new("(?s)^(.*)(x)$", Flags::default()).unwrap();
    assert_eq!(all.found(&long), Ok(true));
}

#[test]
fn the_start_only() {
    let regex = Regex::new("b|ab", Flags::default()).unwrap();
    let fits = ["abc", "bc", "cb"].map(|text| regex.fits_start(text));
    assert_eq!(fits, [Ok(true), Ok(true), Ok(false)]);
}
