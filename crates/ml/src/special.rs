//! Tail probabilities that `statrs` lacks or refuses at the edges; every result lies in [0, 1].

use std::f64::consts::{FRAC_PI_2, PI};

use statrs::function::gamma::{checked_gamma_ur, ln_gamma};

/// Up to here the Kolmogorov distribution is computed exactly, by matrix powers.
const KOLMOGOROV_MATRIX_ROWS_MAX: u32 = 140;

/// Terms of Smirnov's sum that are evaluated; more rows than this are summed in strides.
const SMIRNOV_TERMS_MAX: u32 = 256;

/// P(X ≥ `statistic`) of a chi-square variable; 1 where there are no degrees of freedom.
pub(crate) fn chi_square_survival(statistic: f64, degrees_of_freedom: u64) -> f64 {
    if degrees_of_freedom == 0 || statistic <= 0.0 {
        return 1.0;
    }
    // The only argument that can still be refused is an infinite statistic, whose tail is empty.
    checked_gamma_ur(degrees_of_freedom as f64 / 2.0, statistic / 2.0)
        .unwrap_or(0.0)
        .clamp(0.0, 1.0)
}

/// P(D ≥ `distance`) of the two-sided one-sample Kolmogorov–Smirnov statistic of `rows` values.
///
/// The choice of method follows Simard & L'Ecuyer, *Computing the two-sided Kolmogorov–Smirnov
/// distribution*, Journal of Statistical Software 39 (2011). Relative error below 1e-5, and 1e-9 from
/// what scipy makes of the same methods.
pub(crate) fn kolmogorov_survival(rows: u32, distance: f64) -> f64 {
    let n = f64::from(rows);
    if 2.0 * n * distance <= 1.0 {
        return 1.0;
    }
    if distance >= 1.0 {
        return 0.0;
    }
    let scaled = n * distance * distance;
    let exact = rows <= KOLMOGOROV_MATRIX_ROWS_MAX;
    // Both sides are then crossed at once so rarely that the two one-sided tails simply add up.
    if distance >= 0.5 || scaled >= if exact { 4.0 } else { 2.2 } {
        return (2.0 * smirnov_survival(rows, distance)).min(1.0);
    }
    let below = if exact { durbin(rows, distance) } else { pelz_good(n, scaled.sqrt()) };
    (1.0 - below).clamp(0.0, 1.0)
}

/// P(D⁺ ≥ `distance`) of the one-sided statistic of `rows` values, by Smirnov's sum (1944)
/// `d Σ_j C(n, j) (d + j/n)^(j−1) (1 − d − j/n)^(n−j)` over `0 ≤ j < n (1 − d)`.
///
/// The terms are smooth in `j` and vanish at both ends, so that for many rows every k-th of them,
/// k-fold, gives the same sum (trapezoidal rule).
fn smirnov_survival(rows: u32, distance: f64) -> f64 {
    let n = f64::from(rows);
    let stride = (rows / SMIRNOV_TERMS_MAX).max(1);
    let mut sum = 0.0;
    let mut index = 0;
    while index < rows {
        let j = f64::from(index);
        let share = distance + j / n;
        let rest = n - j;
        if share >= 1.0 {
            break;
        }
        let ln_term = if index == 0 {
            n * (-distance).ln_1p() - distance.ln()
        } else {
            stirling_remainder(n) - stirling_remainder(j) - stirling_remainder(rest)
                + j * (n * share / j).ln()
                + rest * (n * (1.0 - share) / rest).ln()
                + 0.5 * (n / (2.0 * PI * j * rest)).ln()
                - share.ln()
        };
        sum += ln_term.exp();
        index += stride;
    }
    (f64::from(stride) * distance * sum).min(1.0)
}

/// `ln Γ(x + 1) − (x + ½) ln x + x − ½ ln 2π`: what Stirling's formula leaves out, for `x ≥ 1`.
fn stirling_remainder(x: f64) -> f64 {
    if x < 16.0 {
        return ln_gamma(x + 1.0) - (x + 0.5) * x.ln() + x - 0.5 * (2.0 * PI).ln();
    }
    let square = x * x;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / x
}

/// P(D < `distance`) exactly, as one entry of the n-th power of a matrix: Durbin (1973) in the
/// form of Marsaglia, Tsang & Wang, Journal of Statistical Software 8 (2003).
fn durbin(rows: u32, distance: f64) -> f64 {
    let n = f64::from(rows);
    let reach = (n * distance).floor() + 1.0;
    let gap = reach - n * distance;
    let middle = (1..=rows).take_while(|k| f64::from(*k) < reach).count();
    let size = 2 * middle + 1;
    let mut step = vec![0.0; size * size];
    for row in 0..size {
        let mut factorial = 1.0;
        for column in (0..=(row + 1).min(size - 1)).rev() {
            let order = row + 1 - column;
            factorial *= order.max(1) as f64;
            let mut entry = 1.0;
            if column == 0 {
                entry -= power(gap, row + 1);
            }
            if row == size - 1 {
                entry -= power(gap, size - column);
            }
            if column == 0 && row == size - 1 {
                entry += power((2.0 * gap - 1.0).max(0.0), size);
            }
            step[row * size + column] = entry / factorial;
        }
    }
    // Only one row of the power is asked for: a vector times the matrix, n times.
    let mut state = vec![0.0; size];
    state[middle] = 1.0;
    for taken in 1..=rows {
        let mut next = vec![0.0; size];
        for (row, value) in state.iter().enumerate() {
            let entries = &step[row * size..][..size];
            for (sum, entry) in next.iter_mut().zip(entries) {
                *sum += value * entry;
            }
        }
        // n! / n^n, factor by factor, so that nothing overflows.
        for value in &mut next {
            *value *= f64::from(taken) / n;
        }
        state = next;
    }
    state[middle]
}

/// P(√n D < `z`) by the expansion of Pelz & Good, Journal of the Royal Statistical Society B 38
/// (1976), to the order n^(−3/2).
fn pelz_good(n: f64, z: f64) -> f64 {
    let (z2, z4) = (z * z, z * z * z * z);
    let (z6, pi2) = (z4 * z2, PI * PI);
    let [mut zeroth, mut first, mut second, mut third] = [0.0; 4];
    let [mut second_whole, mut third_whole] = [0.0; 2];
    // Twenty terms reach exp(−400) for every z this is called with.
    for k in 0..20 {
        let half = pi2 * (f64::from(k) + 0.5) * (f64::from(k) + 0.5);
        let weight = (-half / (2.0 * z2)).exp();
        zeroth += weight;
        first += (half - z2) * weight;
        second +=
            (6.0 * z6 + 2.0 * z4 + half * (2.0 * z4 - 5.0 * z2) + half * half * (1.0 - 2.0 * z2))
                * weight;
        third += (half * half * half * (5.0 - 30.0 * z2)
            + half * half * (212.0 * z4 - 60.0 * z2)
            + half * (135.0 * z4 - 96.0 * z6)
            - 30.0 * z6
            - 90.0 * z4 * z4)
            * weight;
        let whole = pi2 * f64::from(k) * f64::from(k);
        let weight = (-whole / (2.0 * z2)).exp();
        second_whole += whole * weight;
        third_whole += (3.0 * whole * z2 - whole * whole) * weight;
    }
    // Each sum runs over all integers in the paper; it is symmetric, hence the factors of two.
    let root = FRAC_PI_2.sqrt();
    let zeroth = 2.0 * root / z * zeroth;
    let first = 2.0 * root / (6.0 * z4) * first;
    let second = 2.0 * root * (second / (72.0 * z6 * z) - second_whole / (36.0 * z2 * z));
    let third = 2.0 * root * (third / (6480.0 * z6 * z4) + third_whole / (216.0 * z6));
    zeroth + first / n.sqrt() + second / n + third / (n * n.sqrt())
}

/// `base` to the power of `exponent`, which is at most a few hundred.
fn power(base: f64, exponent: usize) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "some results are promised to the last bit")]
mod tests {
    use super::*;

    fn assert_near(found: f64, expected: f64, tolerance: f64, what: &str) {
        let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
        assert!(error <= tolerance, "{what}: {found:e}, expected {expected:e}, off by {error:e}");
    }

    #[test]
    fn kolmogorov_tail_is_that_of_scipy() {
        // scipy 1.17.1: scipy.stats.kstwo.sf(distance, rows)
        for (rows, distance, expected) in [
            (1, 0.7, 0.600_000_000_000_000_1),
            (5, 0.3, 0.664),
            (20, 0.2, 0.352_720_173_623_415),
            (60, 0.1, 0.552_196_125_928_928_7),
            (140, 0.08, 0.314_807_499_116_430_63),
            (140, 0.17, 0.000_524_610_868_751_981_4),
            (141, 0.05, 0.854_845_693_009_663),
            (141, 0.1, 0.111_284_455_164_679_44),
            (141, 0.12, 0.031_600_605_277_584_68),
            (141, 0.15, 0.003_105_862_361_364_514_7),
            (300, 0.3, 1.927_864_065_672_19e-24),
            (600, 0.09, 0.000_111_559_665_925_533_24),
            (1_000, 0.02, 0.810_897_165_689_557_7),
            (1_000, 0.04, 0.079_339_560_590_002_24),
            (1_000, 0.05, 0.013_012_074_781_090_332),
            (1_000, 0.2, 1.552_862_920_425_053_8e-35),
            (1_961, 0.03, 0.057_441_578_268_591_2),
            (50_000, 0.006, 0.054_427_496_360_062_61),
            (50_000, 0.006_8, 0.019_537_625_247_332_158),
            (50_000, 0.02, 8.355_878_735_420_47e-18),
        ] {
            let found = kolmogorov_survival(rows, distance);
            assert_near(found, expected, 1e-9, &format!("{rows} rows, distance {distance}"));
        }
        assert_eq!(kolmogorov_survival(5_000, 0.6), 0.0);
        assert_eq!(kolmogorov_survival(10, 0.05), 1.0);
        assert_eq!(kolmogorov_survival(0, 0.5), 1.0);
        assert_eq!(kolmogorov_survival(10, 1.0), 0.0);
    }

    #[test]
    fn chi_square_tail_is_that_of_scipy() {
        // scipy 1.17.1: scipy.stats.chi2.sf(statistic, degrees)
        for (statistic, degrees, expected) in [
            (0.5, 1, 0.479_500_122_186_953_37),
            (3.84, 1, 0.050_043_521_248_705_19),
            (200.0, 1, 2.088_487_583_762_568_8e-45),
            (1.0, 9, 0.999_437_502_697_832_5),
            (9.2, 9, 0.419_021_166_610_193_23),
            (120.0, 99, 0.074_243_855_805_966_92),
            (900.0, 999, 0.988_621_187_083_418_8),
            (2_000.0, 999, 2.924_923_149_303_489_7e-69),
            (1_000.0, 3, 1.799_420_876_531_406_7e-216),
        ] {
            let found = chi_square_survival(statistic, degrees);
            assert_near(found, expected, 1e-9, &format!("{statistic} with {degrees}"));
        }
        assert_eq!(chi_square_survival(0.0, 4), 1.0);
        assert_eq!(chi_square_survival(7.0, 0), 1.0);
        assert_eq!(chi_square_survival(f64::INFINITY, 4), 0.0);
    }
}
