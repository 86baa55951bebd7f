"""retrainopt's exact planner on the matrix of `crates/policy/examples/bench_oracle.rs`: CPU seconds and the optimum, as JSON."""
import json
import time

from retrainopt.core import solve_exact_schedule

PERIODS, WINDOWS, SEED = 1000, 4, 11


class Draws:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 11) / 2**53


draws = Draws(SEED)
run = 0.1 + 4 * draws.next()
costs = {(-1, 0): {"future_losses": {t: 1 + draws.next() + 0.05 * t for t in range(PERIODS)}}}
for s in range(PERIODS):
    for w in range(WINDOWS):
        cell = {"training_cost": run * (0.5 + draws.next())}
        level = 0.5 + draws.next()
        cell["future_losses"] = {t: level + 0.1 * (t - s) * draws.next() for t in range(s, PERIODS)}
        costs[(s, w + 1)] = cell
started = time.process_time()
cost = solve_exact_schedule(PERIODS, costs)[0]
print(json.dumps({"seconds": time.process_time() - started, "cost": cost}))
