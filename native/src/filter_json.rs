//! A condition as JSON, for programs that would otherwise have to quote.
//!
//! ```json
//! { "and": [ { "column": "price", "gte": 5, "lt": 20 },
//!            { "or": [ { "column": "brand", "in": ["a", "b"] }, { "not": { "column": "sold", "eq": true } } ] } ] }
//! ```
//! A test names its `column` and one or more of `eq ne lt lte gt gte in not_in` and `is_null` (true or false), all of
//! which must hold. `and` and `or` hold one condition or more. A string is the text form, see
//! [`Filter::parse`](nearshore_core::filter::Filter::parse).

use nearshore_core::filter::{Compare, Filter, OPS_MAX, TEXT_MAX, Value};
use serde_json::{Map, Value as Json};

/// Reads a condition.
///
/// # Errors
/// Which part is wrong, and what would be right; or that there is too much of it, before the rest is read.
pub fn parse(json: &Json) -> Result<Filter, String> {
    let filter = Room { ops: OPS_MAX, bytes: TEXT_MAX }.parse(json)?;
    filter.validate().map_err(|error| error.to_string())?;
    Ok(filter)
}

/// What may still come.
struct Room {
    /// Conditions and connectives.
    ops: usize,
    /// Bytes of texts and names.
    bytes: usize,
}

impl Room {
    fn op(&mut self) -> Result<(), String> {
        self.ops = self.ops.checked_sub(1).ok_or_else(|| format!("more than {OPS_MAX} conditions"))?;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        self.bytes = self.bytes.checked_sub(text.len()).ok_or_else(|| format!("more than {TEXT_MAX} bytes"))?;
        Ok(())
    }

    fn value(&mut self, json: &Json) -> Result<Value, String> {
        self.text(json.as_str().unwrap_or_default())?;
        value(json)
    }

    fn list(&mut self, json: &Json) -> Result<Vec<Value>, String> {
        let values = json.as_array().ok_or("a list of values would be right")?;
        values.iter().map(|json| self.value(json)).collect()
    }

    fn parse(&mut self, json: &Json) -> Result<Filter, String> {
        match json {
            Json::String(text) => {
                self.op()?;
                self.text(text)?;
                Filter::parse(text).map_err(|error| error.to_string())
            }
            Json::Object(object) => read(object, self),
            _ => Err("a string, or an object such as {\"column\": \"price\", \"lt\": 20}, would be right".to_owned()),
        }
    }
}

/// Recurses as deep as its JSON, whose parser bounds that.
fn read(object: &Map<String, Json>, room: &mut Room) -> Result<Filter, String> {
    let only = |key: &str| {
        let alone = object.len() == 1;
        object.get(key).map(|value| if alone { Ok(value) } else { Err(format!("`{key}` stands alone in its object")) }).transpose()
    };
    if let Some(inner) = only("not")? {
        room.op()?;
        return Ok(room.parse(inner)?.negate());
    }
    for (key, join) in [("and", Filter::and as fn(Filter, Filter) -> Filter), ("or", Filter::or)] {
        let Some(parts) = only(key)? else { continue };
        let parts = parts.as_array().ok_or_else(|| format!("`{key}`: a list of conditions would be right"))?;
        let (first, rest) = parts.split_first().ok_or_else(|| format!("`{key}`: at least one condition would be right"))?;
        let mut all = room.parse(first)?;
        for part in rest {
            room.op()?;
            all = join(all, room.parse(part)?);
        }
        return Ok(all);
    }
    let column = object.get("column").and_then(Json::as_str);
    let column = column.ok_or("a condition has a `column` with its name, or `and`, `or` or `not` alone")?;
    let mut all: Option<Filter> = None;
    for (key, json) in object.iter().filter(|(key, _)| *key != "column") {
        let at = |what: String| format!("column {column}, `{key}`: {what}");
        room.op()?;
        room.text(column)?;
        let mut one = || room.value(json).map_err(at);
        let compare = match key.as_str() {
            "eq" => Compare::Equal(one()?),
            "ne" => Compare::NotEqual(one()?),
            "lt" => Compare::Less(one()?),
            "lte" => Compare::AtMost(one()?),
            "gt" => Compare::Greater(one()?),
            "gte" => Compare::AtLeast(one()?),
            "in" => Compare::In(room.list(json).map_err(at)?),
            "not_in" => Compare::NotIn(room.list(json).map_err(at)?),
            "is_null" => match json {
                Json::Bool(true) => Compare::Null,
                Json::Bool(false) => Compare::NotNull,
                _ => return Err(at("true or false would be right".to_owned())),
            },
            _ => return Err(at("one of eq, ne, lt, lte, gt, gte, in, not_in, is_null would be right".to_owned())),
        };
        let test = Filter::test(column, compare);
        all = Some(match all {
            Some(before) => {
                room.op()?;
                before.and(test)
            }
            None => test,
        });
    }
    all.ok_or_else(|| format!("column {column}: a comparison such as \"lt\": 20 would be right"))
}

/// A value, as conditions compare it and rows have it; `null` is none.
pub(crate) fn value(json: &Json) -> Result<Value, String> {
    match json {
        Json::Bool(value) => Ok(Value::Bool(*value)),
        Json::String(text) => Ok(Value::Text(text.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Value::I64(whole)),
            (None, Some(float)) => Ok(Value::F64(float)),
            (None, None) => Err("a number that fits 64 bits would be right".to_owned()),
        },
        Json::Null => Err("a value would be right; for rows without one there is \"is_null\": true".to_owned()),
        Json::Array(_) | Json::Object(_) => Err("a number, text, true or false would be right".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_says_what_the_text_says() {
        let same = |json: Json, text: &str| {
            let read = parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert_eq!(read.to_string(), Filter::parse(text).unwrap().to_string());
        };
        same(json!({ "column": "price", "gte": 5, "lt": 20.5 }), "price >= 5 and price < 20.5");
        same(json!({ "column": "brand", "in": ["a", "b"] }), "brand in ('a', 'b')");
        same(json!({ "column": "brand", "not_in": [1] }), "brand not in (1)");
        same(json!({ "column": "x", "is_null": true }), "x is null");
        same(json!({ "column": "x", "is_null": false }), "x is not null");
        same(json!({ "not": { "column": "sold", "eq": true } }), "not sold");
        let or = json!({ "or": [{ "column": "a", "ne": 1 }, { "and": [{ "column": "b", "lte": 2 }, { "column": "c", "gt": -3 }] }] });
        same(or, "a != 1 or (b <= 2 and c > -3)");
        same(json!("a = 1 or b"), "a = 1 or b");
        same(json!({ "and": [{ "column": "and", "eq": "x" }] }), "`and` = 'x'");
    }

    #[test]
    fn what_is_none_is_refused_with_its_place() {
        let fault = |json: Json| parse(&json).map(|filter| filter.to_string()).unwrap_err();
        assert_eq!(fault(json!(3)), "a string, or an object such as {\"column\": \"price\", \"lt\": 20}, would be right");
        assert_eq!(fault(json!({ "lt": 3 })), "a condition has a `column` with its name, or `and`, `or` or `not` alone");
        assert_eq!(fault(json!({ "column": "a" })), "column a: a comparison such as \"lt\": 20 would be right");
        assert!(fault(json!({ "column": "a", "less": 3 })).starts_with("column a, `less`: one of eq, ne, lt"));
        assert_eq!(
            fault(json!({ "column": "a", "eq": null })),
            "column a, `eq`: a value would be right; for rows without one there is \"is_null\": true"
        );
        assert_eq!(fault(json!({ "column": "a", "in": 3 })), "column a, `in`: a list of values would be right");
        assert_eq!(fault(json!({ "and": [] })), "`and`: at least one condition would be right");
        assert_eq!(fault(json!({ "and": [], "or": [] })), "`and` stands alone in its object");
        assert!(fault(json!("a <")).starts_with("at character 4"));
    }

    #[test]
    fn what_is_too_much_is_refused_while_it_is_read() {
        let fault = |json: Json| parse(&json).map(|_| ()).unwrap_err();
        let many = |count: usize| json!({ "and": vec![json!({ "column": "a", "lt": 1 }); count] });
        assert!(parse(&many(2_048)).is_ok());
        // The last one is no condition, and is not looked at.
        let mut long = many(4_000);
        long["and"].as_array_mut().unwrap().push(json!(3));
        assert_eq!(fault(long), "more than 4096 conditions");
        let nested = |depth: usize| (0..depth).fold(json!("a"), |inner, _| json!({ "or": ["a", inner] }));
        assert!(parse(&nested(63)).is_ok());
        assert_eq!(fault(nested(64)), "more than 64 conditions within conditions");
        let texts = |count: usize| json!({ "column": "a", "in": vec!["x".repeat(1 << 16); count] });
        assert!(parse(&texts(15)).is_ok());
        assert_eq!(fault(texts(16)), "column a, `in`: more than 1048576 bytes");
        assert_eq!(fault(json!({ "column": "a", "in": vec![1; 65_537] })), "more than 65536 values");
        let both = json!({ "and": [vec!["a"; 1_500].join(" and "), vec!["a"; 1_500].join(" and ")] });
        assert_eq!(fault(both), "more than 4096 conditions");
    }
}
