//! Rust text with everything that is not code blanked out, so that a rule about code can be a search for words.
//!
//! Comments, strings and character literals become spaces; line breaks stay, so a finding keeps its line number.

/// The code of `text`: same lines, comments and literals blank.
pub(super) fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    while out.len() < bytes.len() {
        let at = out.len();
        let end = literal_end(bytes, at);
        if end == at {
            out.push(bytes[at]);
        } else {
            out.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The code before the unit tests of a file.
pub(super) fn shipped(code: &str) -> &str {
    code.split("#[cfg(test)]").next().unwrap_or(code)
}

/// Where a comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + string(rest, 0),
        [b'b', b'"', ..] if !in_word => at + string(rest, 1),
        [b'r', b'"' | b'#', ..] if !in_word => at + raw_string(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if !in_word => at + raw_string(rest, 2),
        [b'\'', ..] => at + character(rest),
        _ => at,
    }
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[u8], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"..."`, `r#"..."#`; `r#name` is no string.
fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = prefix + hashes + 1;
    rest[body..].windows(close.len()).position(|window| window == close).map_or(rest.len(), |found| body + found + close.len())
}

/// `'x'`, `'\n'`, `'\u{7f}'`; a lifetime is no literal.
fn character(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', ..] => rest.iter().skip(3).position(|&byte| byte == b'\'').map_or(0, |found| found + 4),
        [_, _, b'\'', ..] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_lines_stay() {
        let text = "a // unsafe\nb /* x /* y */ unsafe */ c\n\"un\\\"safe\" d r#\"unsafe\"# e 'u' f\n";
        let found = code(text);
        assert_eq!(found.len(), text.len());
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(found.lines().count(), 3);
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        assert_eq!(code("fn f<'a>(x: &'a str, r#type: u8) -> &'static str"), "fn f<'a>(x: &'a str, r#type: u8) -> &'static str");
    }

    #[test]
    fn escaped_characters_end_where_they_should() {
        assert_eq!(code(r"let x = '\''; unsafe").trim_end(), "let x =     ; unsafe");
        assert_eq!(code(r"let x = '\\'; unsafe").trim_end(), "let x =     ; unsafe");
    }
}
