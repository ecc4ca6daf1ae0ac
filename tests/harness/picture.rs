//! A PNG of a browser as numbers, for tests that ask whether something was drawn.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

/// A picture.
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Red, green and blue of each point.
    points: Vec<[u8; 3]>,
}

impl Picture {
    /// Reads a PNG with eight bits a colour that is not interlaced, as browsers write them.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|fault| fault.to_string())?;
        let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n").ok_or("no PNG")?;
        let (mut head, mut packed) = (&[][..], vec![]);
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let (kind, body) = (tail.get(..4).ok_or("cut off")?, tail.get(4..4 + length));
            let body = body.ok_or("cut off")?;
            match kind {
                b"IHDR" => head = body,
                b"IDAT" => packed.extend_from_slice(body),
                _ => {}
            }
            rest = tail.get(8 + length..).unwrap_or_default();
        }
        let number = |at: usize| {
            head.get(at..at + 4)
                .map(|four| four.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
        };
        let (width, height) = (number(0).ok_or("no head")?, number(4).ok_or("no head")?);
        let depth = match (head.get(8), head.get(9), head.get(12)) {
            (Some(8), Some(2), Some(0)) => 3,
            (Some(8), Some(6), Some(0)) => 4,
            _ => return Err("a PNG of another form".to_owned()),
        };
        let mut raw = vec![];
        let mut reader = flate2::read::ZlibDecoder::new(packed.as_slice());
        reader
            .read_to_end(&mut raw)
            .map_err(|fault| fault.to_string())?;
        let points = points(&raw, width as usize * depth, depth);
        Ok(Self {
            width,
            height,
            points,
        })
    }

    /// How bright it is on average: 0 is black, 255 is white.
    pub(crate) fn brightness(&self) -> u64 {
        let sum: u64 = self
            .points
            .iter()
            .flatten()
            .map(|part| u64::from(*part))
            .sum();
        sum / (self.points.len() as u64 * 3).max(1)
    }

    /// How many colours there are.
    pub(crate) fn colors(&self) -> usize {
        self.points.iter().collect::<HashSet<_>>().len()
    }
}

/// The points of lines that are each told as a difference from what is left of them and above.
fn points(raw: &[u8], line: usize, depth: usize) -> Vec<[u8; 3]> {
    let mut above = vec![0_u8; line];
    let mut points = vec![];
    for row in raw.chunks_exact(line + 1) {
        let mut now = vec![0_u8; line];
        for at in 0..line {
            let left = if at < depth { 0 } else { now[at - depth] };
            let corner = if at < depth { 0 } else { above[at - depth] };
            let guess = match row[0] {
                1 => left,
                2 => above[at],
                3 => u16::midpoint(left.into(), above[at].into()) as u8,
                4 => nearest(left, above[at], corner),
                _ => 0,
            };
            now[at] = row[at + 1].wrapping_add(guess);
        }
        points.extend(
            now.chunks_exact(depth)
                .map(|point| [point[0], point[1], point[2]]),
        );
        above = now;
    }
    points
}

/// Which of the three is nearest to `left + above - corner`.
fn nearest(left: u8, above: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, above, corner].map(i16::from);
    let wanted = a + b - c;
    let far = |other: i16| (wanted - other).abs();
    if far(a) <= far(b) && far(a) <= far(c) {
        left
    } else if far(b) <= far(c) {
        above
    } else {
        corner
    }
}
