"""Writes a Parquet file of standard normal f64 columns, zstd, a million rows in a row group.

usage: generate.py OUT ROWS SEED MOVED
The last MOVED of the twenty columns are stretched by 1.02 and shifted by 0.05; MOVED 0 leaves all.
"""
import sys

import numpy
import pyarrow
import pyarrow.parquet

COLUMNS = 20
GROUP_ROWS = 1_000_000

out, rows, seed, moved = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
generator = numpy.random.default_rng(seed)
names = [f"f{at}" for at in range(COLUMNS)]
schema = pyarrow.schema([(name, pyarrow.float64()) for name in names])
with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
    for first in range(0, rows, GROUP_ROWS):
        values = generator.standard_normal((COLUMNS, min(GROUP_ROWS, rows - first)))
        values[COLUMNS - moved :] = values[COLUMNS - moved :] * 1.02 + 0.05
        writer.write_table(pyarrow.table(list(values), names=names), row_group_size=GROUP_ROWS)
