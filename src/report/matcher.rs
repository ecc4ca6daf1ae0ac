//! Which lines two texts share, chosen as Python's `difflib` chooses them, so that hunks are the same.
//!
//! The longest common block comes first, then the longest ones left and right of it. Lines that fill
//! more than a hundredth of a long text begin no block, but they may extend one.

use std::collections::HashMap;

/// A block of equal lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    a: usize,
    b: usize,
    size: usize,
}

/// What becomes of a range of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The lines are the same on both sides.
    pub(crate) equal: bool,
    /// Lines of the first text: start and end.
    pub(crate) a: (usize, usize),
    /// Lines of the second text.
    pub(crate) b: (usize, usize),
}

/// Hunks of changes with up to `context` equal lines around each.
pub(crate) fn hunks(a: &[String], b: &[String], context: usize) -> Vec<Vec<Change>> {
    let mut changes = changes(a, b);
    let trim_start = |change: &mut Change| {
        change.a.0 = change.a.0.max(change.a.1.saturating_sub(context));
        change.b.0 = change.b.0.max(change.b.1.saturating_sub(context));
    };
    let trim_end = |change: &mut Change| {
        change.a.1 = change.a.1.min(change.a.0 + context);
        change.b.1 = change.b.1.min(change.b.0 + context);
    };
    if let Some(first) = changes.first_mut().filter(|change| change.equal) {
        trim_start(first);
    }
    if let Some(last) = changes.last_mut().filter(|change| change.equal) {
        trim_end(last);
    }
    let mut hunks = vec![];
    let mut hunk = vec![];
    for change in changes {
        let mut change = change;
        if change.equal && change.a.1 - change.a.0 > 2 * context {
            let mut end = change;
            trim_end(&mut end);
            hunk.push(end);
            hunks.push(std::mem::take(&mut hunk));
            trim_start(&mut change);
        }
        hunk.push(change);
    }
    if hunk.iter().any(|change: &Change| !change.equal) {
        hunks.push(hunk);
    }
    hunks
}

fn changes(a: &[String], b: &[String]) -> Vec<Change> {
    let mut changes = vec![];
    let (mut i, mut j) = (0, 0);
    for block in blocks(a, b) {
        if i < block.a || j < block.b {
            changes.push(Change {
                equal: false,
                a: (i, block.a),
                b: (j, block.b),
            });
        }
        (i, j) = (block.a + block.size, block.b + block.size);
        if block.size > 0 {
            changes.push(Change {
                equal: true,
                a: (block.a, i),
                b: (block.b, j),
            });
        }
    }
    changes
}

/// The common blocks in order, neighbours joined, with an empty one at the end of both texts.
fn blocks(a: &[String], b: &[String]) -> Vec<Block> {
    let index = places(b);
    let mut found = vec![];
    let mut ranges = vec![(0, a.len(), 0, b.len())];
    while let Some((a_start, a_end, b_start, b_end)) = ranges.pop() {
        let block = longest(a, b, &index, (a_start, a_end), (b_start, b_end));
        if block.size == 0 {
            continue;
        }
        found.push(block);
        if a_start < block.a && b_start < block.b {
            ranges.push((a_start, block.a, b_start, block.b));
        }
        if block.a + block.size < a_end && block.b + block.size < b_end {
            ranges.push((block.a + block.size, a_end, block.b + block.size, b_end));
        }
    }
    found.sort_by_key(|block| (block.a, block.b));
    let mut joined: Vec<Block> = vec![];
    for block in found {
        match joined.last_mut() {
            Some(last) if last.a + last.size == block.a && last.b + last.size == block.b => {
                last.size += block.size
            }
            _ => joined.push(block),
        }
    }
    joined.push(Block {
        a: a.len(),
        b: b.len(),
        size: 0,
    });
    joined
}

/// Where each line is found in the second text, without the lines that are everywhere.
fn places(b: &[String]) -> HashMap<&str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if b.len() >= 200 {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

fn longest(
    a: &[String],
    b: &[String],
    index: &HashMap<&str, Vec<usize>>,
    in_a: (usize, usize),
    in_b: (usize, usize),
) -> Block {
    let mut best = Block {
        a: in_a.0,
        b: in_b.0,
        size: 0,
    };
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (i, line) in a.iter().enumerate().take(in_a.1).skip(in_a.0) {
        let mut next = HashMap::new();
        for &j in index.get(line.as_str()).map_or(&[][..], Vec::as_slice) {
            if j < in_b.0 {
                continue;
            }
            if j >= in_b.1 {
                break;
            }
            let size = j
                .checked_sub(1)
                .and_then(|before| lengths.get(&before))
                .copied()
                .unwrap_or(0)
                + 1;
            next.insert(j, size);
            if size > best.size {
                best = Block {
                    a: i + 1 - size,
                    b: j + 1 - size,
                    size,
                };
            }
        }
        lengths = next;
    }
    while best.a > in_a.0 && best.b > in_b.0 && a[best.a - 1] == b[best.b - 1] {
        best = Block {
            a: best.a - 1,
            b: best.b - 1,
            size: best.size + 1,
        };
    }
    while best.a + best.size < in_a.1
        && best.b + best.size < in_b.1
        && a[best.a + best.size] == b[best.b + best.size]
    {
        best.size += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_changes_make_hunks_of_their_own() {
        let a: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let mut b = a.clone();
        b[1] = "x".to_owned();
        b[18] = "y".to_owned();
        let hunks = hunks(&a, &b, 3);
        assert_eq!(hunks.len(), 2);
        assert_eq!(hunks[0].first().map(|change| change.a), Some((0, 1)));
        assert_eq!(hunks[0].last().map(|change| change.a), Some((2, 5)));
        assert_eq!(hunks[1].first().map(|change| change.a), Some((15, 18)));
    }
}
