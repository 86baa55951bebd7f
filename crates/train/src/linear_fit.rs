//! Trains linear models; see [`crate::linear`] for what is minimised.

use afresh_data::schema::Task;

use crate::error::Error;
use crate::learner::{Fitted, Format, Labelled, Learner, OnRound, Request, Rounds};
use crate::linear::{Linear, Link, Settings, VERSION, logistic};
use crate::linear_design::{Design, Expanded, Parameters};
use crate::linear_solver::Minimise;
use crate::recipe;

/// Strengths that a path tries.
const PATH: usize = 25;
/// The one of them that is `alpha` itself, from 1.
const MIDDLE: usize = 13;
/// Strengths without gain on the early-stopping rows before a path ends.
const PATIENCE: usize = 4;
/// Least curvature by which a coordinate is scaled.
const CURVATURE_MIN: f64 = 1e-6;

impl Learner for recipe::Linear {
    fn fit(&self, request: &Request<'_>, on_round: &mut OnRound<'_>) -> Result<Fitted, Error> {
        let settings = Settings::of(self)?;
        let features = request.train.matrix.native.len();
        let base = request.base.map(|base| {
            Linear::decode(base.bytes, request.task, features, request.outputs)
                .map_err(|reason| Error::WarmStart { reason })
        });
        let base = base.transpose()?;
        let design = match &base {
            Some(base) => base.design.clone(),
            None => Design::learn(request.train, &settings),
        };
        let rows = design.expand(&request.train.matrix);
        let problem = Problem::new(&rows, request.train, request.task, request.outputs);
        // A champion is held by its precisions, whatever the strength.
        let walks = settings.path && base.is_none() && request.rounds == Rounds::Search;
        let stopping = request.stopping.filter(|_| walks);
        let mut search = Search {
            problem: &problem,
            settings: &settings,
            base: base.as_ref(),
            on_round,
            done: 0.0,
        };
        let (parameters, round, best) = match (stopping, request.rounds) {
            (Some(stopping), _) => search.path(stopping, &design)?,
            (None, Rounds::Fixed(round)) if settings.path => {
                let round = round.clamp(1, PATH);
                (search.at(strength(&settings, round), problem.start())?, round, None)
            }
            (None, _) => {
                let round = if settings.path { MIDDLE } else { 1 };
                (search.at(settings.alpha, problem.start())?, round, None)
            }
        };
        if (search.on_round)(1.0).is_break() {
            return Err(Error::Cancelled);
        }
        let strength = if settings.path { strength(&settings, round) } else { settings.alpha };
        let precisions = search.precisions(&parameters, strength);
        let model = problem.model(design, &parameters, &precisions);
        let bytes = serde_json::to_vec(&model).map_err(|error| Error::Engine {
            action: "write the linear model".to_owned(),
            message: error.to_string(),
        })?;
        Ok(Fitted {
            bytes,
            format: Format::Linear,
            rounds: round,
            rounds_added: round,
            trees: 0,
            importance: model.importance(&problem.deviations()),
            stopped_at: best.map(|loss| (metric(request.task).to_owned(), loss)),
        })
    }
}

/// Training rows and what is asked of them. The labels of a regression are standardised, so that tolerances mean the
/// same for all.
struct Problem<'a> {
    rows: &'a Expanded,
    labels: Vec<f64>,
    weights: Option<&'a [f32]>,
    total: f64,
    link: Link,
    outputs: usize,
    /// Of the labels of a regression, else 0 and 1.
    mean: f64,
    deviation: f64,
}

/// A search for the best parameters.
struct Search<'a, 'b> {
    problem: &'a Problem<'a>,
    settings: &'a Settings,
    base: Option<&'a Linear>,
    on_round: &'a mut OnRound<'b>,
    /// Share of the work that is done.
    done: f64,
}

impl<'a> Problem<'a> {
    fn new(rows: &'a Expanded, labelled: &'a Labelled, task: &Task, outputs: usize) -> Problem<'a> {
        let weights = labelled.weights.as_deref();
        let labels = labelled.labels.iter().copied().map(f64::from).collect::<Vec<_>>();
        let mut problem = Problem {
            rows,
            labels,
            weights,
            total: 0.0,
            link: Link::of(task),
            outputs,
            mean: 0.0,
            deviation: 1.0,
        };
        let rows = 0..problem.labels.len();
        problem.total = rows.clone().map(|row| problem.weight(row)).sum();
        if problem.link == Link::Identity {
            let labels = &problem.labels;
            let mean = rows.clone().map(|row| problem.weight(row) * labels[row]).sum::<f64>();
            let mean = mean / problem.total;
            let square = |row: usize| problem.weight(row) * (labels[row] - mean).powi(2);
            let deviation = (rows.map(square).sum::<f64>() / problem.total).sqrt();
            let deviation = if deviation > 0.0 { deviation } else { 1.0 };
            problem.labels.iter_mut().for_each(|label| *label = (*label - mean) / deviation);
            (problem.mean, problem.deviation) = (mean, deviation);
        }
        problem
    }

    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| f64::from(weights[row]))
    }

    /// Coefficients of an output, its intercept counted.
    fn stride(&self) -> usize {
        self.rows.columns() + 1
    }

    /// The constant guess. The intercepts of several classes sum to 0.
    fn start(&self) -> Vec<f64> {
        let mut parameters = vec![0.0; self.stride() * self.outputs];
        let mut shares = vec![0.0; if self.link == Link::Logistic { 2 } else { self.outputs }];
        if self.link == Link::Identity {
            return parameters;
        }
        for (row, label) in self.labels.iter().enumerate() {
            for (class, share) in (0_u16..).zip(&mut shares) {
                if (f64::from(class) - label).abs() < 0.5 {
                    *share += self.weight(row) / self.total;
                }
            }
        }
        let logs = shares.iter().map(|share| share.max(1e-6).ln()).collect::<Vec<_>>();
        let intercepts = parameters.chunks_mut(self.stride()).filter_map(<[f64]>::last_mut);
        if self.link == Link::Logistic {
            intercepts.for_each(|intercept| *intercept = logs[1] - logs[0]);
        } else {
            #[expect(clippy::cast_precision_loss, reason = "classes are few")]
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            intercepts.zip(&logs).for_each(|(intercept, log)| *intercept = log - mean);
        }
        parameters
    }

    /// Calls `take` for each row with its weight's share and its predictions; gives the mean loss.
    fn each(&self, parameters: &[f64], mut take: impl FnMut(usize, f64, &mut [f64])) -> f64 {
        let laid = Parameters::of(self.rows, parameters, self.outputs);
        let mut sums = vec![0.0; self.outputs];
        let mut loss = 0.0;
        for (row, label) in self.labels.iter().enumerate() {
            let weight = self.weight(row) / self.total;
            laid.sums(self.rows, row, &mut sums);
            loss += weight * apply(self.link, &mut sums, *label);
            take(row, weight, &mut sums);
        }
        loss
    }

    /// The mean loss; writes its gradient.
    fn loss(&self, parameters: &[f64], gradient: &mut [f64]) -> f64 {
        let (stride, places) = (self.stride(), self.rows.places());
        let mut dense = vec![0.0; self.outputs * places.len()];
        gradient.fill(0.0);
        let loss = self.each(parameters, |row, weight, predictions| {
            let numbers = self.rows.numbers(row);
            for (at, prediction) in predictions.iter().enumerate() {
                let error = weight * (prediction - self.target(row, at));
                let sums = &mut dense[at * numbers.len()..(at + 1) * numbers.len()];
                sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += error * number);
                let own = &mut gradient[at * stride..(at + 1) * stride];
                self.rows.ones(row).for_each(|place| own[place] += error);
                own[stride - 1] += error;
            }
        });
        self.scatter(&dense, gradient);
        loss
    }

    /// The diagonal of the loss's second derivative, times the sum of weights.
    fn curvature(&self, parameters: &[f64]) -> Vec<f64> {
        let (stride, places) = (self.stride(), self.rows.places());
        let mut dense = vec![0.0; self.outputs * places.len()];
        let mut diagonal = vec![0.0; parameters.len()];
        self.each(parameters, |row, weight, predictions| {
            let numbers = self.rows.numbers(row);
            for (at, p) in predictions.iter().enumerate() {
                let second = if self.link == Link::Identity { 1.0 } else { p * (1.0 - p) };
                let second = second * weight * self.total;
                let sums = &mut dense[at * numbers.len()..(at + 1) * numbers.len()];
                let cells = sums.iter_mut().zip(numbers);
                cells.for_each(|(sum, number)| *sum += second * number * number);
                let own = &mut diagonal[at * stride..(at + 1) * stride];
                self.rows.ones(row).for_each(|place| own[place] += second);
                own[stride - 1] += second;
            }
        });
        self.scatter(&dense, &mut diagonal);
        diagonal
    }

    /// What an output is to be.
    fn target(&self, row: usize, output: usize) -> f64 {
        let label = self.labels[row];
        if self.link != Link::Softmax {
            return label;
        }
        #[expect(clippy::cast_precision_loss, reason = "classes are few")]
        let class = output as f64;
        f64::from(u8::from((class - label).abs() < 0.5))
    }

    /// Sums over the numbers, to their columns.
    fn scatter(&self, dense: &[f64], all: &mut [f64]) {
        let places = self.rows.places();
        if places.is_empty() {
            return;
        }
        for (own, sums) in all.chunks_mut(self.stride()).zip(dense.chunks(places.len())) {
            places.iter().zip(sums).for_each(|(place, sum)| own[*place] += sum);
        }
    }

    /// Standard deviation of each column over the rows.
    fn deviations(&self) -> Vec<f64> {
        let (columns, places) = (self.rows.columns(), self.rows.places());
        let (mut first, mut second) = (vec![0.0; columns], vec![0.0; columns]);
        for row in 0..self.labels.len() {
            let weight = self.weight(row) / self.total;
            let numbers = places.iter().copied().zip(self.rows.numbers(row).iter().copied());
            for (place, value) in numbers.chain(self.rows.ones(row).map(|place| (place, 1.0))) {
                first[place] += weight * value;
                second[place] += weight * value * value;
            }
        }
        let pairs = first.iter().zip(second);
        pairs.map(|(mean, square)| (square - mean * mean).max(0.0).sqrt()).collect()
    }

    /// Parameters for standardised labels from those for labels as they are.
    fn standardised(&self, mut parameters: Vec<f64>) -> Vec<f64> {
        parameters.iter_mut().for_each(|parameter| *parameter /= self.deviation);
        let intercepts = parameters.chunks_mut(self.stride()).filter_map(<[f64]>::last_mut);
        intercepts.for_each(|intercept| *intercept -= self.mean / self.deviation);
        parameters
    }

    fn model(&self, design: Design, parameters: &[f64], precisions: &[f64]) -> Linear {
        let outputs = || parameters.chunks(self.stride());
        let scaled = |columns: &[f64]| {
            let columns = &columns[..columns.len() - 1];
            columns.iter().map(|column| column * self.deviation).collect()
        };
        let intercepts = outputs().filter_map(|output| output.last());
        Linear {
            version: VERSION,
            link: self.link,
            design,
            intercepts: intercepts.map(|last| last * self.deviation + self.mean).collect(),
            coefficients: outputs().map(scaled).collect(),
            precisions: precisions.chunks(self.stride()).map(<[f64]>::to_vec).collect(),
        }
    }
}

impl Search<'_, '_> {
    /// The best parameters at one strength of the penalty.
    fn at(&mut self, alpha: f64, start: Vec<f64>) -> Result<Vec<f64>, Error> {
        let (problem, settings) = (self.problem, self.settings);
        let ridge = self.ridge(alpha);
        let held = self.base.map(|base| problem.standardised(base.parameters()));
        let start = held.clone().unwrap_or(start);
        let mut l1 = vec![alpha * settings.l1_ratio / problem.deviation; start.len()];
        l1.chunks_mut(problem.stride()).filter_map(<[f64]>::last_mut).for_each(|l1| *l1 = 0.0);
        let curvature = problem.curvature(&start);
        let scaled = curvature.iter().zip(&ridge);
        let curvature = scaled.map(|(curvature, ridge)| curvature / problem.total + ridge);
        let curvature = curvature.map(|curvature| curvature.max(CURVATURE_MIN)).collect::<Vec<_>>();
        let mut smooth = |parameters: &[f64], gradient: &mut [f64]| {
            let mut value = problem.loss(parameters, gradient);
            for (at, (parameter, ridge)) in parameters.iter().zip(&ridge).enumerate() {
                let off = parameter - held.as_ref().map_or(0.0, |held| held[at]);
                value += 0.5 * ridge * off * off;
                gradient[at] += ridge * off;
            }
            value
        };
        let mut minimise = Minimise {
            smooth: &mut smooth,
            l1: &l1,
            curvature: &curvature,
            tolerance: settings.tolerance,
            iterations: settings.iterations,
        };
        let (done, on_round) = (&mut self.done, &mut *self.on_round);
        // How many steps it will take nobody knows: each is a twentieth of what is left.
        let mut on_iteration = || {
            *done += (1.0 - *done) * 0.05;
            on_round(*done)
        };
        minimise.run(start, &mut on_iteration).ok_or(Error::Cancelled)
    }

    /// From the strongest penalty to the weakest, each from the one before; the best on rows that it has not seen.
    fn path(
        &mut self,
        stopping: &Labelled,
        design: &Design,
    ) -> Result<(Vec<f64>, usize, Option<f64>), Error> {
        let rows = design.expand(&stopping.matrix);
        let link = self.problem.link;
        let mut best: Option<(Vec<f64>, usize, f64)> = None;
        let mut parameters = self.problem.start();
        for round in 1..=PATH {
            parameters = self.at(strength(self.settings, round), parameters)?;
            let laid = Parameters::of(&rows, &parameters, self.problem.outputs);
            let mut sums = vec![0.0; self.problem.outputs];
            let (mut loss, mut total) = (0.0, 0.0);
            for (row, label) in stopping.labels.iter().enumerate() {
                let weight = stopping.weights.as_ref().map_or(1.0, |all| f64::from(all[row]));
                let label = (f64::from(*label) - self.problem.mean) / self.problem.deviation;
                laid.sums(&rows, row, &mut sums);
                loss += weight * apply(link, &mut sums, label);
                total += weight;
            }
            let loss = loss / total;
            if best.as_ref().is_none_or(|(_, _, least)| loss < *least) {
                best = Some((parameters.clone(), round, loss));
            } else if best.as_ref().is_some_and(|(_, at, _)| round >= at + PATIENCE) {
                break;
            }
        }
        let deviation = self.problem.deviation;
        // Half a squared error of standardised labels, as root of the mean of squared errors.
        let shown = |loss: f64| {
            if link == Link::Identity { (2.0 * loss).sqrt() * deviation } else { loss }
        };
        match best {
            Some((parameters, round, loss)) => Ok((parameters, round, Some(shown(loss)))),
            None => Err(Error::NotFinite { row: 0, value: "no loss".to_owned() }),
        }
    }

    /// By parameter: how strongly it is held to its old value, or to 0.
    fn ridge(&self, alpha: f64) -> Vec<f64> {
        let problem = self.problem;
        if let Some(base) = self.base {
            return base.precisions.iter().flatten().map(|by| by / problem.total).collect();
        }
        let mut ridge = vec![alpha * (1.0 - self.settings.l1_ratio); problem.stride()];
        if let Some(intercept) = ridge.last_mut() {
            *intercept = 0.0;
        }
        ridge.repeat(problem.outputs)
    }

    /// What this training and those before it know of each parameter.
    fn precisions(&self, parameters: &[f64], alpha: f64) -> Vec<f64> {
        let known = self.ridge(alpha).into_iter().map(|ridge| ridge * self.problem.total);
        known.zip(self.problem.curvature(parameters)).map(|(old, new)| old + new).collect()
    }
}

/// The strength of the path's step `round`, from 1.
fn strength(settings: &Settings, round: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a path is short")]
    let steps = MIDDLE as f64 - round as f64;
    settings.alpha * 10_f64.powf(steps / 4.0)
}

/// Turns the sums of a row into predictions; gives the loss for its label.
fn apply(link: Link, sums: &mut [f64], label: f64) -> f64 {
    match link {
        Link::Identity => 0.5 * (sums[0] - label) * (sums[0] - label),
        Link::Logistic => {
            let sum = sums[0];
            sums[0] = logistic(sum);
            // ln(1 + eˣ) − label · x
            (-sum.abs()).exp().ln_1p() + sum.max(0.0) - label * sum
        }
        Link::Softmax => {
            link.apply(sums);
            let classes = (0_u16..).zip(sums.iter());
            let own = classes.filter(|(class, _)| (f64::from(*class) - label).abs() < 0.5);
            own.map(|(_, share)| -share.max(f64::MIN_POSITIVE).ln()).sum()
        }
    }
}

/// XGBoost's name of the loss.
fn metric(task: &Task) -> &'static str {
    match task {
        Task::Binary => "logloss",
        Task::Multiclass => "mlogloss",
        Task::Regression => "rmse",
    }
}
