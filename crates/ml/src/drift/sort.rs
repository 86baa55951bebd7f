//! Sorting of finite numbers as unsigned keys in the same order.

/// Below this many keys comparing beats counting.
const RADIX_KEYS_MIN: usize = 1_024;

const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 6;
const BUCKETS: usize = 1 << DIGIT_BITS;

/// A key that orders as `value` does; both zeros have the same key.
pub(super) fn key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The number whose key this is.
pub(super) fn value(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// Sorts `keys`, many of them by counting digits from the lowest up; digits that all keys share
/// (small integers and single precision have many) cost nothing.
pub(super) fn ascending(keys: &mut Vec<u64>) {
    if keys.len() < RADIX_KEYS_MIN {
        keys.sort_unstable();
        return;
    }
    let mut counts = vec![[0_usize; BUCKETS]; DIGITS];
    for &key in keys.iter() {
        for (digit, counts) in counts.iter_mut().enumerate() {
            counts[bucket(key, digit)] += 1;
        }
    }
    let mut sorted = vec![0; keys.len()];
    for (digit, counts) in counts.iter_mut().enumerate() {
        if counts[bucket(keys[0], digit)] == keys.len() {
            continue;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            let next = start + *count;
            *count = start;
            start = next;
        }
        for &key in keys.iter() {
            let place = &mut counts[bucket(key, digit)];
            sorted[*place] = key;
            *place += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a digit has 11 bits")]
fn bucket(key: u64, digit: usize) -> usize {
    (key >> (DIGIT_BITS * digit as u32)) as usize & (BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_their_numbers_and_come_back() {
        let numbers = [
            f64::MIN,
            -1e300,
            -2.5,
            -f64::MIN_POSITIVE,
            0.0,
            5e-324,
            1.0,
            1.0 + f64::EPSILON,
            f64::MAX,
        ];
        for pair in numbers.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        for number in numbers {
            assert_eq!(value(key(number)).to_bits(), number.to_bits());
        }
        assert_eq!(key(-0.0), key(0.0));
    }

    #[test]
    fn counting_sorts_as_comparing_does() {
        let mut state = 1_u64;
        for (length, mask) in
            [(1_024, u64::MAX), (5_000, u64::MAX), (5_000, 0xff), (3_000, 0), (4_000, !0 << 52)]
        {
            let mut keys = Vec::new();
            for _ in 0..length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                keys.push(state.rotate_left(17) & mask);
            }
            let mut expected = keys.clone();
            expected.sort_unstable();
            ascending(&mut keys);
            assert_eq!(keys, expected, "{length} keys under {mask:x}");
        }
    }
}
