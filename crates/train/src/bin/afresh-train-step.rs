//! One training in a process of its own, as the tests of this crate start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect::<Vec<_>>();
    match arguments.as_slice() {
        [step, spec] if step == afresh_train::step::COMMAND => {
            afresh_train::step::main(spec.as_ref())
        }
        _ => ExitCode::from(2),
    }
}
