//! Splits an expression into tokens.

use super::{program::Comparison, syntax::SyntaxError};

/// A token and its position.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) start: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'t> {
    /// A bare name.
    Name(&'t str),
    /// A name in double quotes, including them: a JSON string.
    Quoted(&'t str),
    /// The raw JSON between two backticks.
    Json(&'t str),
    /// The raw text between two single quotes.
    Raw(&'t str),
    Number(i64),
    Dot,
    Star,
    /// `[]`
    Flatten,
    /// `[?`
    Filter,
    LeftBracket,
    RightBracket,
    LeftBrace,
    RightBrace,
    LeftParenthesis,
    RightParenthesis,
    Comma,
    Colon,
    At,
    /// `&`
    Reference,
    And,
    Pipe,
    Or,
    Not,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    End,
}

impl Kind<'_> {
    /// The binding power as an operator, as in the reference implementations; 0 for
    /// other tokens.
    pub(super) fn power(&self) -> u8 {
        match self {
            Self::Pipe => 1,
            Self::Or => 2,
            Self::And => 3,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual => 5,
            Self::Flatten => 9,
            Self::Star => 20,
            Self::Filter => 21,
            Self::Dot => 40,
            Self::Not => 45,
            Self::LeftBrace => 50,
            Self::LeftBracket => 55,
            Self::LeftParenthesis => 60,
            _ => 0,
        }
    }

    pub(super) fn comparison(&self) -> Option<Comparison> {
        Some(match self {
            Self::Equal => Comparison::Equal,
            Self::NotEqual => Comparison::NotEqual,
            Self::Less => Comparison::Less,
            Self::LessOrEqual => Comparison::LessOrEqual,
            Self::Greater => Comparison::Greater,
            Self::GreaterOrEqual => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The name in messages.
    pub(super) fn shown(&self) -> &'static str {
        match self {
            Self::Name(_) => "a name",
            Self::Quoted(_) => "a name in double quotes",
            Self::Json(_) => "a literal",
            Self::Raw(_) => "a string in single quotes",
            Self::Number(_) => "a number",
            Self::Dot => ".",
            Self::Star => "*",
            Self::Flatten => "[]",
            Self::Filter => "[?",
            Self::LeftBracket => "[",
            Self::RightBracket => "]",
            Self::LeftBrace => "{",
            Self::RightBrace => "}",
            Self::LeftParenthesis => "(",
            Self::RightParenthesis => ")",
            Self::Comma => "a comma",
            Self::Colon => "a colon",
            Self::At => "@",
            Self::Reference => "&",
            Self::And => "&&",
            Self::Pipe => "|",
            Self::Or => "||",
            Self::Not => "!",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::End => "the end",
        }
    }
}

/// All tokens of `text`. The last one is [`Kind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        let (kind, length) = first(text, at)?;
        let ends = kind == Kind::End;
        tokens.push(Token { kind, start: at });
        if ends {
            return Ok(tokens);
        }
        at += length;
    }
}

/// The token at `at`, and its length.
fn first(text: &str, at: usize) -> Result<(Kind<'_>, usize), SyntaxError> {
    let rest = &text[at..];
    let mut bytes = rest.bytes();
    let (Some(byte), next) = (bytes.next(), bytes.next()) else { return Ok((Kind::End, 0)) };
    let two = |second: u8, both: Kind<'static>, one: Kind<'static>| {
        if next == Some(second) { (both, 2) } else { (one, 1) }
    };
    let token = match byte {
        b'.' => (Kind::Dot, 1),
        b'*' => (Kind::Star, 1),
        b'[' if next == Some(b'?') => (Kind::Filter, 2),
        b'[' => two(b']', Kind::Flatten, Kind::LeftBracket),
        b']' => (Kind::RightBracket, 1),
        b'{' => (Kind::LeftBrace, 1),
        b'}' => (Kind::RightBrace, 1),
        b'(' => (Kind::LeftParenthesis, 1),
        b')' => (Kind::RightParenthesis, 1),
        b',' => (Kind::Comma, 1),
        b':' => (Kind::Colon, 1),
        b'@' => (Kind::At, 1),
        b'&' => two(b'&', Kind::And, Kind::Reference),
        b'|' => two(b'|', Kind::Or, Kind::Pipe),
        b'!' => two(b'=', Kind::NotEqual, Kind::Not),
        b'<' => two(b'=', Kind::LessOrEqual, Kind::Less),
        b'>' => two(b'=', Kind::GreaterOrEqual, Kind::Greater),
        b'=' if next == Some(b'=') => (Kind::Equal, 2),
        b'=' => return Err(SyntaxError::new("use == to compare values, not =", text, at)),
        b'"' => quoted(text, at, Kind::Quoted, "a name in double quotes is not closed: \" is missing")?,
        b'`' => quoted(text, at, Kind::Json, "a literal is not closed: ` is missing")?,
        b'\'' => quoted(text, at, Kind::Raw, "a string in single quotes is not closed: ' is missing")?,
        b'-' | b'0'..=b'9' => number(text, at)?,
        b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
            let length =
                rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
            (Kind::Name(&rest[..length]), length)
        }
        b'$' => return Err(SyntaxError::new("$ is not supported: start the path with a name", text, at)),
        _ => return Err(SyntaxError::new("this character must be in quotes", text, at)),
    };
    Ok(token)
}

/// The text up to the next unescaped quote of the kind at `at`.
fn quoted<'t>(
    text: &'t str,
    at: usize,
    kind: fn(&'t str) -> Kind<'t>,
    unfinished: &str,
) -> Result<(Kind<'t>, usize), SyntaxError> {
    let rest = &text[at..];
    let quote = rest.as_bytes()[0];
    let mut bytes = rest.bytes().enumerate().skip(1);
    while let Some((end, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote {
            let content = if quote == b'"' { &rest[..=end] } else { &rest[1..end] };
            return Ok((kind(content), end + 1));
        }
    }
    Err(SyntaxError::new(unfinished, text, at))
}

fn number(text: &str, at: usize) -> Result<(Kind<'_>, usize), SyntaxError> {
    let rest = &text[at..];
    let sign = usize::from(rest.starts_with('-'));
    let length = sign + rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if length == sign {
        let problem = "- has no meaning here (put a name that contains a dash in double quotes)";
        return Err(SyntaxError::new(problem, text, at));
    }
    let number = rest[..length].parse().map_err(|_| SyntaxError::new("the number is too large", text, at))?;
    Ok((Kind::Number(number), length))
}
