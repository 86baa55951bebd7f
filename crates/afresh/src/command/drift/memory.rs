//! How much memory may be used, as people write it and as the machine has it.

use std::fs;

/// Where neither the machine nor its container tells.
const UNKNOWN_BYTES: u64 = 2 << 30;

/// Reads `512MiB`, `2GiB`, `64M` or a number of bytes; letters in any case, powers of 1,024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(shift);
    let bytes = bytes.and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "write a size such as `512MiB` or `2GiB`".into())
}

/// A quarter of what the machine or this process's container has.
pub(super) fn default_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    });
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse::<u64>().ok());
    machine.into_iter().chain(container).min().unwrap_or(UNKNOWN_BYTES) / 4
}

/// `1.5 GiB`.
pub(super) fn told(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let shown = units.into_iter().find(|(unit, _)| bytes >= *unit).map(|(unit, name)| {
        let text = format!("{:.1}", bytes as f64 / unit as f64);
        format!("{} {name}", text.trim_end_matches(".0"))
    });
    shown.unwrap_or_else(|| format!("{bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown_as_people_write_them() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("2 GiB", 2 << 30),
            ("1g", 1 << 30),
            ("512", 512),
            ("3kb", 3 << 10),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "many", "0", "1.5GiB", "-1", "9999999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(told(64 << 20), "64 MiB");
        assert_eq!(told(3 << 29), "1.5 GiB");
        assert!(default_bytes() > 0);
    }
}
