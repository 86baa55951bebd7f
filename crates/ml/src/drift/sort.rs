//! Sorting of finite numbers as unsigned keys in the same order.

/// Below this many keys comparing beats counting.
const RADIX_KEYS_MIN: usize = 1_024;

/// Up to this many keys two digits leave little to be compared, above three.
const TWO_DIGITS_KEYS_MAX: usize = 4_096;

const DIGIT_BITS: u32 = 11;
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

/// Sorts numbers that are not NaN.
pub(super) fn numbers(values: &mut [f64]) {
    if values.len() < RADIX_KEYS_MIN {
        values.sort_unstable_by(f64::total_cmp);
        return;
    }
    let mut keys = values.iter().map(|value| key(*value)).collect::<Vec<_>>();
    ascending(&mut keys);
    for (place, key) in values.iter_mut().zip(keys) {
        *place = value(key);
    }
}

/// Sorts `keys`, many of them by counting the two or three highest digits that differ, from the
/// lower up; the few that agree in those are then compared.
pub(super) fn ascending(keys: &mut Vec<u64>) {
    if keys.len() < RADIX_KEYS_MIN {
        keys.sort_unstable();
        return;
    }
    let every = keys.iter().fold(u64::MAX, |bits, key| bits & key);
    let any = keys.iter().fold(0, |bits, key| bits | key);
    let differing = u64::BITS - (every ^ any).leading_zeros();
    if differing == 0 {
        return;
    }
    if keys.len() <= TWO_DIGITS_KEYS_MAX {
        count_digits::<2>(keys, differing);
    } else {
        count_digits::<3>(keys, differing);
    }
}

/// Sorts keys that differ in their lowest `differing` bits only, counting the highest of those.
fn count_digits<const DIGITS: usize>(keys: &mut Vec<u64>, differing: u32) {
    let counted = DIGIT_BITS * u32::try_from(DIGITS).unwrap_or(1);
    let shift = differing.saturating_sub(counted);
    let mut places = vec![[0_u32; BUCKETS]; DIGITS];
    for &key in keys.iter() {
        let rest = key >> shift;
        for (digit, places) in (0..).zip(&mut places) {
            places[bucket(rest >> (DIGIT_BITS * digit))] += 1;
        }
    }
    let mut sorted = vec![0; keys.len()];
    for (digit, places) in (0..).zip(&mut places) {
        let low = shift + DIGIT_BITS * digit;
        if places[bucket(keys[0] >> low)] as usize == keys.len() {
            continue;
        }
        let mut start = 0;
        for place in places.iter_mut() {
            let count = *place;
            *place = start;
            start += count;
        }
        for &key in keys.iter() {
            let place = &mut places[bucket(key >> low)];
            sorted[*place as usize] = key;
            *place += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
    if shift > 0 {
        compare_rest(keys, shift);
    }
}

/// Sorts keys that are sorted but for their lowest `shift` bits.
fn compare_rest(keys: &mut [u64], shift: u32) {
    let mut at = 1;
    while at < keys.len() {
        if keys[at - 1] <= keys[at] {
            at += 1;
            continue;
        }
        let prefix = keys[at] >> shift;
        let start = keys[..at].iter().rposition(|key| key >> shift != prefix).map_or(0, |p| p + 1);
        let length = keys[at..].iter().position(|key| key >> shift != prefix);
        let end = length.map_or(keys.len(), |length| at + length);
        keys[start..end].sort_unstable();
        at = end;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a digit has 11 bits")]
fn bucket(digits: u64) -> usize {
    digits as usize & (BUCKETS - 1)
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
        for (length, mask) in [
            (1_024, u64::MAX),
            (5_000, u64::MAX),
            (5_000, 0xff),
            (3_000, 0),
            (4_000, !0 << 52),
            (50_000, u64::MAX),
            (50_000, 0xfff0_0000_0000_ffff),
            (50_000, 0x8000_0000_00ff_ffff),
            (50_000, 0xff_ffff),
            (40_000, 1 << 63),
        ] {
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
