"""Scores rows with the model that train.py left; started once, asked often."""
import json, os, sys, joblib, pandas

with open(os.environ["AFRESH_SPEC"]) as file:
    features = [feature["name"] for feature in json.load(file)["features"]]
model = joblib.load(os.path.join(os.environ["AFRESH_MODEL"], "model.joblib"))
print("ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    rows = pandas.read_parquet(request["rows"])
    late = model.predict_proba(rows[features])[:, 1]
    pandas.DataFrame({"late": late}).to_csv(request["predictions"], index=False)
    print("done", flush=True)
