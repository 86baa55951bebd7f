//! Writes a report of invented figures, to look at while changing its style:
//! `cargo run -p afresh-report --example sample -- report.html [periods]`

mod replay;

use std::io::{Error, ErrorKind};

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        return Err(Error::new(ErrorKind::InvalidInput, "write where to put the report"));
    };
    let periods = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(48);
    std::fs::write(path, afresh_report::render(&replay::sample(periods)))
}
