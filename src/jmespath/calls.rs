//! The implementation of the specification's functions.

use std::{cmp::Ordering, rc::Rc};

use zeroize::Zeroizing;

use super::{
    SearchError,
    compare::{Key, equal, sorted},
    evaluate::Evaluation,
    fuel::Fuel,
    functions::Function,
    program::{Block, Parts},
    text::Text,
    value::{List, Object, Value, View},
    write::{self, Spelling},
};

/// Evaluates `arguments` on `input`, and calls `function` with them.
pub(super) fn call<'d>(
    run: &mut Evaluation<'d, '_, '_>,
    function: Function,
    arguments: Parts,
    input: &Value<'d>,
) -> Result<Value<'d>, SearchError> {
    let program = run.program;
    let expression = function.signature().expression;
    let mut values = Vec::new();
    let mut reference = None;
    for (number, block) in program.children(arguments).iter().enumerate() {
        if expression == Some(number) {
            reference = Some(*block);
            // A placeholder, which keeps the indexes of the arguments.
            run.fuel.push(&mut values, Value::Null)?;
        } else {
            let value = run.run(*block, input)?;
            run.fuel.push(&mut values, value)?;
        }
    }
    let call = Call { function, values };
    match reference {
        Some(block) => call.with_expression(run, block),
        None => call.plain(run.fuel),
    }
}

/// The type that `sort`, `max` and `min` accept.
const SORTABLE: &str = "an array of only numbers or only strings";

/// Parses a number like AWS's own provider, with Go's ParseFloat: `05`, `+5`, `.5`
/// and `1_000` are numbers, ` 5` is not.
fn number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let separates = |at: usize| digit(at.checked_sub(1)) && digit(at.checked_add(1));
    if !text.bytes().enumerate().all(|(at, byte)| byte != b'_' || separates(at)) {
        return None;
    }
    let digits = Zeroizing::new(text.replace('_', ""));
    digits.parse::<f64>().ok().filter(|number| number.is_finite())
}

struct Call<'d> {
    function: Function,
    values: Vec<Value<'d>>,
}

impl<'d> Call<'d> {
    fn plain(&self, fuel: &mut Fuel<'_>) -> Result<Value<'d>, SearchError> {
        match self.function {
            Function::Abs => self.result(self.number(0)?.abs()),
            Function::Ceil => self.result(self.number(0)?.ceil()),
            Function::Floor => self.result(self.number(0)?.floor()),
            Function::Sum => self.result(self.sum(fuel)?),
            Function::Avg if self.list(0)?.len() == 0 => Ok(Value::Null),
            Function::Avg => self.result(self.sum(fuel)? / self.list(0)?.len() as f64),
            Function::Contains => self.contains(fuel),
            Function::StartsWith | Function::EndsWith => {
                let (text, part) = (self.string(0)?, self.string(1)?);
                fuel.read(part.len())?;
                let starts = self.function == Function::StartsWith;
                Ok(Value::Bool(if starts { text.starts_with(part) } else { text.ends_with(part) }))
            }
            Function::Join => self.join(fuel),
            Function::Keys => {
                let mut keys = Vec::new();
                for (key, _) in self.object(0)?.iter() {
                    fuel.spend(1)?;
                    fuel.push(&mut keys, Value::Name(key))?;
                }
                Ok(Value::list(keys))
            }
            Function::Values => {
                let mut values = Vec::new();
                for (_, value) in self.object(0)?.iter() {
                    fuel.spend(1)?;
                    fuel.push(&mut values, value)?;
                }
                Ok(Value::list(values))
            }
            Function::Merge => self.merge(fuel),
            Function::Length => {
                let length = match self.view(0) {
                    View::String(text) => {
                        fuel.read(text.len())?;
                        text.chars().count()
                    }
                    View::List(list) => list.len(),
                    View::Object(object) => object.len(),
                    _ => return Err(self.mismatch(0, "a string, an array or an object")),
                };
                Ok(Value::Number(length as f64))
            }
            Function::Max | Function::Min => {
                let values = self.collected(0, fuel)?;
                let keys = self.keys(&values, 0, SORTABLE, fuel)?;
                self.extreme(&values, &keys, fuel)
            }
            Function::Sort => {
                let values = self.collected(0, fuel)?;
                let keys = self.keys(&values, 0, SORTABLE, fuel)?;
                self.arranged(&values, &keys, fuel)
            }
            Function::NotNull => {
                Ok(self.values.iter().find(|value| !value.is_null()).cloned().unwrap_or(Value::Null))
            }
            Function::Reverse => self.reverse(fuel),
            Function::ToArray => match self.view(0) {
                View::List(_) => Ok(self.values[0].clone()),
                _ => Ok(Value::list(self.values.clone())),
            },
            Function::ToNumber => match self.view(0) {
                View::Number(_) => Ok(self.values[0].clone()),
                View::String(text) => {
                    // The cost grows with the length.
                    fuel.hold(text.len())?;
                    fuel.spend(text.len() / 4 + 1)?;
                    Ok(number(text).map_or(Value::Null, Value::Number))
                }
                _ => Ok(Value::Null),
            },
            Function::ToString => match self.view(0) {
                View::String(_) => Ok(self.values[0].clone()),
                _ => {
                    let mut text = Text::default();
                    write::json(&self.values[0], Spelling::Go, &mut text, fuel)?;
                    Ok(Value::text(text.finish()))
                }
            },
            Function::Type => Ok(Value::Name(self.values[0].type_name())),
            // The functions that take an expression.
            Function::Map | Function::MaxBy | Function::MinBy | Function::SortBy => Ok(Value::Null),
        }
    }

    fn with_expression(
        &self,
        run: &mut Evaluation<'d, '_, '_>,
        expression: Block,
    ) -> Result<Value<'d>, SearchError> {
        let place = if self.function == Function::Map { 1 } else { 0 };
        let values = self.collected(place, run.fuel)?;
        let mut made = Vec::new();
        for value in &values {
            run.fuel.spend(1)?;
            let value = run.run(expression, value)?;
            run.fuel.push(&mut made, value)?;
        }
        if self.function == Function::Map {
            return Ok(if made.is_empty() { self.values[place].clone() } else { Value::list(made) });
        }
        let keys =
            self.keys(&made, 1, "an expression that returns only numbers or only strings", run.fuel)?;
        match self.function {
            Function::SortBy => self.arranged(&values, &keys, run.fuel),
            _ => self.extreme(&values, &keys, run.fuel),
        }
    }

    fn sum(&self, fuel: &mut Fuel<'_>) -> Result<f64, SearchError> {
        let mut sum = 0.0;
        for value in self.list(0)?.iter() {
            fuel.spend(1)?;
            match value.view() {
                View::Number(number) => sum += number,
                _ => return Err(self.mismatched(0, "an array of numbers", &value)),
            }
        }
        Ok(sum)
    }

    fn contains(&self, fuel: &mut Fuel<'_>) -> Result<Value<'d>, SearchError> {
        let found = match self.view(0) {
            View::String(text) => match self.view(1) {
                View::String(part) => {
                    fuel.read(text.len() + part.len())?;
                    text.contains(part)
                }
                _ => false,
            },
            View::List(list) => {
                let mut found = false;
                for value in list.iter() {
                    found = found || equal(&value, &self.values[1], fuel)?;
                }
                found
            }
            _ => return Err(self.mismatch(0, "a string or an array")),
        };
        Ok(Value::Bool(found))
    }

    fn join(&self, fuel: &mut Fuel<'_>) -> Result<Value<'d>, SearchError> {
        let glue = self.string(0)?;
        let mut text = Text::default();
        for (number, value) in self.list(1)?.iter().enumerate() {
            fuel.spend(1)?;
            let View::String(part) = value.view() else {
                return Err(self.mismatched(1, "an array of strings", &value));
            };
            text.push(if number > 0 { glue } else { "" }, fuel)?;
            text.push(part, fuel)?;
        }
        Ok(Value::text(text.finish()))
    }

    /// Of equal keys, the last object's wins.
    fn merge(&self, fuel: &mut Fuel<'_>) -> Result<Value<'d>, SearchError> {
        let mut merged: Vec<(&'d str, Value<'d>)> = Vec::new();
        for place in 0..self.values.len() {
            let more = self.object(place)?;
            let mut both = Vec::new();
            let (mut kept, mut added) = (merged.into_iter().peekable(), more.iter().peekable());
            loop {
                let order = match (kept.peek(), added.peek()) {
                    (Some((old, _)), Some((new, _))) => {
                        fuel.read(old.len().min(new.len()))?;
                        old.cmp(new)
                    }
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => break,
                };
                if order == Ordering::Equal {
                    kept.next();
                }
                let next = if order == Ordering::Less { kept.next() } else { added.next() };
                if let Some(member) = next {
                    fuel.push(&mut both, member)?;
                }
            }
            merged = both;
        }
        Ok(Value::Object(Rc::new(merged)))
    }

    fn reverse(&self, fuel: &mut Fuel<'_>) -> Result<Value<'d>, SearchError> {
        match self.view(0) {
            View::String(text) => {
                fuel.hold(text.len())?;
                fuel.spend(text.len() / 4)?;
                let mut reversed = Zeroizing::new(String::with_capacity(text.len()));
                reversed.extend(text.chars().rev());
                Ok(Value::text(reversed))
            }
            View::List(list) if list.len() == 0 => Ok(self.values[0].clone()),
            View::List(list) => {
                let mut reversed = Vec::new();
                for value in list.iter().rev() {
                    fuel.spend(1)?;
                    fuel.push(&mut reversed, value)?;
                }
                Ok(Value::list(reversed))
            }
            _ => Err(self.mismatch(0, "a string or an array")),
        }
    }

    /// The sort keys: all numbers, or all strings.
    fn keys<'v>(
        &self,
        values: &'v [Value<'d>],
        argument: usize,
        wanted: &'static str,
        fuel: &mut Fuel<'_>,
    ) -> Result<Vec<Key<'v>>, SearchError> {
        let mut keys = Vec::new();
        for value in values {
            fuel.spend(1)?;
            let key = match (value.view(), keys.last()) {
                (View::Number(number), None | Some(Key::Number(_))) => Key::Number(number),
                (View::String(text), None | Some(Key::String(_))) => Key::String(text),
                _ => return Err(self.mismatched(argument, wanted, value)),
            };
            fuel.push(&mut keys, key)?;
        }
        Ok(keys)
    }

    /// The first value with the greatest or the least key.
    fn extreme(
        &self,
        values: &[Value<'d>],
        keys: &[Key<'_>],
        fuel: &mut Fuel<'_>,
    ) -> Result<Value<'d>, SearchError> {
        let least = matches!(self.function, Function::Min | Function::MinBy);
        let better = if least { Ordering::Less } else { Ordering::Greater };
        let mut best = 0;
        for (place, key) in keys.iter().enumerate() {
            if key.cmp(&keys[best], fuel)? == better {
                best = place;
            }
        }
        Ok(values.get(best).cloned().unwrap_or(Value::Null))
    }

    /// The values, sorted by their keys.
    fn arranged(
        &self,
        values: &[Value<'d>],
        keys: &[Key<'_>],
        fuel: &mut Fuel<'_>,
    ) -> Result<Value<'d>, SearchError> {
        if values.is_empty() {
            return Ok(self.values[0].clone());
        }
        let mut arranged = Vec::new();
        for place in sorted(keys, fuel)? {
            fuel.push(&mut arranged, values[place as usize].clone())?;
        }
        Ok(Value::list(arranged))
    }

    fn collected(&self, argument: usize, fuel: &mut Fuel<'_>) -> Result<Vec<Value<'d>>, SearchError> {
        let mut values = Vec::new();
        for value in self.list(argument)?.iter() {
            fuel.spend(1)?;
            fuel.push(&mut values, value)?;
        }
        Ok(values)
    }

    /// A number, if a float can represent it.
    fn result(&self, number: f64) -> Result<Value<'d>, SearchError> {
        if number.is_finite() { Ok(Value::Number(number)) } else { Err(SearchError::Number(self.name())) }
    }

    fn view(&self, argument: usize) -> View<'_, 'd> {
        self.values[argument].view()
    }

    fn number(&self, argument: usize) -> Result<f64, SearchError> {
        match self.view(argument) {
            View::Number(number) => Ok(number),
            _ => Err(self.mismatch(argument, "a number")),
        }
    }

    fn string(&self, argument: usize) -> Result<&str, SearchError> {
        match self.view(argument) {
            View::String(text) => Ok(text),
            _ => Err(self.mismatch(argument, "a string")),
        }
    }

    fn list(&self, argument: usize) -> Result<List<'_, 'd>, SearchError> {
        match self.view(argument) {
            View::List(list) => Ok(list),
            _ => Err(self.mismatch(argument, "an array")),
        }
    }

    fn object(&self, argument: usize) -> Result<Object<'_, 'd>, SearchError> {
        match self.view(argument) {
            View::Object(object) => Ok(object),
            _ => Err(self.mismatch(argument, "an object")),
        }
    }

    /// The error for an argument of the wrong type.
    fn mismatch(&self, argument: usize, expected: &'static str) -> SearchError {
        let found = self.values[argument].type_name();
        SearchError::Type { function: self.name(), argument: argument + 1, expected, found }
    }

    /// The error for an argument that contains something of the wrong type.
    fn mismatched(&self, argument: usize, expected: &'static str, found: &Value<'d>) -> SearchError {
        let found = found.type_name();
        SearchError::Type { function: self.name(), argument: argument + 1, expected, found }
    }

    fn name(&self) -> &'static str {
        self.function.signature().name
    }
}
