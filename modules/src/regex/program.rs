//! A tree as a program for the backtracking machine.

use super::letters::{self, fold, is_in};
use super::parse::{How, Letter, Node, Parsed, Place, Set};

/// Steps of the largest program: counted repetitions are written out.
const LARGEST: usize = 200_000;

/// A program, and the names of its groups.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) names: Vec<Option<String>>,
    /// Slots for the ends of groups, then for where the turns of loops began.
    pub(super) slots: usize,
    /// The letter that every match begins with, if there is one.
    pub(super) first: Option<char>,
    /// A match can only be at the start of the text.
    pub(super) anchored: bool,
}

/// One step.
#[derive(Debug)]
pub(super) enum Step {
    One(Letter),
    /// Any number of single letters.
    Many {
        letter: Letter,
        least: u32,
        most: Option<u32>,
        how: How,
    },
    /// Goes on at the first place, and at the second when that leads nowhere.
    Split(usize, usize),
    Jump(usize),
    /// Notes the position.
    Save(usize),
    /// Leaves a loop for the given step if its turn, which began at the noted position, took nothing.
    Moved(usize, usize),
    At(Place),
    Back(usize, bool),
    IfGroup(usize, usize),
    /// Runs the steps up to the given one as a pattern of its own, which gives nothing back.
    Atomic(usize),
    Look {
        end: usize,
        /// How many letters to go back first.
        behind: Option<usize>,
        negated: bool,
    },
    /// The end of the pattern, or of one inside.
    Done,
}

/// Writes the program.
pub(super) fn build(parsed: &Parsed) -> Result<Program, String> {
    let mut builder = Builder {
        steps: Vec::new(),
        slots: 2 * parsed.names.len(),
    };
    builder.node(&parsed.node)?;
    builder.steps.push(Step::Done);
    let mut first = &parsed.node;
    while let Node::Sequence(nodes) = first {
        match nodes.first() {
            Some(node) => first = node,
            None => break,
        }
    }
    Ok(Program {
        first: match first {
            Node::One(Letter::This(letter)) => Some(*letter),
            _ => None,
        },
        anchored: matches!(first, Node::At(Place::TextStart)),
        steps: builder.steps,
        names: parsed.names.clone(),
        slots: builder.slots,
    })
}

struct Builder {
    steps: Vec<Step>,
    slots: usize,
}

impl Builder {
    fn push(&mut self, step: Step) -> Result<usize, String> {
        if self.steps.len() >= LARGEST {
            return Err("the regular expression is too large".to_owned());
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn node(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Empty => {}
            Node::One(letter) => drop(self.push(Step::One(letter.clone()))?),
            Node::Sequence(nodes) => nodes.iter().try_for_each(|node| self.node(node))?,
            Node::Choice(ways) => self.choice(ways)?,
            Node::Repeat {
                node,
                least,
                most,
                how,
            } => self.repeat(node, *least, *most, *how)?,
            Node::Group(number, node) => {
                self.push(Step::Save(2 * number))?;
                self.node(node)?;
                self.push(Step::Save(2 * number + 1))?;
            }
            Node::Atomic(node) => self.own(node, Step::Atomic)?,
            Node::Look {
                node,
                behind,
                negated,
            } => {
                let behind = behind.then(|| width(node)).transpose()?;
                let negated = *negated;
                self.own(node, |end| Step::Look {
                    end,
                    behind,
                    negated,
                })?;
            }
            Node::Back(group, ignore_case) => drop(self.push(Step::Back(*group, *ignore_case))?),
            Node::IfGroup(group, yes, no) => {
                let test = self.push(Step::Done)?;
                self.node(yes)?;
                let leave = self.push(Step::Done)?;
                self.steps[test] = Step::IfGroup(*group, self.steps.len());
                self.node(no)?;
                self.steps[leave] = Step::Jump(self.steps.len());
            }
            Node::At(place) => drop(self.push(Step::At(*place))?),
        }
        Ok(())
    }

    /// A pattern inside, with its own end.
    fn own(&mut self, node: &Node, step: impl FnOnce(usize) -> Step) -> Result<(), String> {
        let at = self.push(Step::Done)?;
        self.node(node)?;
        let end = self.push(Step::Done)?;
        self.steps[at] = step(end);
        Ok(())
    }

    fn choice(&mut self, ways: &[Node]) -> Result<(), String> {
        let mut leave = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            if index + 1 == ways.len() {
                self.node(way)?;
                break;
            }
            let split = self.push(Step::Done)?;
            self.node(way)?;
            leave.push(self.push(Step::Done)?);
            self.steps[split] = Step::Split(split + 1, self.steps.len());
        }
        for at in leave {
            self.steps[at] = Step::Jump(self.steps.len());
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        node: &Node,
        least: u32,
        most: Option<u32>,
        how: How,
    ) -> Result<(), String> {
        if let Node::One(letter) = node {
            let letter = letter.clone();
            return self
                .push(Step::Many {
                    letter,
                    least,
                    most,
                    how,
                })
                .map(drop);
        }
        if how == How::Possessive {
            let greedy = Node::Repeat {
                node: Box::new(node.clone()),
                least,
                most,
                how: How::Greedy,
            };
            return self.own(&greedy, Step::Atomic);
        }
        for _ in 0..least {
            self.node(node)?;
        }
        let Some(most) = most else {
            return self.any_number(node, how);
        };
        let mut turns = Vec::new();
        for _ in least..most {
            turns.push((self.push(Step::Done)?, self.turn(node)?));
        }
        for (split, end) in turns {
            self.leave(split, end, how);
        }
        Ok(())
    }

    fn any_number(&mut self, node: &Node, how: How) -> Result<(), String> {
        let split = self.push(Step::Done)?;
        let end = self.turn(node)?;
        self.push(Step::Jump(split))?;
        self.leave(split, end, how);
        Ok(())
    }

    /// One more turn of a loop; its last step, which [`Builder::leave`] completes.
    fn turn(&mut self, node: &Node) -> Result<usize, String> {
        let slot = self.slots;
        self.slots += 1;
        self.push(Step::Save(slot))?;
        self.node(node)?;
        self.push(Step::Moved(slot, 0))
    }

    /// Lets a loop be left for what comes next: before a turn, and after one that took nothing.
    fn leave(&mut self, split: usize, end: usize, how: How) {
        let past = self.steps.len();
        self.steps[split] = match how {
            How::Lazy => Step::Split(past, split + 1),
            _ => Step::Split(split + 1, past),
        };
        if let Step::Moved(_, target) = &mut self.steps[end] {
            *target = past;
        }
    }
}

/// How many letters a pattern takes, which has to be always the same to look for it backwards.
fn width(node: &Node) -> Result<usize, String> {
    let varies = || "look-behind requires fixed-width pattern".to_owned();
    let same = |nodes: &[Node]| -> Result<usize, String> {
        let widths: Vec<usize> = nodes.iter().map(width).collect::<Result<_, _>>()?;
        let first = widths.first().copied().unwrap_or_default();
        if widths.iter().any(|one| *one != first) {
            return Err(varies());
        }
        Ok(first)
    };
    match node {
        Node::Empty | Node::At(_) | Node::Look { .. } => Ok(0),
        Node::One(_) => Ok(1),
        Node::Sequence(nodes) => nodes.iter().map(width).sum(),
        Node::Choice(ways) => same(ways),
        Node::Repeat { node, .. } if width(node).is_ok_and(|width| width == 0) => Ok(0),
        Node::Repeat {
            node, least, most, ..
        } if Some(*least) == *most => Ok(width(node)?.saturating_mul(*least as usize)),
        Node::Group(_, node) | Node::Atomic(node) => width(node),
        Node::IfGroup(_, yes, no) => {
            let (yes, no) = (width(yes)?, width(no)?);
            if yes == no { Ok(yes) } else { Err(varies()) }
        }
        Node::Repeat { .. } | Node::Back(..) => Err(varies()),
    }
}

impl Letter {
    /// Whether it fits a letter of the text.
    pub(super) fn fits(&self, letter: char) -> bool {
        match self {
            Letter::This(wanted) => *wanted == letter,
            Letter::Folded(wanted) => *wanted == fold(letter),
            Letter::Any => true,
            Letter::NotNewline => letter != '\n',
            Letter::Set(set) => set.fits(letter),
        }
    }
}

impl Set {
    fn fits(&self, letter: char) -> bool {
        let inside = self.holds(letter)
            || (self.ignore_case
                && [letters::lower, letters::upper, fold]
                    .iter()
                    .any(|change| self.holds(change(letter))));
        inside != self.negated
    }

    fn holds(&self, letter: char) -> bool {
        self.ranges
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&letter))
            || self
                .classes
                .iter()
                .any(|(class, negated)| is_in(*class, letter, self.ascii) != *negated)
    }
}
