//! The text form of a condition, read; `show` writes it.
//!
//! ```text
//! price < 20 and brand in ("a", "b") and not sold
//! (score between 0.5 and 0.9 or score is null) and `odd name` != 'it''s'
//! ```
//! `not` binds tighter than `and`, `and` tighter than `or`. A column alone means that it is true. Strings stand in double
//! or single quotes, which are doubled inside; names that are no words, in backquotes. Words of the language may be
//! written in either case. Read by two stacks (Dijkstra's shunting yard), so depth costs memory and no recursion.

use super::error::{FilterError, FilterFault};
use super::expr::{Compare, Filter, OPS_MAX, Op, Test};
use super::value::Value;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of a text at most.
pub const TEXT_MAX: usize = 1 << 20;

/// What the text is made of.
#[derive(Clone, Debug, PartialEq)]
enum Token<'a> {
    /// A name or a word of the language.
    Word(&'a str),
    /// A name in backquotes.
    Name(String),
    Value(Value),
    /// `=`, `<=`, `(`, `,` ...
    Sign(&'a str),
    End,
}

/// Signs, the longer before those that they begin with.
const SIGNS: [&str; 11] = ["<=", ">=", "!=", "<>", "==", "<", ">", "=", "(", ")", ","];

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        matches!(self, Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn describe(&self) -> String {
        match self {
            Token::Word(word) | Token::Sign(word) => alloc::format!("`{word}`"),
            Token::Name(name) => alloc::format!("`{name}`"),
            Token::Value(value) => alloc::format!("{value}"),
            Token::End => "the end".to_owned(),
        }
    }
}

/// The text, token by token.
struct Tokens<'a> {
    text: &'a str,
    /// Where the next token may begin.
    next: usize,
    token: Token<'a>,
    /// Where `token` begins.
    start: usize,
    /// Characters before it.
    before: usize,
}

/// What waits for its right side.
#[derive(Clone, Copy, PartialEq)]
enum Waiting {
    Open,
    Or,
    And,
    Not,
}

impl Filter {
    /// Reads the text of a condition.
    ///
    /// # Errors
    /// Where the text does not go on as it should, and how it might.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > TEXT_MAX {
            return Err(FilterError { at: None, fault: FilterFault::TooLarge { what: "bytes", limit: TEXT_MAX } });
        }
        let mut tokens = Tokens { text, next: 0, token: Token::End, start: 0, before: 0 };
        tokens.advance()?;
        let (mut ops, mut waiting) = (Vec::new(), Vec::new());
        loop {
            operand(&mut tokens, &mut ops, &mut waiting)?;
            loop {
                let (joint, at_least) = match &tokens.token {
                    token if token.is("and") => (Some(Waiting::And), Waiting::And),
                    token if token.is("or") => (Some(Waiting::Or), Waiting::Or),
                    Token::Sign(")") | Token::End => (None, Waiting::Or),
                    _ => return Err(tokens.expected("`and`, `or`, `)` or the end")),
                };
                release(&mut ops, &mut waiting, at_least);
                if let Some(joint) = joint {
                    waiting.push(joint);
                    tokens.advance()?;
                    break;
                }
                match (waiting.pop(), &tokens.token) {
                    (Some(_), Token::Sign(_)) => tokens.advance()?,
                    (None, Token::End) => {
                        let filter = Self { ops };
                        return filter.validate().map(|()| filter);
                    }
                    (Some(_), _) => return Err(tokens.expected("`)`")),
                    (None, _) => return Err(tokens.expected("`and`, `or` or the end")),
                }
            }
        }
    }
}

/// Reads what may stand before a test, and the test.
fn operand(tokens: &mut Tokens<'_>, ops: &mut Vec<Op>, waiting: &mut Vec<Waiting>) -> Result<(), FilterError> {
    loop {
        let before = match &tokens.token {
            Token::Sign("(") => Waiting::Open,
            token if token.is("not") => Waiting::Not,
            _ => break,
        };
        if waiting.len() >= OPS_MAX {
            return Err(tokens.too_large("brackets and connectives under way", OPS_MAX));
        }
        waiting.push(before);
        tokens.advance()?;
    }
    if ops.len() >= OPS_MAX {
        return Err(tokens.too_large("conditions", OPS_MAX));
    }
    ops.push(Op::Test(tokens.test()?));
    Ok(())
}

/// Moves on to `ops` what binds at least as tightly as `at_least`, up to the last open bracket.
fn release(ops: &mut Vec<Op>, waiting: &mut Vec<Waiting>, at_least: Waiting) {
    while let Some(&last) = waiting.last() {
        let op = match (last, at_least) {
            (Waiting::Not, _) => Op::Not,
            (Waiting::And, _) => Op::And,
            (Waiting::Or, Waiting::Or) => Op::Or,
            _ => return,
        };
        ops.push(op);
        waiting.pop();
    }
}

impl<'a> Tokens<'a> {
    /// The token is at fault.
    fn error(&self, fault: FilterFault) -> FilterError {
        FilterError { at: Some(self.before + 1), fault }
    }

    /// The token is not what it should be.
    fn expected(&self, wanted: &'static str) -> FilterError {
        self.error(FilterFault::Expected { wanted, found: self.token.describe() })
    }

    fn too_large(&self, what: &'static str, limit: usize) -> FilterError {
        self.error(FilterFault::TooLarge { what, limit })
    }

    /// Takes the token, which is one of a test's.
    fn take(&mut self) -> Result<Token<'a>, FilterError> {
        let token = self.token.clone();
        self.advance()?;
        Ok(token)
    }

    /// Takes the word or sign where it stands next.
    fn skip(&mut self, token: &str) -> Result<bool, FilterError> {
        let there = self.token.is(token) || matches!(self.token, Token::Sign(sign) if sign == token);
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    fn test(&mut self) -> Result<Test, FilterError> {
        let at = Some(self.before + 1);
        let column = match &self.token {
            Token::Word(word) if !["and", "or", "in", "is", "between", "null"].iter().any(|word| self.token.is(word)) => (*word).to_owned(),
            Token::Name(name) => name.clone(),
            _ => return Err(self.expected("the name of a column, `not` or `(`")),
        };
        self.advance()?;
        let compare = if let Token::Sign(sign @ ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=")) = self.token {
            self.advance()?;
            let value = self.value()?;
            match sign {
                "=" | "==" => Compare::Equal(value),
                "!=" | "<>" => Compare::NotEqual(value),
                "<" => Compare::Less(value),
                "<=" => Compare::AtMost(value),
                ">" => Compare::Greater(value),
                _ => Compare::AtLeast(value),
            }
        } else if self.skip("is")? {
            let not = self.skip("not")?;
            if !self.skip("null")? {
                return Err(self.expected("`null`"));
            }
            if not { Compare::NotNull } else { Compare::Null }
        } else if self.skip("between")? {
            let low = self.value()?;
            if !self.skip("and")? {
                return Err(self.expected("`and`"));
            }
            Compare::Between(low, self.value()?)
        } else if self.skip("in")? {
            Compare::In(self.list()?)
        } else if self.skip("not")? {
            if !self.skip("in")? {
                return Err(self.expected("`in`"));
            }
            Compare::NotIn(self.list()?)
        } else {
            Compare::Equal(Value::Bool(true))
        };
        Ok(Test { column, at, compare })
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        match &self.token {
            Token::Value(_) => {}
            Token::Word(_) if self.token.is("true") || self.token.is("false") => {}
            token if token.is("null") => return Err(self.expected("a value (for rows without one: `is null`)")),
            Token::Word(_) | Token::Name(_) => return Err(self.expected("a value: a number, \"text\", true or false")),
            _ => return Err(self.expected("a value")),
        }
        let token = self.take()?;
        Ok(if let Token::Value(value) = token { value } else { Value::Bool(token.is("true")) })
    }

    fn list(&mut self) -> Result<Vec<Value>, FilterError> {
        if !self.skip("(")? {
            return Err(self.expected("`(` and values"));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.value()?);
            if self.skip(")")? {
                return Ok(values);
            }
            if !self.skip(",")? {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    /// Reads the next token.
    fn advance(&mut self) -> Result<(), FilterError> {
        let text = self.text;
        let rest = text.get(self.next..).unwrap_or_default().trim_start();
        let start = text.len() - rest.len();
        self.before += text.get(self.start..start).map_or(0, |passed| passed.chars().count());
        self.start = start;
        let (token, length) = match rest.chars().next() {
            None => (Token::End, 0),
            Some(quote @ ('"' | '\'' | '`')) => {
                let (inside, length) = quoted(rest, quote).ok_or_else(|| {
                    let found = "a quote that is not closed".to_owned();
                    self.error(FilterFault::Expected { wanted: "the same quote at its end", found })
                })?;
                (if quote == '`' { Token::Name(inside) } else { Token::Value(Value::Text(inside)) }, length)
            }
            Some(first) if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') => self.number(rest)?,
            Some(first) if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
                let (word, _) = rest.split_at(end);
                (Token::Word(word), end)
            }
            Some(other) => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => {
                    let wanted = "the name of a column, a value, or one of = != < <= > >= ( ) ,";
                    return Err(self.error(FilterFault::Expected { wanted, found: alloc::format!("{other:?}") }));
                }
            },
        };
        self.token = token;
        self.next = self.start + length;
        Ok(())
    }

    fn number(&self, rest: &str) -> Result<(Token<'a>, usize), FilterError> {
        let mut last = ' ';
        let end = rest.find(|c: char| {
            let sign_of_exponent = matches!(c, '-' | '+') && matches!(last, ' ' | 'e' | 'E');
            last = c;
            !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign_of_exponent)
        });
        let (number, _) = rest.split_at(end.unwrap_or(rest.len()));
        let whole = number.parse().ok().map(Value::I64);
        let value = whole.or_else(|| number.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::F64));
        let value = value.ok_or_else(|| {
            let wanted = "a number such as 7, -0.5 or 1e6";
            self.error(FilterFault::Expected { wanted, found: alloc::format!("`{number}`") })
        })?;
        Ok((Token::Value(value), number.len()))
    }
}

/// What stands between quotes, those inside halved, and how long it is with them.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut inside = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|&(_, next)| next == quote).is_none() {
            return Some((inside, at + c.len_utf8()));
        }
        inside.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn shown(text: &str) -> String {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let again = Filter::parse(&filter.to_string()).expect("its own text");
        assert_eq!(again.to_string(), filter.to_string());
        filter.to_string()
    }

    fn fault(text: &str) -> String {
        Filter::parse(text).map(|filter| filter.to_string()).expect_err(text).to_string()
    }

    #[test]
    fn words_bind_as_they_should() {
        assert_eq!(shown("a = 1 or b = 2 and not c = 3"), "(`a` = 1 or (`b` = 2 and not `c` = 3))");
        assert_eq!(shown("(a = 1 OR b = 2) AND c"), "((`a` = 1 or `b` = 2) and `c` = true)");
        assert_eq!(shown("a and b and c or d"), "(((`a` = true and `b` = true) and `c` = true) or `d` = true)");
        assert_eq!(shown("not not a"), "not not `a` = true");
        assert_eq!(shown("not (a and b)"), "not (`a` = true and `b` = true)");
        assert_eq!(shown("a between 1 and 2 and b"), "(`a` between 1 and 2 and `b` = true)");
    }

    #[test]
    fn tests_of_all_kinds() {
        assert_eq!(shown("price<20"), "`price` < 20");
        assert_eq!(shown("price >= -1.5e3"), "`price` >= -1500.0");
        assert_eq!(shown("brand in (\"a\", 'it''s')"), "`brand` in (\"a\", \"it's\")");
        assert_eq!(shown("brand not in (\"say \"\"hi\"\"\")"), "`brand` not in (\"say \"\"hi\"\"\")");
        assert_eq!(shown("`odd ``name` <> true"), "`odd ``name` != true");
        assert_eq!(shown("a.b is null or c is not null"), "(`a.b` is null or `c` is not null)");
        assert_eq!(shown("n = 9223372036854775808"), "`n` = 9.223372036854776e18");
        assert_eq!(shown("n = -9223372036854775808"), "`n` = -9223372036854775808");
        assert_eq!(shown("sold == FALSE"), "`sold` = false");
    }

    #[test]
    fn errors_say_where_what_and_what_would_be_right() {
        assert_eq!(fault(""), "at character 1: the end; the name of a column, `not` or `(` would be right");
        assert_eq!(fault("price <"), "at character 8: the end; a value would be right");
        assert_eq!(
            fault("price < \u{e9}t\u{e9}"),
            "at character 9: `\u{e9}t\u{e9}`; a value: a number, \"text\", true or false would be right"
        );
        assert_eq!(fault("\u{e9}t\u{e9} < 1 b"), "at character 9: `b`; `and`, `or`, `)` or the end would be right");
        assert_eq!(fault("(a = 1"), "at character 7: the end; `)` would be right");
        assert_eq!(fault("a = 1)"), "at character 6: `)`; `and`, `or` or the end would be right");
        assert_eq!(fault("a in 3"), "at character 6: 3; `(` and values would be right");
        assert_eq!(fault("a in (1 2)"), "at character 9: 2; `,` or `)` would be right");
        assert_eq!(fault("a in ()"), "at character 7: `)`; a value would be right");
        assert_eq!(fault("a = \"x"), "at character 5: a quote that is not closed; the same quote at its end would be right");
        assert_eq!(fault("a = 1x"), "at character 5: `1x`; a number such as 7, -0.5 or 1e6 would be right");
        assert_eq!(fault("a = null"), "at character 5: `null`; a value (for rows without one: `is null`) would be right");
        assert_eq!(fault("a is 3"), "at character 6: 3; `null` would be right");
        assert_eq!(fault("a not 3"), "at character 7: 3; `in` would be right");
        assert_eq!(fault("a between 1 or 2"), "at character 13: `or`; `and` would be right");
        assert!(fault("a & b").starts_with("at character 3: '&'; the name of a column, a value, or one of"));
        assert_eq!(fault("and"), "at character 1: `and`; the name of a column, `not` or `(` would be right");
        assert_eq!(fault("a = 1 and"), "at character 10: the end; the name of a column, `not` or `(` would be right");
        assert!(fault("a = 1e999").contains("a number such as"));
    }

    #[test]
    fn no_text_is_too_much() {
        assert_eq!(fault(&"(".repeat(100_000)), "at character 4097: more than 4096 brackets and connectives under way");
        assert!(Filter::parse(&("not ".repeat(4_000) + "a")).is_ok());
        assert!(fault(&("not ".repeat(100_000) + "a")).contains("more than 4096"));
        let many = |count: usize| alloc::vec!["a"; count].join(" and ");
        assert!(Filter::parse(&many(2_000)).is_ok());
        assert_eq!(fault(&many(4_000)), "at character 12295: more than 4096 conditions");
        let right = |depth: usize| "a or (".repeat(depth) + "a" + &")".repeat(depth);
        assert!(Filter::parse(&right(63)).is_ok());
        assert_eq!(fault(&right(64)), "more than 64 conditions within conditions");
        let list = |count: usize| alloc::format!("a in ({})", alloc::vec!["1"; count].join(","));
        assert!(Filter::parse(&list(65_536)).is_ok());
        assert_eq!(fault(&list(65_537)), "more than 65536 values");
        assert_eq!(fault(&" ".repeat(2_000_000)), "more than 1048576 bytes");
    }

    #[test]
    fn any_text_is_read_or_refused() {
        use proptest::prelude::*;
        let words =
            ["a", "not", "and", "or", "(", ")", "in", "is", "null", "between", "=", "<=", "1", "-2.5", "\"x\"", ",", "`b`", "true", "'"];
        proptest!(|(picked in proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..12), noise in any::<String>())| {
            for text in [picked.join(" "), picked.concat(), noise] {
                if let Ok(filter) = Filter::parse(&text) {
                    let again = Filter::parse(&filter.to_string());
                    prop_assert_eq!(again.map(|again| again.to_string()), Ok(filter.to_string()));
                }
            }
        });
    }
}
