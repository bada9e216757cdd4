//! A condition as text, in a time that grows with its length alone.

use super::expr::{Compare, Filter, Op, Test};
use super::value::Value;
use alloc::vec::Vec;
use core::fmt;

/// Text that [`Filter::parse`] reads as the same condition.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Read from the end, a condition in postfix is one in prefix: it is written down backwards, each piece once.
        let mut pieces: Vec<Result<&Test, &str>> = Vec::with_capacity(2 * self.ops.len());
        // What stands before operands that are still to come.
        let mut before: Vec<&str> = Vec::new();
        for op in self.ops.iter().rev() {
            match op {
                Op::Not => before.push("not "),
                Op::And | Op::Or => {
                    pieces.push(Err(")"));
                    before.push(if *op == Op::And { " and " } else { " or " });
                }
                Op::Test(test) => {
                    pieces.push(Ok(test));
                    while let Some(piece) = before.pop() {
                        pieces.push(Err(piece));
                        if piece.starts_with(' ') {
                            // The left side comes next, behind its bracket.
                            before.push("(");
                            break;
                        }
                    }
                }
            }
        }
        pieces.iter().rev().try_for_each(|piece| match piece {
            Ok(test) => test.fmt(f),
            Err(piece) => f.write_str(piece),
        })
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, value: &Value| match value {
            Value::Text(text) => write!(f, "\"{}\"", text.replace('"', "\"\"")),
            other => other.fmt(f),
        };
        write!(f, "`{}` ", self.column.replace('`', "``"))?;
        let sign = match &self.compare {
            Compare::Equal(_) => "=",
            Compare::NotEqual(_) => "!=",
            Compare::Less(_) => "<",
            Compare::AtMost(_) => "<=",
            Compare::Greater(_) => ">",
            Compare::AtLeast(_) => ">=",
            Compare::Null => return f.write_str("is null"),
            Compare::NotNull => return f.write_str("is not null"),
            Compare::In(_) => "in (",
            Compare::NotIn(_) => "not in (",
            Compare::Between(low, high) => {
                f.write_str("between ")?;
                write(f, low)?;
                f.write_str(" and ")?;
                return write(f, high);
            }
        };
        f.write_str(sign)?;
        for (place, value) in self.compare.values().iter().enumerate() {
            f.write_str(if place > 0 {
                ", "
            } else if sign.ends_with('(') {
                ""
            } else {
                " "
            })?;
            write(f, value)?;
        }
        f.write_str(if sign.ends_with('(') { ")" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_of_a_long_condition_is_as_long_as_its_parts() {
        // More than may be evaluated; each part that is added must not copy those before it.
        let test = || Filter::test("a", Compare::Less(Value::I64(1)));
        let all = (1..200_000).fold(test(), |all, _| all.and(test())).negate();
        let text = all.to_string();
        assert!(text.starts_with("not (((") && text.ends_with(" and `a` < 1) and `a` < 1)"));
        assert_eq!(text.len(), 4 + 200_000 * 7 + 199_999 * 7);
        assert_eq!(all.validate().unwrap_err().to_string(), "more than 4096 conditions");
    }
}
