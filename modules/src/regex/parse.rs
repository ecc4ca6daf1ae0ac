//! A pattern's text as a tree.

use super::Flags;
use super::letters::Class;

/// Groups inside each other, more than which nobody writes.
const DEEPEST: usize = 200;

/// The largest count of a repetition; a larger one would make too large a program.
const MOST: u32 = 65_535;

/// A piece of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Empty,
    /// One letter.
    One(Letter),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat {
        node: Box<Node>,
        least: u32,
        /// None for any number.
        most: Option<u32>,
        how: How,
    },
    Group(usize, Box<Node>),
    Atomic(Box<Node>),
    Look {
        node: Box<Node>,
        behind: bool,
        negated: bool,
    },
    /// The same text as a group; the flag: in any case.
    Back(usize, bool),
    /// If a group took part, one pattern, else another.
    IfGroup(usize, Box<Node>, Box<Node>),
    At(Place),
}

/// How a repetition takes its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Greedy,
    Lazy,
    /// Greedy, and never gives anything back.
    Possessive,
}

/// What stands between letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    TextStart,
    LineStart,
    TextEnd,
    LineEnd,
    /// `$`: the end, or before the newline there.
    LastEnd,
    /// A word begins or ends; the flag: ASCII only.
    Word(bool),
    NotWord(bool),
}

/// What fits one letter.
#[derive(Clone, Debug)]
pub(super) enum Letter {
    This(char),
    /// One letter in any case, folded.
    Folded(char),
    Any,
    NotNewline,
    Set(Box<Set>),
}

/// `[...]`, and the classes of escapes.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    pub(super) negated: bool,
    pub(super) ranges: Vec<(char, char)>,
    /// Classes; the flag: all letters that are not in it.
    pub(super) classes: Vec<(Class, bool)>,
    pub(super) ignore_case: bool,
    pub(super) ascii: bool,
}

/// A tree with the names of its groups.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    pub(super) names: Vec<Option<String>>,
}

/// Reads a pattern.
pub(super) fn parse(pattern: &str, flags: Flags) -> Result<Parsed, String> {
    let mut parser = Parser {
        letters: pattern.chars().collect(),
        at: 0,
        flags,
        names: vec![None],
        open: Vec::new(),
        depth: 0,
        leading: 0,
        asked: Vec::new(),
    };
    let node = parser.choice()?;
    if parser.peek().is_some() {
        return Err(parser.wrong("unbalanced parenthesis"));
    }
    let groups = parser.names.len();
    match parser.asked.into_iter().find(|(group, _)| *group >= groups) {
        Some((_, wrong)) => Err(wrong),
        None => Ok(Parsed {
            node,
            names: parser.names,
        }),
    }
}

struct Parser {
    letters: Vec<char>,
    at: usize,
    flags: Flags,
    names: Vec<Option<String>>,
    /// Groups that are not closed yet: nothing can refer to them.
    open: Vec<usize>,
    depth: usize,
    /// Where the flags for the whole pattern end, which come first.
    leading: usize,
    /// Groups that are asked for, and what is wrong if they do not exist.
    asked: Vec<(usize, String)>,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek();
        self.at += usize::from(letter.is_some());
        letter
    }

    fn eat(&mut self, text: &str) -> bool {
        let fits = self.letters[self.at..]
            .iter()
            .copied()
            .take(text.len())
            .eq(text.chars());
        if fits {
            self.at += text.len();
        }
        fits
    }

    fn wrong(&self, what: &str) -> String {
        Self::wrong_at(what, self.at)
    }

    fn wrong_at(what: &str, at: usize) -> String {
        format!("{what} at position {at}")
    }

    fn choice(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("too many groups inside each other"));
        }
        let mut all = vec![self.sequence()?];
        while self.eat("|") {
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Node::Choice(all)
        })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut all = Vec::new();
        loop {
            if self.flags.verbose {
                self.skip_blanks();
            }
            match self.peek() {
                None | Some('|' | ')') => break,
                Some(_) => {}
            }
            let Some(mut node) = self.atom()? else {
                continue;
            };
            let sign = self.at;
            if let Some((least, most)) = self.count()? {
                if matches!(node, Node::At(_)) {
                    return Err(Self::wrong_at("nothing to repeat", sign));
                }
                node = self.repeated(node, least, most)?;
            }
            all.push(node);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Node::Sequence(all)
        })
    }

    fn skip_blanks(&mut self) {
        while let Some(letter) = self.peek() {
            match letter {
                '#' => while self.next().is_some_and(|letter| letter != '\n') {},
                ' ' | '\t'..='\r' => self.at += 1,
                _ => break,
            }
        }
    }

    fn repeated(&mut self, node: Node, least: u32, most: Option<u32>) -> Result<Node, String> {
        let how = match self.peek() {
            Some('?') => How::Lazy,
            Some('+') => How::Possessive,
            _ => How::Greedy,
        };
        self.at += usize::from(how != How::Greedy);
        if self.flags.verbose {
            self.skip_blanks();
        }
        let start = self.at;
        if self.count()?.is_some() {
            return Err(Self::wrong_at("multiple repeat", start));
        }
        Ok(Node::Repeat {
            node: Box::new(node),
            least,
            most,
            how,
        })
    }

    /// A repetition's count, if one is here. `{` that opens none is a letter like others.
    fn count(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let start = self.at;
        let found = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let counted = self.braces()?;
                if counted.is_none() {
                    self.at = start;
                }
                return Ok(counted);
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(found))
    }

    fn braces(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let start = self.at;
        self.at += 1;
        let least = self.number()?;
        let comma = self.eat(",");
        let most = if comma { self.number()? } else { least };
        if !self.eat("}") || (least.is_none() && !comma) {
            return Ok(None);
        }
        if most.is_some_and(|most| most < least.unwrap_or(0)) {
            return Err(Self::wrong_at(
                "min repeat greater than max repeat",
                start + 1,
            ));
        }
        Ok(Some((least.unwrap_or(0), most)))
    }

    fn number(&mut self) -> Result<Option<u32>, String> {
        let start = self.at;
        while self.peek().is_some_and(|letter| letter.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.letters[start..self.at].iter().collect();
        match digits.parse() {
            _ if digits.is_empty() => Ok(None),
            Ok(number) if number <= MOST => Ok(Some(number)),
            _ => Err(Self::wrong_at("the repetition number is too large", start)),
        }
    }

    /// One thing that can be repeated; nothing for comments and flags.
    fn atom(&mut self) -> Result<Option<Node>, String> {
        let start = self.at;
        if self.count()?.is_some() {
            return Err(Self::wrong_at("nothing to repeat", start));
        }
        let Some(letter) = self.next() else {
            return Ok(None);
        };
        Ok(Some(match letter {
            '.' if self.flags.dot_all => Node::One(Letter::Any),
            '.' => Node::One(Letter::NotNewline),
            '^' if self.flags.multi_line => Node::At(Place::LineStart),
            '^' => Node::At(Place::TextStart),
            '$' if self.flags.multi_line => Node::At(Place::LineEnd),
            '$' => Node::At(Place::LastEnd),
            '[' => self.set()?,
            '(' => return self.group(start),
            '\\' => self.escape(start)?,
            other => self.letter(other),
        }))
    }

    fn letter(&self, letter: char) -> Node {
        Node::One(if self.flags.ignore_case {
            Letter::Folded(super::letters::fold(letter))
        } else {
            Letter::This(letter)
        })
    }

    fn class(&self, class: Class, negated: bool) -> Node {
        Node::One(Letter::Set(Box::new(Set {
            classes: vec![(class, negated)],
            ascii: self.flags.ascii,
            ..Set::default()
        })))
    }

    fn escape(&mut self, start: usize) -> Result<Node, String> {
        let letter = self
            .next()
            .ok_or_else(|| Self::wrong_at("bad escape (end of pattern)", start))?;
        if let Some((class, negated)) = class_of(letter) {
            return Ok(self.class(class, negated));
        }
        Ok(match letter {
            'A' => Node::At(Place::TextStart),
            'Z' => Node::At(Place::TextEnd),
            'b' => Node::At(Place::Word(self.flags.ascii)),
            'B' => Node::At(Place::NotWord(self.flags.ascii)),
            '1'..='9' => {
                if let Some(code) = self.three_octal(letter) {
                    return self.code(code, start).map(|letter| self.letter(letter));
                }
                let mut number = letter.to_digit(10).unwrap_or_default() as usize;
                if let Some(digit) = self.peek().and_then(|letter| letter.to_digit(10)) {
                    self.at += 1;
                    number = number * 10 + digit as usize;
                }
                self.back(number, start)?
            }
            other => {
                let letter = self.plain_escape(other, start)?;
                self.letter(letter)
            }
        })
    }

    fn three_octal(&mut self, first: char) -> Option<u32> {
        let mut code = first.to_digit(8)?;
        for ahead in 0..2 {
            code = code * 8 + self.letters.get(self.at + ahead)?.to_digit(8)?;
        }
        self.at += 2;
        Some(code)
    }

    /// The letter of an escape that means the same inside and outside of sets.
    fn plain_escape(&mut self, letter: char, start: usize) -> Result<char, String> {
        Ok(match letter {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.hex(2, start)?,
            'u' => self.hex(4, start)?,
            'U' => self.hex(8, start)?,
            '0' => {
                let mut code = 0;
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|letter| letter.to_digit(8)) else {
                        break;
                    };
                    self.at += 1;
                    code = code * 8 + digit;
                }
                self.code(code, start)?
            }
            other if other.is_ascii_alphanumeric() => {
                return Err(Self::wrong_at(&format!("bad escape \\{other}"), start));
            }
            other => other,
        })
    }

    fn hex(&mut self, digits: usize, start: usize) -> Result<char, String> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|letter| letter.to_digit(16));
            let digit = digit.ok_or_else(|| Self::wrong_at("incomplete escape", start))?;
            code = code * 16 + digit;
        }
        self.code(code, start)
    }

    fn code(&self, code: u32, start: usize) -> Result<char, String> {
        char::from_u32(code).ok_or_else(|| Self::wrong_at("bad escape", start))
    }

    fn back(&self, group: usize, start: usize) -> Result<Node, String> {
        if group >= self.names.len() {
            return Err(Self::wrong_at(
                &format!("invalid group reference {group}"),
                start + 1,
            ));
        }
        if self.open.contains(&group) {
            return Err(Self::wrong_at("cannot refer to an open group", start));
        }
        Ok(Node::Back(group, self.flags.ignore_case))
    }

    fn set(&mut self) -> Result<Node, String> {
        let start = self.at - 1;
        let mut set = Set {
            negated: self.eat("^"),
            ignore_case: self.flags.ignore_case,
            ascii: self.flags.ascii,
            ..Set::default()
        };
        let first = self.at;
        loop {
            let here = self.at;
            let letter = self.in_set(start)?;
            if letter == ']' && here != first {
                return Ok(Node::One(Letter::Set(Box::new(set))));
            }
            let Some(low) = self.member(letter, &mut set)? else {
                continue;
            };
            if self.peek() != Some('-') || matches!(self.letters.get(self.at + 1), None | Some(']'))
            {
                set.ranges.push((low, low));
                continue;
            }
            self.at += 1;
            let letter = self.in_set(start)?;
            let high = self.member(letter, &mut set)?;
            match high.filter(|high| low <= *high) {
                Some(high) => set.ranges.push((low, high)),
                None => {
                    let range: String = self.letters[here..self.at].iter().collect();
                    return Err(Self::wrong_at(
                        &format!("bad character range {range}"),
                        here,
                    ));
                }
            }
        }
    }

    fn in_set(&mut self, start: usize) -> Result<char, String> {
        self.next()
            .ok_or_else(|| Self::wrong_at("unterminated character set", start))
    }

    /// A letter of a set; none when it was a class, which is put in.
    fn member(&mut self, letter: char, set: &mut Set) -> Result<Option<char>, String> {
        if letter != '\\' {
            return Ok(Some(letter));
        }
        let start = self.at - 1;
        let escaped = self.in_set(start)?;
        if let Some(class) = class_of(escaped) {
            set.classes.push(class);
            return Ok(None);
        }
        if escaped == 'b' {
            return Ok(Some('\x08'));
        }
        if let Some(code) = self.three_octal(escaped) {
            return self.code(code, start).map(Some);
        }
        self.plain_escape(escaped, start).map(Some)
    }

    fn group(&mut self, start: usize) -> Result<Option<Node>, String> {
        if !self.eat("?") {
            return self.capture(None, start).map(Some);
        }
        let look = |behind, negated| (behind, negated);
        let (behind, negated) = match self.next() {
            // A place in a group of its own can be repeated.
            Some(':') => return Ok(Some(Node::Sequence(vec![self.inside(start)?]))),
            Some('>') => return Ok(Some(Node::Atomic(Box::new(self.inside(start)?)))),
            Some('#') => {
                while let Some(letter) = self.next() {
                    if letter == ')' {
                        return Ok(None);
                    }
                }
                return Err(Self::wrong_at("missing ), unterminated comment", start));
            }
            Some('P') if self.eat("<") => {
                let name = self.name('>')?;
                return self.capture(Some(name), start).map(Some);
            }
            Some('P') if self.eat("=") => {
                let name = self.name(')')?;
                let group = self.number_of(&name)?;
                return self.back(group, start).map(Some);
            }
            Some('(') => return self.conditional(start).map(Some),
            Some('=') => look(false, false),
            Some('!') => look(false, true),
            Some('<') if self.eat("=") => look(true, false),
            Some('<') if self.eat("!") => look(true, true),
            Some(letter) if letter == '-' || letter.is_ascii_alphabetic() => {
                self.at -= 1;
                return self.flagged(start);
            }
            _ => {
                let end = (self.at + usize::from(self.letters[self.at - 1] == '<'))
                    .min(self.letters.len());
                let what: String = self.letters[start + 1..end].iter().collect();
                return Err(Self::wrong_at(
                    &format!("unknown extension {what}"),
                    start + 1,
                ));
            }
        };
        let node = Box::new(self.inside(start)?);
        Ok(Some(Node::Look {
            node,
            behind,
            negated,
        }))
    }

    /// The rest of a group.
    fn inside(&mut self, start: usize) -> Result<Node, String> {
        let flags = self.flags;
        let node = self.choice()?;
        self.flags = flags;
        if !self.eat(")") {
            return Err(Self::wrong_at("missing ), unterminated subpattern", start));
        }
        Ok(node)
    }

    fn capture(&mut self, name: Option<String>, start: usize) -> Result<Node, String> {
        let group = self.names.len();
        if let Some(name) = &name
            && let Ok(other) = self.number_of(name)
        {
            let what =
                format!("redefinition of group name '{name}' as group {group}; was group {other}");
            return Err(self.wrong_name(&what, name));
        }
        self.names.push(name);
        self.open.push(group);
        let node = self.inside(start)?;
        self.open.pop();
        Ok(Node::Group(group, Box::new(node)))
    }

    fn name(&mut self, end: char) -> Result<String, String> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some(letter) if letter == end => break,
                Some(letter) => name.push(letter),
                None => return Err(self.wrong(&format!("missing {end}, unterminated name"))),
            }
        }
        let good = |letter: char| letter.is_alphanumeric() || letter == '_';
        if name.is_empty() {
            return Err(self.wrong_name("missing group name", &name));
        }
        // Only the test of a group may name it by its number.
        let number = end == '>' && name.starts_with(|letter: char| letter.is_ascii_digit());
        if number || !name.chars().all(good) {
            return Err(self.wrong_name(&format!("bad character in group name '{name}'"), &name));
        }
        Ok(name)
    }

    /// Says what is wrong with the name that was just read.
    fn wrong_name(&self, what: &str, name: &str) -> String {
        Self::wrong_at(what, self.at.saturating_sub(name.chars().count() + 1))
    }

    fn number_of(&self, name: &str) -> Result<usize, String> {
        let mut names = self.names.iter();
        let found = names.position(|one| one.as_deref() == Some(name));
        found.ok_or_else(|| self.wrong_name(&format!("unknown group name '{name}'"), name))
    }

    fn conditional(&mut self, start: usize) -> Result<Node, String> {
        let name = self.name(')')?;
        let group = match name.parse() {
            Ok(number) => number,
            Err(_) => self.number_of(&name)?,
        };
        // The group may come later.
        let wrong = self.wrong_name(&format!("invalid group reference {group}"), &name);
        if group == 0 {
            return Err(wrong);
        }
        self.asked.push((group, wrong));
        let (yes, no) = match self.inside(start)? {
            Node::Choice(mut ways) if ways.len() == 2 => {
                let no = ways.pop().unwrap_or(Node::Empty);
                (ways.pop().unwrap_or(Node::Empty), no)
            }
            Node::Choice(_) => {
                return Err(self.wrong("conditional backref with more than two branches"));
            }
            yes => (yes, Node::Empty),
        };
        Ok(Node::IfGroup(group, Box::new(yes), Box::new(no)))
    }

    /// `(?i)` for the whole pattern, or `(?i-s:...)` for a group.
    fn flagged(&mut self, start: usize) -> Result<Option<Node>, String> {
        let (mut flags, mut on) = (self.flags, true);
        loop {
            match self.next() {
                Some('i') => flags.ignore_case = on,
                Some('m') => flags.multi_line = on,
                Some('s') => flags.dot_all = on,
                Some('x') => flags.verbose = on,
                Some('a') => flags.ascii = on,
                Some('u') => flags.ascii = !on,
                Some('-') if on => on = false,
                Some(':') => {
                    let outer = std::mem::replace(&mut self.flags, flags);
                    let node = self.inside(start)?;
                    self.flags = outer;
                    return Ok(Some(node));
                }
                Some(')') if on && start == self.leading => {
                    self.flags = flags;
                    self.leading = self.at;
                    return Ok(None);
                }
                Some(')') if on => {
                    return Err(Self::wrong_at(
                        "global flags not at the start of the expression",
                        start,
                    ));
                }
                _ => return Err(self.wrong("unknown flag")),
            }
        }
    }
}

fn class_of(letter: char) -> Option<(Class, bool)> {
    let class = match letter.to_ascii_lowercase() {
        'd' => Class::Digit,
        's' => Class::Space,
        'w' => Class::Word,
        _ => return None,
    };
    Some((class, letter.is_ascii_uppercase()))
}
