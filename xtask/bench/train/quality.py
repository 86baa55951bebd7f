"""AUC and log loss of PREDICTIONS, for whoever made them: probabilities clipped to [1e-6, 1 - 1e-6]."""
import json
import sys

import pandas
from sklearn.metrics import log_loss, roc_auc_score

rows = pandas.read_csv(sys.argv[1])
clipped = rows["prediction"].clip(1e-6, 1 - 1e-6)
print(json.dumps({"auc": roc_auc_score(rows["label"], rows["prediction"]), "log_loss": log_loss(rows["label"], clipped)}))
