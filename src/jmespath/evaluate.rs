//! Evaluates a compiled expression on a document. Recursion is limited by the nesting
//! of the expression, which the parser bounds; it does not depend on the value.

use std::rc::Rc;

use super::{
    SearchError,
    calls::call,
    compare::equal,
    fuel::Fuel,
    program::{Block, Comparison, Op, Parts, Program, Slice},
    value::{List, Value, View},
};

/// One evaluation.
pub(super) struct Evaluation<'d, 'f, 's> {
    pub(super) program: &'d Program,
    pub(super) fuel: &'f mut Fuel<'s>,
}

impl<'d> Evaluation<'d, '_, '_> {
    /// Evaluates a block on `input`.
    pub(super) fn run(&mut self, block: Block, input: &Value<'d>) -> Result<Value<'d>, SearchError> {
        let program = self.program;
        let mut value = input.clone();
        for op in program.ops(block) {
            self.fuel.spend(2)?;
            value = self.apply(*op, value, input)?;
        }
        Ok(value)
    }

    fn apply(&mut self, op: Op, value: Value<'d>, input: &Value<'d>) -> Result<Value<'d>, SearchError> {
        Ok(match op {
            Op::Field(name) => match value.view() {
                View::Object(object) => {
                    object.get(self.program.name(name), self.fuel)?.unwrap_or(Value::Null)
                }
                _ => Value::Null,
            },
            Op::Index(index) => match value.view() {
                View::List(list) => {
                    let index =
                        if index < 0 { i64::from(index) + list.len() as i64 } else { i64::from(index) };
                    usize::try_from(index).ok().and_then(|index| list.get(index)).unwrap_or(Value::Null)
                }
                _ => Value::Null,
            },
            Op::Literal(index) => {
                let literals = self.program.literals.root();
                Value::Element(literals.element(index as usize))
            }
            Op::Not => Value::Bool(!value.is_true()),
            Op::Then(block) => self.run(block, &value)?,
            Op::Or(_) if value.is_true() => value,
            Op::Or(block) => self.run(block, input)?,
            Op::And(block) if value.is_true() => self.run(block, input)?,
            Op::And(_) => value,
            Op::Compare(comparison, block) => {
                let right = self.run(block, input)?;
                self.compare(comparison, &value, &right)?
            }
            Op::Values => match value.view() {
                View::Object(object) => {
                    let mut values = Vec::new();
                    for (_, value) in object.iter() {
                        self.fuel.push(&mut values, value)?;
                    }
                    Value::list(values)
                }
                _ => Value::Null,
            },
            Op::Slice(slice) => match value.view() {
                View::List(list) => self.slice(self.program.slices[slice as usize], list)?,
                _ => Value::Null,
            },
            Op::Flatten => match value.view() {
                View::List(list) => self.flatten(list)?,
                _ => Value::Null,
            },
            Op::Filter(condition) => match value.view() {
                View::List(list) => self.filter(condition, list)?,
                _ => Value::Null,
            },
            Op::Project(block) => match value.view() {
                View::List(list) => self.project(block, list)?,
                _ => Value::Null,
            },
            // A multi-select on null is null.
            Op::List(_) | Op::Hash(_) if value.is_null() => Value::Null,
            Op::List(parts) => self.multi_select_list(parts, &value)?,
            Op::Hash(parts) => self.multi_select_hash(parts, &value)?,
            Op::Call(function, arguments) => call(self, function, arguments, &value)?,
        })
    }

    fn compare(
        &mut self,
        comparison: Comparison,
        left: &Value<'d>,
        right: &Value<'d>,
    ) -> Result<Value<'d>, SearchError> {
        let holds: fn(f64, f64) -> bool = match comparison {
            Comparison::Equal => return Ok(Value::Bool(equal(left, right, self.fuel)?)),
            Comparison::NotEqual => return Ok(Value::Bool(!equal(left, right, self.fuel)?)),
            Comparison::Less => |left, right| left < right,
            Comparison::LessOrEqual => |left, right| left <= right,
            Comparison::Greater => |left, right| left > right,
            Comparison::GreaterOrEqual => |left, right| left >= right,
        };
        // Only numbers have an order.
        Ok(match (left.view(), right.view()) {
            (View::Number(left), View::Number(right)) => Value::Bool(holds(left, right)),
            _ => Value::Null,
        })
    }

    fn slice(&mut self, slice: Slice, list: List<'_, 'd>) -> Result<Value<'d>, SearchError> {
        let length = list.len() as i64;
        let backwards = slice.step < 0;
        // The limits of a slice: before the first element, and after the last one.
        let (lowest, highest) = if backwards { (-1, length - 1) } else { (0, length) };
        let bounded = |bound: i64| {
            let bound = if bound < 0 { bound.saturating_add(length) } else { bound };
            bound.clamp(lowest, highest)
        };
        let (first, last) = if backwards { (highest, lowest) } else { (lowest, highest) };
        let mut at = slice.start.map_or(first, bounded);
        let stop = slice.stop.map_or(last, bounded);
        let mut taken = Vec::new();
        while if backwards { at > stop } else { at < stop } {
            if let Some(value) = usize::try_from(at).ok().and_then(|index| list.get(index)) {
                self.fuel.push(&mut taken, value)?;
            }
            self.fuel.spend(1)?;
            at = at.saturating_add(slice.step);
        }
        Ok(Value::list(taken))
    }

    fn flatten(&mut self, list: List<'_, 'd>) -> Result<Value<'d>, SearchError> {
        let mut flat = Vec::new();
        for value in list.iter() {
            self.fuel.spend(1)?;
            match value.view() {
                View::List(inner) => {
                    for value in inner.iter() {
                        self.fuel.spend(1)?;
                        self.fuel.push(&mut flat, value)?;
                    }
                }
                _ => self.fuel.push(&mut flat, value)?,
            }
        }
        Ok(Value::list(flat))
    }

    fn filter(&mut self, condition: Block, list: List<'_, 'd>) -> Result<Value<'d>, SearchError> {
        let mut kept = Vec::new();
        for value in list.iter() {
            self.fuel.spend(1)?;
            if self.run(condition, &value)?.is_true() {
                self.fuel.push(&mut kept, value)?;
            }
        }
        Ok(Value::list(kept))
    }

    fn project(&mut self, block: Block, list: List<'_, 'd>) -> Result<Value<'d>, SearchError> {
        let mut made = Vec::new();
        for value in list.iter() {
            self.fuel.spend(1)?;
            let value = self.run(block, &value)?;
            if !value.is_null() {
                self.fuel.push(&mut made, value)?;
            }
        }
        Ok(if made.is_empty() { Value::NoneLeft } else { Value::list(made) })
    }

    fn multi_select_list(&mut self, parts: Parts, value: &Value<'d>) -> Result<Value<'d>, SearchError> {
        let program = self.program;
        let mut made = Vec::new();
        for block in program.children(parts) {
            let value = self.run(*block, value)?;
            self.fuel.push(&mut made, value)?;
        }
        Ok(Value::list(made))
    }

    fn multi_select_hash(&mut self, parts: Parts, value: &Value<'d>) -> Result<Value<'d>, SearchError> {
        let program = self.program;
        let mut made = Vec::new();
        for (name, block) in program.members(parts) {
            let value = self.run(*block, value)?;
            self.fuel.push(&mut made, (program.name(*name), value))?;
        }
        Ok(Value::Object(Rc::new(made)))
    }
}
