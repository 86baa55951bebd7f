//! The figures of `decay` as a page.

use afresh_engine::monitor::DecayReport;
use afresh_engine::monitor::estimate::Report;
use afresh_engine::monitor::ladder::Rung;
use afresh_ml::decay::Direction;
use afresh_ml::decay::ttest::Threshold;
use afresh_ml::estimate::{BLIND, Measure};
use afresh_report::decay_page::{
    DecayPage, EstimatePage, EstimatePoint, EvidenceLine, MetricPage, WindowPage, render,
};

use super::{Seen, ladder, says, test_name, unlabelled};

pub(super) fn page(
    seen: &Seen,
    decay: Option<&DecayReport>,
    estimated: Result<&Report, &String>,
    rungs: &[Rung],
) -> String {
    let page = match decay {
        Some(decay) => labelled(seen, decay),
        None => DecayPage {
            title: format!("{} {}", seen.name, seen.version),
            verdict: format!("{}.", unlabelled(seen, rungs)),
            facts: vec![("Newest period".to_owned(), seen.period.to_string())],
            ..DecayPage::default()
        },
    };
    let mut remarks = page.remarks;
    if let Ok(Report { early: Some(early), .. }) = estimated {
        remarks.push(format!(
            "Only {:.0} % of the newest period's rows have labels, and their predictions differ from the \
             others' (distance {:.2}): figures of the newest window lean to what is known early.",
            100.0 * early.share,
            early.distance
        ));
    }
    if let Err(why) = estimated {
        remarks.push(format!("Without labels: {why}."));
    }
    render(&DecayPage {
        remarks,
        estimate: estimated.ok().map(|report| estimate(seen, report)),
        ladder_headings: ladder::HEADINGS.map(str::to_owned).to_vec(),
        ladder: ladder::rows(rungs),
        ladder_note: ladder::advice(rungs).to_owned(),
        ..page
    })
}

fn labelled(seen: &Seen, decay: &DecayReport) -> DecayPage {
    let (test, baseline) = (&decay.sequential, &decay.baseline);
    let verdict = format!(
        "The loss was {:.4} on the {} rows that judged it and is {:.4} on the newest of {} rows since \
         ({:+.1} %); priority {} of 5.",
        baseline.loss.mean,
        baseline.loss.rows,
        test.recent_mean,
        test.rows,
        test.excess_percent,
        decay.priority
    );
    let mut remarks = vec![format!(
        "{} of the {} rows of the newest period still wait for their label.",
        decay.unlabelled, decay.period_rows
    )];
    remarks.extend(decay.silent.iter().map(|silent| {
        format!("Nothing is said of {} over {}: {}.", silent.metric, silent.window, silent.why)
    }));
    DecayPage {
        title: format!("{} {}", seen.name, seen.version),
        decayed: Some(decay.proven()),
        verdict,
        remarks,
        facts: vec![
            ("Newest period".to_owned(), seen.period.to_string()),
            ("Rows followed".to_owned(), test.rows.to_string()),
            ("Rows that judged".to_owned(), baseline.loss.rows.to_string()),
        ],
        metrics: metrics(seen, decay),
        evidence: evidence(seen, decay),
        alarm_at: 1.0 / afresh_ml::decay::sequential::Parameters::default().alpha,
        headings: ["metric", "window", "current", "baseline", "drop", "p", "test", "says"]
            .map(str::to_owned)
            .to_vec(),
        rows: decay
            .windows
            .iter()
            .map(|found| {
                vec![
                    found.metric.clone(),
                    found.window.clone(),
                    format!("{:.4}", found.current),
                    format!("{:.4}", found.baseline),
                    format!("{:+.4} ({:+.1} %)", found.drop, found.drop_percent),
                    format!("{:.3}", found.p_adjusted),
                    test_name(found.test).to_owned(),
                    says(found).to_owned(),
                ]
            })
            .collect(),
        ..DecayPage::default()
    }
}

fn metrics(seen: &Seen, decay: &DecayReport) -> Vec<MetricPage> {
    let settings = &seen.workshop.settings().decay;
    let until = seen.period.to.0;
    let page = |(at, metric): (usize, &afresh_ml::metrics::Metric)| {
        let known = decay.baseline.standards.iter().find(|known| known.metric == *metric);
        let baseline = known.and_then(|known| known.value);
        let allowed = baseline.map(|value| Threshold::of(*metric, settings.drop).against(value));
        let higher = Direction::of(*metric) == Direction::HigherIsBetter;
        let limit = baseline
            .zip(allowed)
            .map(|(value, allowed)| if higher { value - allowed } else { value + allowed });
        let values = decay.trail.iter().map(|point| {
            (i64::midpoint(point.from, point.to), point.values.get(at).copied().flatten())
        });
        let of = decay.windows.iter().filter(|found| found.metric == metric.name());
        let windows = of.filter_map(|found| {
            let window = settings.windows.iter().find(|window| window.name == found.window)?;
            Some(WindowPage {
                name: found.window.clone(),
                from_ms: until - window.length,
                to_ms: until,
                mean: found.current,
                detected: found.detected,
            })
        });
        MetricPage {
            metric: metric.name().to_owned(),
            higher_is_better: higher,
            values: values.collect(),
            baseline,
            limit,
            windows: windows.collect(),
        }
    };
    settings.metrics.iter().enumerate().map(page).collect()
}

fn evidence(seen: &Seen, decay: &DecayReport) -> Vec<EvidenceLine> {
    if decay.trail.is_empty() {
        return Vec::new();
    }
    let own = decay.trail.iter().map(|point| (point.to, point.e_value)).collect();
    let mut lines = vec![EvidenceLine { name: "row loss".to_owned(), points: own }];
    for (at, metric) in seen.workshop.settings().decay.metrics.iter().enumerate() {
        let points = decay.trail.iter();
        let points = points.filter_map(|point| Some((point.to, point.e_values.get(at).copied()??)));
        let points = points.collect::<Vec<_>>();
        if !points.is_empty() {
            lines.push(EvidenceLine { name: metric.name().replace('_', " "), points });
        }
    }
    lines
}

fn estimate(seen: &Seen, report: &Report) -> EstimatePage {
    let measure = Measure::of(seen.workshop.settings().metric).unwrap_or(Measure::Auc);
    let points = report.periods.iter().filter_map(|period| {
        let found = period.estimates.iter().find(|estimate| estimate.measure == measure)?;
        Some(EstimatePoint {
            at_ms: i64::midpoint(period.window.from.0, period.window.to.0),
            value: found.value,
            lower: found.lower,
            upper: found.upper,
            realised: found.realised,
        })
    });
    EstimatePage {
        metric: measure.name().to_owned(),
        caution: format!(
            "Calibrated on the {} rows that judged this version; {BLIND}.",
            report.calibrated_on
        ),
        periods: points.collect(),
    }
}
