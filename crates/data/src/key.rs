//! Keys of rows: hashes of their ids, or of their place in the source.

/// Keys of rows without an id: a hash of their file and place.
pub(crate) struct PlaceKeys([u8; 32]);

impl PlaceKeys {
    pub(crate) fn new(file: &str) -> PlaceKeys {
        PlaceKeys(*blake3::hash(file.as_bytes()).as_bytes())
    }

    pub(crate) fn key(&self, row: u64) -> u64 {
        let mut text = [0; 40];
        text[..32].copy_from_slice(&self.0);
        text[32..].copy_from_slice(&row.to_le_bytes());
        first_bytes(blake3::hash(&text))
    }
}

/// The key of the row whose id is written `id`: the first eight bytes of its BLAKE3 hash, little
/// end first.
#[must_use]
pub fn key_of(id: &str) -> u64 {
    first_bytes(blake3::hash(id.as_bytes()))
}

pub(crate) fn key_of_number(number: i128) -> u64 {
    let mut digits = [0; 40];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    first_bytes(blake3::hash(&digits[start..]))
}

fn first_bytes(hash: blake3::Hash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_reference_hashes() {
        // Python's blake3 1.0.11: int.from_bytes(blake3(b"107").digest()[:8], "little").
        assert_eq!(key_of("107"), 12_249_850_896_604_882_402);
        for number in [0, 7, -1, 107, i128::from(i64::MIN), i128::from(u64::MAX)] {
            assert_eq!(key_of_number(number), key_of(&number.to_string()));
        }
        assert_ne!(PlaceKeys::new("a").key(1), PlaceKeys::new("b").key(1));
    }
}
