//! Compiles tokens to operations, with the grammar of the specification and the
//! precedence of its reference implementations.

use super::{
    document::Document,
    draft::Draft,
    fuel::Fuel,
    lexer::{self, Kind, Token},
    program::{Block, Name, Op, Program},
    syntax::SyntaxError,
    text::Text,
    write,
};

/// Maximum nesting of brackets, arguments, projections and the like. Parsing and
/// evaluating recurse once for each level, and must fit into a thread's stack.
pub(super) const MAX_NESTING: usize = 128;

/// The binding power of a projection: an operator with less power ends it.
const PROJECTION_ENDS: u8 = 10;

/// Compiles a whole expression.
pub(super) fn parse(text: &str) -> Result<Program, SyntaxError> {
    let mut parser = Parser { text, tokens: lexer::tokens(text)?, at: 0, depth: 0, draft: Draft::default() };
    let main = parser.block(0)?;
    match parser.current() {
        Kind::End => {}
        Kind::RightBracket | Kind::RightBrace | Kind::RightParenthesis => {
            return Err(
                parser.problem(format!("{} has no matching opening bracket", parser.current().shown()))
            );
        }
        _ => return Err(parser.unexpected("an operator or the end")),
    }
    parser.draft.finish(main).map_err(|error| SyntaxError::new(error, text, 0))
}

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Token<'t>>,
    pub(super) at: usize,
    depth: usize,
    pub(super) draft: Draft,
}

impl<'t> Parser<'t> {
    /// Parses an expression, with all operators of more than `power`.
    pub(super) fn block(&mut self, power: u8) -> Result<Block, SyntaxError> {
        let ops = self.expression(power)?;
        Ok(self.draft.block(&ops))
    }

    fn expression(&mut self, power: u8) -> Result<Vec<Op>, SyntaxError> {
        if self.depth == MAX_NESTING {
            return Err(self.problem(format!("the expression is nested more than {MAX_NESTING} deep")));
        }
        self.depth += 1;
        let mut ops = Vec::new();
        self.prefix(&mut ops)?;
        while power < self.current().power() {
            self.infix(&mut ops)?;
        }
        self.depth -= 1;
        Ok(ops)
    }

    /// Parses the start of an expression.
    fn prefix(&mut self, ops: &mut Vec<Op>) -> Result<(), SyntaxError> {
        match self.current().clone() {
            Kind::Name(name) if *self.next() == Kind::LeftParenthesis => ops.push(self.call(name)?),
            Kind::Quoted(_) if *self.next() == Kind::LeftParenthesis => {
                return Err(self.problem("the name of a function must not be in quotes"));
            }
            Kind::Name(_) | Kind::Quoted(_) => ops.push(Op::Field(self.name()?)),
            Kind::Json(json) => {
                let json = json.replace("\\`", "`");
                Document::parse(json.as_bytes(), &mut Fuel::new(&|| false)).map_err(|_| {
                    self.problem(
                        "a literal between backticks must be JSON (write a string as 'text' or `\"text\"`)",
                    )
                })?;
                ops.push(self.literal(json));
            }
            Kind::Raw(raw) => {
                let content = raw.replace("\\'", "'");
                let mut json = Text::default();
                write::string(&content, &mut json, &mut Fuel::new(&|| false))
                    .map_err(|reason| self.problem(reason))?;
                ops.push(self.literal(json.finish().to_string()));
            }
            Kind::Star => {
                self.at += 1;
                ops.push(Op::Values);
                let inner = self.projected(Kind::Star.power())?;
                ops.push(Op::Project(inner));
            }
            Kind::Flatten | Kind::Filter => self.infix(ops)?,
            Kind::LeftBracket => {
                if matches!(self.next(), Kind::Number(_) | Kind::Colon)
                    || *self.next() == Kind::Star && *self.after_next() == Kind::RightBracket
                {
                    self.infix(ops)?;
                } else {
                    self.multi_select(ops)?;
                }
            }
            Kind::LeftBrace => self.multi_select(ops)?,
            Kind::At => self.at += 1,
            Kind::Not => {
                self.at += 1;
                *ops = self.expression(Kind::Not.power())?;
                ops.push(Op::Not);
            }
            Kind::LeftParenthesis => {
                self.at += 1;
                *ops = self.expression(0)?;
                self.require(&Kind::RightParenthesis)?;
            }
            Kind::Reference => {
                return Err(self.problem(
                    "an expression reference (&) is only allowed as an argument of map, sort_by, max_by and min_by",
                ));
            }
            _ => return Err(self.unexpected("a name or another value")),
        }
        Ok(())
    }

    /// Parses an operator and its right side; `ops` is the left side.
    fn infix(&mut self, ops: &mut Vec<Op>) -> Result<(), SyntaxError> {
        let operator = self.current().clone();
        let power = operator.power();
        match operator {
            Kind::Dot if *self.next() == Kind::Star => {
                self.at += 2;
                ops.push(Op::Values);
                let inner = self.projected(power)?;
                ops.push(Op::Project(inner));
            }
            Kind::Dot => {
                self.at += 1;
                // Its power is so high that its right side never refers to its input.
                ops.extend(self.after_dot(power)?);
            }
            Kind::Pipe | Kind::Or | Kind::And => {
                self.at += 1;
                let right = self.block(power)?;
                ops.push(match operator {
                    Kind::Pipe => Op::Then(right),
                    Kind::Or => Op::Or(right),
                    _ => Op::And(right),
                });
            }
            Kind::Flatten => {
                self.at += 1;
                let inner = self.projected(power)?;
                ops.extend([Op::Flatten, Op::Project(inner)]);
            }
            Kind::Filter => {
                self.at += 1;
                let condition = self.block(0)?;
                self.require(&Kind::RightBracket)?;
                let inner = self.projected(power)?;
                ops.extend([Op::Filter(condition), Op::Project(inner)]);
            }
            Kind::LeftBracket => {
                self.at += 1;
                self.bracketed(ops)?;
            }
            _ => {
                let Some(comparison) = operator.comparison() else {
                    return Err(self.unexpected("an operator"));
                };
                self.at += 1;
                let right = self.block(power)?;
                ops.push(Op::Compare(comparison, right));
            }
        }
        Ok(())
    }

    /// Parses the right side of a dot.
    fn after_dot(&mut self, power: u8) -> Result<Vec<Op>, SyntaxError> {
        match self.current() {
            Kind::Name(_) | Kind::Quoted(_) | Kind::Star => self.expression(power),
            Kind::LeftBracket | Kind::LeftBrace => {
                let mut ops = Vec::new();
                self.multi_select(&mut ops)?;
                Ok(ops)
            }
            _ => Err(self.unexpected("a name, * or a selection (as in a.b, a.* or a.[b, c])")),
        }
    }

    /// Parses the operations for each element of a projection.
    pub(super) fn projected(&mut self, power: u8) -> Result<Block, SyntaxError> {
        let ops = match self.current() {
            other if other.power() < PROJECTION_ENDS => Vec::new(),
            Kind::LeftBracket | Kind::Filter => self.expression(power)?,
            Kind::Dot => {
                self.at += 1;
                self.after_dot(power)?
            }
            _ => return Err(self.unexpected("an operator such as . or [")),
        };
        Ok(self.draft.block(&ops))
    }

    /// Consumes a literal, which has this JSON.
    pub(super) fn literal(&mut self, json: String) -> Op {
        self.at += 1;
        self.draft.literal(json)
    }

    /// Consumes a name.
    pub(super) fn name(&mut self) -> Result<Name, SyntaxError> {
        let name = match self.current().clone() {
            Kind::Quoted(json) => {
                let fuel = &mut Fuel::new(&|| false);
                let document = Document::parse(json.as_bytes(), fuel)
                    .map_err(|_| self.problem("a name in double quotes must be a JSON string"))?;
                self.draft.name(document.root().content())
            }
            Kind::Name(name) => self.draft.name(name),
            _ => return Err(self.unexpected("a name")),
        };
        self.at += 1;
        Ok(name)
    }

    pub(super) fn current(&self) -> &Kind<'t> {
        self.ahead(0)
    }

    pub(super) fn next(&self) -> &Kind<'t> {
        self.ahead(1)
    }

    fn after_next(&self) -> &Kind<'t> {
        self.ahead(2)
    }

    fn ahead(&self, count: usize) -> &Kind<'t> {
        self.tokens.get(self.at + count).map_or(&Kind::End, |token| &token.kind)
    }

    pub(super) fn require(&mut self, kind: &Kind<'static>) -> Result<(), SyntaxError> {
        if self.current() != kind {
            return Err(self.unexpected(kind.shown()));
        }
        self.at += 1;
        Ok(())
    }

    /// The error for a token other than the `expected` one.
    pub(super) fn unexpected(&self, expected: &str) -> SyntaxError {
        match self.current() {
            Kind::End => self.problem(format!("expected {expected}, but the expression ends")),
            found => self.problem(format!("expected {expected}, found {}", found.shown())),
        }
    }

    /// An error at the current token.
    pub(super) fn problem(&self, problem: impl std::fmt::Display) -> SyntaxError {
        let at = self.tokens.get(self.at).map_or(self.text.len(), |token| token.start);
        SyntaxError::new(problem, self.text, at)
    }
}
