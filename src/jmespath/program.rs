//! A compiled expression: a compact list of operations, so that all expressions of a
//! class use little memory.

use super::{document::Document, functions::Function};

pub(super) struct Program {
    /// The operations of the whole expression.
    pub(super) main: Block,
    pub(super) ops: Vec<Op>,
    /// The expressions of multi-select lists, and the arguments of functions.
    pub(super) children: Vec<Block>,
    /// The members of multi-select hashes. The members of each hash are sorted by name.
    pub(super) members: Vec<(Name, Block)>,
    pub(super) slices: Vec<Slice>,
    /// All names in the expression, concatenated.
    pub(super) names: String,
    /// The list of all literals.
    pub(super) literals: Document<'static>,
}

/// A sequence of operations. The first one gets the block's input, each further one
/// the result of the previous one. An empty block returns its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) start: u32,
    pub(super) count: u32,
}

/// The position of a name in [`Program::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The position of the parts of a multi-select or the arguments of a function.
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

/// An operation on a value. "Input" means the input of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// The member with this name.
    Field(Name),
    /// The element with this index; a negative index counts from the end.
    Index(i32),
    Slice(u32),
    Literal(u32),
    /// Merges nested lists into the list.
    Flatten,
    /// The values of an object.
    Values,
    /// The elements for which the block returns true.
    Filter(Block),
    /// The block's results for all elements, without null.
    Project(Block),
    /// The block's result for the value.
    Then(Block),
    /// If the value is not true, the block's result for the input.
    Or(Block),
    /// If the value is true, the block's result for the input.
    And(Block),
    /// Compares the value with the block's result for the input.
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

    /// The memory it uses.
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
