"""Scores rows with the model that train.py left; started once, asked often."""
import json, os, sys, lightgbm, pandas

model = lightgbm.Booster(model_file=os.path.join(os.environ["AFRESH_MODEL"], "model.txt"))
print("ready", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    rows = pandas.read_parquet(request["rows"])
    late = model.predict(rows[model.feature_name()], num_threads=1)
    pandas.DataFrame({"late": late}).to_csv(request["predictions"], index=False)
    print("done", flush=True)
