//! What a model in ONNX takes and gives, held against the schema before anything is scored.

use std::fmt;

use afresh_data::schema::{Kind, Schema, Task};
use ort::value::{TensorElementType, ValueType};

/// An input or an output of a model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) form: Form,
}

/// What passes through a port.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// Lengths by dimension; nothing where any length will do.
    Tensor { element: Element, lengths: Vec<Option<i64>> },
    /// One map a row, from classes to probabilities.
    Maps { key: Element },
    /// Anything else, as ONNX Runtime calls it.
    Other(String),
}

/// One value in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Double,
    Int32,
    Int64,
    Bool,
    Text,
    /// A type that tabular models have no use for.
    Other,
}

/// How rows become inputs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Inputs {
    /// One tensor, a row of it for a row, its columns in the order of the features.
    Matrix { name: String, element: Element },
    /// One tensor for each feature that the model looks at.
    Columns(Vec<Input>),
}

/// An input for one feature.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Input {
    /// Name of the input and of the feature.
    pub(super) name: String,
    /// Position of the feature.
    pub(super) feature: usize,
    pub(super) element: Element,
    /// `[rows]` instead of `[rows, 1]`.
    pub(super) flat: bool,
}

/// Which output holds the predictions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) kind: OutputKind,
}

/// How predictions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputKind {
    Floats,
    Doubles,
    /// A map a row, from the number of the class.
    MapsByNumber,
    /// A map a row, from the name of the class.
    MapsByName,
}

/// Rows that a model takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    Any,
    One,
}

/// What is written in Python to export a model that can be scored here.
const EXPORT: &str = "export it with one `FloatTensorType([None, FEATURES])` or one input per \
                      feature";

impl Inputs {
    /// Reads the inputs of a model for the rows of `schema`.
    pub(super) fn of(ports: &[Port], schema: &Schema) -> Result<(Inputs, Batch), String> {
        let batch = batch(ports)?;
        let [port] = ports else { return Ok((columns(ports, schema)?, batch)) };
        let features = schema.features.len();
        let Form::Tensor { element, lengths } = &port.form else {
            return Err(format!("its {port} is no tensor: {EXPORT}"));
        };
        let named = schema.features.iter().any(|feature| feature.name == port.name);
        let width = match lengths.as_slice() {
            [_, width] => *width,
            _ if named => return Ok((columns(ports, schema)?, batch)),
            _ => return Err(format!("its {port} is no table of rows and features: {EXPORT}")),
        };
        let fits = width.is_none_or(|width| usize::try_from(width) == Ok(features));
        // One feature under its own name: its type says more than the shape.
        if named && (!fits || features == 1) {
            return Ok((columns(ports, schema)?, batch));
        }
        if !fits {
            return Err(format!(
                "its {port} takes {} features, the schema has {features}: {}",
                width.unwrap_or_default(),
                names(schema)
            ));
        }
        if !matches!(element, Element::Float | Element::Double) {
            return Err(format!("its {port} takes {element}, not float or double: {EXPORT}"));
        }
        Ok((Inputs::Matrix { name: port.name.clone(), element: *element }, batch))
    }
}

impl Output {
    /// Finds the predictions that `schema` asks for among the outputs of a model.
    pub(super) fn of(ports: &[Port], schema: &Schema) -> Result<Output, String> {
        let found = ports.iter().filter_map(|port| {
            let kind = match &port.form {
                Form::Tensor { element: Element::Float, .. } => OutputKind::Floats,
                Form::Tensor { element: Element::Double, .. } => OutputKind::Doubles,
                Form::Maps { key: Element::Int64 } => OutputKind::MapsByNumber,
                Form::Maps { key: Element::Text } => OutputKind::MapsByName,
                // Labels, most likely.
                Form::Tensor { .. } | Form::Maps { .. } | Form::Other(_) => return None,
            };
            Some((port, kind))
        });
        let found = found.collect::<Vec<_>>();
        let likely = |(port, _): &&(&Port, OutputKind)| port.name.to_lowercase().contains("prob");
        let likely = found.iter().filter(likely).collect::<Vec<_>>();
        let (port, kind) = match (found.as_slice(), likely.as_slice()) {
            ([one], _) => *one,
            (_, [one]) if schema.task != Task::Regression => **one,
            _ => {
                let all = ports.iter().map(Port::to_string).collect::<Vec<_>>().join(", ");
                let expected = match schema.task {
                    Task::Regression => "one output of type float, the prediction",
                    Task::Binary | Task::Multiclass => {
                        "one output of type float called `probabilities`"
                    }
                };
                return Err(format!("it must have {expected}; its outputs are {all}"));
            }
        };
        if let Form::Tensor { lengths, .. } = &port.form {
            check_width(port, lengths, schema)?;
        } else if schema.task == Task::Regression {
            return Err(format!("its {port} gives probabilities, but the task is a regression"));
        }
        Ok(Output { name: port.name.clone(), kind })
    }
}

impl Port {
    pub(super) fn of(name: &str, dtype: &ValueType) -> Port {
        let form = match dtype {
            ValueType::Tensor { ty, shape, .. } => Form::Tensor {
                element: Element::of(*ty),
                lengths: shape.iter().map(|length| (*length >= 0).then_some(*length)).collect(),
            },
            ValueType::Sequence(inner) => {
                if let ValueType::Map { key, value: TensorElementType::Float32 } = inner.as_ref() {
                    Form::Maps { key: Element::of(*key) }
                } else {
                    Form::Other(dtype.to_string())
                }
            }
            ValueType::Map { .. } | ValueType::Optional(_) => Form::Other(dtype.to_string()),
        };
        Port { name: name.to_owned(), form }
    }
}

impl Element {
    #[expect(clippy::wildcard_enum_match_arm, reason = "another crate's enum; none is of use")]
    fn of(element: TensorElementType) -> Element {
        match element {
            TensorElementType::Float32 => Element::Float,
            TensorElementType::Float64 => Element::Double,
            TensorElementType::Int32 => Element::Int32,
            TensorElementType::Int64 => Element::Int64,
            TensorElementType::Bool => Element::Bool,
            TensorElementType::String => Element::Text,
            _ => Element::Other,
        }
    }
}

impl fmt::Display for Port {
    /// `` `float_input` (float [rows, 4]) ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (", self.name)?;
        match &self.form {
            Form::Tensor { element, lengths } => {
                let length = |length: &Option<i64>| {
                    length.map_or_else(|| "any".to_owned(), |length| length.to_string())
                };
                let lengths = lengths.iter().map(length).collect::<Vec<_>>();
                write!(f, "{element} [{}])", lengths.join(", "))
            }
            Form::Maps { key } => write!(f, "maps from {key})"),
            Form::Other(name) => write!(f, "{name})"),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Element::Float => "float",
            Element::Double => "double",
            Element::Int32 => "int32",
            Element::Int64 => "int64",
            Element::Bool => "bool",
            Element::Text => "string",
            Element::Other => "another type",
        })
    }
}

/// How many rows at once the first dimension of all inputs allows.
fn batch(ports: &[Port]) -> Result<Batch, String> {
    let mut batch = Batch::Any;
    for port in ports {
        let Form::Tensor { lengths, .. } = &port.form else { continue };
        match lengths.first() {
            Some(Some(1)) => batch = Batch::One,
            Some(Some(rows)) => {
                return Err(format!(
                    "its {port} takes exactly {rows} rows: export it with any number of rows"
                ));
            }
            Some(None) | None => {}
        }
    }
    Ok(batch)
}

/// One input for each feature, by name.
fn columns(ports: &[Port], schema: &Schema) -> Result<Inputs, String> {
    if ports.is_empty() {
        return Err(format!("it takes no input: {EXPORT}"));
    }
    let mut inputs = Vec::with_capacity(ports.len());
    for port in ports {
        let features = schema.features.iter().enumerate();
        let Some((at, feature)) = features.clone().find(|(_, feature)| feature.name == port.name)
        else {
            return Err(format!(
                "its input `{}` is not a feature; the schema has {}: {EXPORT}",
                port.name,
                names(schema)
            ));
        };
        let Form::Tensor { element, lengths } = &port.form else {
            return Err(format!("its {port} is no tensor: {EXPORT}"));
        };
        let flat = match lengths.as_slice() {
            [_] => true,
            [_, None | Some(1)] => false,
            _ => return Err(format!("its {port} takes more than the feature of that name")),
        };
        let fits = match element {
            Element::Float | Element::Double | Element::Int32 | Element::Int64 => true,
            Element::Bool => feature.kind == Kind::Boolean,
            Element::Text => feature.kind == Kind::Categorical,
            Element::Other => false,
        };
        if !fits {
            let expected = match feature.kind {
                Kind::Numeric => "float, double or int64",
                Kind::Boolean => "bool, float or int64",
                Kind::Categorical => "string, float or int64",
            };
            return Err(format!("its {port} must be {expected}: the feature is {}", feature.kind));
        }
        let name = port.name.clone();
        inputs.push(Input { name, feature: at, element: *element, flat });
    }
    Ok(Inputs::Columns(inputs))
}

/// Refuses an output with another number of columns than the task has outputs.
fn check_width(port: &Port, lengths: &[Option<i64>], schema: &Schema) -> Result<(), String> {
    let classes = schema.classes.len();
    let (width, expected) = match (lengths, schema.task) {
        ([_], Task::Binary | Task::Regression) | ([_, None], _) => return Ok(()),
        ([_, Some(width)], task) => (usize::try_from(*width).unwrap_or_default(), task),
        _ => {
            return Err(format!("its {port} is no table of rows and predictions"));
        }
    };
    let fits = match expected {
        Task::Binary => width == 1 || width == 2,
        Task::Multiclass => width == classes,
        Task::Regression => width == 1,
    };
    if fits { Ok(()) } else { Err(wrong_width(&port.to_string(), width, schema)) }
}

/// Says that an output predicts another number of numbers than the task has.
pub(super) fn wrong_width(output: &str, width: usize, schema: &Schema) -> String {
    match schema.task {
        Task::Regression => format!("its {output} predicts {width} numbers, not 1"),
        Task::Binary | Task::Multiclass => format!(
            "its {output} has probabilities of {width} classes, the schema has {}: {}; was it \
             trained on the class numbers of `label`, and on rows of every class?",
            schema.classes.len(),
            schema.classes.join(", ")
        ),
    }
}

/// The features by name, the first of many.
fn names(schema: &Schema) -> String {
    const SHOWN_MAX: usize = 12;
    let names = schema.features.iter().map(|feature| format!("`{}`", feature.name));
    let shown = names.take(SHOWN_MAX).collect::<Vec<_>>().join(", ");
    match schema.features.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn tensor(name: &str, element: Element, lengths: &[i64]) -> Port {
        let lengths = lengths.iter().map(|length| (*length >= 0).then_some(*length)).collect();
        Port { name: name.to_owned(), form: Form::Tensor { element, lengths } }
    }

    fn mixed(task: Task) -> Schema {
        let features =
            [("x", Kind::Numeric), ("colour", Kind::Categorical), ("flag", Kind::Boolean)];
        testing::schema(task, &features)
    }

    #[test]
    fn one_tensor_holds_all_features_and_several_hold_one_each() {
        let schema = mixed(Task::Binary);
        let wide = tensor("float_input", Element::Float, &[-1, 3]);
        let (inputs, batch) = Inputs::of(&[wide], &schema).unwrap();
        let expected = Inputs::Matrix { name: "float_input".to_owned(), element: Element::Float };
        assert_eq!((inputs, batch), (expected, Batch::Any));
        let wide = tensor("input", Element::Double, &[1, -1]);
        let (inputs, batch) = Inputs::of(&[wide], &schema).unwrap();
        let expected = Inputs::Matrix { name: "input".to_owned(), element: Element::Double };
        assert_eq!((inputs, batch), (expected, Batch::One));

        let ports = [
            tensor("flag", Element::Bool, &[-1]),
            tensor("x", Element::Int64, &[-1, 1]),
            tensor("colour", Element::Text, &[-1, 1]),
        ];
        let (Inputs::Columns(inputs), Batch::Any) = Inputs::of(&ports, &schema).unwrap() else {
            panic!("not columns");
        };
        let shown = inputs.iter().map(|input| (input.feature, input.element, input.flat));
        let expected =
            [(2, Element::Bool, true), (0, Element::Int64, false), (1, Element::Text, false)];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        // A model that looks at one feature only.
        let (inputs, _) = Inputs::of(&ports[2..], &schema).unwrap();
        assert!(matches!(inputs, Inputs::Columns(inputs) if inputs.len() == 1));
    }

    #[test]
    fn other_inputs_are_refused_with_what_was_expected_and_found() {
        let schema = mixed(Task::Binary);
        for (ports, told) in [
            (vec![], "it takes no input"),
            (
                vec![tensor("float_input", Element::Float, &[-1, 5])],
                "`float_input` (float [any, 5]) takes 5 features, the schema has 3: `x`, `colour`",
            ),
            (
                vec![tensor("input", Element::Int64, &[-1, 3])],
                "`input` (int64 [any, 3]) takes int64, not float or double: export it with",
            ),
            (
                vec![tensor("image", Element::Float, &[-1, 3, 8, 8])],
                "`image` (float [any, 3, 8, 8]) is no table of rows and features",
            ),
            (
                vec![tensor("input", Element::Float, &[32, 3])],
                "takes exactly 32 rows: export it with any number of rows",
            ),
            (
                vec![tensor("x", Element::Float, &[-1, 1]), tensor("y", Element::Float, &[-1, 1])],
                "input `y` is not a feature; the schema has `x`, `colour`, `flag`",
            ),
            (
                vec![tensor("x", Element::Text, &[-1, 1]), tensor("flag", Element::Bool, &[-1, 1])],
                "`x` (string [any, 1]) must be float, double or int64: the feature is numbers",
            ),
            (
                vec![tensor("colour", Element::Bool, &[-1, 1])],
                "`colour` (bool [any, 1]) must be string, float or int64",
            ),
            (
                vec![tensor("x", Element::Float, &[-1, 2])],
                "`x` (float [any, 2]) takes more than the feature of that name",
            ),
            (
                vec![Port { name: "input".into(), form: Form::Other("Optional".into()) }],
                "`input` (Optional) is no tensor",
            ),
        ] {
            let error = Inputs::of(&ports, &schema).unwrap_err();
            assert!(error.contains(told), "{ports:?}: {error}");
        }
    }

    #[test]
    fn probabilities_are_found_beside_labels() {
        let maps = |key| Port { name: "output_probability".into(), form: Form::Maps { key } };
        let label = tensor("output_label", Element::Int64, &[-1]);
        let scores = tensor("scores", Element::Float, &[-1, 2]);
        for (task, ports, kind) in [
            (
                Task::Binary,
                vec![label.clone(), tensor("p", Element::Float, &[-1, 2])],
                OutputKind::Floats,
            ),
            (Task::Binary, vec![tensor("p", Element::Double, &[-1])], OutputKind::Doubles),
            (
                Task::Binary,
                vec![scores, tensor("probabilities", Element::Float, &[-1, -1])],
                OutputKind::Floats,
            ),
            (Task::Multiclass, vec![label.clone(), maps(Element::Int64)], OutputKind::MapsByNumber),
            (Task::Multiclass, vec![label, maps(Element::Text)], OutputKind::MapsByName),
            (
                Task::Regression,
                vec![tensor("variable", Element::Float, &[-1, 1])],
                OutputKind::Floats,
            ),
        ] {
            let output = Output::of(&ports, &mixed(task)).unwrap();
            assert_eq!(output.kind, kind, "{ports:?}");
            assert!(output.name != "scores");
        }
    }

    #[test]
    fn other_outputs_are_refused_with_what_was_expected_and_found() {
        let maps = Port { name: "p".into(), form: Form::Maps { key: Element::Int64 } };
        for (task, ports, told) in [
            (
                Task::Binary,
                vec![tensor("label", Element::Int64, &[-1])],
                "one output of type float called `probabilities`; its outputs are `label` (int64",
            ),
            (
                Task::Regression,
                vec![
                    tensor("a", Element::Float, &[-1, 1]),
                    tensor("prob", Element::Float, &[-1, 1]),
                ],
                "one output of type float, the prediction; its outputs are `a` (float [any, 1]), ",
            ),
            (
                Task::Multiclass,
                vec![tensor("probabilities", Element::Float, &[-1, 2])],
                "has probabilities of 2 classes, the schema has 3: a, b, c; was it trained on",
            ),
            (
                Task::Binary,
                vec![tensor("probabilities", Element::Float, &[-1, 3])],
                "has probabilities of 3 classes, the schema has 2: no, yes",
            ),
            (
                Task::Multiclass,
                vec![tensor("probabilities", Element::Float, &[-1])],
                "`probabilities` (float [any]) is no table of rows and predictions",
            ),
            (
                Task::Regression,
                vec![tensor("variable", Element::Float, &[-1, 3])],
                "`variable` (float [any, 3]) predicts 3 numbers, not 1",
            ),
            (Task::Regression, vec![maps], "gives probabilities, but the task is a regression"),
        ] {
            let error = Output::of(&ports, &mixed(task)).unwrap_err();
            assert!(error.contains(told), "{ports:?}: {error}");
        }
    }
}
