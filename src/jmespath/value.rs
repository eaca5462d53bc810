//! The values during an evaluation. They refer to the document where possible, to
//! avoid copies.

use std::rc::Rc;

use zeroize::Zeroizing;

use super::{
    document::{Element, Kind},
    fuel::{Fuel, OutOfFuel},
};

/// A value during an evaluation. Cheap to clone.
#[derive(Clone)]
pub(super) enum Value<'d> {
    Null,
    Bool(bool),
    Number(f64),
    /// An unchanged part of the document or of a literal.
    Element(Element<'d>),
    /// A name in the expression or a key in the document.
    Name(&'d str),
    Text(Rc<Zeroizing<String>>),
    List(Rc<Vec<Value<'d>>>),
    /// Sorted by key.
    Object(Rc<Vec<(&'d str, Value<'d>)>>),
    /// The empty list from a filter or a projection. As the result of the whole
    /// expression, it means that nothing was found.
    NoneLeft,
}

/// A value by its JSON type, for every representation.
pub(super) enum View<'v, 'd> {
    Null,
    Bool(bool),
    Number(f64),
    String(&'v str),
    List(List<'v, 'd>),
    Object(Object<'v, 'd>),
}

/// A list, for every representation of its elements.
#[derive(Clone, Copy)]
pub(super) enum List<'v, 'd> {
    Element(Element<'d>),
    Values(&'v [Value<'d>]),
}

/// An object, for every representation of its members; sorted by key.
#[derive(Clone, Copy)]
pub(super) enum Object<'v, 'd> {
    Element(Element<'d>),
    Members(&'v [(&'d str, Value<'d>)]),
}

impl<'d> Value<'d> {
    pub(super) fn text(text: Zeroizing<String>) -> Self {
        Self::Text(Rc::new(text))
    }

    pub(super) fn list(values: Vec<Self>) -> Self {
        Self::List(Rc::new(values))
    }

    pub(super) fn view(&self) -> View<'_, 'd> {
        match self {
            Self::Null => View::Null,
            Self::Bool(truth) => View::Bool(*truth),
            Self::Number(number) => View::Number(*number),
            Self::Name(name) => View::String(name),
            Self::Text(text) => View::String(text),
            Self::List(values) => View::List(List::Values(values)),
            Self::NoneLeft => View::List(List::Values(&[])),
            Self::Object(members) => View::Object(Object::Members(members)),
            Self::Element(element) => match element.kind() {
                Kind::Null => View::Null,
                Kind::False => View::Bool(false),
                Kind::True => View::Bool(true),
                Kind::Number => View::Number(element.number()),
                Kind::Plain | Kind::Escaped => View::String(element.content()),
                Kind::List => View::List(List::Element(*element)),
                Kind::Object => View::Object(Object::Element(*element)),
            },
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.view(), View::Null)
    }

    /// Whether it is true in JMESPath: not null, false or empty.
    pub(super) fn is_true(&self) -> bool {
        match self.view() {
            View::Null => false,
            View::Bool(truth) => truth,
            View::Number(_) => true,
            View::String(text) => !text.is_empty(),
            View::List(list) => list.len() > 0,
            View::Object(object) => object.len() > 0,
        }
    }

    /// The JMESPath name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self.view() {
            View::Null => "null",
            View::Bool(_) => "boolean",
            View::Number(_) => "number",
            View::String(_) => "string",
            View::List(_) => "array",
            View::Object(_) => "object",
        }
    }
}

impl<'v, 'd> List<'v, 'd> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Element(element) => element.len(),
            Self::Values(values) => values.len(),
        }
    }

    /// `None` beyond its end.
    pub(super) fn get(self, index: usize) -> Option<Value<'d>> {
        match self {
            Self::Element(element) => (index < element.len()).then(|| Value::Element(element.element(index))),
            Self::Values(values) => values.get(index).cloned(),
        }
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = Value<'d>> + use<'v, 'd> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }
}

impl<'v, 'd> Object<'v, 'd> {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Element(element) => element.len(),
            Self::Members(members) => members.len(),
        }
    }

    /// `None` beyond its end.
    pub(super) fn member(self, index: usize) -> Option<(&'d str, Value<'d>)> {
        match self {
            Self::Element(element) => (index < element.len()).then(|| {
                let (key, value) = element.member(index);
                (key, Value::Element(value))
            }),
            Self::Members(members) => members.get(index).cloned(),
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = (&'d str, Value<'d>)> + use<'v, 'd> {
        (0..self.len()).filter_map(move |index| self.member(index))
    }

    pub(super) fn get(self, name: &str, fuel: &mut Fuel<'_>) -> Result<Option<Value<'d>>, OutOfFuel> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            fuel.read(name.len())?;
            let middle = usize::midpoint(low, high);
            let Some((key, value)) = self.member(middle) else { break };
            match key.cmp(name) {
                std::cmp::Ordering::Equal => return Ok(Some(value)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
}
