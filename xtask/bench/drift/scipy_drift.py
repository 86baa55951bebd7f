"""The measures of `afresh drift` by scipy, reading included, as JSON.

usage: scipy_drift.py REFERENCE CURRENT
"""
import json
import sys

import numpy
import pandas
from scipy import stats
from scipy.spatial.distance import jensenshannon


def measures(before, after):
    before, after = before[~numpy.isnan(before)], after[~numpy.isnan(after)]
    ks = stats.ks_2samp(before, after)
    wasserstein = stats.wasserstein_distance(before, after) / before.std()
    edges = numpy.histogram_bin_edges(numpy.concatenate([before, after]), 50)
    histograms = [numpy.histogram(side, edges)[0] for side in (before, after)]
    deciles = numpy.quantile(before, numpy.linspace(0, 1, 11)[1:-1])
    counts = numpy.array(
        [numpy.bincount(numpy.searchsorted(deciles, side), minlength=10) for side in (before, after)]
    )
    shares = numpy.maximum(counts / counts.sum(axis=1, keepdims=True), 1e-4)
    chi_square = stats.chi2_contingency(counts)
    return {
        "ks.statistic": ks.statistic,
        "ks.p_value": ks.pvalue,
        "wasserstein": wasserstein,
        "jensen_shannon": jensenshannon(*histograms, base=2),
        "psi": ((shares[1] - shares[0]) * numpy.log(shares[1] / shares[0])).sum(),
        "chi_square.statistic": chi_square.statistic,
        "chi_square.p_value": chi_square.pvalue,
        "chi_square.cramers_v": numpy.sqrt(chi_square.statistic / counts.sum()),
    }


tables = [pandas.read_parquet(path) for path in sys.argv[1:3]]
found = {}
for name in tables[0].columns:
    values = measures(*(table[name].to_numpy() for table in tables))
    found[name] = {measure: float(value) for measure, value in values.items()}
print(json.dumps(found))
