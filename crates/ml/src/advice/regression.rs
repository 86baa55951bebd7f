//! Weighted least squares with errors that allow for autocorrelation.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// A column whose part that no earlier column explains is smaller than this share is left out.
const COLLINEAR: f64 = 1e-9;

/// A fitted line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit {
    /// One per column; 0 for a column that the columns before it explain.
    pub coefficients: Vec<f64>,
    /// Newey–West standard errors; NaN for a column that was left out.
    pub standard_errors: Vec<f64>,
    /// Share of the weighted variance that all columns explain; the first column is the constant.
    pub explained: f64,
    /// Rows less columns that were kept.
    pub freedom: f64,
}

impl Fit {
    /// Half the width of the 95 % interval of a coefficient.
    pub(super) fn margin(&self, column: usize) -> f64 {
        self.standard_errors[column] * student(self.freedom)
    }
}

/// The 97.5 % point of Student's distribution.
pub(super) fn student(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom.max(1.0)).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

/// Lags of the rule of thumb `4 (T / 100)^(2/9)`, at least `cycle`, at most a quarter of the rows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, not negative")]
pub(super) fn lags(rows: usize, cycle: usize) -> usize {
    let rule = (4.0 * (rows as f64 / 100.0).powf(2.0 / 9.0)).floor() as usize;
    rule.max(cycle).min(rows / 4)
}

/// Least squares of `y` on the columns of `x` (one vector per row, the first entry 1), each row counted
/// `weights` times. Standard errors after Newey & West, *A simple, positive semi-definite,
/// heteroskedasticity and autocorrelation consistent covariance matrix*, Econometrica 55 (1987), with the
/// correction `T / (T − k)` for small samples. `None` where rows are not more than columns.
pub(super) fn least_squares(
    x: &[Vec<f64>],
    y: &[f64],
    weights: &[f64],
    lags: usize,
) -> Option<Fit> {
    let (rows, columns) = (x.len(), x.first()?.len());
    let mut normal = vec![vec![0.0; columns]; columns];
    let mut right = vec![0.0; columns];
    for ((row, y), weight) in x.iter().zip(y).zip(weights) {
        for (at, value) in row.iter().enumerate() {
            right[at] += weight * value * y;
            for (other, sum) in row.iter().zip(&mut normal[at]) {
                *sum += weight * value * other;
            }
        }
    }
    let inverse = inverse(&normal)?;
    let kept = inverse.iter().filter(|row| row.iter().any(|v| *v != 0.0)).count();
    if rows <= kept {
        return None;
    }
    let coefficients = product(&inverse, &right);
    let scores = x.iter().zip(y).zip(weights).map(|((row, y), weight)| {
        let fitted = row.iter().zip(&coefficients).map(|(x, b)| x * b).sum::<f64>();
        let residual = y - fitted;
        (
            row.iter().map(|x| x * weight * residual).collect::<Vec<_>>(),
            weight * residual * residual,
        )
    });
    let (scores, squares): (Vec<_>, Vec<_>) = scores.unzip();
    let mut spread = vec![vec![0.0; columns]; columns];
    for lag in 0..=lags.min(rows - 1) {
        let bartlett = if lag == 0 { 0.5 } else { 1.0 - lag as f64 / (lags as f64 + 1.0) };
        for (now, before) in scores[lag..].iter().zip(&scores) {
            for i in 0..columns {
                for j in 0..columns {
                    spread[i][j] += bartlett * (now[i] * before[j] + before[i] * now[j]);
                }
            }
        }
    }
    let freedom = (rows - kept) as f64;
    let correction = rows as f64 / freedom;
    let standard_errors = inverse.iter().map(|row| {
        let left = out_of(row, &spread);
        let variance = left.iter().zip(row).map(|(a, b)| a * b).sum::<f64>() * correction;
        if row.iter().all(|v| *v == 0.0) { f64::NAN } else { variance.max(0.0).sqrt() }
    });
    let standard_errors = standard_errors.collect();
    let total = weights.iter().sum::<f64>();
    let mean = y.iter().zip(weights).map(|(y, w)| y * w).sum::<f64>() / total;
    let around = y.iter().zip(weights).map(|(y, w)| w * (y - mean) * (y - mean)).sum::<f64>();
    let left = squares.iter().sum::<f64>();
    let explained = if around > 0.0 { (1.0 - left / around).clamp(0.0, 1.0) } else { 0.0 };
    Some(Fit { coefficients, standard_errors, explained, freedom })
}

fn product(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

fn out_of(vector: &[f64], matrix: &[Vec<f64>]) -> Vec<f64> {
    let column = |at: usize| vector.iter().zip(matrix).map(|(v, row)| v * row[at]).sum();
    (0..vector.len()).map(column).collect()
}

/// The inverse of a symmetric matrix by sweeps (Goodnight, *A tutorial on the SWEEP operator*, 1979);
/// rows and columns that earlier ones explain are zero. `None` where the first already vanishes.
fn inverse(normal: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let size = normal.len();
    let mut a = normal.to_vec();
    let mut kept = vec![false; size];
    for pivot in 0..size {
        let whole = normal[pivot][pivot];
        let d = a[pivot][pivot];
        if d <= COLLINEAR * whole || whole <= 0.0 {
            continue;
        }
        kept[pivot] = true;
        let row = a[pivot].iter().map(|v| v / d).collect::<Vec<_>>();
        for i in (0..size).filter(|i| *i != pivot) {
            let factor = a[i][pivot];
            for j in (0..size).filter(|j| *j != pivot) {
                a[i][j] -= factor * row[j];
            }
            a[i][pivot] = -factor / d;
        }
        a[pivot] = row;
        a[pivot][pivot] = 1.0 / d;
    }
    kept.first().copied().filter(|first| *first)?;
    for i in 0..size {
        for j in 0..size {
            if !kept[i] || !kept[j] {
                a[i][j] = 0.0;
            }
        }
    }
    Some(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<Vec<f64>>, Vec<f64>, Vec<f64>) {
        let mut x = Vec::new();
        let (mut y, mut weights) = (Vec::new(), Vec::new());
        for at in 0..30_u32 {
            let t = f64::from(at);
            let wave = (t * 0.7).sin();
            x.push(vec![1.0, t / 10.0, wave]);
            let bumps = 0.05 * f64::from((at * 7) % 5);
            y.push(0.5 + 0.02 * t + 0.3 * wave + 0.1 * (t * 1.3).cos() + bumps);
            weights.push(1.0 + f64::from(at % 4) * 0.5);
        }
        (x, y, weights)
    }

    #[test]
    fn coefficients_and_errors_are_those_of_statsmodels() {
        // statsmodels 0.15.0: WLS(y, x, weights).fit(cov_type="HAC",
        // cov_kwds=dict(maxlags=4, use_correction=True))
        let (x, y, weights) = sample();
        let fit = least_squares(&x, &y, &weights, 4).unwrap();
        let wanted = [
            (0.587_642_738_007_296_4, 0.013_448_641_869_452_597),
            (0.209_359_744_019_493_3, 0.009_657_664_802_950_461),
            (0.308_029_392_706_314_35, 0.016_797_370_322_863_422),
        ];
        for (at, (coefficient, error)) in wanted.into_iter().enumerate() {
            assert!((fit.coefficients[at] - coefficient).abs() < 1e-12, "{fit:?}");
            assert!((fit.standard_errors[at] - error).abs() < 1e-12, "{fit:?}");
        }
        assert!((fit.explained - 0.931_863_462_039_708_6).abs() < 1e-12, "{fit:?}");
    }

    #[test]
    fn a_column_that_others_explain_is_left_out() {
        let (mut x, y, weights) = sample();
        x.iter_mut().for_each(|row| row.push(2.0 * row[1] - 3.0));
        let fit = least_squares(&x, &y, &weights, 4).unwrap();
        assert!((fit.coefficients[1] - 0.209_359_744_019_493_3).abs() < 1e-9, "{fit:?}");
        assert!(fit.standard_errors[3].is_nan() && fit.coefficients[3].abs() < 1e-12, "{fit:?}");
        assert!((fit.freedom - 27.0).abs() < 1e-12);
    }

    #[test]
    fn too_few_rows_give_nothing() {
        let (x, y, weights) = sample();
        assert_eq!(least_squares(&x[..3], &y[..3], &weights[..3], 1), None);
        assert_eq!(least_squares(&[], &[], &[], 1), None);
    }
}
