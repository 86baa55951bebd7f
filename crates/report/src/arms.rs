//! The arms side by side: a card each, and all their figures in one table.

use maud::{Markup, html};

use crate::cards::{Card, swatch};
use crate::format::{self, fixed, percent, plural, signed};
use crate::page::Section;
use crate::replay::{Arm, Replay, defined};
use crate::table::{Column, Filters, Frame, Row, Table};

/// The series of an arm's name, as the style sheet and the charts know it.
pub(crate) fn series(name: &str) -> &'static str {
    match name {
        "managed" => "managed",
        "never" => "never",
        "always" => "always",
        _ => "other",
    }
}

pub(crate) fn section(replay: &Replay) -> Section {
    let body = if replay.arms.is_empty() {
        html! { p.empty { "No arm was replayed." } }
    } else {
        html! {
            div.cards { @for arm in &replay.arms { (card(replay, arm)) } }
            (table(replay))
        }
    };
    Section::new("summary", "Summary", body)
}

fn card(replay: &Replay, arm: &Arm) -> Card {
    let decimals = decimals(replay);
    let values = ["managed", "never", "always"].map(|name| replay.series(name));
    let all = values.iter().flatten().flatten();
    let range = (
        all.clone().copied().fold(f64::INFINITY, f64::min),
        all.copied().fold(f64::NEG_INFINITY, f64::max),
    );
    let mut facts = Vec::new();
    if arm.name != "never"
        && let (Some(mean), Some(never)) = (defined(arm.metric_mean), never_mean(replay))
    {
        facts.push(("against never".to_owned(), signed(Some(mean - never), decimals)));
    }
    facts.push(("retrains".to_owned(), format::count(arm.retrains)));
    if arm.log_loss.is_some() {
        facts.push(("log loss".to_owned(), fixed(arm.log_loss, 3)));
    }
    let dearest = replay.arms.iter().map(|arm| arm.training_cpu_seconds).fold(0.0, f64::max);
    let share = arm.training_cpu_seconds / dearest;
    Card {
        title: arm.name.clone(),
        series: series(&arm.name),
        figure: fixed(arm.metric_mean, decimals),
        unit: format!("mean {}", format::metric_name(&replay.metric)),
        line: replay.series(&arm.name),
        range,
        facts,
        bar: share.is_finite().then(|| {
            (share, format!("{} training CPU", format::seconds(arm.training_cpu_seconds)))
        }),
    }
}

fn table(replay: &Replay) -> Table {
    let decimals = decimals(replay);
    let always = replay.arm("always").map(|arm| arm.training_cpu_seconds);
    let row = |arm: &Arm| {
        let share = always.map(|always| arm.training_cpu_seconds / always);
        Row::new(vec![
            html! { (swatch(series(&arm.name))) strong { (arm.name) } },
            number(&fixed(arm.metric_mean, decimals)),
            number(&fixed(arm.log_loss, 3)),
            number(&format::count(arm.retrains)),
            number(&format::count(arm.rejected)),
            number(&format::count(arm.rolled_back)),
            number(&format::seconds(arm.training_cpu_seconds)),
            number(&share.filter(|s| s.is_finite()).map_or("–".to_owned(), percent)),
            number(&format::count(arm.periods_undefined)),
        ])
    };
    let arrow = if replay.higher_is_better { '↑' } else { '↓' };
    Table {
        id: "arms",
        caption: format!(
            "Mean {} over {} and what it took ({} is better)",
            format::metric_name(&replay.metric),
            plural(replay.periods.len() as u64, "period"),
            if replay.higher_is_better { "higher" } else { "lower" }
        ),
        columns: vec![
            Column::text("Arm"),
            Column::number(format!("Mean {} {arrow}", format::metric_name(&replay.metric))),
            Column::number("Log loss ↓"),
            Column::number("Retrains"),
            Column::number("Rejected"),
            Column::number("Rolled back"),
            Column::number("Training CPU"),
            Column::number("of always"),
            Column::number("Undefined periods"),
        ],
        rows: replay.arms.iter().map(row).collect(),
        empty: "No arm was replayed.",
        frame: Frame::Whole,
        filters: Filters::None,
    }
}

/// Decimals for the metric throughout the report.
pub(crate) fn decimals(replay: &Replay) -> usize {
    let means = replay.arms.iter().filter_map(|arm| defined(arm.metric_mean));
    format::decimals(means.fold(0.0, |size, mean| f64::max(size, mean.abs())))
}

fn never_mean(replay: &Replay) -> Option<f64> {
    defined(replay.arm("never")?.metric_mean)
}

fn number(text: &str) -> Markup {
    html! { (text) }
}
