//! Inputs that no engine comes to by itself: deep, long, repeated, exploding, not text.

/// What opens something, or repeats something, over and over.
const REPEATED: &[&str] = &[
    "[",
    "{",
    "(",
    "- ",
    "? ",
    "&a [",
    "a: {",
    "a:\n",
    "- a\n",
    "*a ",
    "!!str ",
    "'",
    "\"",
    "\\",
    "\n",
    "\t",
    "a",
    "9",
    "0x",
    "é",
    "a=b ",
    "a='",
    "{{ ",
    "{% if a %}",
    "{% for a in b %}",
    "{#",
    "{{ a }}",
    "not ",
    "-",
    "a|upper",
    "a.",
    "a[",
    "a(",
    "a if ",
    "1+",
    "1**",
    "1~",
    "'%s'%",
    "a,",
    ":",
    "!",
    "&",
    "~",
    "[0:9]",
    "[a:z]",
    "*",
    "?",
    "(?:",
    "(?=",
    "(a|",
    "(a*",
    "a{9}",
    "\\1",
    "[^a",
    "$ANSIBLE_VAULT;1.1;AES256\n",
    "30",
    "#",
    "[a]\n",
    "\u{feff}",
];

/// What stands before, so that the repetition is met where a target's own syntax is read.
const BEFORE: &[(&str, &str)] = &[
    ("playbook", "- hosts: all\n  tasks: "),
    ("playbook", "- hosts: all\n  tasks:\n  - debug: msg="),
    ("variables", "a: "),
    ("variables", "a: '{{ "),
    ("ini", "h a="),
    ("ini", "[a:vars]\nb="),
    ("inventory", "all: "),
    ("inventory", "all:\n  hosts: "),
    ("pattern", "~"),
    ("pattern", "web"),
    ("kv", "a="),
    ("kv", "{"),
    ("template", "{{ "),
    ("template", "{{ ["),
    ("vault", "$ANSIBLE_VAULT;1.1;AES256\n"),
    ("regex", "a*\nb\n"),
];

/// The inputs for a target, each with what it is, none much longer than `size`.
pub(crate) fn shapes(target: &str, size: usize) -> Vec<(String, Vec<u8>)> {
    let own = BEFORE.iter().filter(|(name, _)| *name == target);
    let mut all = vec![];
    for before in std::iter::once("").chain(own.map(|(_, before)| *before)) {
        for part in REPEATED {
            let text = format!("{before}{}", part.repeat(size / part.len()));
            all.push((format!("{before:?} and then {part:?}"), text.into_bytes()));
        }
    }
    all.push(("indentation".to_owned(), stairs(size)));
    all.push(("aliases of aliases".to_owned(), aliases()));
    all.push(("anchors in anchors".to_owned(), anchors(size)));
    all.push((
        "ranges of ranges".to_owned(),
        b"h[0:999999][0:999999][0:999999]\n".to_vec(),
    ));
    all.push(("bytes that are no text".to_owned(), vec![0xff; size]));
    all.push(("zeros".to_owned(), vec![0; size]));
    all
}

/// Each line deeper than the one before.
fn stairs(size: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut depth = 0;
    while text.len() + depth < size {
        text += &" ".repeat(depth);
        text += "a:\n";
        depth += 1;
    }
    text.into_bytes()
}

/// A few lines that stand for thousands of millions of values.
fn aliases() -> Vec<u8> {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let item = format!("*a{}, ", level - 1).repeat(9);
        text += &format!("a{level}: &a{level} [{item}]\n");
    }
    text.into_bytes()
}

/// Anchors on every level, and much inside of the innermost.
fn anchors(size: usize) -> Vec<u8> {
    let levels = 100;
    let open: String = (0..levels).map(|level| format!("&a{level} [")).collect();
    let inside = "1,".repeat(size.saturating_sub(open.len()) / 2);
    format!("a: {open}{inside}{}\n", "]".repeat(levels)).into_bytes()
}
