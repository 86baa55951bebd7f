//! Which parts of a log got worse most, in words and figures.

use afresh_ml::advice::slices::Slice;
use afresh_report::advice as drawn;
use serde_json::{Value, json};

use super::Told;
use crate::output::{line, table};

/// Rows of the table that people are shown.
const SHOWN: usize = 12;
/// Values that a sentence names.
const NAMED: usize = 3;
/// What a missing value is called.
const MISSING: &str = "(none)";

impl Told<'_> {
    /// The values that got worse most.
    pub(super) fn print_slices(&self) {
        let slices = &self.findings.sliced.slices;
        if slices.is_empty() {
            return;
        }
        let header = [
            "slice",
            "rows",
            "first third",
            "last third",
            "rise",
            "95 %",
            "others",
            "p (Holm)",
            "",
        ];
        let mut rows = table(&header);
        for slice in slices.iter().take(SHOWN) {
            let rise = slice.rise;
            rows.add_row([
                format!("{} = {}", self.column(slice), self.value(slice)),
                slice.rows.to_string(),
                format!("{:.4}", slice.first),
                format!("{:.4}", slice.last),
                format!("{:+.4}", rise.value),
                format!("{:+.4} to {:+.4}", rise.low, rise.high),
                slice.rise_of_rest.map_or_else(|| "–".to_owned(), |rest| format!("{rest:+.4}")),
                if slice.p_value < 0.0005 {
                    "< 0.001".to_owned()
                } else {
                    format!("{:.3}", slice.p_value)
                },
                if slice.beyond_chance { "worse" } else { "" }.to_owned(),
            ]);
        }
        line(rows);
        if slices.len() > SHOWN {
            line(format_args!("  and {} more; `--json` lists all", slices.len() - SHOWN));
        }
        line("");
    }

    /// How many got worse, and which most.
    pub(super) fn slice_sentence(&self) -> Option<String> {
        let columns = &self.layout.slices;
        if columns.is_empty() {
            return None;
        }
        let (slices, too_few) = (&self.findings.sliced.slices, self.findings.sliced.too_few);
        let columns = columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>();
        let few = match too_few {
            0 => String::new(),
            1 => "; one more has too few rows to tell".to_owned(),
            more => format!("; {more} more have too few rows to tell"),
        };
        if slices.is_empty() {
            return Some(format!(
                "No value of {} has rows enough in the first and in the last third to be told apart.",
                columns.join(", ")
            ));
        }
        let worse = slices.iter().filter(|slice| slice.beyond_chance).collect::<Vec<_>>();
        let named = worse.iter().take(NAMED).map(|slice| {
            format!("{} = {} ({:+.4})", self.column(slice), self.value(slice), slice.rise.value)
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let which = match worse.len() {
            0 => "none got worse beyond chance".to_owned(),
            1 => format!("one got worse beyond chance: {named}"),
            more if more > NAMED => format!("{more} got worse beyond chance, most of all {named}"),
            more => format!("{more} got worse beyond chance: {named}"),
        };
        Some(format!(
            "Of {} values of {}, {which} (Holm-corrected for all of them){few}.",
            slices.len(),
            columns.join(", ")
        ))
    }

    /// For scripts.
    pub(super) fn json_slices(&self) -> Value {
        let one = |slice: &Slice| {
            let mut value = json!(slice);
            value["column"] = json!(self.column(slice));
            value["value"] = json!(Some(self.value(slice)).filter(|name| *name != MISSING));
            value
        };
        let sliced = &self.findings.sliced;
        json!({
            "by": self.layout.slices,
            "correction": "holm",
            "too_few": sliced.too_few,
            "values": sliced.slices.iter().map(one).collect::<Vec<_>>(),
        })
    }

    /// What the report draws.
    pub(super) fn drawn_slices(&self) -> Vec<drawn::Slice> {
        let one = |slice: &Slice| drawn::Slice {
            name: format!("{} = {}", self.column(slice), self.value(slice)),
            rows: slice.rows,
            first: slice.first,
            last: slice.last,
            rise: (slice.rise.value, slice.rise.low, slice.rise.high),
            rise_of_rest: slice.rise_of_rest,
            p_value: slice.p_value,
            is_worse: slice.beyond_chance,
        };
        self.findings.sliced.slices.iter().map(one).collect()
    }

    fn column(&self, slice: &Slice) -> &str {
        self.layout.slices.get(slice.column).map_or("", String::as_str)
    }

    fn value(&self, slice: &Slice) -> &str {
        let values = self.account.slices.get(slice.column);
        let name = values.and_then(|values| values.get(slice.value as usize));
        name.filter(|name| !name.is_empty()).map_or(MISSING, String::as_str)
    }
}
