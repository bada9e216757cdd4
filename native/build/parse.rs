//! The part of the language of `.proto` files that ours uses: proto3, one package, messages of fields that are `optional`,
//! `repeated` or neither, services of unary calls, comments of two slashes.

/// A `.proto` file.
pub(crate) struct File {
    pub(crate) package: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) services: Vec<Service>,
}

pub(crate) struct Message {
    pub(crate) docs: Vec<String>,
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    pub(crate) docs: Vec<String>,
    pub(crate) label: Label,
    /// A scalar type, or a message of the file.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) number: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Plain,
    Optional,
    Repeated,
}

pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) calls: Vec<Call>,
}

pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) request: String,
    pub(crate) response: String,
}

/// Scalar types: their names here, in Rust, and their numbers in a descriptor.
pub(crate) const SCALARS: [(&str, &str, u64); 9] = [
    ("double", "f64", 1),
    ("float", "f32", 2),
    ("int64", "i64", 3),
    ("uint64", "u64", 4),
    ("int32", "i32", 5),
    ("bool", "bool", 8),
    ("string", "::prost::alloc::string::String", 9),
    ("bytes", "::prost::alloc::vec::Vec<u8>", 12),
    ("uint32", "u32", 13),
];

struct Words<'a> {
    /// Each with its line; a comment is a word that begins with two slashes.
    words: std::iter::Peekable<std::vec::IntoIter<(usize, &'a str)>>,
    line: usize,
}

/// Reads a file.
///
/// # Errors
/// `LINE: what`, where it uses what is not known here.
pub(crate) fn parse(text: &str) -> Result<File, String> {
    let mut words = Words { words: split(text).into_iter().peekable(), line: 0 };
    let mut file = File { package: String::new(), messages: Vec::new(), services: Vec::new() };
    loop {
        let docs = words.docs();
        let Some(word) = words.next() else { break };
        match word {
            "syntax" => ["=", "\"proto3\"", ";"].iter().try_for_each(|word| words.expect(word))?,
            "package" => file.package = words.name_then(";")?,
            "message" => file.messages.push(message(&mut words, docs)?),
            "service" => file.services.push(service(&mut words)?),
            other => return Err(words.fault(other)),
        }
    }
    let known = |kind: &str| SCALARS.iter().any(|(name, ..)| *name == kind) || file.messages.iter().any(|message| message.name == kind);
    for message in &file.messages {
        let mut numbers: Vec<u32> = message.fields.iter().map(|field| field.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() < message.fields.len() {
            return Err(format!(" {}: a number is given twice", message.name));
        }
        if let Some(field) = message.fields.iter().find(|field| !known(&field.kind)) {
            return Err(format!(" {}.{}: no type {}", message.name, field.name, field.kind));
        }
    }
    let calls = || file.services.iter().flat_map(|service| &service.calls);
    if let Some(call) = calls().find(|call| !known(&call.request) || !known(&call.response)) {
        return Err(format!(" {}: no such message", call.name));
    }
    Ok(file)
}

fn message(words: &mut Words<'_>, docs: Vec<String>) -> Result<Message, String> {
    let mut message = Message { docs, name: words.name_then("{")?, fields: Vec::new() };
    loop {
        let docs = words.docs();
        let label = match words.next() {
            Some("}") => return Ok(message),
            Some("optional") => (Label::Optional, None),
            Some("repeated") => (Label::Repeated, None),
            Some(kind) => (Label::Plain, Some(kind.to_owned())),
            None => return Err(words.fault("the end")),
        };
        let (label, kind) = label;
        let kind = kind.map_or_else(|| words.name(), Ok)?;
        let name = words.name_then("=")?;
        let number = words.next().and_then(|word| word.parse().ok()).ok_or_else(|| words.fault(&name))?;
        words.expect(";")?;
        message.fields.push(Field { docs, label, kind, name, number });
    }
}

fn service(words: &mut Words<'_>) -> Result<Service, String> {
    let mut service = Service { name: words.name_then("{")?, calls: Vec::new() };
    loop {
        words.docs();
        match words.next() {
            Some("}") => return Ok(service),
            Some("rpc") => {
                let (name, request) = (words.name_then("(")?, words.name_then(")")?);
                words.expect("returns")?;
                words.expect("(")?;
                let response = words.name_then(")")?;
                words.expect(";")?;
                service.calls.push(Call { name, request, response });
            }
            other => return Err(words.fault(other.unwrap_or("the end"))),
        }
    }
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (line, word) = self.words.find(|(_, word)| !word.starts_with("//"))?;
        self.line = line;
        Some(word)
    }

    /// The comments right before the next word.
    fn docs(&mut self) -> Vec<String> {
        let mut docs = Vec::new();
        while let Some((_, comment)) = self.words.next_if(|(_, word)| word.starts_with("//")) {
            docs.push(comment.trim_start_matches('/').trim().to_owned());
        }
        docs
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        match self.next() {
            Some(word) if word == wanted => Ok(()),
            other => Err(self.fault(other.unwrap_or("the end"))),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let name = |word: &&str| word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter));
        self.next().filter(name).map(str::to_owned).ok_or_else(|| self.fault("what is no name"))
    }

    fn name_then(&mut self, mark: &str) -> Result<String, String> {
        let name = self.name()?;
        self.expect(mark)?;
        Ok(name)
    }

    fn fault(&self, word: &str) -> String {
        format!("{}: `{word}` is beyond the part of the language that build/parse.rs knows", self.line)
    }
}

fn split(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (code, comment) = line.split_at(line.find("//").unwrap_or(line.len()));
        let mut rest = code.trim();
        while let Some(first) = rest.chars().next() {
            let inside = |letter: char| letter.is_ascii_alphanumeric() || "_.\"".contains(letter);
            let length = if inside(first) { rest.find(|letter| !inside(letter)).unwrap_or(rest.len()) } else { first.len_utf8() };
            words.push((number + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
        if !comment.is_empty() {
            words.push((number + 1, comment));
        }
    }
    words
}
