"""Prints where river's ADWIN detects a change on drawn streams, and what its window holds at the end.

    pip install river==0.26.1
    python adwin.py > adwin.json

The window itself is asked: `river.drift.ADWIN` begins anew after each detection, which the paper's does not.
"""
import json

import river
from river.drift import ADWIN


def draws(seed):
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield (state >> 11) / 2**53


CASES = [
    # Seed, rows, jumps as (from row on, added), parameters.
    (1, 4000, [(2000, 0.3)], {}),
    (2, 4000, [(1000, 0.5), (3000, -0.5)], {"delta": 0.05, "clock": 1}),
    (3, 6000, [(500, 0.1), (2500, 0.2), (4500, 0.3)], {"max_buckets": 3}),
    (4, 3000, [], {"delta": 0.5, "clock": 4, "min_window_length": 2, "grace_period": 2}),
    (5, 5000, [(2500, 2.0)], {"delta": 1e-5, "grace_period": 100, "min_window_length": 50}),
]
out = []
for seed, rows, jumps, parameters in CASES:
    window, found, drawn = ADWIN(**parameters)._helper, [], draws(seed)
    for row in range(rows):
        level = sum(added for start, added in jumps if start <= row)
        if window.update(next(drawn) + level):
            found.append(row)
    width = window.get_width()
    out.append({"seed": seed, "rows": rows, "jumps": jumps, "parameters": parameters, "detected": found,
                "width": width, "estimation": window.get_total() / width, "variance": window.get_variance()})
print(json.dumps({"river": river.__version__, "cases": out}))
