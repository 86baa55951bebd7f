//! The finished page: complete, offline, escaped, and drawn whatever is missing.
#![expect(clippy::expect_used, reason = "helpers of tests may fail like tests")]

#[path = "../examples/sample/replay.rs"]
mod replay;

use afresh_report::{Arm, Decision, DriftColumn, Mark, MarkKind, Period, Replay, Run, render};
use expect_test::{Expect, expect};
use replay::sample;

/// The page without the chart library.
fn own_text(page: &str) -> String {
    let start = page.find("<script").expect("a script");
    let end = start + page[start..].find("</script>").expect("its end");
    assert!(page[start..end].contains("plotly.js v"), "the first script is the chart library");
    format!("{}{}", &page[..start], &page[end..])
}

fn check_ids(replay: &Replay, expected: &Expect) {
    let text = own_text(&render(replay));
    let ids = text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let ids = ids.filter(|id| !id.starts_with("run-") && !id.contains("-detail-"));
    expected.assert_eq(&ids.collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_page_has_its_sections_and_charts() {
    check_ids(
        &sample(12),
        &expect![[r#"
        content
        summary
        summary-heading
        arms
        performance
        performance-heading
        chart-performance-title
        chart-performance
        drift
        drift-heading
        chart-drift-score-title
        chart-drift-score
        chart-drift-columns-title
        chart-drift-columns
        drift-columns
        cost
        cost-heading
        chart-cost-title
        chart-cost
        chart-bought-title
        chart-bought
        decisions
        decisions-heading
        decision-log
        runs
        runs-heading
        runs-table
        about
        about-heading"#]],
    );
}

#[test]
fn nothing_is_fetched_from_anywhere() {
    let text = own_text(&render(&sample(12)));
    for wrong in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!text.contains(wrong), "{wrong} in the page");
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn the_chart_library_appears_once() {
    let page = render(&sample(3));
    assert_eq!(page.matches("* plotly.js v").count(), 1);
    assert!(!page.contains("MathJax.loader"));
    let opened = page.matches("<script").count();
    assert!(own_text(&page).matches("</script>").count() == opened, "every script is closed once");
}

#[test]
fn text_of_the_user_is_escaped_everywhere() {
    let evil = || "</script><script>alert(1)</script>\"'&%{x}".to_owned();
    let mut replay = sample(8);
    for text in [
        &mut replay.model,
        &mut replay.title,
        &mut replay.metric,
        &mut replay.period,
        &mut replay.window,
        &mut replay.generated_from,
    ] {
        *text = evil();
    }
    replay.policy.push((evil(), evil()));
    replay.notes.push(evil());
    replay.arms.push(Arm { name: evil(), metric_mean: Some(0.5), ..Arm::default() });
    replay.periods[0].champion = evil();
    replay.drift_columns[0].name = evil();
    replay.marks[0].text = evil();
    replay.marks[0].version = evil();
    replay.decisions.push(Decision {
        action: evil(),
        cause: evil(),
        reasons: vec![evil(), evil()],
        run: Some(evil()),
        ..Decision::default()
    });
    replay.runs.push(Run {
        id: evil(),
        strategy: evil(),
        cause: evil(),
        outcome: evil(),
        candidate: Some(evil()),
        explanation: evil(),
        ..Run::default()
    });
    let page = render(&replay);
    assert!(!page.contains("<script>alert"), "a script came through");
    assert!(!page.contains("\"'&%{x}"), "a quotation mark came through");
    assert_eq!(page.matches("<script").count(), render(&sample(8)).matches("<script").count());
}

#[test]
fn an_empty_replay_is_a_page_that_says_so() {
    let text = own_text(&render(&Replay::default()));
    for said in [
        "no whole period",
        "No arm was replayed",
        "No drift was measured",
        "No training cost was recorded",
        "No decision was taken",
        "No run was started",
    ] {
        assert!(text.contains(said), "{said}");
    }
    assert!(!text.contains("data-chart="), "nothing to draw");
}

#[test]
fn one_period_and_many_are_drawn() {
    for n in [1, 2_000] {
        let page = render(&sample(n));
        assert!(page.contains("data-chart=\"chart-performance\""), "{n} periods");
        assert!(own_text(&page).len() < 6_000_000, "{n} periods");
    }
}

#[test]
fn an_undefined_metric_leaves_the_rest_standing() {
    let mut replay = sample(6);
    for period in &mut replay.periods {
        (period.managed, period.never, period.always) = (None, Some(f64::NAN), None);
    }
    for arm in &mut replay.arms {
        arm.metric_mean = None;
    }
    let text = own_text(&render(&replay));
    assert!(text.contains("undefined in every period"));
    assert!(text.contains("is undefined in all 6 periods"));
    assert!(!text.contains("chart-performance") && text.contains("chart-drift-columns"));
    assert!(!text.contains("NaN"));
}

#[test]
fn charts_hold_legal_json() {
    let mut replay = sample(5);
    replay.periods.push(Period { drift: Some(f64::INFINITY), ..Period::default() });
    replay.drift_columns.push(DriftColumn { importance: f64::NAN, ..DriftColumn::default() });
    replay.marks.push(Mark {
        at_ms: i64::MAX,
        kind: MarkKind::Failed,
        version: String::new(),
        text: String::new(),
    });
    let text = own_text(&render(&replay));
    let figures = text.split("data-chart=").skip(1).map(|rest| {
        let start = rest.find('>').expect("end of tag") + 1;
        let end = rest.find("</script>").expect("end of script");
        serde_json::from_str::<serde_json::Value>(&rest[start..end]).expect("legal JSON")
    });
    let figures = figures.collect::<Vec<_>>();
    assert_eq!(figures.len(), 5);
    assert!(figures.iter().all(|figure| figure["data"].is_array() && figure["layout"].is_object()));
}

#[test]
fn a_metric_where_lower_is_better_is_told_so() {
    let replay = Replay { metric: "rmse".to_owned(), higher_is_better: false, ..sample(6) };
    let text = own_text(&render(&replay));
    for said in ["lower is better", "Mean RMSE ↓", "Good and cheap is bottom left", "RMSE in every"]
    {
        assert!(text.contains(said), "{said}");
    }
    assert!(!text.contains("higher is better"));
}

#[test]
fn equal_decisions_are_one_row_with_their_count() {
    let replay = Replay {
        decisions: vec![Decision {
            at_ms: 0,
            until_ms: 86_400_000,
            count: 6,
            action: "keep".to_owned(),
            ..Decision::default()
        }],
        ..Replay::default()
    };
    let text = own_text(&render(&replay));
    let start = text.find("<tbody><tr data-kind=\"keep\"").expect("a row");
    let end = start + text[start..].find("</tbody>").expect("its end");
    expect![[r#"
        <tbody><tr data-kind="keep"><td class="text" data-label="When (UTC)"><time datetime="1970-01-01T00:00:00Z">1 Jan 1970 00:00</time><br><span class="until">to <time datetime="1970-01-02T00:00:00Z">2 Jan 1970 00:00</time></span></td>
        <td class="text" data-label="Action"><span class="badge calm"><span aria-hidden="true">–</span> keep</span> <span class="times" title="6 equal decisions">× 6</span></td>
        <td class="text" data-label="Cause"></td>
        <td class="text" data-label="Reasons"></td>
        <td class="text" data-label="Run"></td>
        </tr>"#]].assert_eq(&text[start..end].replace("</td>", "</td>\n"));
}
