//! Weights of columns as given on the command line: a JSON file, or pairs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;

use crate::fault::Fault;

/// Reads `a=1,b=2`, or a JSON file of `{"a": 1, "b": 2}`; one weight for each of `columns`, 0 where
/// none is given.
pub(super) fn read(text: &str, columns: &[String]) -> Result<Vec<f64>, Fault> {
    let weights = if text.contains('=') { pairs(text)? } else { file(Path::new(text))? };
    for (column, weight) in &weights {
        if !columns.contains(column) {
            return Err(Fault::Usage(format!(
                "`--importance` names `{column}`, which is not among the columns compared: {}",
                columns.join(", ")
            )));
        }
        if !weight.is_finite() || *weight < 0.0 {
            return Err(Fault::Usage(format!(
                "`--importance` gives `{column}` the weight {weight}: write a number of at least 0"
            )));
        }
    }
    if !weights.values().any(|weight| *weight > 0.0) {
        let message = "`--importance` gives no column a weight above 0".to_owned();
        return Err(Fault::Usage(message));
    }
    Ok(columns.iter().map(|column| weights.get(column).copied().unwrap_or(0.0)).collect())
}

fn pairs(text: &str) -> Result<BTreeMap<String, f64>, Fault> {
    let mut weights = BTreeMap::new();
    for pair in text.split(',') {
        let read = pair
            .rsplit_once('=')
            .and_then(|(column, weight)| Some((column.trim(), weight.trim().parse().ok()?)));
        let Some((column, weight)) = read else {
            return Err(Fault::Usage(format!(
                "`--importance` holds `{pair}`: write `column=weight`, pairs parted by commas"
            )));
        };
        weights.insert(column.to_owned(), weight);
    }
    Ok(weights)
}

fn file(path: &Path) -> Result<BTreeMap<String, f64>, Fault> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("failed to read the importances in {}", path.display()))?;
    let help = "write one JSON object of columns and weights: `{\"column\": 0.5}`".to_owned();
    serde_json::from_str(&text).map_err(|error| Fault::Helped {
        error: anyhow::Error::new(error)
            .context(format!("failed to understand the importances in {}", path.display())),
        help,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_in_the_order_of_the_columns() {
        let columns = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(read("c=2, a=0.5", &columns).unwrap(), [0.5, 0.0, 2.0]);
        for (wrong, part) in
            [("x=1", "`x`"), ("a=-1", "weight -1"), ("a=b", "column=weight"), ("a=0", "no column")]
        {
            let Err(Fault::Usage(message)) = read(wrong, &columns) else { panic!("{wrong}") };
            assert!(message.contains(part), "{wrong}: {message}");
        }
        assert!(read("gone.json", &columns).is_err());
    }
}
