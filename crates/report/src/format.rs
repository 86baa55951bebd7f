//! Numbers, times and names as a reader wants them.

const DAY_MS: i64 = 86_400_000;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A metric's configured name as written in text: `auc` → `AUC`, `log_loss` → `log loss`.
#[must_use]
pub fn metric_name(name: &str) -> String {
    let acronyms = ["auc", "rmse", "mae", "mse", "mape", "r2", "f1", "pr_auc", "roc_auc"];
    if acronyms.contains(&name) {
        return name.to_uppercase().replace('_', " ");
    }
    name.replace('_', " ")
}

/// Decimals that show three or more significant digits of values about as large as `size`.
#[must_use]
pub fn decimals(size: f64) -> usize {
    let size = size.abs();
    match size {
        _ if size == 0.0 || !size.is_finite() => 3,
        _ if size >= 1_000.0 => 0,
        _ if size >= 100.0 => 1,
        _ if size >= 10.0 => 2,
        _ if size >= 0.05 => 3,
        _ if size >= 0.005 => 4,
        _ => 6,
    }
}

/// `value` with so many decimals, thousands grouped and a real minus sign; a dash where undefined.
#[must_use]
pub fn fixed(value: Option<f64>, decimals: usize) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return "–".to_owned() };
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (text.as_str(), String::new()),
    };
    let nothing = text.bytes().all(|byte| byte == b'0' || byte == b'.');
    let sign = if value < 0.0 && !nothing { "−" } else { "" };
    format!("{sign}{}{fraction}", grouped(whole))
}

/// As [`fixed`], with a plus sign before positive values.
#[must_use]
pub fn signed(value: Option<f64>, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let positive = value.is_some_and(|value| value > 0.0)
        && text.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0');
    if positive { format!("+{text}") } else { text }
}

/// A number of things: `112,259`.
#[must_use]
pub fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// `1 retrain`, `2 retrains`.
#[must_use]
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// CPU or wall time: `0.42 s`, `7.3 s`, `2 min 10 s`, `1.4 h`.
#[must_use]
pub fn seconds(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "–".to_owned(),
        _ if value < 1.0 => format!("{value:.2} s"),
        _ if value < 99.95 => format!("{value:.1} s"),
        _ if value < 3_600.0 => {
            let whole = value.round();
            format!("{} min {} s", (whole / 60.0).floor(), whole % 60.0)
        }
        _ => format!("{:.1} h", value / 3_600.0),
    }
}

/// A share as whole per cent, `47 %`; one decimal below ten.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    let decimals = if value.abs() < 9.95 && value.abs() > 0.0 { 1 } else { 0 };
    format!("{} %", fixed(Some(value), decimals))
}

/// The day, `29 Jan 2013`.
#[must_use]
pub fn date(ms: i64) -> String {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    format!("{day} {} {year}", month_name(month))
}

/// Day and minute, `29 Jan 2013 06:00`.
#[must_use]
pub fn moment(ms: i64) -> String {
    let minute = ms.rem_euclid(DAY_MS) / 60_000;
    format!("{} {:02}:{:02}", date(ms), minute / 60, minute % 60)
}

/// For machines: `2013-01-29T06:00:00Z`.
#[must_use]
pub fn iso(ms: i64) -> String {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let second = ms.rem_euclid(DAY_MS) / 1_000;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The days of `[from_ms, to_ms)`, or its minutes where it is shorter than a day.
#[must_use]
pub fn span(from_ms: i64, to_ms: i64) -> String {
    if to_ms.saturating_sub(from_ms) < DAY_MS {
        return format!("{} – {}", moment(from_ms), moment(to_ms));
    }
    let last_ms = to_ms.saturating_sub(1);
    let (from, to) = (civil(from_ms.div_euclid(DAY_MS)), civil(last_ms.div_euclid(DAY_MS)));
    let last = date(last_ms);
    match () {
        () if from == to => last,
        () if (from.0, from.1) == (to.0, to.1) => format!("{}–{last}", from.2),
        () if from.0 == to.0 => format!("{} {} – {last}", from.2, month_name(from.1)),
        () => format!("{} – {last}", date(from_ms)),
    }
}

/// `text` broken into lines of about `width` characters.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// At most `length` characters, the last an ellipsis where something was cut.
#[must_use]
pub fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut kept = text.chars().take(length.saturating_sub(1)).collect::<String>();
    kept.push('…');
    kept
}

/// `text` as a CSS class or id: lower-case letters, digits and hyphens.
#[must_use]
pub fn slug(text: &str) -> String {
    let hyphened = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect::<String>();
    hyphened.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn month_name(month: i64) -> &'static str {
    usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or("?")
}

/// Year, month and day of the proleptic Gregorian calendar, so many days after 1 January 1970.
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(fixed(Some(-1234.56), 1), "−1,234.6");
        assert_eq!(fixed(Some(-0.0001), 3), "0.000");
        assert_eq!(fixed(Some(f64::NAN), 3), "–");
        assert_eq!(signed(Some(0.0483), 3), "+0.048");
        assert_eq!(signed(Some(0.0001), 3), "0.000");
        assert_eq!(signed(Some(-0.5), 1), "−0.5");
        assert_eq!(count(112_259), "112,259");
        assert_eq!(plural(1, "retrain"), "1 retrain");
        assert_eq!(percent(0.466), "47 %");
        assert_eq!(percent(0.0123), "1.2 %");
        assert_eq!(percent(0.0), "0 %");
        for (value, text) in
            [(0.4, "0.40 s"), (7.31, "7.3 s"), (130.2, "2 min 10 s"), (5_040.0, "1.4 h")]
        {
            assert_eq!(seconds(value), text);
        }
    }

    #[test]
    fn times_agree_with_the_calendar() {
        // Printed by Python 3.13's datetime.
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_357_020_000_000, "2013-01-01T06:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(iso(ms), text);
        }
        assert_eq!(moment(1_357_020_000_000), "1 Jan 2013 06:00");
        assert_eq!(span(1_356_998_400_000, 1_357_603_200_000), "1–7 Jan 2013");
        assert_eq!(span(1_356_998_400_000, 1_388_534_400_000), "1 Jan – 31 Dec 2013");
        assert_eq!(span(0, DAY_MS), "1 Jan 1970");
        assert_eq!(span(-DAY_MS, DAY_MS), "31 Dec 1969 – 1 Jan 1970");
        assert_eq!(span(0, 3_600_000), "1 Jan 1970 00:00 – 1 Jan 1970 01:00");
        assert!(!iso(i64::MIN).is_empty() && !iso(i64::MAX).is_empty());
    }

    #[test]
    fn text_is_cut_between_words_and_characters() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(shortened("größenordnung", 6), "größe…");
        assert_eq!(slug("Rolled back!"), "rolled-back");
        assert_eq!(metric_name("log_loss"), "log loss");
        assert_eq!(metric_name("auc"), "AUC");
    }
}
