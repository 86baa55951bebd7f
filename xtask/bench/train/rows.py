"""Writes TRAIN and TEST: `rows.py made TRAIN TEST` 200,000 and 50,000 rows of 30 numbers, `rows.py FILE TRAIN
TEST` the first two thirds of a file by event time and the rest, without its columns of times but one."""
import sys

import numpy
import pandas

TRAIN, TEST, COLUMNS = 200_000, 50_000, 30

if sys.argv[1] == "made":
    random = numpy.random.default_rng(7)
    x = random.standard_normal((TRAIN + TEST, COLUMNS))
    weights = random.standard_normal(COLUMNS) / 3
    score = x @ weights + numpy.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] - 0.5 * (numpy.abs(x[:, 3]) > 1)
    rows = pandas.DataFrame(x, columns=[f"f{at}" for at in range(COLUMNS)])
    rows["event_time"] = pandas.Timestamp("2026-01-01", tz="UTC") + pandas.to_timedelta(numpy.arange(len(rows)), "s")
    rows["label"] = (random.random(len(rows)) < 1 / (1 + numpy.exp(-score))).astype("int8")
    cut = TRAIN
else:
    rows = pandas.read_parquet(sys.argv[1]).sort_values("event_time", kind="stable")
    rows = rows.drop(columns=["event_id", "label_time", "matured_time"], errors="ignore")
    cut = len(rows) * 2 // 3
rows.iloc[:cut].to_parquet(sys.argv[2], index=False)
rows.iloc[cut:].to_parquet(sys.argv[3], index=False)
