//! The functions of the specification: their names and arguments.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    Avg,
    Ceil,
    Contains,
    EndsWith,
    Floor,
    Join,
    Keys,
    Length,
    Map,
    Max,
    MaxBy,
    Merge,
    Min,
    MinBy,
    NotNull,
    Reverse,
    Sort,
    SortBy,
    StartsWith,
    Sum,
    ToArray,
    ToNumber,
    ToString,
    Type,
    Values,
}

/// What is known about a function without evaluating it.
pub(super) struct Signature {
    pub(super) name: &'static str,
    function: Function,
    /// The number of arguments.
    pub(super) arguments: usize,
    /// Whether it accepts more arguments than that.
    pub(super) variadic: bool,
    /// The index of the argument that is an expression, `&expression`.
    pub(super) expression: Option<usize>,
}

const fn plain(name: &'static str, function: Function, arguments: usize) -> Signature {
    Signature { name, function, arguments, variadic: false, expression: None }
}

const fn variadic(name: &'static str, function: Function) -> Signature {
    Signature { variadic: true, ..plain(name, function, 1) }
}

const fn with_expression(name: &'static str, function: Function, expression: usize) -> Signature {
    Signature { expression: Some(expression), ..plain(name, function, 2) }
}

/// In the order of [`Function`].
const SIGNATURES: [Signature; 26] = [
    plain("abs", Function::Abs, 1),
    plain("avg", Function::Avg, 1),
    plain("ceil", Function::Ceil, 1),
    plain("contains", Function::Contains, 2),
    plain("ends_with", Function::EndsWith, 2),
    plain("floor", Function::Floor, 1),
    plain("join", Function::Join, 2),
    plain("keys", Function::Keys, 1),
    plain("length", Function::Length, 1),
    with_expression("map", Function::Map, 0),
    plain("max", Function::Max, 1),
    with_expression("max_by", Function::MaxBy, 1),
    variadic("merge", Function::Merge),
    plain("min", Function::Min, 1),
    with_expression("min_by", Function::MinBy, 1),
    variadic("not_null", Function::NotNull),
    plain("reverse", Function::Reverse, 1),
    plain("sort", Function::Sort, 1),
    with_expression("sort_by", Function::SortBy, 1),
    plain("starts_with", Function::StartsWith, 2),
    plain("sum", Function::Sum, 1),
    plain("to_array", Function::ToArray, 1),
    plain("to_number", Function::ToNumber, 1),
    plain("to_string", Function::ToString, 1),
    plain("type", Function::Type, 1),
    plain("values", Function::Values, 1),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        SIGNATURES.iter().find(|signature| signature.name == name).map(|signature| signature.function)
    }

    pub(super) fn signature(self) -> &'static Signature {
        &SIGNATURES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_its_own_signature() {
        for signature in &SIGNATURES {
            assert_eq!(signature.function.signature().name, signature.name);
            assert_eq!(Function::named(signature.name), Some(signature.function), "{}", signature.name);
        }
    }
}
