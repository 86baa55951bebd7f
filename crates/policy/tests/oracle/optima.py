"""Prints the optima of generated cost matrices as retrainopt finds them.

    pip install retrainopt==0.4.2
    python optima.py > optima.json

A matrix is drawn from a linear congruential generator that the Rust test repeats bit for bit, so that only its seed and size need
writing down. Draws come in this order: the first model's loss by period, then by period and window the cost of the training and the losses from there on.
"""
import json

from retrainopt.core import solve_exact_schedule
from retrainopt.types import DecisionAction


class Draws:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 11) / 2**53


def matrix(seed, periods, windows):
    draws = Draws(seed)
    run = 0.1 + 4 * draws.next()
    costs = {(-1, 0): {"future_losses": {t: 1 + draws.next() + 0.05 * t for t in range(periods)}}}
    for s in range(periods):
        for w in range(windows):
            losses = {"training_cost": run * (0.5 + draws.next())}
            level = 0.5 + draws.next()
            losses["future_losses"] = {t: level + 0.1 * (t - s) * draws.next() for t in range(s, periods)}
            costs[(s, w + 1)] = losses
    return costs


cases = []
for seed, periods, windows in [(1, 1, 1), (2, 5, 1), (3, 8, 2), (4, 20, 3), (5, 47, 3), (6, 52, 4), (7, 100, 2), (8, 30, 7), (9, 60, 1), (10, 12, 4)]:
    cost, decisions, _, _ = solve_exact_schedule(periods, matrix(seed, periods, windows))
    schedule = [d.n_samples if d.action == DecisionAction.RETRAIN else 0 for d in decisions]
    cases.append({"seed": seed, "periods": periods, "windows": windows, "cost": cost, "schedule": schedule})
print(json.dumps({"reference": "retrainopt 0.4.2, exact", "cases": cases}))
