//! How long the blocks of a bootstrap must be for rows that follow each other.

/// Rows in a block of the circular block bootstrap for the mean of `values`, which stand in time order; 1
/// where no autocorrelation is to be seen.
///
/// The rule of Politis & White, *Automatic block-length selection for the dependent bootstrap*, Econometric
/// Reviews 23 (2004), as corrected by Patton, Politis & White (2009): the flat-top window reaches to twice
/// the first lag from which on five (or log₁₀ n) autocorrelations lie within `2 √(log₁₀ n / n)`. Where that
/// is lag 1 the rows count as independent. At most `min(3 √n, n / 3)`.
#[must_use]
pub fn optimal_length(values: &[f64]) -> usize {
    let rows = values.len();
    if rows < 20 {
        return 1;
    }
    let n = rows as f64;
    let mean = values.iter().sum::<f64>() / n;
    let centred = values.iter().map(|value| value - mean).collect::<Vec<_>>();
    let squares = centred.iter().map(|value| value * value).sum::<f64>();
    if squares <= f64::EPSILON * mean * mean * n {
        return 1;
    }
    let run = whole(n.log10()).max(5);
    let lag_max = (whole(n.sqrt().ceil()) + run).min(rows / 2);
    let bound = 2.0 * (n.log10() / n).sqrt();

    let mut covariances = vec![squares / n];
    let mut quiet = 0; // autocorrelations in a row that look like none
    let mut first_quiet = None;
    for lag in 1..=lag_max {
        covariances.push(covariance(&centred, lag));
        let (head, tail) = (&centred[..rows - lag], &centred[lag..]);
        let scale = (head.iter().map(|v| v * v).sum::<f64>()
            * tail.iter().map(|v| v * v).sum::<f64>())
        .sqrt();
        quiet = if covariances[lag].abs() * n < bound * scale { quiet + 1 } else { 0 };
        if quiet == run {
            first_quiet = Some(lag + 1 - run);
            break;
        }
    }
    if first_quiet == Some(1) {
        return 1;
    }
    let reach = first_quiet.map_or(lag_max, |lag| (2 * lag).min(lag_max));
    for lag in covariances.len()..=reach {
        covariances.push(covariance(&centred, lag));
    }
    let (mut long_run, mut slope) = (covariances[0], 0.0);
    for (lag, covariance) in covariances.iter().enumerate().take(reach + 1).skip(1) {
        let ratio = lag as f64 / reach as f64;
        let window = if ratio <= 0.5 { 1.0 } else { 2.0 * (1.0 - ratio) };
        long_run += 2.0 * window * covariance;
        slope += 2.0 * window * lag as f64 * covariance;
    }
    let length = (1.5 * slope * slope / (long_run * long_run) * n).cbrt();
    let length_max = (3.0 * n.sqrt()).min(n / 3.0).ceil();
    // A long-run variance of zero divides by zero: the longest block is the careful answer.
    whole(if length.is_finite() { length.ceil().clamp(1.0, length_max) } else { length_max })
}

fn covariance(centred: &[f64], lag: usize) -> f64 {
    let pairs = centred[lag..].iter().zip(centred);
    pairs.map(|(a, b)| a * b).sum::<f64>() / centred.len() as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small and not negative"
)]
fn whole(value: f64) -> usize {
    value as usize
}
