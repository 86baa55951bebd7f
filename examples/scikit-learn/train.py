"""Trains scikit-learn's gradient-boosted trees on the rows that Afresh hands over."""
import json, os, joblib, pandas
from sklearn.ensemble import HistGradientBoostingClassifier

with open(os.environ["AFRESH_SPEC"]) as file:
    spec = json.load(file)
features = [feature["name"] for feature in spec["features"]]
rows = pandas.read_parquet(os.environ["AFRESH_TRAIN"])
model = HistGradientBoostingClassifier(random_state=spec["seed"], **spec["parameters"])
apart = {}
if "AFRESH_VALIDATION" in os.environ:  # end in time, on rows that are newer than all others
    newest = pandas.read_parquet(os.environ["AFRESH_VALIDATION"])
    model.set_params(early_stopping=True)
    apart = {"X_val": newest[features], "y_val": newest["label"]}
else:  # the judged recipe once more on all rows: as many rounds as it had
    model.set_params(early_stopping=False, max_iter=spec["refit"]["rounds"] or model.max_iter)
model.fit(rows[features], rows["label"], sample_weight=rows["weight"], **apart)
joblib.dump(model, os.path.join(os.environ["AFRESH_OUT"], "model.joblib"))
with open(os.path.join(os.environ["AFRESH_OUT"], "metrics.json"), "w") as file:
    json.dump({"best_iteration": model.n_iter_ - 1, "rows": len(rows)}, file)
