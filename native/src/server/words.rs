//! What the reader of JSON says of a value of the wrong type, in the words of the interface instead of Rust's.

use crate::collection::{EF_MAX, K_MAX};

/// `field must be WANTED, not FOUND`, or what the reader says in words of ours; `said` is without the place, since the field is named.
pub(super) fn wrong_type(path: &str, said: &str) -> String {
    let told = said.strip_prefix("invalid type: ").or_else(|| said.strip_prefix("invalid value: "));
    let Some((found, wanted)) = told.and_then(|told| told.rsplit_once(", expected ")) else { return said.to_owned() };
    let field = if path == "." { "the body" } else { path };
    format!("{field} must be {}, not {}", wanted_words(path, wanted), found_words(found))
}

fn wanted_words(path: &str, wanted: &str) -> String {
    match (path.rsplit('.').next().unwrap_or_default(), wanted) {
        ("k", _) => format!("a whole number from 1 to {K_MAX}"),
        ("ef", _) => format!("a whole number from 1 to {EF_MAX}"),
        ("recall", _) => "a number above 0 and up to 1".to_owned(),
        (_, "u64") => format!("a whole number from 0 to {}", u64::MAX),
        (_, "f32") => "a number".to_owned(),
        (_, "a boolean") => "true or false".to_owned(),
        (_, "a string") => "text".to_owned(),
        (_, "a sequence") => "an array".to_owned(),
        (_, "a map") => "an object".to_owned(),
        (_, wanted) if wanted.starts_with("struct ") => "an object".to_owned(),
        (_, wanted) => wanted.to_owned(),
    }
}

fn found_words(found: &str) -> String {
    match found {
        "sequence" => return "an array".to_owned(),
        "map" => return "an object".to_owned(),
        _ => {}
    }
    if let Some(text) = found.strip_prefix("string ") {
        return format!("the text {text}");
    }
    let value = ["integer `", "floating point `", "boolean `"].into_iter().find_map(|kind| found.strip_prefix(kind)?.strip_suffix('`'));
    value.unwrap_or(found).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_message_itself_stay() {
        let said = "the train stops at line 7 column 3 of the plan";
        assert_eq!(wrong_type("x", said), said);
    }
}
