"""Models across the border between XGBoost in Python and Afresh.

`interchange.py make DIRECTORY` trains with XGBoost and writes a case for each model with what Python
predicts, and cases that Afresh is to train. `interchange.py system DIRECTORY` writes cases that Afresh
is to train with the library of this Python. `interchange.py check DIRECTORY` loads what Afresh
trained and exported, and compares its predictions with those of Afresh. `interchange.py golden
DIRECTORY` writes the small cases of `crates/train/tests/golden/interchange`, and `complete` adds to
those that Afresh has trained what Python predicts with them."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost as xgb

TOLERANCE = 1e-6
ROWS, STOPPING = (60, 20) if sys.argv[1] == "golden" else (3_000, 800)
COLOURS = ["blue", "green", "grey", "red", "teal", "white"]
CLASSES = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"], "regression": []}
OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}
KINDS = {"x": "numeric", "noise": "numeric", "flag": "boolean", "colour": "categorical"}


def table(missing):
    """Columns and labels by task; texts for categories, None and NaN for what is missing."""
    random = np.random.default_rng(11)
    x, noise = random.normal(size=ROWS) * 3, random.random(ROWS)
    flag = (random.random(ROWS) < 0.4).astype(float)
    code = random.integers(0, len(COLOURS), ROWS)
    effect = np.array([0.9, -1.2, 0.1, 1.5, -0.4, 0.0])[code]
    score = np.sin(x) * 2 + effect + flag * (x > 0) + random.normal(size=ROWS) / 3
    labels = {
        "binary": (score > 0.4).astype(float),
        "multiclass": np.digitize(score, [-0.5, 1.2]).astype(float),
        "regression": score * 10 + 50,
    }
    colour = np.array(COLOURS, dtype=object)[code]
    if missing:
        x[random.random(ROWS) < 0.1] = np.nan
        flag[random.random(ROWS) < 0.1] = np.nan
        colour[random.random(ROWS) < 0.1] = None
    return {"x": x, "noise": noise, "flag": flag, "colour": colour}, labels


def matrix(columns, names, categories, native, labels=None):
    """A DMatrix of codes in the order of the names; `categories` gives the codes."""
    arrays, types = [], []
    for name in names:
        if KINDS[name] == "categorical":
            position = {text: at for at, text in enumerate(categories[name])}
            arrays.append([position.get(cell, np.nan) for cell in columns[name]])
            types.append("c" if native else "q")
        else:
            arrays.append(np.asarray(columns[name], float))
            types.append("q")
    values = np.column_stack(arrays).astype(np.float32)
    return xgb.DMatrix(values, labels, feature_types=types, enable_categorical=True)


def write(directory, name, task, names, columns, labels, **more):
    cells = {key: [None if pd.isna(cell) else cell for cell in list(columns[key])] for key in names}
    text = {
        "schema": {
            "task": task,
            "features": [{"name": key, "kind": KINDS[key]} for key in names],
            "classes": CLASSES[task],
        },
        "columns": {key: [getattr(cell, "item", lambda: cell)() for cell in cells[key]] for key in names},
        "labels": labels.tolist(),
        **more,
    }
    (directory / f"{name}.case.json").write_text(json.dumps(text))


def theirs(directory, name, task, names, missing, settings=None, rounds=40, stop=False, end="ubj", frame=False, native=True):
    """Trained by Python: as codes, or as a frame whose categories pandas knows."""
    columns, labels = table(missing)
    parameters = {"objective": OBJECTIVES[task], "max_depth": 4, "eta": 0.3, "seed": 3, "nthread": 1, **(settings or {})}
    if parameters["objective"].startswith("multi:"):
        parameters["num_class"] = 3
    if frame:
        data = pd.DataFrame({key: columns[key] for key in names})
        data["colour"] = pd.Categorical(data["colour"], categories=COLOURS)
        data = xgb.DMatrix(data, labels[task], enable_categorical=True)
    else:
        data = matrix(columns, names, {"colour": COLOURS}, native, labels[task])
    cut = ROWS - STOPPING
    train, stopping = data.slice(range(cut)), data.slice(range(cut, ROWS))
    watched = {"evals": [(stopping, "stopping")], "early_stopping_rounds": 3} if stop else {}
    booster = xgb.train(parameters, train, 300 if stop else rounds, verbose_eval=False, **watched)
    best = booster.best_iteration if stop else None
    if stop and not best + 1 < booster.num_boosted_rounds() < 300:
        raise SystemExit(f"{name}: early stopping did not stop: {best}")
    used = (0, best + 1) if stop else (0, 0)
    booster.save_model(directory / f"{name}.{end}")
    foreign = {"file": f"{name}.{end}", "format": {"ubj": "xgboost-ubj", "json": "xgboost-json"}[end]}
    if "colour" in names:
        foreign["categories"] = {"colour": COLOURS}
    # And out again in the other format, so that Python may read it back.
    other, format = (("json", "xgboost-json") if end == "ubj" else ("ubj", "xgboost-ubj"))
    expected = booster.predict(data, iteration_range=used).astype(float).ravel().tolist()
    back = {f"{name}.back.{other}": format}
    write(directory, name, task, names, columns, labels[task], foreign={**foreign, "best_iteration": best},
          expected=expected, exports=back, native=native)


def ours(directory, name, task, names, missing, native, stop, recipe=None):
    columns, labels = table(missing)
    kind = {"kind": "boosted-trees", "params": {"max_depth": 4, "eta": 0.3}, "rounds": 300 if stop else 40,
            "early_stopping": 5 if stop else 0, "categories": "native" if native else "codes"}
    exports = {f"{name}.exported.ubj": "xgboost-ubj", f"{name}.exported.json": "xgboost-json"}
    write(directory, name, task, names, columns, labels[task], recipe={"engine": recipe or kind, "seed": 5},
          exports=exports, stopping=STOPPING if stop else 0, native=native)


def make(directory):
    mixed, numeric = ["x", "colour", "noise", "flag"], ["x", "noise", "flag"]
    for task in OBJECTIVES:
        for names, kind in [(numeric, "numeric"), (mixed, "native")]:
            for missing in (False, True):
                for stop in (False, True):
                    name = "-".join(["theirs", task, kind, *["holes"] * missing, *["stopped"] * stop])
                    end = "json" if stop == missing else "ubj"
                    theirs(directory, name, task, names, missing, stop=stop, end=end)
        theirs(directory, f"theirs-{task}-codes", task, mixed, True, native=False)
        theirs(directory, f"theirs-{task}-frame", task, mixed, True, frame=True, stop=True)
        theirs(directory, f"theirs-{task}-onehot", task, mixed, True, {"max_cat_to_onehot": 8}, end="json")
        forest = {"num_parallel_tree": 20, "eta": 1.0, "subsample": 0.7, "colsample_bynode": 0.7}
        theirs(directory, f"theirs-{task}-forest", task, mixed, True, forest, rounds=1)
        theirs(directory, f"theirs-{task}-deep", task, mixed, True,
               {"max_depth": 0, "max_leaves": 40, "grow_policy": "lossguide", "base_score": 0.3}, end="json")
        for native in (True, False):
            for missing in (False, True):
                for stop in (False, True):
                    kind = "native" if native else "codes"
                    name = "-".join(["ours", task, kind, *["holes"] * missing, *["stopped"] * stop])
                    ours(directory, name, task, mixed, missing, native, stop)
        ours(directory, f"ours-{task}-numeric", task, numeric, True, False, True)
        # Leaves of a forest are divided by the number of trees: XGBoost adds them up. Trees are deep, and below its
        # first levels XGBoost takes the child after the left one for the right one.
        for native in (True, False):
            categories = "native" if native else "codes"
            forest = {"kind": "forest", "trees": 25, "categories": categories}
            ours(directory, f"ours-{task}-forest-{categories}", task, mixed, True, native, False, forest)
        deep = {"kind": "boosted-trees", "params": {"max_depth": 12, "eta": 0.3}, "rounds": 10, "categories": "native"}
        ours(directory, f"ours-{task}-deep", task, mixed, True, True, False, {**deep, "early_stopping": 0})
    for objective in ("reg:pseudohubererror", "count:poisson", "reg:gamma", "reg:tweedie", "reg:absoluteerror"):
        name = "theirs-" + objective.replace(":", "-")
        theirs(directory, name, "regression", mixed, True, {"objective": objective})
    theirs(directory, "theirs-reg-logistic", "binary", mixed, True, {"objective": "reg:logistic"})


def system(directory):
    """Trained by the library itself, here through Python and there through its C interface: the same trees."""
    names = ["x", "colour", "noise", "flag"]
    columns, all_labels = table(True)
    for task in OBJECTIVES:
        for native in (True, False):
            for stop in (False, True):
                name = "-".join(["system", task, "native" if native else "codes", *["stopped"] * stop])
                settings = {"max_depth": 4, "eta": 0.3, "max_bin": 64}
                parameters = {**settings, "objective": OBJECTIVES[task], "tree_method": "hist", "seed": 5, "nthread": 1}
                parameters |= {"num_class": 3} if task == "multiclass" else {}
                labels = all_labels[task]
                data = matrix(columns, names, {"colour": COLOURS}, native, labels)
                cut = ROWS - STOPPING if stop else ROWS
                watched = {"evals": [(data.slice(range(cut, ROWS)), "stopping")], "early_stopping_rounds": 5} if stop else {}
                booster = xgb.train(parameters, data.slice(range(cut)), 300 if stop else 40, verbose_eval=False, **watched)
                used = (0, booster.best_iteration + 1) if stop else (0, 0)
                recipe = {"kind": "boosted-trees", "library": "system", "params": settings, "rounds": 300 if stop else 40,
                          "early_stopping": 5 if stop else 0, "categories": "native" if native else "codes"}
                write(directory, name, task, names, columns, labels, recipe={"engine": recipe, "seed": 5},
                      exports={f"{name}.exported.ubj": "xgboost-ubj"}, stopping=STOPPING if stop else 0, native=native,
                      expected=booster.predict(data, iteration_range=used).astype(float).ravel().tolist())


def golden(directory):
    mixed, numeric, small = ["x", "colour", "noise", "flag"], ["x", "noise", "flag"], {"max_depth": 2}
    for task in OBJECTIVES:
        theirs(directory, f"theirs-{task}-numeric", task, numeric, False, small, rounds=4, end="json")
    forest = {"max_depth": 3, "num_parallel_tree": 4, "eta": 1.0, "subsample": 0.7}
    theirs(directory, "theirs-binary-forest", "binary", mixed, True, forest, rounds=1)
    theirs(directory, "theirs-multiclass-frame", "multiclass", mixed, True, small, rounds=3, frame=True)
    theirs(directory, "theirs-regression-onehot", "regression", mixed, True, {"max_cat_to_onehot": 8}, rounds=3)
    for task, native in [("binary", True), ("multiclass", False), ("regression", True)]:
        kind = {"kind": "boosted-trees", "params": {"max_depth": 2, "eta": 0.8}, "rounds": 60,
                "early_stopping": 2, "categories": "native" if native else "codes"}
        ours(directory, f"ours-{task}", task, mixed, True, native, True, kind)


def complete(directory):
    for path in sorted(directory.glob("ours-*.case.json")):
        case = json.loads(path.read_text())
        booster, data = read_back(case, path, f"{path.name.split('.')[0]}.exported.json")
        case["expected"] = booster.predict(data).astype(float).ravel().tolist()
        path.write_text(json.dumps(case))


def read_back(case, path, file):
    """A model that Afresh wrote, and the rows as it encodes them."""
    result = json.loads(path.with_suffix(".result.json").read_text())
    names = [feature["name"] for feature in case["schema"]["features"]]
    categories = {coded["name"]: coded.get("names") for coded in result["encodings"]}
    columns = {key: [np.nan if cell is None else cell for cell in cells] for key, cells in case["columns"].items()}
    return xgb.Booster(model_file=path.parent / file), matrix(columns, names, categories, case["native"])


def check(directory):
    """Python reads what Afresh wrote."""
    read, wrong = 0, []
    for path in sorted(directory.glob("*.case.json")):
        case = json.loads(path.read_text())
        result = json.loads(path.with_suffix(".result.json").read_text())
        if "error" in result:
            wrong.append(f"{path.stem}: {result['error']}")
            continue
        expected = np.array(result["predictions"])
        for file in case["exports"]:
            booster, data = read_back(case, path, file)
            found = booster.predict(data).astype(float).ravel()
            off = np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1.0))
            if booster.num_boosted_rounds() != result["rounds"]:
                wrong.append(f"{file} has {booster.num_boosted_rounds()} rounds, not {result['rounds']}")
            if len(found) != len(expected) or not off <= TOLERANCE:
                wrong.append(f"{file}: Python predicts other numbers, {off:.1e} off")
            read += 1
    if wrong or read == 0:
        raise SystemExit("\n".join(wrong) or "there was nothing to read")
    print(f"{read} files read by XGBoost {xgb.__version__}")


{"make": make, "system": system, "check": check, "golden": golden, "complete": complete}[sys.argv[1]](Path(sys.argv[2]))
