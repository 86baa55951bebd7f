//! Tests against real servers, which the ordinary tests do without.

use anyhow::Result;

#[expect(clippy::unnecessary_wraps, reason = "the form of every task")]
pub(crate) fn run(_arguments: &[String]) -> Result<()> {
    println!("no server is needed so far: every port's default works on the local disk");
    Ok(())
}
