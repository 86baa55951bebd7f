//! From what was found about two tables to the figures of its page.

use afresh_ml::drift::ColumnDrift;
use afresh_ml::drift::picture::Picture as Drawn;
use afresh_report::drift_page::{
    CategoryPage, Classifier, ColumnPage, DriftPage, Picture, Predictions, Side, SlicePage,
};

use super::show::remarks;
use super::tables::Finding;

/// Slices that the page lists.
const SLICES_MAX: usize = 60;

/// Tails that are not drawn and hold less than this need no word: by design each holds about half.
const TAIL_MIN: f64 = 0.01;

/// The page's figures.
pub(super) fn page(found: &Finding) -> DriftPage {
    let drift = &found.drift;
    let columns = drift.columns.iter().zip(&found.pictures).zip(&found.importance);
    DriftPage {
        title: format!("{} against {}", found.current, found.reference),
        reference: Side { name: found.reference.clone(), rows: drift.rows.reference },
        current: Side { name: found.current.clone(), rows: drift.rows.current },
        score: drift.score,
        threshold: drift.threshold,
        drifted: drift.drifted,
        threshold_source: found.threshold.told(),
        route: found.route_told.clone(),
        weighted: found.weighted,
        columns: columns
            .map(|((column, picture), importance)| self::column(column, picture, *importance))
            .collect(),
        classifier: found.classifier.as_ref().map(|classifier| Classifier {
            auc: classifier.auc,
            rows: classifier.rows as u64,
            importance: classifier
                .importance
                .iter()
                .map(|of| (of.name.clone(), of.share))
                .collect(),
        }),
        predictions: found.predictions.as_ref().map(|shift| Predictions {
            version: found.champion.clone().unwrap_or_default(),
            output: shift.output.clone(),
            reference: shift.reference,
            current: shift.current,
            rows: shift.rows as u64,
            columns: shift.columns.iter().map(|of| (of.name.clone(), of.change)).collect(),
        }),
        slices: found
            .slices
            .iter()
            .take(SLICES_MAX)
            .map(|slice| SlicePage {
                name: format!("{} = {}", slice.column, slice.value.as_deref().unwrap_or("missing")),
                reference: slice.share.reference,
                current: slice.share.current,
                score: slice.score,
                predictions: slice.prediction_change,
            })
            .collect(),
        notes: found.notes.clone(),
    }
}

fn column(column: &ColumnDrift, picture: &Drawn, importance: f64) -> ColumnPage {
    let mut remarks = remarks(column);
    if let Drawn::Numeric(numbers) = picture {
        for (where_, tail) in [("below", numbers.below), ("above", numbers.above)] {
            if let Some(tail) = tail.filter(|tail| tail.reference.max(tail.current) >= TAIL_MIN) {
                remarks.push(format!(
                    "{where_} what is drawn: {:.1} % → {:.1} %",
                    tail.reference * 100.0,
                    tail.current * 100.0
                ));
            }
        }
    }
    ColumnPage {
        name: column.name.clone(),
        kind: column.kind.to_string(),
        importance,
        score: column.score,
        drifted: column.drifted,
        measures: measures(column),
        remarks,
        picture: self::picture(picture),
    }
}

fn measures(column: &ColumnDrift) -> Vec<(String, String)> {
    let three = |value: Option<f64>| value.map(|value| format!("{value:.3}"));
    let p = |value: Option<f64>| value.map(|value| format!("{value:.1e}"));
    let percent = |value: f64| Some(format!("{:.2} %", value * 100.0));
    let measures = [
        ("KS", three(column.ks.map(|ks| ks.statistic))),
        ("p of KS", p(column.ks.map(|ks| ks.p_value))),
        ("Wasserstein", three(column.wasserstein)),
        ("Jensen–Shannon", three(column.jensen_shannon)),
        ("PSI", three(column.psi)),
        ("Cramér's V", three(column.chi_square.map(|test| test.cramers_v))),
        ("p of chi-square", p(column.chi_square.map(|test| test.p_value))),
        ("Missing before", percent(column.missing.reference)),
        ("Missing now", percent(column.missing.current)),
        ("Out of range", percent(column.out_of_range)),
    ];
    let shown = |(name, value): (&str, Option<String>)| {
        (name.to_owned(), value.unwrap_or_else(|| "–".to_owned()))
    };
    measures.into_iter().map(shown).collect()
}

fn picture(picture: &Drawn) -> Picture {
    match picture {
        Drawn::Numeric(numbers) if numbers.edges.len() < 2 => Picture::None,
        Drawn::Numeric(numbers) => Picture::Bins {
            edges: numbers.edges.clone(),
            reference: numbers.reference.clone(),
            current: numbers.current.clone(),
        },
        Drawn::Categorical(categories) => {
            let bars = categories.categories.iter().map(|bar| CategoryPage {
                name: bar.name.clone(),
                reference: bar.share.reference,
                current: bar.share.current,
            });
            let others = categories.others.map(|others| CategoryPage {
                name: format!("{} others", categories.others_count),
                reference: others.reference,
                current: others.current,
            });
            Picture::Shares(bars.chain(others).collect())
        }
    }
}
