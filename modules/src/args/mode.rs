//! File modes: octal numbers, symbolic clauses, `preserve`.

use super::{ArgValue, Kind};
use crate::data::Data;

/// A file mode as a user gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// These permission bits.
    Bits(u32),
    /// Changes to the bits that are there: `u=rwX,g+s`.
    Symbolic(Vec<Clause>),
    /// The bits of the file that is copied.
    Preserve,
}

/// One clause of a symbolic mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// For whom, of `u`, `g` and `o`. Nobody named means all, less the umask.
    who: Vec<char>,
    masked: bool,
    /// What is done, in order: an operator and permissions.
    actions: Vec<(char, Vec<char>)>,
}

impl ArgValue for Mode {
    const KIND: Kind = Kind::Mode;

    fn from_data(value: &Data) -> Result<Self, String> {
        Mode::from_value(value)
    }
}

impl Mode {
    /// Reads a mode. A number is the bits themselves: YAML has resolved `0644` already, and `644`
    /// means what Ansible makes of it.
    ///
    /// # Errors
    /// What is wrong with the clause, as Ansible's `details`.
    pub fn from_value(value: &Data) -> Result<Self, String> {
        match value {
            Data::Int(bits) => Ok(Self::bits(*bits)),
            Data::Bool(bit) => Ok(Self::Bits((*bit).into())),
            Data::Str(text) => Self::parse(text),
            other => Err(format!(
                "'{}' object has no attribute 'split'",
                other.type_name()
            )),
        }
    }

    /// Reads a mode from text, where digits are octal.
    ///
    /// # Errors
    /// What is wrong with the clause, as Ansible's `details`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "preserve" {
            return Ok(Self::Preserve);
        }
        let digits = text.trim().replace('_', "");
        let digits = digits
            .strip_prefix("0o")
            .or_else(|| digits.strip_prefix("0O"))
            .unwrap_or(&digits);
        if let Ok(bits) = i128::from_str_radix(digits, 8) {
            return Ok(Self::bits(bits));
        }
        let clauses = text.split(',').filter(|_| !text.is_empty()).map(|clause| {
            Clause::parse(clause)
                .ok_or_else(|| format!("bad symbolic permission for mode: {clause}"))
        });
        clauses.collect::<Result<_, _>>().map(Self::Symbolic)
    }

    fn bits(number: i128) -> Self {
        Self::Bits(u32::try_from(number & 0o7777).unwrap_or(0))
    }

    /// The bits that a file gets which has `old` now. `preserve` changes nothing here: whoever
    /// copies knows the bits of the source.
    #[must_use]
    pub fn apply(&self, old: u32, is_dir: bool, umask: u32) -> u32 {
        match self {
            Self::Bits(bits) => *bits,
            Self::Symbolic(clauses) => clauses.iter().fold(old & 0o7777, |bits, clause| {
                clause.apply(bits, is_dir, umask)
            }),
            Self::Preserve => old & 0o7777,
        }
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let start = text.find(['+', '-', '='])?;
        let (who, rest) = text.split_at(start);
        if who != "a" && !who.chars().all(|letter| "ugo".contains(letter)) {
            return None;
        }
        let mut actions: Vec<(char, Vec<char>)> = Vec::new();
        for letter in rest.chars() {
            match letter {
                '+' | '-' | '=' => actions.push((letter, Vec::new())),
                'r' | 'w' | 'x' | 'X' | 's' | 't' | 'u' | 'g' | 'o' => {
                    actions.last_mut()?.1.push(letter)
                }
                _ => return None,
            }
        }
        // The order counts where permissions are copied from one to another.
        let who_named = if who.is_empty() || who == "a" {
            "ugo"
        } else {
            who
        };
        Some(Self {
            who: who_named.chars().collect(),
            masked: who.is_empty(),
            actions,
        })
    }

    fn apply(&self, old: u32, is_dir: bool, umask: u32) -> u32 {
        let mut bits = old;
        for (operator, permissions) in &self.actions {
            for who in &self.who {
                let wanted = permissions.iter().fold(0, |sum, letter| {
                    // Bits that are copied from another user are not masked.
                    let masked = self.masked && !"ugo".contains(*letter);
                    let wanted = permission(*who, *letter, bits, is_dir);
                    sum | if masked {
                        wanted & !(umask & 0o777)
                    } else {
                        wanted
                    }
                });
                bits = match operator {
                    '+' => bits | wanted,
                    '-' => bits & !wanted,
                    _ => (bits & !all_of(*who)) | wanted,
                };
            }
        }
        bits
    }
}

/// All bits that belong to one of `u`, `g`, `o`.
fn all_of(who: char) -> u32 {
    match who {
        'u' => 0o4700,
        'g' => 0o2070,
        _ => 0o1007,
    }
}

/// The bits that a permission letter means for one of `u`, `g`, `o`.
fn permission(who: char, letter: char, old: u32, is_dir: bool) -> u32 {
    let shift = match who {
        'u' => 6,
        'g' => 3,
        _ => 0,
    };
    match letter {
        'r' => 4 << shift,
        'w' => 2 << shift,
        'x' => 1 << shift,
        'X' if is_dir || old & 0o111 != 0 => 1 << shift,
        's' if who != 'o' => all_of(who) & 0o7000,
        't' if who == 'o' => 0o1000,
        'u' => ((old >> 6) & 7) << shift,
        'g' => ((old >> 3) & 7) << shift,
        'o' => (old & 7) << shift,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(mode: &str, old: u32, is_dir: bool) -> Result<u32, String> {
        Mode::parse(mode).map(|mode| mode.apply(old, is_dir, 0o022))
    }

    #[test]
    fn numbers() {
        assert_eq!(Mode::from_value(&Data::from(644)), Ok(Mode::Bits(0o1204)));
        assert_eq!(Mode::from_value(&Data::from("0644")), Ok(Mode::Bits(0o644)));
        assert_eq!(
            Mode::from_value(&Data::from("0o644")),
            Ok(Mode::Bits(0o644))
        );
        assert_eq!(Mode::from_value(&Data::from(-1)), Ok(Mode::Bits(0o7777)));
        assert_eq!(
            Mode::parse("999"),
            Err("bad symbolic permission for mode: 999".to_owned())
        );
    }

    #[test]
    fn symbolic() {
        assert_eq!(applied("u=rwX,g=rX,o=rX", 0o600, false), Ok(0o644));
        assert_eq!(applied("u=rwX,g=rX,o=rX", 0o600, true), Ok(0o755));
        assert_eq!(applied("+w", 0o444, false), Ok(0o644));
        assert_eq!(applied("a+w", 0o444, false), Ok(0o666));
        assert_eq!(applied("g+s,o-t,u=g", 0o1750, true), Ok(0o2550));
        assert_eq!(applied("u+w-x", 0o500, false), Ok(0o600));
        assert_eq!(applied("", 0o500, false), Ok(0o500));
        assert!(applied("u=rw, g=r", 0, false).is_err());
    }
}
