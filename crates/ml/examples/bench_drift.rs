//! CPU time of drift over two windows of 20 columns in memory, exactly and by sketches: one JSON
//! line. `bench_drift [ROWS]`, 1,000,000 unless said otherwise; half of the columns have moved.

use std::io::Write as _;

use afresh_ml::drift::sketch::{BUDGET_BYTES, ColumnSketch};
use afresh_ml::drift::{Reference, Side, Values, Workspace};
use afresh_ml::rng::Rng;

const COLUMNS: u64 = 20;

/// Rows that a reader would hand over at once.
const CHUNK_ROWS: usize = 65_536;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = match std::env::args().nth(1) {
        Some(rows) => rows.parse::<usize>()?,
        None => 1_000_000,
    };
    let (mut prepare, mut compare, mut update, mut merged) = (0.0, 0.0, 0.0, 0.0);
    let (mut once, mut workspace) = (0.0, Workspace::default());
    let (mut largest, mut off, mut score) = (0, 0.0_f64, 0.0);
    for column in 0..COLUMNS {
        let mut rng = Rng::new(42 + column);
        let moved = if column < COLUMNS / 2 { (1.0, 0.0) } else { (1.02, 0.05) };
        let before = (0..rows).map(|_| rng.normal()).collect::<Vec<_>>();
        let now = (0..rows).map(|_| rng.normal() * moved.0 + moved.1).collect::<Vec<_>>();

        let start = cpu_seconds()?;
        let reference = Reference::new("column", Values::Numeric(&before))?;
        prepare += cpu_seconds()? - start;
        let start = cpu_seconds()?;
        let exact = reference.compare(Values::Numeric(&now))?;
        compare += cpu_seconds()? - start;

        let start = cpu_seconds()?;
        let (before_values, now_values) = (Values::Numeric(&before), Values::Numeric(&now));
        workspace.compare("column", before_values, now_values)?;
        once += cpu_seconds()? - start;

        let start = cpu_seconds()?;
        let mut sides = [&before, &now].map(|_| ColumnSketch::numeric("column", BUDGET_BYTES));
        for (sketch, values) in sides.iter_mut().zip([&before, &now]) {
            for chunk in values.chunks(CHUNK_ROWS) {
                sketch.update(Side::Current, Values::Numeric(chunk))?;
            }
        }
        update += cpu_seconds()? - start;
        let start = cpu_seconds()?;
        let found = sides[0].compare(&sides[1])?;
        merged += cpu_seconds()? - start;
        largest = largest.max(sides[0].bytes());
        off = off.max((found.score - exact.score).abs());
        score += exact.score;
    }
    let values = rows as f64 * 2.0 * COLUMNS as f64;
    writeln!(
        std::io::stdout(),
        "{{\"rows\": {rows}, \"columns\": {COLUMNS}, \
         \"exact\": {{\"cpu_seconds\": {:.3}, \"prepare\": {prepare:.3}, \"compare\": {compare:.3}, \
         \"ns_per_value\": {:.1}}}, \
         \"once\": {{\"cpu_seconds\": {once:.3}, \"ns_per_value\": {:.1}}}, \
         \"sketched\": {{\"cpu_seconds\": {:.3}, \"update\": {update:.3}, \"compare\": {merged:.3}, \
         \"ns_per_value\": {:.1}, \"bytes_per_column\": {largest}, \"score_off_by\": {off:.6}}}, \
         \"score_mean\": {:.6}}}",
        prepare + compare,
        (prepare + compare) / values * 1e9,
        once / values * 1e9,
        update + merged,
        (update + merged) / values * 1e9,
        score / COLUMNS as f64,
    )?;
    Ok(())
}

/// CPU time of this thread, the only one, as Linux counts it.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().unwrap_or_default().parse::<f64>()?;
    Ok(nanoseconds / 1e9)
}
