//! Classes of letters, and letters in another case.

/// The class of an escape: `\d`, `\s`, `\w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Digit,
    Space,
    Word,
}

/// The zeros of all scripts; the other nine digits follow each of them.
const ZEROS: &[u32] = &[
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// Whether a letter is in a class.
pub(super) fn is_in(class: Class, letter: char, ascii: bool) -> bool {
    match (class, ascii || letter.is_ascii()) {
        (Class::Digit, true) => letter.is_ascii_digit(),
        (Class::Space, true) => {
            matches!(letter, ' ' | '\t'..='\r') || (!ascii && matches!(letter, '\x1c'..='\x1f'))
        }
        (Class::Word, true) => letter.is_ascii_alphanumeric() || letter == '_',
        (Class::Digit, false) => is_digit(letter),
        (Class::Space, false) => letter.is_whitespace(),
        (Class::Word, false) => letter.is_alphanumeric(),
    }
}

fn is_digit(letter: char) -> bool {
    let number = u32::from(letter);
    let at = ZEROS.partition_point(|zero| *zero <= number);
    at > 0 && number - ZEROS[at - 1] < 10
}

/// A form that is the same for all cases of a letter.
pub(super) fn fold(letter: char) -> char {
    if letter.is_ascii() {
        return letter.to_ascii_lowercase();
    }
    lower(upper(letter))
}

/// The capital, or the letter itself where that would be several.
pub(super) fn upper(letter: char) -> char {
    one(letter, letter.to_uppercase())
}

/// The small letter, or the letter itself where that would be several.
pub(super) fn lower(letter: char) -> char {
    one(letter, letter.to_lowercase())
}

fn one(letter: char, mut others: impl Iterator<Item = char>) -> char {
    match (others.next(), others.next()) {
        (Some(other), None) => other,
        _ => letter,
    }
}
