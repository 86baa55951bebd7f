//! Prints what one decision costs: an idle model's signals and ticks, and answers to a run.
#![expect(clippy::print_stdout, reason = "prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]

use std::hint::black_box;
use std::time::Instant;

use afresh_core::decide::Rules;
use afresh_core::id::{Fence, ModelName, RunId, VersionId};
use afresh_core::input::{Input, Trained, Watch};
use afresh_core::model::Model;
use afresh_core::policy::Policy;
use afresh_core::signal::Signal;
use afresh_core::time::{Duration, Timestamp};

const DECISIONS: u32 = 200_000;
const MONDAY: Timestamp = Timestamp(1_767_571_200_000);

fn main() -> Result<(), afresh_core::id::InvalidName> {
    let rules = Rules::new(Policy { drift: Some(0.3), ..Policy::classic() });
    let mut idle = Model::new(ModelName::new("shop/churn")?);
    fold(&mut idle, &rules, &Input::Tick);
    let mut queued = idle.clone();
    fold(&mut queued, &rules, &Input::Signal(Signal::Data { rows: 10 }));
    let mut working = queued.clone();
    fold(&mut working, &rules, &Input::Admitted { run: RunId(1) });
    let quiet = Input::Signal(Signal::Drift { score: 0.1, rows: 5_000 });
    let loud = Input::Signal(Signal::Data { rows: 5_000 });
    let late = Input::Trained {
        run: RunId(9),
        candidate: VersionId(9),
        result: Ok(Trained { cpu_seconds: 1.0 }),
    };
    let watch = Input::Watched(Watch {
        version: VersionId(1),
        labels: 10,
        e_value: 1.0,
        excess_loss: 0.0,
        error_rate: 0.0,
    });
    for (what, model, input) in [
        ("drift below its threshold, idle", &idle, &quiet),
        ("first data, which starts a run", &idle, &loud),
        ("tick of a weekly schedule, idle", &idle, &Input::Tick),
        ("slots given to a queued run", &queued, &Input::Admitted { run: RunId(1) }),
        ("signal while a run is under way", &working, &loud),
        ("answer of a run that is over", &working, &late),
        ("confirmation of an old deployment", &working, &Input::Serving { fence: Fence(7) }),
        ("watch of another version", &working, &watch),
    ] {
        let started = Instant::now();
        for step in 0..DECISIONS {
            let now = MONDAY.after(Duration(u64::from(step % 1_000)));
            black_box(model.decide(&rules, black_box(now), black_box(input)));
        }
        let each = started.elapsed().as_nanos() / u128::from(DECISIONS);
        println!("{each:>6} ns  {what}");
    }
    Ok(())
}

fn fold(model: &mut Model, rules: &Rules, input: &Input) {
    for event in &model.decide(rules, MONDAY, input).events {
        model.apply(MONDAY, event);
    }
}
