//! A compiled expression: few, small operations in order, so that a whole
//! class of expressions stays small in memory.

use super::{document::Document, functions::Function};

/// A compiled expression.
pub(super) struct Program {
    /// The operations of the whole expression.
    pub(super) main: Block,
    pub(super) ops: Vec<Op>,
    /// The expressions of multi-select lists, and the arguments of functions.
    pub(super) children: Vec<Block>,
    /// The members of multi-select hashes; those of one are sorted by name.
    pub(super) members: Vec<(Name, Block)>,
    pub(super) slices: Vec<Slice>,
    /// All names of the expression, one after the other.
    pub(super) names: String,
    /// A list of all literals.
    pub(super) literals: Document<'static>,
}

/// Operations in a row. The first of them starts with the block's input, each
/// next one with what the one before it made. Without any, the input stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) start: u32,
    pub(super) count: u32,
}

/// Where a name stands in [`Program::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Where the parts of a multi-select or the arguments of a function stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) first: u32,
    pub(super) count: u16,
}

/// `[start:stop:step]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) stop: Option<i64>,
    /// Never 0.
    pub(super) step: i64,
}

/// What is done to a value. "Input" is that of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// The member of that name.
    Field(Name),
    /// The element at that place; a negative one counts from the end.
    Index(i32),
    Slice(u32),
    Literal(u32),
    /// A list's lists become part of it.
    Flatten,
    /// An object's values.
    Values,
    /// The elements for which the block is true.
    Filter(Block),
    /// What the block makes of each element, but for null.
    Project(Block),
    /// What the block makes of the value.
    Then(Block),
    /// If the value is not true, what the block makes of the input.
    Or(Block),
    /// If the value is true, what the block makes of the input.
    And(Block),
    /// How the value compares with what the block makes of the input.
    Compare(Comparison, Block),
    Not,
    List(Parts),
    Hash(Parts),
    Call(Function, Parts),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Program {
    pub(super) fn ops(&self, block: Block) -> &[Op] {
        &self.ops[block.start as usize..][..block.count as usize]
    }

    pub(super) fn children(&self, parts: Parts) -> &[Block] {
        &self.children[parts.first as usize..][..usize::from(parts.count)]
    }

    pub(super) fn members(&self, parts: Parts) -> &[(Name, Block)] {
        &self.members[parts.first as usize..][..usize::from(parts.count)]
    }

    pub(super) fn name(&self, name: Name) -> &str {
        &self.names[name.start as usize..name.end as usize]
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.ops.capacity() * size_of::<Op>()
            + self.children.capacity() * size_of::<Block>()
            + self.members.capacity() * size_of::<(Name, Block)>()
            + self.slices.capacity() * size_of::<Slice>()
            + self.names.capacity()
            + self.literals.bytes()
    }
}
