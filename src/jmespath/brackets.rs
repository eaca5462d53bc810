//! Parses brackets: indexes, slices, multi-selects and arguments.

use super::{
    functions::Function,
    lexer::Kind,
    parser::Parser,
    program::{Op, Parts, Slice},
    syntax::SyntaxError,
};

impl Parser<'_> {
    /// Parses an index, a slice or `*`, and the closing bracket.
    pub(super) fn bracketed(&mut self, ops: &mut Vec<Op>) -> Result<(), SyntaxError> {
        let star = Kind::Star.power();
        match self.current().clone() {
            Kind::Star => {
                self.at += 1;
                self.require(&Kind::RightBracket)?;
            }
            Kind::Number(index) if *self.next() == Kind::RightBracket => {
                self.at += 2;
                // No list is longer, so larger indexes find nothing.
                let bounded = index.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
                ops.push(Op::Index(bounded as i32));
                return Ok(());
            }
            Kind::Number(_) | Kind::Colon => {
                let slice = self.slice()?;
                ops.push(self.draft.slice(slice));
            }
            _ => return Err(self.unexpected("an index, a slice or * (as in a[0], a[1:3] or a[*])")),
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
                        return Err(self.problem("the step of a slice must not be 0"));
                    }
                    parts[part] = Some(*number);
                }
                Kind::Colon if part < 2 => part += 1,
                Kind::RightBracket => break,
                _ => return Err(self.unexpected("a slice, [start:stop:step]")),
            }
            self.at += 1;
            // A colon must separate two numbers.
            if matches!(self.tokens[self.at - 1].kind, Kind::Number(_))
                && matches!(self.current(), Kind::Number(_))
            {
                return Err(self.unexpected("a colon"));
            }
        }
        self.at += 1;
        let [start, stop, step] = parts;
        Ok(Slice { start, stop, step: step.unwrap_or(1) })
    }

    /// `[a, b]` or `{a: b, c: d}`
    pub(super) fn multi_select(&mut self, ops: &mut Vec<Op>) -> Result<(), SyntaxError> {
        let list = *self.current() == Kind::LeftBracket;
        self.at += 1;
        ops.push(if list {
            Op::List(self.multi_select_list()?)
        } else {
            Op::Hash(self.multi_select_hash()?)
        });
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
                return Err(self.unexpected("a key (as in {key: value})"));
            }
            let name = self.name()?;
            self.require(&Kind::Colon)?;
            members.push((name, self.block(0)?));
            if !self.another(&Kind::RightBrace)? {
                return Ok(self.draft.members(members));
            }
        }
    }

    /// Parses a function and its arguments.
    pub(super) fn call(&mut self, name: &str) -> Result<Op, SyntaxError> {
        let Some(function) = Function::named(name) else {
            return Err(self.problem(format!("there is no function {name}")));
        };
        let start = self.at;
        let signature = function.signature();
        self.at += 2;
        let mut blocks = Vec::new();
        let mut more = *self.current() != Kind::RightParenthesis;
        if !more {
            self.at += 1;
        }
        while more {
            let wanted = signature.expression == Some(blocks.len());
            let given = *self.current() == Kind::Reference;
            if wanted && !given {
                let problem = format!(
                    "argument {} of {name} must be an expression reference (&expression)",
                    blocks.len() + 1
                );
                return Err(self.problem(problem));
            }
            if given && !wanted {
                return Err(self.problem(format!("{name} does not take an expression reference (&) here")));
            }
            self.at += usize::from(given);
            blocks.push(self.block(0)?);
            more = self.another(&Kind::RightParenthesis)?;
        }
        let fits = if signature.variadic {
            blocks.len() >= signature.arguments
        } else {
            blocks.len() == signature.arguments
        };
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

    /// Consumes a comma and returns true, or consumes `close` and returns false.
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
}
