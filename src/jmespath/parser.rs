//! From words to operations, by the grammar of the specification and with the
//! precedence of its reference implementations.

use super::{
    document::Document,
    draft::Draft,
    fuel::Fuel,
    functions::Function,
    lexer::{self, Kind, Token},
    program::{Block, Name, Op, Parts, Program, Slice},
    syntax::SyntaxError,
    text::Text,
    write,
};

/// Deepest nesting of brackets, arguments, projections and the like. Parsing
/// and evaluating recurse once for each level; a thread's stack has to hold it.
pub(super) const MAX_NESTING: usize = 128;

/// How strongly a projection holds what is behind it: what binds less ends it.
const PROJECTION_ENDS: u8 = 10;

/// Compiles a whole expression.
pub(super) fn parse(text: &str) -> Result<Program, SyntaxError> {
    let mut parser = Parser { text, tokens: lexer::tokens(text)?, at: 0, depth: 0, draft: Draft::default() };
    let main = parser.block(0)?;
    match parser.current() {
        Kind::End => {}
        Kind::RightBracket | Kind::RightBrace | Kind::RightParenthesis => {
            return Err(parser.problem(format!("{} closes nothing", parser.current().shown())));
        }
        _ => return Err(parser.unexpected("an operator or the end")),
    }
    parser.draft.finish(main).map_err(|error| SyntaxError::new(error, text, 0))
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: usize,
    draft: Draft,
}

impl<'t> Parser<'t> {
    /// An expression of its own, with all operators that bind more than `power`.
    fn block(&mut self, power: u8) -> Result<Block, SyntaxError> {
        let ops = self.expression(power)?;
        Ok(self.draft.block(&ops))
    }

    fn expression(&mut self, power: u8) -> Result<Vec<Op>, SyntaxError> {
        if self.depth == MAX_NESTING {
            return Err(self.problem(format!("is nested more than {MAX_NESTING} deep")));
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

    /// What can begin an expression.
    fn prefix(&mut self, ops: &mut Vec<Op>) -> Result<(), SyntaxError> {
        match self.current().clone() {
            Kind::Name(name) if *self.next() == Kind::LeftParenthesis => ops.push(self.call(name)?),
            Kind::Quoted(_) if *self.next() == Kind::LeftParenthesis => {
                return Err(self.problem("a function's name has no quotes"));
            }
            Kind::Name(_) | Kind::Quoted(_) => ops.push(Op::Field(self.name()?)),
            Kind::Json(json) => {
                let json = json.replace("\\`", "`");
                Document::parse(json.as_bytes(), &mut Fuel::new(&|| false)).map_err(|_| {
                    self.problem("a literal between backticks must be JSON (a text: 'text' or `\"text\"`)")
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
                self.expect(&Kind::RightParenthesis)?;
            }
            Kind::Reference => {
                return Err(self.problem(
                    "an expression reference, &, is only possible as an argument of map, sort_by, max_by and min_by",
                ));
            }
            _ => return Err(self.unexpected("a name or another value")),
        }
        Ok(())
    }

    /// An operator, and what is behind it; `ops` is what is before it.
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
                // It binds so strongly that nothing in it looks back at its input.
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
                self.expect(&Kind::RightBracket)?;
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

    /// What is behind a dot.
    fn after_dot(&mut self, power: u8) -> Result<Vec<Op>, SyntaxError> {
        match self.current() {
            Kind::Name(_) | Kind::Quoted(_) | Kind::Star => self.expression(power),
            Kind::LeftBracket | Kind::LeftBrace => {
                let mut ops = Vec::new();
                self.multi_select(&mut ops)?;
                Ok(ops)
            }
            _ => Err(self.unexpected("a name, * or a selection, as in a.b, a.* or a.[b, c],")),
        }
    }

    /// What is done to each element of a projection.
    fn projected(&mut self, power: u8) -> Result<Block, SyntaxError> {
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

    /// An index, a slice or `*`, and the closing bracket.
    fn bracketed(&mut self, ops: &mut Vec<Op>) -> Result<(), SyntaxError> {
        let star = Kind::Star.power();
        match self.current().clone() {
            Kind::Star => {
                self.at += 1;
                self.expect(&Kind::RightBracket)?;
            }
            Kind::Number(index) if *self.next() == Kind::RightBracket => {
                self.at += 2;
                // No list is longer; beyond it nothing is found.
                let bounded = index.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
                ops.push(Op::Index(bounded as i32));
                return Ok(());
            }
            Kind::Number(_) | Kind::Colon => {
                let slice = self.slice()?;
                ops.push(self.draft.slice(slice));
            }
            _ => return Err(self.unexpected("an index, a slice or *, as in a[0], a[1:3] or a[*],")),
        }
        let inner = self.projected(star)?;
        ops.push(Op::Project(inner));
        Ok(())
    }

    /// `start:stop:step]`
    fn slice(&mut self) -> Result<Slice, SyntaxError> {
        let mut parts = [None; 3];
        let mut part = 0;
        loop {
            match self.current() {
                Kind::Number(number) if parts[part].is_none() => {
                    if part == 2 && *number == 0 {
                        return Err(self.problem("a slice's step must not be 0"));
                    }
                    parts[part] = Some(*number);
                }
                Kind::Colon if part < 2 => part += 1,
                Kind::RightBracket => break,
                _ => return Err(self.unexpected("a slice, [start:stop:step],")),
            }
            self.at += 1;
            // Two numbers have a colon between them.
            if matches!(self.tokens[self.at - 1].kind, Kind::Number(_)) && matches!(self.current(), Kind::Number(_)) {
                return Err(self.unexpected("a colon"));
            }
        }
        self.at += 1;
        let [start, stop, step] = parts;
        Ok(Slice { start, stop, step: step.unwrap_or(1) })
    }

    /// `[a, b]` or `{a: b, c: d}`
    fn multi_select(&mut self, ops: &mut Vec<Op>) -> Result<(), SyntaxError> {
        let list = *self.current() == Kind::LeftBracket;
        self.at += 1;
        ops.push(if list { Op::List(self.multi_select_list()?) } else { Op::Hash(self.multi_select_hash()?) });
        Ok(())
    }

    fn multi_select_list(&mut self) -> Result<Parts, SyntaxError> {
        let mut blocks = Vec::new();
        loop {
            blocks.push(self.block(0)?);
            if !self.another(&Kind::RightBracket)? {
                return Ok(self.draft.children(&blocks));
            }
        }
    }

    fn multi_select_hash(&mut self) -> Result<Parts, SyntaxError> {
        let mut members = Vec::new();
        loop {
            if !matches!(self.current(), Kind::Name(_) | Kind::Quoted(_)) {
                return Err(self.unexpected("a key, as in {key: value},"));
            }
            let name = self.name()?;
            self.expect(&Kind::Colon)?;
            members.push((name, self.block(0)?));
            if !self.another(&Kind::RightBrace)? {
                return Ok(self.draft.members(members));
            }
        }
    }

    /// A function and its arguments.
    fn call(&mut self, name: &str) -> Result<Op, SyntaxError> {
        let Some(function) = Function::named(name) else {
            return Err(self.problem(format!("there is no function {name}")));
        };
        let start = self.at;
        let signature = function.signature();
        self.at += 2;
        let mut blocks = Vec::new();
        let empty = *self.current() == Kind::RightParenthesis;
        if empty {
            self.at += 1;
        }
        while !empty {
            let wanted = signature.expression == Some(blocks.len());
            let given = *self.current() == Kind::Reference;
            if wanted && !given {
                let problem = format!(
                    "argument {} of {name} must be an expression reference, &expression,",
                    blocks.len() + 1
                );
                return Err(self.problem(problem));
            }
            if given && !wanted {
                return Err(self.problem(format!("{name} takes no expression reference, &, there")));
            }
            self.at += usize::from(given);
            blocks.push(self.block(0)?);
            if !self.another(&Kind::RightParenthesis)? {
                break;
            }
        }
        let fits = if signature.variadic { blocks.len() >= signature.arguments } else { blocks.len() == signature.arguments };
        if !fits {
            let problem = format!(
                "{name} takes {}{} argument{}, not {}",
                if signature.variadic { "at least " } else { "" },
                signature.arguments,
                if signature.arguments == 1 { "" } else { "s" },
                blocks.len()
            );
            return Err(SyntaxError::new(problem, self.text, self.tokens[start].start));
        }
        Ok(Op::Call(function, self.draft.children(&blocks)))
    }

    /// Whether a comma follows, or what closes the list.
    fn another(&mut self, close: &Kind<'static>) -> Result<bool, SyntaxError> {
        if *self.current() == Kind::Comma {
            self.at += 1;
            return Ok(true);
        }
        if self.current() != close {
            return Err(self.unexpected(&format!("a comma or {}", close.shown())));
        }
        self.at += 1;
        Ok(false)
    }

    /// Takes the literal that is next, whose JSON this is.
    fn literal(&mut self, json: String) -> Op {
        self.at += 1;
        self.draft.literal(json)
    }

    /// Takes the name that is next.
    fn name(&mut self) -> Result<Name, SyntaxError> {
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

    fn current(&self) -> &Kind<'t> {
        self.ahead(0)
    }

    fn next(&self) -> &Kind<'t> {
        self.ahead(1)
    }

    fn after_next(&self) -> &Kind<'t> {
        self.ahead(2)
    }

    fn ahead(&self, count: usize) -> &Kind<'t> {
        self.tokens.get(self.at + count).map_or(&Kind::End, |token| &token.kind)
    }

    fn expect(&mut self, kind: &Kind<'static>) -> Result<(), SyntaxError> {
        if self.current() != kind {
            return Err(self.unexpected(kind.shown()));
        }
        self.at += 1;
        Ok(())
    }

    /// `expected` is not what is next.
    fn unexpected(&self, expected: &str) -> SyntaxError {
        match self.current() {
            Kind::End => self.problem(format!("it ends where {expected} is expected")),
            found => self.problem(format!("{expected} is expected instead of {}", found.shown())),
        }
    }

    /// What is next is wrong.
    fn problem(&self, problem: impl std::fmt::Display) -> SyntaxError {
        let at = self.tokens.get(self.at).map_or(self.text.len(), |token| token.start);
        SyntaxError::new(problem, self.text, at)
    }
}
