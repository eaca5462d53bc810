//! An unfinished program: the tables that the parser fills.

use super::{
    document::{DocumentError, Source},
    fuel::Fuel,
    json,
    program::{Block, Name, Op, Parts, Program, Slice},
};

/// The growing tables of a [`Program`].
#[derive(Default)]
pub(super) struct Draft {
    ops: Vec<Op>,
    children: Vec<Block>,
    members: Vec<(Name, Block)>,
    slices: Vec<Slice>,
    names: String,
    /// Each is a JSON text.
    literals: Vec<String>,
}

impl Draft {
    /// Adds a block of operations.
    pub(super) fn block(&mut self, ops: &[Op]) -> Block {
        let block = Block { start: self.ops.len() as u32, count: ops.len() as u32 };
        self.ops.extend_from_slice(ops);
        block
    }

    /// Adds expressions or arguments.
    pub(super) fn children(&mut self, blocks: &[Block]) -> Parts {
        let parts = Parts { first: self.children.len() as u32, count: blocks.len() as u16 };
        self.children.extend_from_slice(blocks);
        parts
    }

    /// Adds the members of a hash. Of equal names, the last one wins, as in JSON.
    pub(super) fn members(&mut self, mut members: Vec<(Name, Block)>) -> Parts {
        let text = |name: Name| &self.names[name.start as usize..name.end as usize];
        members.reverse();
        members.sort_by(|(a, _), (b, _)| text(*a).cmp(text(*b)));
        members.dedup_by(|(later, _), (kept, _)| text(*later) == text(*kept));
        let parts = Parts { first: self.members.len() as u32, count: members.len() as u16 };
        self.members.extend(members);
        parts
    }

    pub(super) fn name(&mut self, name: &str) -> Name {
        let start = self.names.len() as u32;
        self.names.push_str(name);
        Name { start, end: self.names.len() as u32 }
    }

    pub(super) fn slice(&mut self, slice: Slice) -> Op {
        self.slices.push(slice);
        Op::Slice(self.slices.len() as u32 - 1)
    }

    /// Adds a JSON text.
    pub(super) fn literal(&mut self, json: String) -> Op {
        self.literals.push(json);
        Op::Literal(self.literals.len() as u32 - 1)
    }

    /// The program, without unused memory.
    pub(super) fn finish(self, main: Block) -> Result<Program, DocumentError> {
        let Self { mut ops, mut children, mut members, mut slices, mut names, literals } = self;
        let literals = Source::owned(format!("[{}]", literals.join(",")));
        let mut literals = json::parse(literals, &mut Fuel::new(&|| false))?;
        literals.shrink();
        ops.shrink_to_fit();
        children.shrink_to_fit();
        members.shrink_to_fit();
        slices.shrink_to_fit();
        names.shrink_to_fit();
        Ok(Program { main, ops, children, members, slices, names, literals })
    }
}
