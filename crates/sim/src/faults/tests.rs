//! Thousands of simulated weeks.

use super::*;

#[test]
#[expect(clippy::print_stdout, reason = "shows what was simulated")]
fn invariants_hold_under_faults_and_calm_brings_rest() {
    let policies = Policies::new();
    let mut total = Summary::default();
    for seed in 0..5_000 {
        match simulate(seed, &policies) {
            Ok(summary) => total.add(&summary),
            Err(violation) => panic!("{violation}"),
        }
    }
    println!("{total}");
    assert_eq!(total.missing(), Vec::<String>::new(), "the simulation never showed these");
    assert_eq!(total.seeds, 5_000);
}

#[test]
fn same_seed_gives_the_same_history() {
    let policies = Policies::new();
    for seed in [7, 8, 4_711] {
        let (first, again) = (simulate(seed, &policies), simulate(seed, &policies));
        assert_eq!(first, again);
    }
    assert_ne!(simulate(7, &policies).unwrap().digest, simulate(8, &policies).unwrap().digest);
}
