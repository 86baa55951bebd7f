//! XGBoost's files with every right child just after its left one, as XGBoost itself numbers them.
//!
//! The crate behind boosted trees keeps a set of categories left, XGBoost right, and the file that it writes swaps the
//! two children, not their numbers. XGBoost goes below its first levels by `left + 1`, and would end in the wrong leaf.

use hessboost::model::{BoostedModel, ModelFormat};
use serde_json::Value;

/// Columns of a tree with so many values a node.
const COLUMNS: [&str; 10] = [
    "base_weights",
    "default_left",
    "left_children",
    "loss_changes",
    "parents",
    "right_children",
    "split_conditions",
    "split_indices",
    "split_type",
    "sum_hessian",
];

/// The model in `format`.
pub(crate) fn encode(model: &BoostedModel, format: ModelFormat) -> Result<Vec<u8>, String> {
    let bytes = model.encode(ModelFormat::XgboostJson).map_err(|error| error.to_string())?;
    let mut document: Value = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    let trees = document.pointer_mut("/learner/gradient_booster/model/trees");
    for tree in trees.and_then(Value::as_array_mut).into_iter().flatten() {
        order(tree).ok_or("a tree has no columns of nodes")?;
    }
    let bytes = serde_json::to_vec(&document).map_err(|error| error.to_string())?;
    if format == ModelFormat::XgboostJson {
        return Ok(bytes);
    }
    let model = BoostedModel::decode(&bytes, ModelFormat::XgboostJson);
    model.and_then(|model| model.encode(format)).map_err(|error| error.to_string())
}

/// Exchanges the numbers of children that stand the wrong way round; nothing for what is no tree.
fn order(tree: &mut Value) -> Option<()> {
    let numbers = |tree: &Value, name: &str| -> Option<Vec<i64>> {
        tree[name].as_array()?.iter().map(Value::as_i64).collect()
    };
    let (left, right) = (numbers(tree, "left_children")?, numbers(tree, "right_children")?);
    let mut places = (0..i64::try_from(left.len()).ok()?).collect::<Vec<_>>();
    for (left, right) in left.iter().zip(&right) {
        if *left > 0 && left - 1 == *right {
            places.swap(usize::try_from(*left).ok()?, usize::try_from(*right).ok()?);
        }
    }
    let place = |node: i64| usize::try_from(node).ok().and_then(|at| places.get(at).copied());
    for name in COLUMNS {
        let old = tree[name].as_array()?.clone();
        let width = old.len() / places.len().max(1);
        let new = tree[name].as_array_mut()?;
        for (cells, place) in old.chunks(width.max(1)).zip(&places) {
            let start = usize::try_from(*place).ok()? * width;
            new.get_mut(start..start + width)?.clone_from_slice(cells);
        }
    }
    let leaf = numbers(tree, "left_children")?.iter().map(|left| *left < 0).collect::<Vec<_>>();
    for name in ["left_children", "right_children", "parents"] {
        for (cell, leaf) in tree[name].as_array_mut()?.iter_mut().zip(&leaf) {
            // The second child of a leaf is something else, and the root's parent nobody.
            if name == "parents" || !leaf {
                *cell = place(cell.as_i64()?).map_or_else(|| cell.clone(), Value::from);
            }
        }
    }
    let names = ["categories_nodes", "categories_segments", "categories_sizes"];
    let [nodes, segments, sizes] = names.map(|name| numbers(tree, name));
    let mut sets = Vec::new();
    for ((node, segment), size) in nodes?.into_iter().zip(segments?).zip(sizes?) {
        sets.push([place(node)?, segment, size]);
    }
    sets.sort_unstable();
    for (at, name) in names.into_iter().enumerate() {
        tree[name] = sets.iter().map(|set| set[at]).collect();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use afresh_data::rows::Rows;
    use afresh_data::schema::Task;
    use tempfile::TempDir;

    use super::*;
    use crate::engine_tests::{job, train};
    use crate::exchange::export;
    use crate::learner::Format;
    use crate::recipe::{Categories, Engine, Forest, Recipe};
    use crate::testing::example;

    #[test]
    fn a_right_child_follows_its_left_one_in_every_tree() {
        for task in [Task::Binary, Task::Multiclass, Task::Regression] {
            let dir = TempDir::new().unwrap();
            let (schema, rows) = example(task, 900);
            let categories = Categories::Native;
            let recipe =
                Recipe::new(Engine::Forest(Forest { trees: 5, categories, ..Forest::default() }));
            let artifact = train(&job(&dir, "a", recipe, &schema), rows, Rows::default()).unwrap();
            let file = export(&artifact, Format::XgboostJson).unwrap();
            let model: Value = serde_json::from_slice(&file).unwrap();
            let trees = model.pointer("/learner/gradient_booster/model/trees").unwrap();
            let mut sets = 0;
            for tree in trees.as_array().unwrap() {
                let column = |name: &str| tree[name].as_array().unwrap().clone();
                let children = column("left_children").into_iter().zip(column("right_children"));
                for (left, right) in children.filter(|(left, _)| left.as_i64() > Some(0)) {
                    assert_eq!(left.as_i64().unwrap() + 1, right.as_i64().unwrap());
                }
                sets += column("categories_nodes").len();
            }
            assert!(sets > 0, "{task:?} split no category");
        }
    }
}
