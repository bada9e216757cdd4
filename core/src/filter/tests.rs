//! Conditions at random, against an evaluator that knows no keys and no bits.

use super::*;
use crate::vectors::Payloads;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;

const TEXTS: [&str; 6] = ["", "a", "aa", "b", "\u{e9}", "it's \"so\""];

/// Columns `n` (i64), `x` (f64), `b` (bool), `t` (text), each with rows without a value.
#[derive(Clone, Debug)]
struct Table {
    n: Vec<Option<i64>>,
    x: Vec<Option<f64>>,
    b: Vec<Option<bool>>,
    t: Vec<Option<&'static str>>,
}

fn table() -> impl Strategy<Value = Table> {
    let row = (
        proptest::option::of(-5i64..5),
        proptest::option::of((-5i32..5).prop_map(|n| f64::from(n) / 2.0)),
        proptest::option::of(any::<bool>()),
        proptest::option::of(proptest::sample::select(TEXTS.to_vec())),
    );
    proptest::collection::vec(row, 0..200).prop_map(|rows| Table {
        n: rows.iter().map(|row| row.0).collect(),
        x: rows.iter().map(|row| row.1).collect(),
        b: rows.iter().map(|row| row.2).collect(),
        t: rows.iter().map(|row| row.3).collect(),
    })
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![(-6i64..6).prop_map(Value::I64), (-12i32..12).prop_map(|n| Value::F64(f64::from(n) / 4.0))]
}

fn text() -> impl Strategy<Value = Value> {
    proptest::sample::select(["", "a", "ab", "b", "zz", "\u{e9}", "it's \"so\""].to_vec()).prop_map(|text| Value::Text(text.to_owned()))
}

fn test() -> impl Strategy<Value = Filter> {
    let of = |value: BoxedStrategy<Value>| {
        let one = (value.clone(), 0..6usize).prop_map(|(value, kind)| match kind {
            0 => Compare::Equal(value),
            1 => Compare::NotEqual(value),
            2 => Compare::Less(value),
            3 => Compare::AtMost(value),
            4 => Compare::Greater(value),
            _ => Compare::AtLeast(value),
        });
        let list = (proptest::collection::vec(value.clone(), 1..4), any::<bool>());
        let list = list.prop_map(|(values, not)| if not { Compare::NotIn(values) } else { Compare::In(values) });
        let null = any::<bool>().prop_map(|not| if not { Compare::NotNull } else { Compare::Null });
        prop_oneof![one, list, (value.clone(), value).prop_map(|(low, high)| Compare::Between(low, high)), null].boxed()
    };
    let truth = any::<(bool, bool)>().prop_map(|(value, not)| {
        let value = Value::Bool(value);
        if not { Compare::NotEqual(value) } else { Compare::Equal(value) }
    });
    prop_oneof![
        of(number().boxed()).prop_map(|compare| Filter::test("n", compare)),
        of(number().boxed()).prop_map(|compare| Filter::test("x", compare)),
        of(text().boxed()).prop_map(|compare| Filter::test("t", compare)),
        truth.prop_map(|compare| Filter::test("b", compare)),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    test().prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.and(b)),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a.or(b)),
            inner.prop_map(Filter::negate),
        ]
    })
}

/// Whether a row passes, by the definition.
fn passes(filter: &Filter, table: &Table, row: usize) -> bool {
    let mut stack: Vec<bool> = Vec::new();
    for op in &filter.ops {
        let value = match op {
            expr::Op::Not => !stack.pop().unwrap(),
            expr::Op::And | expr::Op::Or => {
                let (right, left) = (stack.pop().unwrap(), stack.pop().unwrap());
                if *op == expr::Op::And { left && right } else { left || right }
            }
            expr::Op::Test(test) => compare(test, table, row),
        };
        stack.push(value);
    }
    stack.pop().unwrap()
}

fn compare(test: &expr::Test, table: &Table, row: usize) -> bool {
    use core::cmp::Ordering;
    let value = match test.column.as_str() {
        "n" => table.n[row].map(|n| Value::F64(n as f64)),
        "x" => table.x[row].map(Value::F64),
        "b" => table.b[row].map(Value::Bool),
        _ => table.t[row].map(|text| Value::Text(text.to_owned())),
    };
    let order = |other: &Value| -> Ordering {
        match (value.clone().unwrap(), other) {
            (Value::F64(a), Value::F64(b)) => a.partial_cmp(b).unwrap(),
            (Value::F64(a), Value::I64(b)) => a.partial_cmp(&(*b as f64)).unwrap(),
            (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            other => panic!("{other:?}"),
        }
    };
    let there = value.is_some();
    match &test.compare {
        Compare::Null => !there,
        Compare::NotNull => there,
        Compare::Equal(other) => there && order(other).is_eq(),
        Compare::NotEqual(other) => there && order(other).is_ne(),
        Compare::Less(other) => there && order(other).is_lt(),
        Compare::AtMost(other) => there && order(other).is_le(),
        Compare::Greater(other) => there && order(other).is_gt(),
        Compare::AtLeast(other) => there && order(other).is_ge(),
        Compare::Between(low, high) => there && order(low).is_ge() && order(high).is_le(),
        Compare::In(others) => there && others.iter().any(|other| order(other).is_eq()),
        Compare::NotIn(others) => there && others.iter().all(|other| order(other).is_ne()),
    }
}

fn nulls<T>(values: &[Option<T>]) -> Vec<u8> {
    let mut bytes = alloc::vec![0; values.len().div_ceil(8)];
    for (row, value) in values.iter().enumerate() {
        bytes[row / 8] |= u8::from(value.is_none()) << (row % 8);
    }
    bytes
}

/// Hands the table's columns to `work`.
fn with_columns<T>(table: &Table, work: impl FnOnce(&[ColumnInput<'_>]) -> T) -> T {
    let n: Vec<i64> = table.n.iter().map(|n| n.unwrap_or(3)).collect();
    let x: Vec<f64> = table.x.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
    let b: Vec<u8> = table.b.iter().map(|b| b.map_or(9, u8::from)).collect();
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for text in &table.t {
        bytes.extend_from_slice(text.unwrap_or("null").as_bytes());
        ends.push(bytes.len() as u64);
    }
    let texts = Payloads::new(&bytes, &ends).unwrap();
    let nulls = [nulls(&table.n), nulls(&table.x), nulls(&table.b), nulls(&table.t)];
    let values = [("n", Values::I64(&n)), ("x", Values::F64(&x)), ("b", Values::Bool(&b)), ("t", Values::Text(texts))];
    let columns: Vec<ColumnInput<'_>> =
        values.into_iter().zip(&nulls).map(|((name, values), nulls)| ColumnInput { name, values, nulls: Some(nulls) }).collect();
    work(&columns)
}

proptest! {
    #[test]
    fn any_condition_selects_what_its_definition_does(table in table(), filter in filter()) {
        let rows = table.n.len();
        let expected: Vec<u32> = (0..rows).filter(|&row| passes(&filter, &table, row)).map(|row| row as u32).collect();
        let found = with_columns(&table, |columns| select(columns, rows, &filter));
        prop_assert_eq!(found.as_ref(), Ok(&expected), "{}", filter);
        let again = Filter::parse(&alloc::format!("{filter}")).unwrap();
        prop_assert_eq!(with_columns(&table, |columns| select(columns, rows, &again)), Ok(expected));
    }
}

#[test]
fn chunks_make_no_difference() {
    let n: Vec<i64> = (0..10_000).map(|row| row * 7919 % 1000).collect();
    let column = ColumnInput { name: "n", values: Values::I64(&n), nulls: None };
    let found = select(&[column], n.len(), &Filter::parse("n < 500 and not n in (1, 2, 3)").unwrap()).unwrap();
    let expected: Vec<u32> = (0..10_000u32).filter(|&row| n[row as usize] < 500 && !(1..4).contains(&n[row as usize])).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_does_not_fit_is_refused_with_column_and_place() {
    let table = Table { n: alloc::vec![Some(1)], x: alloc::vec![None], b: alloc::vec![None], t: alloc::vec![Some("a")] };
    let fault = |text: &str| -> String {
        let filter = Filter::parse(text).unwrap();
        with_columns(&table, |columns| select(columns, 1, &filter)).map(|rows| alloc::format!("{rows:?}")).unwrap_err().to_string()
    };
    use alloc::string::ToString;
    assert_eq!(fault("n = 1 and m < 3"), "at character 11: no column m; there are: n, x, b, t");
    assert_eq!(fault("n = \"a\""), "at character 1: column n is i64: a number would be right, not \"a\"");
    assert_eq!(fault("not t < 3"), "at character 5: column t is string: \"text\" in quotes would be right, not 3");
    assert_eq!(fault("b < true"), "at character 1: column b is bool: = or != with true or false would be right, not true");
    assert_eq!(fault("n"), "at character 1: column n is i64: a number would be right, not true");
    let filter = Filter::test("n", Compare::Less(Value::F64(f64::NAN)));
    let error = with_columns(&table, |columns| select(columns, 1, &filter)).unwrap_err().to_string();
    assert_eq!(error, "column n is i64: a finite number would be right, not NaN");
    let none = select(&[], 5, &Filter::parse("a").unwrap()).unwrap_err().to_string();
    assert_eq!(none, "at character 1: no column a: there are no columns");
}

#[test]
fn columns_that_are_wrong_are_named() {
    let fault = |columns: &[ColumnInput<'_>]| check(columns, 2).unwrap_err();
    fn column<'a>(name: &'a str, values: Values<'a>) -> ColumnInput<'a> {
        ColumnInput { name, values, nulls: None }
    }
    let numbers = Values::I64(&[1, 2]);
    assert_eq!(fault(&[column("", numbers)]).what, "a name has 1 to 96 bytes");
    assert_eq!(fault(&[column(&"x".repeat(97), numbers)]).what, "a name has 1 to 96 bytes");
    assert_eq!(fault(&[column("a", numbers), column("a", numbers)]).what, "a second column of that name");
    assert_eq!(fault(&[column("a", Values::I64(&[1]))]).what, "another number of values than rows");
    assert_eq!(fault(&[column("a", Values::F64(&[1.0, f64::NAN]))]).row, Some(1));
    assert_eq!(fault(&[column("a", Values::Bool(&[0, 2]))]).row, Some(1));
    let text = Payloads::new(&[b'a', 0xFF], &[1, 2]).unwrap();
    let error = fault(&[column("a", Values::Text(text))]);
    assert_eq!(alloc::format!("{error}"), "column \"a\", row 1: text that is not UTF-8");
    let hidden = ColumnInput { nulls: Some(&[0b10]), ..column("a", Values::F64(&[1.0, f64::NAN])) };
    assert_eq!(check(&[hidden], 2), Ok(()));
    let names: Vec<String> = (0..41).map(|n| alloc::format!("c{n}")).collect();
    let many: Vec<ColumnInput<'_>> = names.iter().map(|name| column(name, numbers)).collect();
    assert_eq!((check(&many[..40], 2), fault(&many).what), (Ok(()), "a file holds at most 40 columns"));
}
