//! Chance; with a seed the same as Python's generator gives.

use sha2::{Digest, Sha512};

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::value::{Key, Value};

/// The Mersenne Twister, seeded as Python does.
pub(crate) struct Random {
    state: Vec<u32>,
    at: usize,
}

impl Random {
    /// Seeded by a value, or by the time.
    pub(crate) fn new(seed: Option<&Value>) -> Self {
        let mut key: Vec<u32> = match seed {
            Some(Value::Str(text)) => {
                // Python takes text and its SHA-512 as one long number, the first byte highest.
                let mut bytes = text.as_str().as_bytes().to_vec();
                bytes.extend_from_slice(&Sha512::digest(text.as_str().as_bytes()));
                words(&bytes)
            }
            Some(Value::Int(number)) => words(&number.unsigned_abs().to_be_bytes()),
            Some(Value::Bool(value)) => vec![u32::from(*value)],
            Some(Value::Float(number)) => words(&hash_of(*number).to_be_bytes()),
            Some(other) => words(other.text().as_bytes()),
            None => words(&entropy().to_be_bytes()),
        };
        while key.len() > 1 && key.last() == Some(&0) {
            key.pop();
        }
        Self {
            state: seeded(&key),
            at: 624,
        }
    }

    fn next(&mut self) -> u32 {
        if self.at >= 624 {
            for index in 0..624 {
                let mixed = (self.state[index] & 0x8000_0000)
                    | (self.state[(index + 1) % 624] & 0x7fff_ffff);
                let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[index] = self.state[(index + 397) % 624] ^ (mixed >> 1) ^ odd;
            }
            self.at = 0;
        }
        let mut word = self.state[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A whole number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        u64::try_from(self.below_wide(u128::from(limit))).unwrap_or(0)
    }

    fn below_wide(&mut self, limit: u128) -> u128 {
        if limit == 0 {
            return 0;
        }
        let bits = 128 - limit.leading_zeros();
        loop {
            let mut number = 0;
            for at in (0..bits).step_by(32) {
                // Of the highest word only the upper bits count.
                let surplus = 32u32.saturating_sub(bits - at);
                number |= u128::from(self.next() >> surplus) << at;
            }
            if number < limit {
                return number;
            }
        }
    }
}

/// Python's hash of a number, as it is in memory.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "28 bits of a fraction are a small whole number"
)]
fn hash_of(number: f64) -> u64 {
    const BITS: i32 = 61;
    const MODULUS: u64 = (1 << BITS) - 1;
    if !number.is_finite() {
        return if number.is_nan() { 0 } else { 314_159 };
    }
    let (mut part, mut exponent) = (number.abs(), 0i32);
    while part >= 1.0 {
        (part, exponent) = (part / 2.0, exponent + 1);
    }
    while part != 0.0 && part < 0.5 {
        (part, exponent) = (part * 2.0, exponent - 1);
    }
    let mut hash: u64 = 0;
    while part != 0.0 {
        hash = ((hash << 28) & MODULUS) | (hash >> (BITS - 28));
        part *= 268_435_456.0;
        exponent -= 28;
        let whole = part.trunc() as u64;
        part -= part.trunc();
        hash += whole;
        if hash >= MODULUS {
            hash -= MODULUS;
        }
    }
    let turn = exponent.rem_euclid(BITS);
    hash = ((hash << turn) & MODULUS) | (hash >> (BITS - turn));
    match number < 0.0 {
        true if hash == 1 => 2u64.wrapping_neg(),
        true => hash.wrapping_neg(),
        false => hash,
    }
}

/// Refuses what Python's generator takes no seed from.
fn seedable(seed: Option<&Value>) -> Result<Option<&Value>, Fault> {
    match seed {
        Some(Value::List(_) | Value::Dict(_) | Value::Tuple(_) | Value::Object(_)) => {
            Err(Fault::new(
                "The only supported seed types are:\nNone, int, float, str, bytes, and bytearray.",
            ))
        }
        seed => Ok(seed),
    }
}

fn entropy() -> u128 {
    use std::hash::{BuildHasher, Hasher};
    let hash = || {
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
    };
    (u128::from(hash()) << 64) | u128::from(hash())
}

/// A number of many bytes, the highest first, in words, the lowest first.
fn words(bytes: &[u8]) -> Vec<u32> {
    bytes
        .rchunks(4)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |word, byte| (word << 8) | u32::from(*byte))
        })
        .collect()
}

fn seeded(key: &[u32]) -> Vec<u32> {
    let mut state = vec![19_650_218u32];
    for index in 1..624u32 {
        let last = state[index as usize - 1];
        state.push(
            1_812_433_253u32
                .wrapping_mul(last ^ (last >> 30))
                .wrapping_add(index),
        );
    }
    let (mut i, mut j) = (1, 0);
    for _ in 0..key.len().max(624) {
        let last = state[i - 1];
        state[i] = (state[i] ^ (last ^ (last >> 30)).wrapping_mul(1_664_525))
            .wrapping_add(key[j])
            .wrapping_add(j as u32);
        i += 1;
        j = (j + 1) % key.len();
        if i >= 624 {
            state[0] = state[623];
            i = 1;
        }
    }
    for _ in 0..623 {
        let last = state[i - 1];
        state[i] =
            (state[i] ^ (last ^ (last >> 30)).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
        i += 1;
        if i >= 624 {
            state[0] = state[623];
            i = 1;
        }
    }
    state[0] = 0x8000_0000;
    state
}

/// The filter `random`.
pub(crate) fn pick(interp: &Interp<'_>, args: &Args) -> Outcome {
    let seed = args
        .named("seed")
        .or_else(|| args.pos.get(3))
        .filter(|seed| !matches!(seed, Value::None));
    let mut random = Random::new(seedable(seed)?);
    if matches!(args.operand(), Value::Float(_)) {
        return Err(Fault::new(
            "random can only be used on sequences and integers",
        ));
    }
    if let Value::Int(end) = args.operand() {
        let (start, step) = (args.int(1, "start", 0)?, args.int(2, "step", 1)?);
        if step <= 0 || *end <= start {
            let step = if step == 1 {
                String::new()
            } else {
                format!(", {step}")
            };
            return Err(Fault::new(format!(
                "empty range in randrange({start}, {end}{step})"
            )));
        }
        let count = u128::try_from((end - start + step - 1) / step).unwrap_or(1);
        let at = i128::try_from(random.below_wide(count)).unwrap_or(0);
        return Ok(Value::Int(start + step * at));
    }
    let items = interp.iterate(args.operand())?;
    if args
        .get(1, "start")
        .or_else(|| args.get(2, "step"))
        .is_some_and(Value::is_true)
    {
        return Err(Fault::new(
            "start and step can only be used with integer values",
        ));
    }
    if items.is_empty() {
        return Err(Fault::new("Cannot choose from an empty sequence"));
    }
    let at = random.below(items.len() as u64);
    if let Value::Dict(dict) = args.operand() {
        // Python takes the place for a key.
        let found = dict.read().get(&Key(Value::Int(i128::from(at)))).cloned();
        return found.ok_or_else(|| Fault::new(at.to_string()));
    }
    Ok(items[usize::try_from(at).unwrap_or(0)].clone())
}

/// The filter `shuffle`; what cannot be shuffled stays as it is.
pub(crate) fn shuffle(interp: &Interp<'_>, args: &Args) -> Outcome {
    let seed = args.get(1, "seed").filter(|seed| seed.is_true());
    let Ok(mut items) = interp.iterate(args.operand()) else {
        return Ok(args.operand().clone());
    };
    let Ok(seed) = seedable(seed) else {
        return Ok(Value::list(items));
    };
    let mut random = Random::new(seed);
    for index in (1..items.len()).rev() {
        let other = usize::try_from(random.below(index as u64 + 1)).unwrap_or(0);
        items.swap(index, other);
    }
    Ok(Value::list(items))
}
