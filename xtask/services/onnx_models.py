"""Trains models with scikit-learn, LightGBM and XGBoost, exports them to ONNX, and writes down what
they predict in Python: `onnx_models.py DIRECTORY` leaves a case and its model for each."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

OUT = Path(sys.argv[1])
NUMBERS, COLOURS, ROWS = ["x", "y", "z"], ["blue", "green", "red"], 6_000
CLASSES = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"], "regression": []}
random = np.random.default_rng(7)

values = random.normal(size=(ROWS, 3)).astype(np.float32)
colour = random.integers(0, 3, ROWS)
score = values[:, 0] - values[:, 1] * values[:, 2] + (colour == 2) + random.normal(size=ROWS) / 4
LABELS = {
    "binary": (score > 0).astype(int),
    "multiclass": np.digitize(score, [-0.5, 0.8]),
    "regression": score,
}
holes = values.copy()
holes[random.random(values.shape) < 0.1] = np.nan
numeric = [{"name": name, "kind": "numeric"} for name in NUMBERS]
categorical = [{"name": "colour", "kind": "categorical"}]


def case(name, task, model, rows, expected=None, features=numeric, error=None, **more):
    """Writes a case; `rows` is a frame with a column a feature."""
    (OUT / f"{name}.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    named = {"colour": COLOURS} if "colour" in rows else {}
    columns = {key: [None if pd.isna(cell) else cell for cell in rows[key].tolist()] for key in rows}
    text = {
        "schema": {"task": task, "features": features, "classes": CLASSES[task]},
        "foreign": {"file": f"{name}.onnx", "format": "onnx", "categories": named},
        "columns": columns,
        "labels": [float(label) for label in LABELS[task][: len(rows)]],
        "expected": None if expected is None else np.asarray(expected, float).ravel().tolist(),
        "error": error,
        "tries": 2_000 if expected is not None else 0,
        **more,
    }
    (OUT / f"{name}.case.json").write_text(json.dumps(text))


def outcome(task, model, rows):
    if task == "regression":
        return model.predict(rows)
    shares = model.predict_proba(rows)
    return shares[:, 1] if task == "binary" else shares


def frame(array):
    return pd.DataFrame(array.astype(float), columns=NUMBERS)


wide = [("float_input", FloatTensorType([None, 3]))]
dense = {"zipmap": False}
for name, task, model in [
    ("logistic", "binary", make_pipeline(StandardScaler(), LogisticRegression())),
    ("logistic_classes", "multiclass", make_pipeline(StandardScaler(), LogisticRegression())),
    ("forest", "binary", RandomForestClassifier(50, random_state=1)),
    ("forest_classes", "multiclass", RandomForestClassifier(50, random_state=1)),
    ("boosting", "binary", GradientBoostingClassifier(random_state=1)),
    ("boosting_classes", "multiclass", GradientBoostingClassifier(n_estimators=40, random_state=1)),
    ("linear", "regression", make_pipeline(StandardScaler(), LinearRegression())),
    ("forest_value", "regression", RandomForestRegressor(50, random_state=1)),
    ("boosting_value", "regression", GradientBoostingRegressor(random_state=1)),
]:
    model.fit(values, LABELS[task])
    options = {} if task == "regression" else {id(model): dense}
    exported = to_onnx(model, initial_types=wide, options=options)
    case(name, task, exported, frame(values), outcome(task, model, values))
    if name in ("logistic", "logistic_classes"):
        # As exported by default: a map a row, from the number of the class.
        exported = to_onnx(model, initial_types=wide)
        case(f"{name}_maps", task, exported, frame(values), outcome(task, model, values))
        doubles = [("input", DoubleTensorType([None, 3]))]
        exported = to_onnx(model, initial_types=doubles, options=options)
        exact = outcome(task, model, values.astype(float))
        case(f"{name}_doubles", task, exported, frame(values), exact, recipe={"engine": {"kind": "constant"}, "threads": 2})

# Maps from names, of a model that was trained on the names of the classes.
model = LogisticRegression().fit(values, np.array(CLASSES["multiclass"])[LABELS["multiclass"]])
case("names_maps", "multiclass", to_onnx(model, initial_types=wide), frame(values), model.predict_proba(values))

# Missing values as NaN, within and without an imputer.
model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
model.fit(holes, LABELS["binary"])
exported = to_onnx(model, initial_types=wide, options={id(model): dense})
case("imputed", "binary", exported, frame(holes), outcome("binary", model, holes))
for name, task, model in [
    ("lightgbm", "binary", LGBMClassifier(n_estimators=40, verbose=-1)),
    ("lightgbm_classes", "multiclass", LGBMClassifier(n_estimators=40, verbose=-1)),
    ("lightgbm_value", "regression", LGBMRegressor(n_estimators=40, verbose=-1)),
]:
    model.fit(holes, LABELS[task])
    options = {} if task == "regression" else {"zipmap": False}
    exported = convert_lightgbm(model, initial_types=[("input", ToolsFloat([None, 3]))], **options)
    case(name, task, exported, frame(holes), outcome(task, model, holes))
model = XGBClassifier(n_estimators=40).fit(holes, LABELS["binary"])
exported = convert_xgboost(model, initial_types=[("input", ToolsFloat([None, 3]))])
case("xgboost", "binary", exported, frame(holes), outcome("binary", model, holes))

# One input a feature: numbers as floats and whole numbers, categories as texts.
table = pd.DataFrame(values, columns=NUMBERS)
table["z"] = np.round(values[:, 2] * 10).astype(np.int64)
table["colour"] = np.array(COLOURS)[colour]
encoder = ColumnTransformer(
    [("numbers", StandardScaler(), NUMBERS), ("names", OneHotEncoder(handle_unknown="ignore"), ["colour"])]
)
model = make_pipeline(encoder, LogisticRegression())
model.fit(table, LABELS["binary"])
types = [
    ("x", FloatTensorType([None, 1])),
    ("y", FloatTensorType([None, 1])),
    ("z", Int64TensorType([None, 1])),
    ("colour", StringTensorType([None, 1])),
]
exported = to_onnx(model, initial_types=types, options={id(model): dense})
later = table.copy()
# A colour that training never saw is passed on as it is.
later.loc[::50, "colour"] = "violet"
case("columns", "binary", exported, later, outcome("binary", model, later), features=numeric + categorical)
later = table.astype({"z": float})
later.loc[3, "z"] = 0.5
told = "input `z` takes a whole number, row 3 has 0.5: export the input as `FloatTensorType`"
case("columns_broken", "binary", exported, later, features=numeric + categorical, error=told)

# Categories as codes in a tensor of floats, missing ones as NaN.
codes = np.column_stack([values, colour.astype(np.float32)])
codes[::40, 3] = np.nan
model = LGBMClassifier(n_estimators=40, verbose=-1).fit(codes, LABELS["binary"])
exported = convert_lightgbm(model, initial_types=[("input", ToolsFloat([None, 4]))], zipmap=False)
coded = pd.DataFrame(values.astype(float), columns=NUMBERS)
coded["colour"] = [None if np.isnan(code) else COLOURS[int(code)] for code in codes[:, 3]]
case("codes", "binary", exported, coded, outcome("binary", model, codes), features=numeric + categorical)

# What cannot be used, with what is said of it.
model = LogisticRegression().fit(values, LABELS["binary"])
good = to_onnx(model, initial_types=wide, options={id(model): dense})
few = frame(values[:50])
narrow = LogisticRegression().fit(values[:, :2], LABELS["binary"])
narrow = to_onnx(narrow, initial_types=[("float_input", FloatTensorType([None, 2]))])
case("bad_width", "binary", narrow, few, error="`float_input` (float [any, 2]) takes 2 features, the schema has 3: `x`, `y`, `z`")
renamed = make_pipeline(ColumnTransformer([("all", StandardScaler(), list("pqr"))]), LogisticRegression())
renamed.fit(pd.DataFrame(values, columns=list("pqr")), LABELS["binary"])
renamed = to_onnx(renamed, initial_types=[(name, FloatTensorType([None, 1])) for name in "pqr"])
case("bad_names", "binary", renamed, few, error="its input `p` is not a feature; the schema has `x`, `y`, `z`")
case("bad_task", "regression", good, few, error="predicts 2 numbers, not 1")
case("bad_classes", "multiclass", good, few, error="has probabilities of 2 classes, the schema has 3: a, b, c")
model = LinearRegression().fit(values, LABELS["regression"] * 10)
case("bad_scores", "binary", to_onnx(model, initial_types=wide), few, error="which is no probability: export the output of `predict_proba`")
model = LogisticRegression().fit(values, LABELS["binary"])
scores = to_onnx(model, initial_types=wide, options={id(model): {"zipmap": False, "raw_scores": True}})
case("bad_raw", "binary", scores, few, error="for row ")
case("bad_file", "binary", b"this is no model", few, error="ONNX Runtime refuses it: ")
case("bad_cut", "binary", good.SerializeToString()[:200], few, error="ONNX Runtime refuses it: ")
case("bad_empty", "binary", b"", few, error="ONNX Runtime refuses it: ")
whole = good.SerializeToString().replace(b"LinearClassifier", b"LinearClassifies")
case("bad_operator", "binary", whole, few, error="LinearClassifies")
