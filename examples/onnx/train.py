"""Trains a pipeline of scikit-learn and leaves it as ONNX: Afresh scores that without Python."""

import json
import os

import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

spec = json.load(open(os.environ["AFRESH_SPEC"]))
rows = pd.read_parquet(os.environ["AFRESH_TRAIN"])
names = [f["name"] for f in spec["features"] if f["kind"] == "categorical"]
numbers = [f["name"] for f in spec["features"] if f["kind"] != "categorical"]
# What Afresh passes to the model for missing values: NaN, and the empty text.
rows[names] = rows[names].astype(object).fillna("")
rows[numbers] = rows[numbers].astype("float32")

scaled = make_pipeline(SimpleImputer(), StandardScaler())
columns = ColumnTransformer([("scaled", scaled, numbers), ("hot", OneHotEncoder(handle_unknown="ignore", min_frequency=50), names)])
model = make_pipeline(columns, LogisticRegression(max_iter=200, **spec["parameters"]))
model.fit(rows[numbers + names], rows["label"], logisticregression__sample_weight=rows["weight"])

inputs = [(n, FloatTensorType([None, 1])) for n in numbers] + [(n, StringTensorType([None, 1])) for n in names]
onnx = to_onnx(model, initial_types=inputs, options={id(model): {"zipmap": False}})
with open(os.path.join(os.environ["AFRESH_OUT"], "model.onnx"), "wb") as file:
    file.write(onnx.SerializeToString())
