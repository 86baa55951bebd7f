"""Writes a log of predictions over two years as Parquet (zstd, a million rows in a row group) or CSV.

usage: generate.py OUT ROWS SEED
Columns: time, prediction, label, label_time (two days later on average), region. The model forgets: what it
knows of the truth falls from all to a third; one region more than the others. The newest two days lack labels.
"""
import sys

import numpy
import pandas
import pyarrow
import pyarrow.csv
import pyarrow.parquet

GROUP_ROWS = 1_000_000
START = 1_672_531_200_000
SPAN = 730 * 86_400_000
DAY = 86_400_000
REGIONS = ["north", "south", "east", "west"]

out, rows, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
generator = numpy.random.default_rng(seed)
milliseconds = pyarrow.timestamp("ms", tz="UTC")
schema = pyarrow.schema(
    [
        ("time", milliseconds),
        ("prediction", pyarrow.float64()),
        ("label", pyarrow.int8()),
        ("label_time", milliseconds),
        ("region", pyarrow.string()),
    ]
)


def group(first, count):
    share = (first + numpy.arange(count)) / rows
    time = (START + share * SPAN).astype("int64")
    region = generator.integers(0, len(REGIONS), count)
    seen, other = 1.5 * generator.standard_normal((2, count))
    skill = 1.0 - 0.67 * share * numpy.where(region == 3, 1.4, 1.0)
    truth = skill * seen + numpy.sqrt(1.0 - skill * skill) * other
    label = generator.random(count) < 1.0 / (1.0 + numpy.exp(1.2 - truth))
    late = (generator.exponential(2.0, count) * DAY).astype("int64")
    missing = time > START + SPAN - 2 * DAY
    return pyarrow.table(
        [
            pyarrow.array(time, milliseconds),
            pyarrow.array(1.0 / (1.0 + numpy.exp(1.2 - seen))),
            pyarrow.array(label.astype("int8"), mask=missing),
            pyarrow.array(time + late, milliseconds, mask=missing),
            pyarrow.array(pandas.Categorical.from_codes(region, REGIONS)).cast(pyarrow.string()),
        ],
        schema=schema,
    )


if out.removesuffix(".partial").endswith(".csv"):
    writer = pyarrow.csv.CSVWriter(out, schema)
else:
    writer = pyarrow.parquet.ParquetWriter(out, schema, compression="zstd")
with writer:
    for first in range(0, rows, GROUP_ROWS):
        writer.write_table(group(first, min(GROUP_ROWS, rows - first)))
