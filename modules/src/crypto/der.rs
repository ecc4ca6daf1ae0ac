//! ASN.1 in DER: what requests and certificates are made of, and read back from.

/// One value: its tag, what is in it, and both together.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub tag: u8,
    pub inner: &'a [u8],
    pub whole: &'a [u8],
}

/// Takes the first value off `rest`; nothing where it is cut short or no DER.
pub(super) fn take<'a>(rest: &mut &'a [u8]) -> Option<Value<'a>> {
    let whole = *rest;
    let (tag, first) = (*whole.first()?, usize::from(*whole.get(1)?));
    let (start, length) = match first.checked_sub(0x80) {
        None => (2, first),
        Some(count @ 1..=4) => {
            let bytes = whole.get(2..2 + count)?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (2 + count, length)
        }
        Some(_) => return None,
    };
    let end = start.checked_add(length)?;
    *rest = whole.get(end..)?;
    Some(Value {
        tag,
        inner: &whole[start..end],
        whole: &whole[..end],
    })
}

/// All values that stand in a row; what is no DER ends them.
pub(super) fn values(mut rest: &[u8]) -> Vec<Value<'_>> {
    std::iter::from_fn(|| take(&mut rest)).collect()
}

/// A value with its tag and length.
pub(super) fn tagged(tag: u8, inner: &[u8]) -> Vec<u8> {
    let length = inner.len();
    let mut whole = vec![tag];
    if length < 0x80 {
        whole.push(u8::try_from(length).unwrap_or_default());
    } else {
        let bytes = length.to_be_bytes();
        let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        whole.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
        whole.extend(bytes);
    }
    whole.extend(inner);
    whole
}

/// A sequence of values.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

/// A whole number, not negative.
pub(super) fn number(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut inner = bytes[zeros..].to_vec();
    if inner.first().is_none_or(|byte| *byte >= 0x80) {
        inner.insert(0, 0);
    }
    tagged(2, &inner)
}

/// Bits, the first one being the highest of the first byte, without zeros at the end.
pub(super) fn bits(set: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let (mut bytes, mut last) = (vec![], 0);
    for bit in set {
        let byte = bit / 8;
        bytes.resize(bytes.len().max(byte + 1), 0);
        bytes[byte] |= 0x80 >> (bit % 8);
        last = last.max(bit);
    }
    let unused = if bytes.is_empty() { 0 } else { 7 - last % 8 };
    bytes.insert(0, u8::try_from(unused).unwrap_or_default());
    bytes
}

/// The inner bytes of an object identifier written with dots.
pub(super) fn identifier(dotted: &str) -> Option<Vec<u8>> {
    let numbers: Vec<u64> = dotted
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let (&[first, second], rest) = numbers.split_first_chunk::<2>()?;
    if first > 2 || (first < 2 && second > 39) {
        return None;
    }
    let mut bytes = vec![];
    for number in std::iter::once(first * 40 + second).chain(rest.iter().copied()) {
        let mut groups = vec![];
        let mut left = number;
        loop {
            let more = if groups.is_empty() { 0 } else { 0x80 };
            groups.push(u8::try_from(left & 0x7f).unwrap_or_default() | more);
            left >>= 7;
            if left == 0 {
                break;
            }
        }
        bytes.extend(groups.iter().rev());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let long = vec![7; 300];
        let whole = sequence(&[&number(&[0, 0x80]), &tagged(4, &long)]);
        let outer = values(&whole);
        assert_eq!((outer.len(), outer[0].tag), (1, 0x30));
        let parts = values(outer[0].inner);
        assert_eq!(parts[0].inner, [0, 0x80]);
        assert_eq!(parts[1].inner, long);
        assert!(values(&whole[..whole.len() - 1]).is_empty());
        assert!(take(&mut [0x30, 0x84, 255, 255, 255, 255].as_slice()).is_none());
    }

    #[test]
    fn numbers_bits_and_names() {
        assert_eq!(number(&[]), [2, 1, 0]);
        assert_eq!(bits([0, 2]), [5, 0b1010_0000]);
        assert_eq!(bits([8]), [7, 0, 0x80]);
        let known = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
        assert_eq!(identifier("1.2.840.113549.1.1.11").unwrap(), known);
        assert!(identifier("serverAuth").is_none());
        assert!(identifier("1").is_none());
    }
}
