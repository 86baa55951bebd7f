"""The same figures by week with pandas and scikit-learn: area under the ROC curve, log loss, mean label.

usage: weekly.py LOG
"""
import json
import sys

import numpy
import pandas
from sklearn.metrics import log_loss, roc_auc_score

WEEK = numpy.timedelta64(7, "D")

log = pandas.read_parquet(sys.argv[1], columns=["time", "prediction", "label", "label_time"])
start = log["time"].iloc[0].floor("h")
weeks = []
for week, rows in log.groupby((log["time"] - start) // WEEK):
    rows = rows[rows["label"].notna() & (rows["label_time"] >= rows["time"])]
    label = rows["label"].astype("int8")
    if label.nunique() == 2:
        weeks.append(
            {
                "week": int(week),
                "rows": len(rows),
                "auc": roc_auc_score(label, rows["prediction"]),
                "log_loss": log_loss(label, rows["prediction"]),
                "label": float(label.mean()),
            }
        )
json.dump(weeks, sys.stdout)
