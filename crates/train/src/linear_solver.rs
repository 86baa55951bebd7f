//! Minimises a smooth convex function plus a weighted sum of absolute values: L-BFGS (Liu & Nocedal 1989) and, where
//! there are absolute values, OWL-QN (Andrew & Gao 2007), both scaled by the function's diagonal curvature.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::linear_design::dot;

/// What is to be minimised: `smooth(x) + Σ l1 · |x|`.
pub(crate) struct Minimise<'a> {
    /// Value at a point; writes the gradient.
    pub(crate) smooth: &'a mut dyn FnMut(&[f64], &mut [f64]) -> f64,
    /// By coordinate.
    pub(crate) l1: &'a [f64],
    /// By coordinate: about the second derivative, above 0.
    pub(crate) curvature: &'a [f64],
    /// Ends when no part of the gradient is larger.
    pub(crate) tolerance: f64,
    pub(crate) iterations: usize,
}

/// Steps remembered.
const MEMORY: usize = 10;
/// Share of the promised decrease that a step must bring (Armijo).
const DECREASE: f64 = 1e-4;
/// Halvings of a step at most.
const HALVINGS_MAX: usize = 40;

impl Minimise<'_> {
    /// The minimum as seen from `start`; nothing where `on_iteration` ended it.
    pub(crate) fn run(
        &mut self,
        start: Vec<f64>,
        on_iteration: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Option<Vec<f64>> {
        let mut x = start;
        let mut gradient = vec![0.0; x.len()];
        let mut value = (self.smooth)(&x, &mut gradient) + self.absolute(&x);
        let mut steps: VecDeque<Step> = VecDeque::new();
        for _ in 0..self.iterations {
            let slope = self.slope(&x, &gradient);
            if slope.iter().all(|part| part.abs() <= self.tolerance) {
                break;
            }
            if on_iteration().is_break() {
                return None;
            }
            let Some((next, next_gradient, next_value)) =
                self.search(&x, value, &slope, &self.direction(&slope, &steps))
            else {
                // Rounding hides what could still be gained.
                if steps.is_empty() {
                    break;
                }
                steps.clear();
                continue;
            };
            let step = Step::between(&x, &next, &gradient, &next_gradient);
            let gained = value - next_value;
            (x, gradient, value) = (next, next_gradient, next_value);
            if steps.len() == MEMORY {
                steps.pop_front();
            }
            steps.extend(step);
            if gained <= 4.0 * f64::EPSILON * value.abs().max(f64::MIN_POSITIVE) {
                break;
            }
        }
        Some(x)
    }

    fn absolute(&self, x: &[f64]) -> f64 {
        self.l1.iter().zip(x).map(|(l1, x)| l1 * x.abs()).sum()
    }

    /// The gradient, or where an absolute value has a kink its steepest way down, if there is one.
    fn slope(&self, x: &[f64], gradient: &[f64]) -> Vec<f64> {
        let parts = gradient.iter().zip(self.l1).zip(x);
        parts
            .map(|((gradient, l1), x)| match x.partial_cmp(&0.0) {
                Some(std::cmp::Ordering::Greater) => gradient + l1,
                Some(std::cmp::Ordering::Less) => gradient - l1,
                _ if gradient + l1 < 0.0 => gradient + l1,
                _ if gradient - l1 > 0.0 => gradient - l1,
                _ => 0.0,
            })
            .collect()
    }

    /// Minus the inverse curvature, as the last steps show it, times the slope.
    fn direction(&self, slope: &[f64], steps: &VecDeque<Step>) -> Vec<f64> {
        let mut direction = slope.iter().map(|part| -part).collect::<Vec<_>>();
        let mut shares = Vec::with_capacity(steps.len());
        for step in steps.iter().rev() {
            let share = dot(&step.way, &direction) / step.product;
            add(&mut direction, -share, &step.change);
            shares.push(share);
        }
        let scale = steps.back().map_or(1.0, |step| {
            let scaled = step.change.iter().zip(self.curvature).map(|(y, by)| y * y / by);
            step.product / scaled.sum::<f64>()
        });
        for (part, by) in direction.iter_mut().zip(self.curvature) {
            *part *= scale / by;
        }
        for (step, share) in steps.iter().zip(shares.into_iter().rev()) {
            let back = dot(&step.change, &direction) / step.product;
            add(&mut direction, share - back, &step.way);
        }
        for ((part, slope), l1) in direction.iter_mut().zip(slope).zip(self.l1) {
            // Only downhill where the slope is not the gradient.
            if *l1 > 0.0 && *part * slope >= 0.0 {
                *part = 0.0;
            }
        }
        direction
    }

    /// Halves the step until it brings enough; nothing where no step does.
    fn search(
        &mut self,
        x: &[f64],
        value: f64,
        slope: &[f64],
        direction: &[f64],
    ) -> Option<(Vec<f64>, Vec<f64>, f64)> {
        let mut gradient = vec![0.0; x.len()];
        let mut length = 1.0;
        for _ in 0..HALVINGS_MAX {
            let mut next = x.to_vec();
            add(&mut next, length, direction);
            for (at, next) in next.iter_mut().enumerate() {
                // A step ends at the kink.
                let side = if x[at].abs() > 0.0 { x[at] } else { -slope[at] };
                if self.l1[at] > 0.0 && *next * side <= 0.0 {
                    *next = 0.0;
                }
            }
            let promised =
                next.iter().zip(x).zip(slope).map(|((new, old), slope)| slope * (new - old));
            let promised = promised.sum::<f64>();
            let found = (self.smooth)(&next, &mut gradient) + self.absolute(&next);
            if promised < 0.0 && found <= value + DECREASE * promised {
                return Some((next, gradient, found));
            }
            length *= 0.5;
        }
        None
    }
}

/// A step and how the gradient changed along it.
struct Step {
    way: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

impl Step {
    /// Nothing where the function showed no curvature.
    fn between(x: &[f64], next: &[f64], gradient: &[f64], next_gradient: &[f64]) -> Option<Step> {
        let less = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let (way, change) = (less(next, x), less(next_gradient, gradient));
        let product = dot(&way, &change);
        (product > f64::EPSILON * dot(&change, &change)).then_some(Step { way, change, product })
    }
}

fn add(to: &mut [f64], times: f64, what: &[f64]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += times * what;
    }
}
