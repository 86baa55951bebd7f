//! The two-sample Kolmogorov–Smirnov test: exact p-values for windows of up to 10,000 rows.

use super::KolmogorovSmirnov;
use crate::special;

/// Rows of either window up to which the p-value is exact.
const EXACT_ROWS_MAX: u32 = 10_000;

/// Below this probability the exact value is not worth more than [`CELLS_MAX`] steps.
const EXACT_PROBABILITY_MIN: f64 = 1e-12;

/// Lattice points that are visited for a p-value however small it is.
const CELLS_MAX: f64 = 2e6;

/// The test's result for windows of `rows` (reference, current), whose cumulative counts differ at
/// most by `gap` when brought to the common denominator `rows[0] · rows[1]`.
pub(super) fn test(rows: [u32; 2], gap: u64) -> KolmogorovSmirnov {
    let [m, n] = rows;
    let statistic = statistic(rows, gap);
    let effective = f64::from(m) * f64::from(n) / (f64::from(m) + f64::from(n));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most half of the rows of the smaller window, which is a u32"
    )]
    let asymptotic = special::kolmogorov_survival(effective.round_ties_even() as u32, statistic);
    let visited = f64::from(m) * f64::from(n) * statistic;
    let exact = m.max(n) <= EXACT_ROWS_MAX
        && (m == n || visited <= CELLS_MAX || asymptotic >= EXACT_PROBABILITY_MIN);
    let p_value = if !exact {
        asymptotic
    } else if m == n {
        equal_sizes(u64::from(n), gap / u64::from(n))
    } else {
        Lattice::new(m, n, gap).leaving().unwrap_or(1.0)
    };
    KolmogorovSmirnov { statistic, p_value: p_value.clamp(0.0, 1.0) }
}

/// The largest difference of the two distribution functions alone; as [`test`].
pub(super) fn statistic([m, n]: [u32; 2], gap: u64) -> f64 {
    gap as f64 / (f64::from(m) * f64::from(n))
}

/// P(D ≥ `steps` / n) for two windows of `n` rows each, by reflection (Gnedenko & Korolyuk 1951):
/// `2 Σ_k (−1)^(k−1) C(2n, n − k·steps) / C(2n, n)`.
fn equal_sizes(n: u64, steps: u64) -> f64 {
    if steps == 0 {
        return 1.0;
    }
    let (mut sum, mut term, mut sign) = (0.0, 1.0, 1.0);
    for reflected in 0..n / steps {
        for step in reflected * steps..(reflected + 1) * steps {
            term *= (n - step) as f64 / (n + step + 1) as f64;
        }
        sum += sign * term;
        sign = -sign;
        if term < sum * 1e-17 {
            break;
        }
    }
    2.0 * sum
}

/// Paths from (0, 0) to (m, n) in unit steps: a step in x for each reference row, in y for each
/// current row, in the order of the pooled values. All are equally likely under homogeneity, and
/// the statistic is at least the observed one on those that leave a band about the diagonal
/// (Hodges 1958; the recurrence of conditional probabilities keeps the relative precision of
/// small ones: Viehmann 2021, arXiv 2102.08037).
struct Lattice {
    m: i64,
    n: i64,
    /// m and n over their greatest common divisor.
    slope: [i64; 2],
    /// The band: `|x · slope[1] − y · slope[0]| < height`.
    height: i64,
    /// 0.0, 1.0, … m
    abscissas: Vec<f64>,
}

/// Stands on one anti-diagonal `x + y = steps`: for its points inside the band, the probability
/// that a path to it has left the band before.
#[derive(Clone)]
struct Walk<'a> {
    lattice: &'a Lattice,
    steps: i64,
    /// First and last x inside the band.
    inside: [i64; 2],
    /// By x + 1; the neighbours of `inside` hold 1, the rest means nothing.
    left: Vec<f64>,
    spare: Vec<f64>,
}

impl Lattice {
    fn new(m: u32, n: u32, gap: u64) -> Lattice {
        let divisor = i64::from(greatest_common_divisor(m, n));
        Lattice {
            m: i64::from(m),
            n: i64::from(n),
            slope: [i64::from(m) / divisor, i64::from(n) / divisor],
            height: i64::try_from(gap).unwrap_or(i64::MAX) / divisor,
            abscissas: (0..=m).map(f64::from).collect(),
        }
    }

    /// Share of the paths that leave the band. The band is symmetric about its centre, so a path
    /// is two half paths, each begun at a corner: only half the lattice is visited. `None` where
    /// all paths leave it.
    fn leaving(&self) -> Option<f64> {
        let steps = self.m + self.n;
        let mut walk = Walk::begin(self)?;
        while walk.steps < steps / 2 {
            walk.advance()?;
        }
        let first = walk.clone();
        if walk.steps < steps - steps / 2 {
            walk.advance()?;
        }
        let (mut total, mut leaving) = (0.0, 0.0);
        self.each_crossing(first.steps, |x, weight| {
            let before = first.probability(x);
            let after = walk.probability(self.m - x);
            total += weight;
            leaving += weight * (before + (1.0 - before) * after);
        });
        Some(leaving / total)
    }

    /// First and last x of the anti-diagonal's points that lie inside both band and rectangle.
    fn inside(&self, steps: i64) -> Option<[i64; 2]> {
        let sum = self.slope[0] + self.slope[1];
        let centre = steps * self.slope[0];
        let first = (centre - self.height).div_euclid(sum) + 1;
        let last = -(-centre - self.height).div_euclid(sum) - 1;
        let first = first.max(steps - self.n).max(0);
        let last = last.min(steps).min(self.m);
        (first <= last).then_some([first, last])
    }

    /// Visits the points of an anti-diagonal with weights in proportion to the paths through them,
    /// from the most frequented outwards, until the weights vanish.
    fn each_crossing(&self, steps: i64, mut visit: impl FnMut(i64, f64)) {
        let first = (steps - self.n).max(0);
        let last = steps.min(self.m);
        let mode = (steps + 1) * (self.m + 1) / (self.m + self.n + 2);
        let mode = mode.clamp(first, last);
        // Paths through x + 1 for each path through x.
        let ratio = |x: i64| {
            ((steps - x) as f64 * (self.m - x) as f64)
                / ((x + 1) as f64 * (self.n - steps + x + 1) as f64)
        };
        let mut weight = 1.0;
        for x in mode..=last {
            visit(x, weight);
            weight *= ratio(x);
            if weight <= 0.0 {
                break;
            }
        }
        weight = 1.0;
        for x in (first..mode).rev() {
            weight /= ratio(x);
            if weight <= 0.0 {
                break;
            }
            visit(x, weight);
        }
    }
}

impl<'a> Walk<'a> {
    fn begin(lattice: &'a Lattice) -> Option<Walk<'a>> {
        let inside = lattice.inside(0)?;
        let mut left = vec![1.0; lattice.abscissas.len() + 2];
        left[1] = 0.0;
        let spare = left.clone();
        Some(Walk { lattice, steps: 0, inside, left, spare })
    }

    /// To the next anti-diagonal; `None` where the band holds none of its points. The last step to
    /// (x, y) came from the left with probability x / (x + y), else from below.
    fn advance(&mut self) -> Option<()> {
        self.steps += 1;
        self.inside = self.lattice.inside(self.steps)?;
        let [first, last] = self.inside.map(index);
        let length = self.steps as f64;
        let share = 1.0 / length;
        let from_left = &self.left[first..=last];
        let from_below = &self.left[first + 1..=last + 1];
        let abscissas = &self.lattice.abscissas[first..=last];
        let points = self.spare[first + 1..=last + 1].iter_mut();
        for (((point, x), left), below) in points.zip(abscissas).zip(from_left).zip(from_below) {
            *point = (x * left + (length - x) * below) * share;
        }
        self.spare[first] = 1.0;
        self.spare[last + 2] = 1.0;
        std::mem::swap(&mut self.left, &mut self.spare);
        Some(())
    }

    /// Probability that a path through the point at `x` has left the band up to there.
    fn probability(&self, x: i64) -> f64 {
        if x < self.inside[0] || x > self.inside[1] { 1.0 } else { self.left[index(x) + 1] }
    }
}

/// An abscissa inside the rectangle as a position.
fn index(x: i64) -> usize {
    usize::try_from(x).unwrap_or(0)
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
