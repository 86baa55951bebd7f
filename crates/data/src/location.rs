//! Where files are: globs and dated paths, matched against paths without touching any store.

use afresh_core::time::{Duration, Timestamp, Window};
use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::moment;

/// A location as written, split where its first wildcard stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// A file or a directory; only the store knows which.
    Plain(String),
    /// Files below `root` that match `pattern`.
    Pattern { root: String, pattern: Pattern },
}

/// What a path below the root must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    /// Whether a match can lie in a deeper directory.
    pub(crate) deep: bool,
    /// Whether it holds a `{from:…}` or `{to:…}`.
    pub(crate) dated: bool,
}

/// The times that a dated path names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dates {
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    /// The finest unit of either: a day for `%Y%m%d`.
    pub(crate) unit: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Letter(char),
    /// `?`: any one character but `/`.
    One,
    /// `*`: any characters but `/`.
    Star,
    /// `**/`: any directories, or none.
    Directories,
    /// `**` at the end: anything.
    Rest,
    /// `{from:%Y%m%d}` or `{to:…}`.
    Date {
        end: bool,
        parts: Vec<Part>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Letter(char),
    /// Position in [`UNITS`].
    Field(usize),
}

/// Format letter, digits, and milliseconds of each field of a date, the coarsest first.
const UNITS: [(char, usize, u64); 6] = [
    ('Y', 4, 366 * 86_400_000),
    ('m', 2, 31 * 86_400_000),
    ('d', 2, 86_400_000),
    ('H', 2, 3_600_000),
    ('M', 2, 60_000),
    ('S', 2, 1_000),
];

impl Location {
    /// Reads a location; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Location, String> {
        if text.trim().is_empty() {
            return Err("it is empty: write a file, a directory or a glob".into());
        }
        let Some(wild) = text.find(['*', '?', '{']) else {
            return Ok(Location::Plain(text.to_owned()));
        };
        let start = text[..wild].rfind('/').map_or(0, |slash| slash + 1);
        let root = if start == 1 { "/" } else { text[..start].trim_end_matches('/') };
        Ok(Location::Pattern { root: root.to_owned(), pattern: Pattern::parse(&text[start..])? })
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let (piece, length) = match letter {
                '*' if rest.starts_with("**/") => (Piece::Directories, 3),
                '*' if rest == "**" => (Piece::Rest, 2),
                '*' => (Piece::Star, 1),
                '?' => (Piece::One, 1),
                '{' => {
                    let end = rest.find('}').ok_or("a `{` is not closed by `}`")?;
                    (date(&rest[1..end])?, end + 1)
                }
                _ => (Piece::Letter(letter), letter.len_utf8()),
            };
            pieces.push(piece);
            rest = &rest[length..];
        }
        let deep = pieces.iter().any(|piece| match piece {
            Piece::Letter(letter) => *letter == '/',
            Piece::Directories | Piece::Rest => true,
            Piece::Date { parts, .. } => parts.contains(&Part::Letter('/')),
            Piece::One | Piece::Star => false,
        });
        let dated = pieces.iter().any(|piece| matches!(piece, Piece::Date { .. }));
        Ok(Pattern { pieces, deep, dated })
    }

    /// The dates in `path` if it matches; `zone` is where they are midnight.
    pub(crate) fn matches(&self, path: &str, zone: Tz) -> Option<Dates> {
        let mut dates = Dates { unit: Duration(u64::MAX), ..Dates::default() };
        matches(&self.pieces, path, zone, &mut dates).then_some(dates)
    }
}

impl Dates {
    /// Whether a file with these dates may hold events of `window`. Whether `to` is the last day
    /// or the day after is not known, so a file counts for one unit more. A file that names only
    /// its start ends one unit after the start of the `next`.
    pub(crate) fn may_touch(&self, window: Window, next: Option<Timestamp>) -> bool {
        let end = self.to.or(next).map(|to| to.after(self.unit));
        self.from.is_none_or(|from| from < window.to) && end.is_none_or(|end| end > window.from)
    }
}

fn date(text: &str) -> Result<Piece, String> {
    let (which, format) =
        text.split_once(':').ok_or_else(|| format!("`{{{text}}}` has no format: {WRITE}"))?;
    let end = match which {
        "from" => false,
        "to" => true,
        _ => return Err(format!("`{{{text}}}` is neither `from` nor `to`: {WRITE}")),
    };
    let mut parts = Vec::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            parts.push(Part::Letter(letter));
            continue;
        }
        let field = letters.next().unwrap_or(' ');
        let position = UNITS.iter().position(|(letter, ..)| *letter == field);
        parts.push(Part::Field(
            position.ok_or_else(|| format!("`%{field}` is not a part of a date: {WRITE}"))?,
        ));
    }
    if !parts.contains(&Part::Field(0)) {
        return Err(format!("`{{{text}}}` names no year: {WRITE}"));
    }
    Ok(Piece::Date { end, parts })
}

const WRITE: &str = "write `{from:%Y%m%d}` or `{to:%Y-%m-%dT%H%M}` with %Y %m %d %H %M %S";

fn matches(pieces: &[Piece], text: &str, zone: Tz, dates: &mut Dates) -> bool {
    let Some((piece, pieces)) = pieces.split_first() else { return text.is_empty() };
    match piece {
        Piece::Letter(letter) => {
            text.strip_prefix(*letter).is_some_and(|text| matches(pieces, text, zone, dates))
        }
        Piece::One => text
            .strip_prefix(|letter| letter != '/')
            .is_some_and(|text| matches(pieces, text, zone, dates)),
        Piece::Rest => true,
        Piece::Star | Piece::Directories => {
            let across = *piece == Piece::Directories;
            let mut at = 0;
            loop {
                let here = !across || at == 0 || text[..at].ends_with('/');
                if here && matches(pieces, &text[at..], zone, dates) {
                    return true;
                }
                match text[at..].chars().next() {
                    Some(letter) if across || letter != '/' => at += letter.len_utf8(),
                    _ => return false,
                }
            }
        }
        Piece::Date { end, parts } => {
            let Some((at, unit, text)) = read_date(parts, text, zone) else { return false };
            if !matches(pieces, text, zone, dates) {
                return false;
            }
            *(if *end { &mut dates.to } else { &mut dates.from }) = Some(at);
            dates.unit = dates.unit.min(unit);
            true
        }
    }
}

/// The date at the start of `text`, its finest unit, and what follows it.
fn read_date<'a>(
    parts: &[Part],
    text: &'a str,
    zone: Tz,
) -> Option<(Timestamp, Duration, &'a str)> {
    let mut fields = [1970, 1, 1, 0, 0, 0];
    let mut finest = 0;
    let mut text = text;
    for part in parts {
        match part {
            Part::Letter(letter) => text = text.strip_prefix(*letter)?,
            Part::Field(field) => {
                let digits = text.get(..UNITS[*field].1)?;
                if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                fields[*field] = digits.parse().ok()?;
                finest = finest.max(*field);
                text = &text[UNITS[*field].1..];
            }
        }
    }
    let [year, month, day, hour, minute, second] = fields;
    let moment = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?
        .and_hms_opt(hour, minute, second)?;
    Some((moment::local(moment, zone), Duration(UNITS[finest].2), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        match Location::parse(text).unwrap() {
            Location::Pattern { pattern, .. } => pattern,
            Location::Plain(_) => panic!("{text} has no wildcard"),
        }
    }

    #[test]
    fn globs_match_as_shells_do() {
        for (glob, path, wanted) in [
            ("*.parquet", "a.parquet", true),
            ("*.parquet", "a.parquet.tmp", false),
            ("*.parquet", "deep/a.parquet", false),
            ("part-?.csv", "part-1.csv", true),
            ("part-?.csv", "part-10.csv", false),
            ("**/*.csv", "a.csv", true),
            ("**/*.csv", "x/y/a.csv", true),
            ("x*/**", "x1/y/a.csv", true),
            ("*/a.csv", "x/a.csv", true),
            ("*/a.csv", "x/y/a.csv", false),
        ] {
            assert_eq!(pattern(glob).matches(path, Tz::UTC).is_some(), wanted, "{glob} {path}");
        }
        let located = Location::parse("data/flights/2013-*/x.csv").unwrap();
        assert!(matches!(located, Location::Pattern { root, .. } if root == "data/flights"));
        assert!(
            matches!(Location::parse("*.csv"), Ok(Location::Pattern { root, .. }) if root.is_empty())
        );
        assert!(
            matches!(Location::parse("/*.csv"), Ok(Location::Pattern { root, .. }) if root == "/")
        );
    }

    #[test]
    fn dated_paths_say_what_they_cover() {
        let day = |text| moment::parse(text, Tz::UTC).unwrap();
        let dated = pattern("{from:%Y%m%d}_{to:%Y%m%d}.parquet");
        let dates = dated.matches("20240101_20240108.parquet", Tz::UTC).unwrap();
        assert_eq!((dates.from, dates.to), (Some(day("2024-01-01")), Some(day("2024-01-08"))));
        let window = |from, to| Window { from: day(from), to: day(to) };
        for (from, to, wanted) in [
            ("2023-12-01", "2024-01-01", false),
            ("2023-12-01", "2024-01-02", true),
            ("2024-01-08", "2024-01-20", true),
            ("2024-01-09", "2024-01-20", false),
        ] {
            assert_eq!(dates.may_touch(window(from, to), None), wanted, "{from} {to}");
        }
        assert_eq!(dated.matches("20241301_20240108.parquet", Tz::UTC), None);
        let deep = pattern("{from:%Y/%m/%d}/part-*.csv");
        assert!(deep.deep && deep.matches("2024/02/29/part-7.csv", Tz::UTC).is_some());
        let start_only = pattern("{from:%Y-%m-%d}.csv").matches("2024-01-01.csv", Tz::UTC).unwrap();
        assert!(!start_only.may_touch(window("2024-02-01", "2024-03-01"), Some(day("2024-01-02"))));
        assert!(start_only.may_touch(window("2024-02-01", "2024-03-01"), None));
    }

    #[test]
    fn wrong_locations_say_what_to_write() {
        for (text, part) in [
            ("", "it is empty"),
            ("{from:%Q}.csv", "`%Q` is not a part of a date"),
            ("{since:%Y}.csv", "neither `from` nor `to`"),
            ("{from}.csv", "has no format"),
            ("{from:%m}.csv", "names no year"),
            ("{from:%Y.csv", "not closed"),
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
