"""scikit-learn on the same files: `sklearn_train.py MODEL TRAIN TEST PREDICTIONS`, with MODEL one of `forest`,
`forest-same` (our depth and leaf size) and `lbfgs TOLERANCE`. Prints the CPU seconds of fitting, which includes what a
model needs to take the rows: codes for a forest, scaled numbers and one column a category for a regression."""
import json
import sys
import time

import pandas
import sklearn.compose
import sklearn.ensemble
import sklearn.impute
import sklearn.linear_model
import sklearn.pipeline
import sklearn.preprocessing as prepare

model, train, test, out = sys.argv[1:5]
train, test = pandas.read_parquet(train), pandas.read_parquet(test)
names = [name for name in train.columns if name not in ("label", "event_time")]
texts = [name for name in names if not pandas.api.types.is_numeric_dtype(train[name])]
numbers = [name for name in names if name not in texts]
for rows in (train, test):
    rows[texts] = rows[texts].astype(object)
if model.startswith("forest"):
    same = {"max_depth": 16, "min_samples_leaf": 5} if model == "forest-same" else {}
    codes = prepare.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    taken = sklearn.compose.ColumnTransformer([("texts", codes, texts)], remainder="passthrough") if texts else None
    last = sklearn.ensemble.RandomForestClassifier(100, n_jobs=1, random_state=1, **same)
else:
    scaled = sklearn.pipeline.make_pipeline(sklearn.impute.SimpleImputer(add_indicator=True), prepare.StandardScaler())
    columns = prepare.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10, max_categories=101)
    taken = sklearn.compose.ColumnTransformer([("numbers", scaled, numbers), ("texts", columns, texts)])
    # Our penalty, 1e-4 a row.
    last = sklearn.linear_model.LogisticRegression(
        C=1 / (1e-4 * len(train)), solver="lbfgs", tol=float(model.split()[1]), max_iter=1000)
started = time.process_time()
fitted = sklearn.pipeline.make_pipeline(taken, last) if taken else last
fitted.fit(train[names], train["label"])
trained = time.process_time()
found = fitted.predict_proba(test[names])[:, 1]
scored = time.process_time()
pandas.DataFrame({"label": test["label"], "prediction": found}).to_csv(out, index=False)
print(json.dumps({"fit": trained - started, "predict": scored - trained}))
