//! The compact description of a dataset's columns that is stored with every version.

use serde::{Deserialize, Serialize};

use crate::drift::{Distribution, Error, Kind, Side, Values, tally};

/// Quantiles that a numeric column's profile holds: the percentiles from 0 to 100.
pub const QUANTILES: usize = 101;

/// Categories that a profile names; the rest is counted together.
pub const CATEGORIES_MAX: usize = 1_000;

/// A dataset, column by column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Rows of every column.
    pub rows: u64,
    /// In the order given.
    pub columns: Vec<ColumnProfile>,
}

/// One column of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// The column.
    pub name: String,
    /// Rows with a value.
    pub count: u64,
    /// Rows without one.
    pub missing: u64,
    /// What the values are.
    #[serde(flatten)]
    pub content: Content,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Content {
    /// Numbers; booleans are 0 and 1.
    Numeric {
        /// `None` where every value is missing.
        numbers: Option<Numbers>,
    },
    /// Names.
    Categorical {
        /// The most frequent, at most [`CATEGORIES_MAX`], by falling count, then by name.
        categories: Vec<CategoryCount>,
        /// Those not named.
        others: Others,
    },
}

/// Present numbers of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Arithmetic mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// The [`QUANTILES`] percentiles, interpolated linearly between ranks.
    pub quantiles: Vec<f64>,
}

/// A category and its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryCount {
    /// As written in the dictionary.
    pub name: String,
    /// Rows, at least 1.
    pub count: u64,
}

/// Categories that are not named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// How many categories.
    pub categories: u64,
    /// Their rows.
    pub count: u64,
}

impl Profile {
    /// Describes `columns`, which have equally many rows. Refuses infinities and codes outside the
    /// dictionary.
    pub fn of(columns: &[(&str, Values<'_>)]) -> Result<Profile, Error> {
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        let mut profiles = Vec::with_capacity(columns.len());
        for (name, values) in columns {
            if values.len() != rows {
                let (column, found, expected) = ((*name).to_owned(), values.len(), rows);
                return Err(Error::RaggedColumns { column, found, expected });
            }
            profiles.push(ColumnProfile::of(name, *values)?);
        }
        Ok(Profile { rows: rows as u64, columns: profiles })
    }
}

impl ColumnProfile {
    /// Describes one column; see [`Profile::of`].
    pub fn of(name: &str, values: Values<'_>) -> Result<ColumnProfile, Error> {
        let (missing, content) = match values {
            Values::Numeric(values) => {
                let distribution = Distribution::of(name, Side::Reference, values)?;
                let numbers = numbers(&distribution);
                (distribution.missing, Content::Numeric { numbers })
            }
            Values::Categorical { codes, names } => {
                let (rows, missing) = tally(name, Side::Reference, codes, names)?;
                (missing, categories(&rows, names))
            }
        };
        let missing = u64::from(missing);
        Ok(ColumnProfile {
            name: name.to_owned(),
            count: values.len() as u64 - missing,
            missing,
            content,
        })
    }

    /// What the column holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Numeric { .. } => Kind::Numeric,
            Content::Categorical { .. } => Kind::Categorical,
        }
    }
}

fn numbers(distribution: &Distribution) -> Option<Numbers> {
    let (min, max) = distribution.range()?;
    let (mean, std) = distribution.moments()?;
    let last = (QUANTILES - 1) as f64;
    let quantiles = (0..QUANTILES).filter_map(|k| distribution.quantile(k as f64 / last)).collect();
    Some(Numbers { mean, std, min, max, quantiles })
}

fn categories(rows: &[u32], names: &[String]) -> Content {
    let mut by_name = names.iter().zip(rows).filter(|(_, rows)| **rows > 0).collect::<Vec<_>>();
    by_name.sort_by_key(|(name, _)| *name);
    let mut merged = Vec::<CategoryCount>::new();
    for (name, rows) in by_name {
        match merged.last_mut() {
            Some(last) if last.name == *name => last.count += u64::from(*rows),
            _ => merged.push(CategoryCount { name: name.clone(), count: u64::from(*rows) }),
        }
    }
    merged.sort_by_key(|category| std::cmp::Reverse(category.count));
    let rest = merged.split_off(merged.len().min(CATEGORIES_MAX));
    let others = Others {
        categories: rest.len() as u64,
        count: rest.iter().map(|category| category.count).sum(),
    };
    Content::Categorical { categories: merged, others }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "some results are promised to the last bit")]
mod tests {
    use super::*;
    use crate::drift::MISSING;

    fn numeric(values: &[f64]) -> Option<Numbers> {
        match ColumnProfile::of("column", Values::Numeric(values)).unwrap().content {
            Content::Numeric { numbers } => numbers,
            Content::Categorical { .. } => None,
        }
    }

    #[test]
    fn numbers_are_described_as_by_numpy() {
        let mut state = 23_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let values = (0..257).map(|_| uniform() + uniform() + uniform()).collect::<Vec<_>>();
        let found = numeric(&values).unwrap();
        // numpy 2.4.6: mean, std and quantile of the same 257 values
        assert!((found.mean - 1.509_297_499_925_081_2).abs() < 1e-14);
        assert!((found.std - 0.498_370_708_273_927_1).abs() < 1e-14);
        for (at, expected) in [
            (0, 0.165_914_513_675_801_57),
            (1, 0.428_274_763_128_974_9),
            (25, 1.185_315_730_639_297_6),
            (50, 1.520_307_766_317_311_2),
            (99, 2.513_018_404_460_283_7),
            (100, 2.754_827_325_929_045_2),
        ] {
            assert!((found.quantiles[at] - expected).abs() < 1e-14, "percentile {at}");
        }
        assert_eq!(found.quantiles.len(), QUANTILES);
        assert_eq!([found.min, found.max], [found.quantiles[0], found.quantiles[100]]);
    }

    #[test]
    fn missing_and_extreme_numbers_are_described() {
        assert_eq!(numeric(&[f64::NAN; 3]), None);
        assert_eq!(numeric(&[]), None);
        let constant = numeric(&[4.0, f64::NAN, 4.0]).unwrap();
        assert_eq!((constant.mean, constant.std, constant.min), (4.0, 0.0, 4.0));
        let extreme = numeric(&[f64::MIN, f64::MAX]).unwrap();
        assert_eq!((extreme.mean, extreme.std), (0.0, f64::MAX));
        assert!(extreme.quantiles.iter().all(|quantile| quantile.is_finite()));
        // Values that differ only far behind the point keep their deviation.
        let offset = numeric(&[1e9 + 0.25, 1e9 + 0.75]).unwrap();
        assert_eq!((offset.mean, offset.std), (1e9 + 0.5, 0.25));
    }

    #[test]
    fn the_thousand_most_frequent_categories_are_named() {
        let names = (0..1_500).map(|k| format!("{k:04}")).collect::<Vec<_>>();
        let mut codes = (0..1_500).collect::<Vec<u32>>();
        codes.extend([1_499, 1_499, 7, MISSING]);
        let column =
            ColumnProfile::of("user", Values::Categorical { codes: &codes, names: &names })
                .unwrap();
        assert_eq!((column.count, column.missing), (1_503, 1));
        let Content::Categorical { categories, others } = &column.content else {
            panic!("{column:?}")
        };
        assert_eq!(categories.len(), CATEGORIES_MAX);
        assert_eq!(categories[0], CategoryCount { name: "1499".to_owned(), count: 3 });
        assert_eq!(categories[1], CategoryCount { name: "0007".to_owned(), count: 2 });
        assert_eq!(categories[2].name, "0000");
        assert_eq!(*others, Others { categories: 500, count: 500 });
    }

    #[test]
    fn a_profile_is_kept_as_json() {
        let names = ["x".to_owned(), "x".to_owned()];
        let profile = Profile::of(&[
            ("fare", Values::Numeric(&[0.1, f64::NAN, 0.3])),
            ("ground", Values::Categorical { codes: &[0, 1, 0], names: &names }),
            ("gone", Values::Numeric(&[f64::NAN; 3])),
        ])
        .unwrap();
        assert_eq!(profile.rows, 3);
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
        let json = serde_json::to_value(&profile).unwrap();
        assert_eq!(json["columns"][0]["kind"], "numeric");
        assert_eq!(json["columns"][0]["missing"], 1);
        assert_eq!(json["columns"][1]["categories"][0]["count"], 3);
    }

    #[test]
    fn columns_of_different_lengths_are_refused() {
        let found = Profile::of(&[("a", Values::Numeric(&[1.0])), ("b", Values::Numeric(&[]))]);
        let column = "b".to_owned();
        assert_eq!(found, Err(Error::RaggedColumns { column, found: 0, expected: 1 }));
    }
}
