"""Trains LightGBM on the rows that Afresh hands over; continues the champion where there is one."""
import json, os, lightgbm, pandas

with open(os.environ["AFRESH_SPEC"]) as file:
    spec = json.load(file)
features = [feature["name"] for feature in spec["features"]]

def dataset(variable, **more):
    rows = pandas.read_parquet(os.environ[variable])
    return lightgbm.Dataset(rows[features], rows["label"], weight=rows["weight"], **more)

parameters = {"seed": spec["seed"], "verbosity": -1, **spec["parameters"]}
rounds = spec.get("warm_start", spec.get("refit", {})).get("rounds") or 200
champion = os.environ.get("AFRESH_WARM_START")
train, apart = dataset("AFRESH_TRAIN"), {}
if "AFRESH_VALIDATION" in os.environ:  # end in time, on rows that are newer than all others
    apart["valid_sets"] = [dataset("AFRESH_VALIDATION", reference=train)]
    apart["callbacks"] = [lightgbm.early_stopping(10, verbose=False)]
start = champion and os.path.join(champion, "model.txt")
model = lightgbm.train(parameters, train, rounds, init_model=start, **apart)
model.save_model(os.path.join(os.environ["AFRESH_OUT"], "model.txt"))
with open(os.path.join(os.environ["AFRESH_OUT"], "metrics.json"), "w") as file:
    json.dump({"best_iteration": model.num_trees() - 1, **model.best_score.get("valid_0", {})}, file)
