//! The machine that runs a program with backtracking.

use super::TooLong;
use super::letters::{Class, fold, is_in};
use super::parse::{How, Letter, Place};
use super::program::{Program, Step};

/// Steps that every search may take; a longer text may take more of them.
const PATIENCE: usize = 2_000_000;

type Slots = Vec<Option<usize>>;

/// The first match at or after `from`; `advance` refuses an empty one at `from`.
pub(super) fn search(
    program: &Program,
    text: &str,
    from: usize,
    advance: bool,
) -> Result<Option<Slots>, TooLong> {
    let mut machine = Machine::new(program, text);
    let mut start = from;
    loop {
        if let Some(first) = program.first {
            match text[start..].find(first) {
                Some(ahead) => start += ahead,
                None => return Ok(None),
            }
        }
        machine.not_empty_at = (advance && start == from).then_some(from);
        if let Some(slots) = machine.at(start)? {
            return Ok(Some(slots));
        }
        match text[start..].chars().next() {
            Some(letter) if !program.anchored => start += letter.len_utf8(),
            _ => return Ok(None),
        }
    }
}

/// A match at the start of the text.
pub(super) fn at_start(program: &Program, text: &str) -> Result<Option<Slots>, TooLong> {
    Machine::new(program, text).at(0)
}

/// What to do when a way leads nowhere.
enum Other {
    /// Go on there.
    Go { step: usize, at: usize },
    /// Undo a note.
    Undo { slot: usize, old: Option<usize> },
    /// Give back one of many letters, down to `least`.
    Less {
        step: usize,
        least: usize,
        at: usize,
    },
    /// Take one more of many letters.
    More {
        step: usize,
        at: usize,
        left: Option<u32>,
    },
}

struct Machine<'p> {
    program: &'p Program,
    text: &'p str,
    slots: Slots,
    patience: usize,
    not_empty_at: Option<usize>,
}

impl<'p> Machine<'p> {
    fn new(program: &'p Program, text: &'p str) -> Self {
        Self {
            program,
            text,
            slots: vec![None; program.slots],
            patience: PATIENCE.saturating_add(text.len().saturating_mul(32)),
            not_empty_at: None,
        }
    }

    fn at(&mut self, start: usize) -> Result<Option<Slots>, TooLong> {
        self.slots.fill(None);
        let Some(end) = self.run(0, start, true)? else {
            return Ok(None);
        };
        (self.slots[0], self.slots[1]) = (Some(start), Some(end));
        Ok(Some(self.slots.clone()))
    }

    /// Runs from a step to the end of its pattern; the position there.
    fn run(&mut self, step: usize, at: usize, whole: bool) -> Result<Option<usize>, TooLong> {
        let mut others = Vec::new();
        let mut here = Some((step, at));
        loop {
            self.patience = self.patience.checked_sub(1).ok_or(TooLong)?;
            let Some((step, at)) = here.or_else(|| self.another(&mut others)) else {
                return Ok(None);
            };
            if matches!(self.program.steps[step], Step::Done) {
                if !(whole && self.not_empty_at == Some(at)) {
                    return Ok(Some(at));
                }
                here = None;
            } else {
                here = self.step(step, at, &mut others)?;
            }
        }
    }

    /// The last way that was not taken.
    fn another(&mut self, others: &mut Vec<Other>) -> Option<(usize, usize)> {
        loop {
            match others.pop()? {
                Other::Go { step, at } => return Some((step, at)),
                Other::Undo { slot, old } => self.slots[slot] = old,
                Other::Less { step, least, at } => {
                    let letter = self.text[..at].chars().next_back()?;
                    let at = at - letter.len_utf8();
                    if at > least {
                        others.push(Other::Less { step, least, at });
                    }
                    return Some((step, at));
                }
                Other::More { step, at, left } => {
                    let Step::Many { letter, .. } = &self.program.steps[step - 1] else {
                        continue;
                    };
                    let Some(next) = self.text[at..].chars().next() else {
                        continue;
                    };
                    if left == Some(0) || !letter.fits(next) {
                        continue;
                    }
                    let at = at + next.len_utf8();
                    let left = left.map(|left| left - 1);
                    others.push(Other::More { step, at, left });
                    return Some((step, at));
                }
            }
        }
    }

    /// One step; where to go on, or nothing when it does not fit.
    fn step(
        &mut self,
        step: usize,
        at: usize,
        others: &mut Vec<Other>,
    ) -> Result<Option<(usize, usize)>, TooLong> {
        let program = self.program;
        let next = |fits: bool, at: usize| fits.then_some((step + 1, at));
        Ok(match &program.steps[step] {
            Step::One(letter) => match self.text[at..].chars().next() {
                Some(found) => next(letter.fits(found), at + found.len_utf8()),
                None => None,
            },
            Step::Many {
                letter,
                least,
                most,
                how,
            } => self
                .many(letter, (*least, *most), *how, at)
                .map(|(low, high)| {
                    match how {
                        How::Greedy if low < high => {
                            others.push(Other::Less {
                                step: step + 1,
                                least: low,
                                at: high,
                            });
                        }
                        How::Lazy => {
                            let left = most.map(|most| most - least);
                            others.push(Other::More {
                                step: step + 1,
                                at: low,
                                left,
                            });
                        }
                        _ => {}
                    }
                    (step + 1, if *how == How::Lazy { low } else { high })
                }),
            Step::Split(first, second) => {
                others.push(Other::Go { step: *second, at });
                Some((*first, at))
            }
            Step::Jump(target) => Some((*target, at)),
            Step::Save(slot) => {
                others.push(Other::Undo {
                    slot: *slot,
                    old: self.slots[*slot],
                });
                self.slots[*slot] = Some(at);
                next(true, at)
            }
            Step::Moved(slot, past) if self.slots[*slot] == Some(at) => Some((*past, at)),
            Step::Moved(..) => next(true, at),
            Step::At(place) => next(self.stands(*place, at), at),
            Step::Back(group, ignore_case) => self
                .repeated(*group, *ignore_case, at)
                .and_then(|at| next(true, at)),
            Step::IfGroup(group, otherwise) => match self.slots[2 * group + 1] {
                Some(_) => next(true, at),
                None => Some((*otherwise, at)),
            },
            Step::Atomic(end) => self.own(step + 1, at, others)?.map(|at| (end + 1, at)),
            Step::Look {
                end,
                behind,
                negated,
            } => {
                let before = self.slots.clone();
                let start = back(self.text, at, behind.unwrap_or(0));
                let found = match start {
                    Some(start) => self.own(step + 1, start, others)?.is_some(),
                    None => false,
                };
                if *negated {
                    self.slots = before;
                }
                (found != *negated).then_some((end + 1, at))
            }
            Step::Done => None,
        })
    }

    /// Runs a pattern inside. What it notes can be undone, but no other way through it is tried.
    fn own(
        &mut self,
        step: usize,
        at: usize,
        others: &mut Vec<Other>,
    ) -> Result<Option<usize>, TooLong> {
        let before = self.slots.clone();
        let end = self.run(step, at, false)?;
        for (slot, old) in before.into_iter().enumerate() {
            if self.slots[slot] != old {
                others.push(Other::Undo { slot, old });
            }
        }
        Ok(end)
    }

    /// Where the least and the most letters end that fit.
    fn many(
        &mut self,
        letter: &Letter,
        (least, most): (u32, Option<u32>),
        how: How,
        at: usize,
    ) -> Option<(usize, usize)> {
        let most = if how == How::Lazy { Some(least) } else { most };
        let (mut count, mut end, mut low) = (0, at, at);
        for found in self.text[at..].chars() {
            if most == Some(count) || !letter.fits(found) {
                break;
            }
            end += found.len_utf8();
            count = count.saturating_add(1);
            if count == least {
                low = end;
            }
        }
        // A letter is a step, too, or many of them in many places would be free.
        self.patience = self.patience.saturating_sub(count as usize / 8);
        (count >= least).then_some((low, end))
    }

    fn repeated(&self, group: usize, ignore_case: bool, at: usize) -> Option<usize> {
        let (Some(start), Some(end)) = (self.slots[2 * group], self.slots[2 * group + 1]) else {
            return None;
        };
        let wanted = self.text.get(start..end)?;
        if !ignore_case {
            return self.text[at..]
                .starts_with(wanted)
                .then(|| at + wanted.len());
        }
        let mut found = self.text[at..].chars();
        let mut end = at;
        for letter in wanted.chars() {
            let other = found.next().filter(|other| fold(*other) == fold(letter))?;
            end += other.len_utf8();
        }
        Some(end)
    }

    fn stands(&self, place: Place, at: usize) -> bool {
        let (before, after) = (&self.text[..at], &self.text[at..]);
        let at_word = |ascii| {
            let is_word = |letter: char| is_in(Class::Word, letter, ascii);
            before.chars().next_back().is_some_and(is_word)
                != after.chars().next().is_some_and(is_word)
        };
        match place {
            Place::TextStart => at == 0,
            Place::LineStart => at == 0 || before.ends_with('\n'),
            Place::TextEnd => after.is_empty(),
            Place::LineEnd => after.is_empty() || after.starts_with('\n'),
            Place::LastEnd => after.is_empty() || after == "\n",
            Place::Word(ascii) => at_word(ascii),
            // Python finds neither in an empty text.
            Place::NotWord(ascii) => !self.text.is_empty() && !at_word(ascii),
        }
    }
}

/// The position some letters before another.
fn back(text: &str, at: usize, letters: usize) -> Option<usize> {
    let mut before = text[..at].chars();
    for _ in 0..letters {
        before.next_back()?;
    }
    Some(before.as_str().len())
}
