//! What requests bring: JSON whose every field is known, and numbers of things that are not too many.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, SeqAccess, Visitor};

use super::error::ApiError;
use super::object::Object;
use super::words;
use crate::base64;
use crate::collection::{self, EF_MAX, K_MAX};
use crate::filter::Value;
use crate::filter_json;
use crate::search::Effort;

/// Points of one insert.
pub(super) const POINTS_MAX: usize = 100_000;
/// Ids of one delete or get.
const IDS_MAX: usize = 100_000;
/// Searches of one request.
pub(super) const SEARCHES_MAX: usize = 1_000;
/// Hits of all searches of one request.
const HITS_MAX: usize = 100_000;
/// The sum of `ef` over all searches of one request; one that names none counts its `k`.
const EF_SUM_MAX: usize = 1_000_000;
/// Hits of a search that does not say.
const K: usize = 10;

/// Parses a body. Errors name the field, unknown ones included.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        let message = inner.to_string();
        if !inner.is_data() {
            return ApiError { field: None, ..ApiError::field("not_json", "", message) };
        }
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        let field = match (path.as_str(), missing) {
            (".", missing) => missing.map(str::to_owned),
            (path, Some(missing)) => Some(format!("{path}.{missing}")),
            (path, None) => Some(path.to_owned()),
        };
        let (code, message) = match () {
            () if message.starts_with("unknown field") => ("unknown_field", message),
            () if missing.is_some() => ("missing_field", message),
            () => {
                let place = format!(" at line {} column {}", inner.line(), inner.column());
                ("wrong_type", words::wrong_type(&path, message.strip_suffix(&place).unwrap_or(&message)))
            }
        };
        ApiError { field, ..ApiError::field(code, "", message) }
    })?;
    text.end().map_err(|error| ApiError { field: None, ..ApiError::field("not_json", "", error.to_string()) })?;
    Ok(value)
}

fn missing(field: &str) -> ApiError {
    ApiError::field("missing_field", field, format!("`{field}` is missing"))
}

pub(super) fn too_many(field: &str, found: usize, most: usize) -> Result<(), ApiError> {
    if found <= most {
        return Ok(());
    }
    Err(ApiError::field("too_many", field, format!("{found}; at most {most} in one request")))
}

/// An array of numbers, or base64 of little-endian f32.
#[derive(Debug)]
pub(super) struct Vector(pub(super) Vec<f32>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Numbers;

        impl<'de> Visitor<'de> for Numbers {
            type Value = Vector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of numbers, or base64 of little-endian f32")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vector, A::Error> {
                let mut vector = Vec::new();
                while let Some(number) = numbers.next_element()? {
                    vector.push(number);
                }
                Ok(Vector(vector))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vector, E> {
                let bytes = base64::decode(text).ok_or_else(|| E::custom("not base64 (RFC 4648, with padding)"))?;
                match bytes.as_chunks::<4>() {
                    (numbers, []) => Ok(Vector(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())),
                    _ => Err(E::custom(format!("{} bytes; a multiple of 4 would be right", bytes.len()))),
                }
            }
        }

        from.deserialize_any(Numbers)
    }
}

/// The first `MOST` of an array, and how many there are: the rest is refused, so it need not be in memory.
#[derive(Debug)]
struct Counted<T, const MOST: usize> {
    first: Vec<T>,
    count: usize,
}

impl<T, const MOST: usize> Counted<T, MOST> {
    #[cfg(feature = "grpc")]
    fn all(things: Vec<T>) -> Self {
        Self { count: things.len(), first: things }
    }

    fn checked(self, field: &str) -> Result<Vec<T>, ApiError> {
        too_many(field, self.count, MOST)?;
        Ok(self.first)
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Counted<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Things<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Things<T, MOST> {
            type Value = Counted<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut things: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < MOST {
                    let Some(Object(thing)) = things.next_element()? else { return Ok(Counted { count: first.len(), first }) };
                    first.push(thing);
                }
                let mut count = first.len();
                while things.next_element::<de::IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Counted { first, count })
            }
        }

        from.deserialize_seq(Things(PhantomData))
    }
}

/// Base64 of any bytes.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        base64::decode(&text).map(Self).ok_or_else(|| de::Error::custom("not base64 (RFC 4648, with padding)"))
    }
}

/// Values by the names of their columns.
#[derive(Debug)]
pub(super) struct Columns(pub(super) Vec<(String, Option<Value>)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = BTreeMap::<String, ColumnValue>::deserialize(from)?;
        Ok(Self(object.into_iter().map(|(name, ColumnValue(value))| (name, value)).collect()))
    }
}

/// A number, text, true, false or null.
struct ColumnValue(Option<Value>);

impl<'de> Deserialize<'de> for ColumnValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(from)? {
            serde_json::Value::Null => Ok(Self(None)),
            value => filter_json::value(&value).map(|value| Self(Some(value))).map_err(de::Error::custom),
        }
    }
}

/// `POST /insert`: one point, or `points`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Insert {
    id: Option<u64>,
    vector: Option<Vector>,
    payload: Option<String>,
    payload_base64: Option<Bytes>,
    columns: Option<Columns>,
    points: Option<Counted<Point, POINTS_MAX>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    pub(super) id: Option<u64>,
    pub(super) vector: Vector,
    pub(super) payload: Option<String>,
    pub(super) payload_base64: Option<Bytes>,
    pub(super) columns: Option<Columns>,
}

impl Insert {
    /// Of `points`.
    #[cfg(feature = "grpc")]
    pub(super) fn many(points: Vec<Point>) -> Self {
        Self { points: Some(Counted::all(points)), ..Self::default() }
    }

    /// The points, and whether the request named them one by one.
    pub(super) fn points(self) -> Result<(Vec<collection::Point>, bool), ApiError> {
        let Self { id, vector, payload, payload_base64, columns, points } = self;
        let alone = vector.is_some() || id.is_some() || payload.is_some() || payload_base64.is_some() || columns.is_some();
        let points = match (points, vector) {
            (Some(_), _) if alone => return Err(ApiError::field("conflict", "points", "one point, or `points`; not both")),
            (Some(points), _) => points.checked("points")?,
            (None, Some(vector)) => vec![Point { id, vector, payload, payload_base64, columns }],
            (None, None) => return Err(missing("vector")),
        };
        let points = points.into_iter().enumerate().map(|(place, Point { id, vector, payload, payload_base64, columns })| {
            let payload = match (payload, payload_base64) {
                (Some(_), Some(_)) => {
                    let message = "`payload`, or `payload_base64`; not both";
                    return Err(
                        ApiError::field("conflict", format!("points[{place}].payload_base64"), message).rename(|name| short(name, alone))
                    );
                }
                (text, bytes) => bytes.map(|bytes| bytes.0).or(text.map(String::into_bytes)).unwrap_or_default(),
            };
            let columns = columns.map(|Columns(columns)| columns).unwrap_or_default();
            Ok(collection::Point { id, vector: vector.0, payload, columns })
        });
        Ok((points.collect::<Result<_, _>>()?, alone))
    }
}

/// The name of a field of the only point as the request has it.
pub(super) fn short(field: String, alone: bool) -> String {
    if alone { field.trim_start_matches("points[0].").to_owned() } else { field }
}

/// `POST /search`: one search, or `searches`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    vector: Option<Vector>,
    k: Option<usize>,
    ef: Option<usize>,
    recall: Option<f32>,
    with_payload: Option<bool>,
    filter: Option<serde_json::Value>,
    searches: Option<Counted<OneSearch, SEARCHES_MAX>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneSearch {
    pub(super) vector: Vector,
    pub(super) k: Option<usize>,
    pub(super) ef: Option<usize>,
    pub(super) recall: Option<f32>,
    pub(super) with_payload: Option<bool>,
    pub(super) filter: Option<serde_json::Value>,
}

impl Search {
    /// Of `searches`.
    #[cfg(feature = "grpc")]
    pub(super) fn many(searches: Vec<OneSearch>) -> Self {
        Self { searches: Some(Counted::all(searches)), ..Self::default() }
    }

    /// The searches, and whether the request named one alone.
    pub(super) fn searches(self) -> Result<(Vec<collection::Search>, bool), ApiError> {
        let Self { vector, k, ef, recall, with_payload, filter, searches } = self;
        let alone = vector.is_some() || k.is_some() || ef.is_some() || recall.is_some() || with_payload.is_some() || filter.is_some();
        let searches = match (searches, vector) {
            (Some(_), _) if alone => return Err(ApiError::field("conflict", "searches", "one search, or `searches`; not both")),
            (Some(searches), _) => searches.checked("searches")?,
            (None, Some(vector)) => vec![OneSearch { vector, k, ef, recall, with_payload, filter }],
            (None, None) => return Err(missing("vector")),
        };
        let hits = searches.iter().map(|search| search.k.unwrap_or(K).min(K_MAX + 1)).sum();
        too_many("searches", hits, HITS_MAX).map_err(|error| ApiError { message: format!("hits: {}", error.message), ..error })?;
        let effort = |search: &OneSearch| search.ef.or(search.k).unwrap_or(K).min(EF_MAX + 1);
        let efforts = searches.iter().map(effort).sum();
        too_many("searches", efforts, EF_SUM_MAX)
            .map_err(|error| ApiError { message: format!("the sum of ef: {}", error.message), ..error })?;
        let searches = searches.into_iter().enumerate().map(|(place, search)| {
            let effort = match (search.ef, search.recall) {
                (Some(_), Some(_)) => {
                    return Err(in_search(ApiError::field("conflict", "recall", "`ef`, or `recall`; not both"), place, alone));
                }
                (Some(ef), None) => Effort::Ef(ef),
                (None, Some(recall)) => Effort::Recall(recall),
                (None, None) => Effort::Auto,
            };
            let (k, with_payload) = (search.k.unwrap_or(K), search.with_payload.unwrap_or(false));
            let filter = search.filter.as_ref().map(filter_json::parse).transpose();
            let filter = filter.map_err(|what| in_search(ApiError::field("bad_filter", "filter", what), place, alone))?;
            Ok(collection::Search { vector: search.vector.0, k, effort, with_payload, filter })
        });
        Ok((searches.collect::<Result<_, _>>()?, alone))
    }
}

/// An error of the search at `place`, with the field named as the request has it.
pub(super) fn in_search(error: ApiError, place: usize, alone: bool) -> ApiError {
    error.rename(|field| if alone { field } else { format!("searches[{place}].{field}") })
}

/// `POST /delete` and `POST /get`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ids {
    pub(super) ids: Vec<u64>,
}

impl Ids {
    pub(super) fn ids(self) -> Result<Vec<u64>, ApiError> {
        too_many("ids", self.ids.len(), IDS_MAX)?;
        Ok(self.ids)
    }
}

/// `POST /save`: nothing, or an empty object.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Nothing {
    pub(super) fn check(bytes: &[u8]) -> Result<(), ApiError> {
        if bytes.is_empty() { Ok(()) } else { parse::<Self>(bytes).map(|Self {}| ()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T: DeserializeOwned + fmt::Debug>(text: &str) -> (&'static str, Option<String>) {
        let error = parse::<T>(text.as_bytes()).unwrap_err();
        (error.code, error.field)
    }

    #[test]
    fn errors_of_a_body_name_the_field() {
        let field = |name: &str| Some(name.to_owned());
        assert_eq!(refusal::<Insert>("{"), ("not_json", None));
        assert_eq!(refusal::<Insert>("{} x"), ("not_json", None));
        assert_eq!(refusal::<Insert>("[1]").0, "wrong_type");
        // Fields in the order in which they happen to be declared are no interface.
        assert_eq!(refusal::<Ids>("[[3]]").0, "wrong_type");
        assert_eq!(refusal::<Insert>(r#"{"points": [[5, [0, 1], null, null, null]]}"#), ("wrong_type", field("points[0]")));
        assert_eq!(refusal::<Insert>(r#"{"vectr": [1]}"#), ("unknown_field", field("vectr")));
        assert_eq!(refusal::<Insert>(r#"{"id": -1}"#), ("wrong_type", field("id")));
        assert_eq!(refusal::<Insert>(r#"{"vector": [1, "x"]}"#), ("wrong_type", field("vector[1]")));
        assert_eq!(refusal::<Insert>(r#"{"vector": "AAAA"}"#), ("wrong_type", field("vector")));
        assert_eq!(refusal::<Insert>(r#"{"points": [{"vector": [1]}, {}]}"#), ("missing_field", field("points[1].vector")));
        assert_eq!(refusal::<Insert>(r#"{"points": [{"colour": 1}]}"#), ("unknown_field", field("points[0].colour")));
        assert_eq!(refusal::<Search>(r#"{"vector": [1], "filters": {}}"#), ("unknown_field", field("filters")));
        let filter = |filter: &str| parse::<Search>(format!(r#"{{"vector": [1], "filter": {filter}}}"#).as_bytes()).unwrap().searches();
        assert!(filter(r#""price < 3""#).is_ok() && filter(r#"{"column": "price", "lt": 3}"#).is_ok());
        let error = filter(r#"{"column": "price"}"#).unwrap_err();
        assert_eq!((error.code, error.field), ("bad_filter", field("filter")));
        assert_eq!(refusal::<Ids>("{}"), ("missing_field", field("ids")));
        assert_eq!(refusal::<Ids>(r#"{"ids": [1, 2.5]}"#), ("wrong_type", field("ids[1]")));
    }

    #[test]
    fn a_wrong_type_is_said_in_words_of_the_interface() {
        let said = |text: &str| parse::<Search>(text.as_bytes()).unwrap_err().message;
        assert_eq!(said(r#"{"vector": [1], "k": "5"}"#), "k must be a whole number from 1 to 10000, not the text \"5\"");
        assert_eq!(said(r#"{"vector": [1], "k": -1}"#), "k must be a whole number from 1 to 10000, not -1");
        assert_eq!(
            said(r#"{"searches": [{"vector": [1], "ef": 1.5}]}"#),
            "searches[0].ef must be a whole number from 1 to 100000, not 1.5"
        );
        assert_eq!(said(r#"{"vector": [1], "recall": "high"}"#), "recall must be a number above 0 and up to 1, not the text \"high\"");
        assert_eq!(said(r#"{"vector": [1], "with_payload": 1}"#), "with_payload must be true or false, not 1");
        assert_eq!(said(r#"{"vector": [1, null]}"#), "vector[1] must be a number, not null");
        assert_eq!(said(r#"{"vector": 1}"#), "vector must be an array of numbers, or base64 of little-endian f32, not 1");
        assert_eq!(said(r#"{"vector": "AAAA"}"#), "3 bytes; a multiple of 4 would be right");
        assert_eq!(said(r#"{"searches": {"vector": [1]}}"#), "searches must be an array, not an object");
        assert_eq!(said(r#"{"searches": [7]}"#), "searches[0] must be an object, not 7");
        assert_eq!(said("7"), "the body must be an object, not 7");
        assert_eq!(said("[[1], 10]"), "the body must be an object, not an array");
        assert_eq!(said(r#"{"searches": [[1]]}"#), "searches[0] must be an object, not an array");
        let said = |text: &str| parse::<Insert>(text.as_bytes()).unwrap_err().message;
        assert_eq!(said(r#"{"vector": [1], "id": -1}"#), "id must be a whole number from 0 to 18446744073709551615, not -1");
        assert_eq!(said(r#"{"vector": [1], "payload": {"a": 1}}"#), "payload must be text, not an object");
        assert_eq!(said(r#"{"vector": [1], "payload": true}"#), "payload must be text, not true");
        assert_eq!(said(r#"{"vector": [1], "columns": [1]}"#), "columns must be an object, not an array");
        assert_eq!(said(r#"{"vector": [1], "payload_base64": "?"}"#), "not base64 (RFC 4648, with padding)");
        assert_eq!(said(r#"{"vector": [1], "id": 1e3}"#), "id must be a whole number from 0 to 18446744073709551615, not 1000.0");
        let ids = parse::<Ids>(br#"{"ids": [1, "7"]}"#).unwrap_err().message;
        assert_eq!(ids, "ids[1] must be a whole number from 0 to 18446744073709551615, not the text \"7\"");
    }

    #[test]
    fn what_is_too_much_is_counted_and_not_kept() {
        let text = |count| format!(r#"{{"searches": [{}]}}"#, vec![r#"{"vector": []}"#; count].join(","));
        let parsed = |count| parse::<Search>(text(count).as_bytes()).unwrap();
        assert_eq!(parsed(SEARCHES_MAX).searches().unwrap().0.len(), SEARCHES_MAX);
        let many = parsed(SEARCHES_MAX * 3);
        assert_eq!(many.searches.as_ref().unwrap().first.len(), SEARCHES_MAX);
        let refused = many.searches().unwrap_err();
        assert_eq!((refused.code, refused.field.as_deref()), ("too_many", Some("searches")));
        assert_eq!(refused.message, "3000; at most 1000 in one request");
        assert_eq!(refusal::<Search>(&text(SEARCHES_MAX * 3).replace("]}]}", "]}, ]}")).0, "not_json");
    }

    #[test]
    fn the_efforts_of_a_request_are_bounded_together() {
        let searches = |count: usize, ef: usize| {
            let one = format!(r#"{{"vector": [1], "ef": {ef}}}"#);
            parse::<Search>(format!(r#"{{"searches": [{}]}}"#, vec![one; count].join(",")).as_bytes()).unwrap().searches()
        };
        assert!(searches(1_000, 1_000).is_ok() && searches(10, 100_000).is_ok());
        let refused = searches(1_000, 1_001).unwrap_err();
        assert_eq!((refused.code, refused.field.as_deref()), ("too_many", Some("searches")));
        assert_eq!(refused.message, "the sum of ef: 1001000; at most 1000000 in one request");
        assert!(searches(1_000, usize::MAX).is_err());
    }

    #[test]
    fn a_vector_is_numbers_or_base64() {
        let vectors = [r#"[1, -2.5]"#, r#""AACAPwAAIMA=""#].map(|text| serde_json::from_str::<Vector>(text).unwrap().0);
        assert_eq!(vectors, [[1.0, -2.5], [1.0, -2.5]]);
    }
}
