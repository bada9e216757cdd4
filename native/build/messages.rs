//! Messages as Rust types that prost encodes and decodes, the way its own generator writes them.

use std::fmt::Write as _;

use crate::parse::{Field, File, Label, SCALARS};

/// One struct a message, and the paths of the calls.
pub(crate) fn rust(file: &File) -> String {
    let mut text = String::new();
    for message in &file.messages {
        docs(&mut text, "", &message.docs);
        let _ = writeln!(text, "#[derive(Clone, PartialEq, ::prost::Message)]\npub struct {} {{", message.name);
        for field in &message.fields {
            docs(&mut text, "    ", &field.docs);
            text.push_str(&member(field));
        }
        text.push_str("}\n\n");
    }
    for service in &file.services {
        let _ = writeln!(text, "/// The service's name.\npub const SERVICE: &str = \"{}.{}\";\n", file.package, service.name);
        let _ = writeln!(text, "/// The path of every call.\npub const CALLS: [&str; {}] = [", service.calls.len());
        for call in &service.calls {
            let _ = writeln!(text, "    \"/{}.{}/{}\",", file.package, service.name, call.name);
        }
        text.push_str("];\n");
    }
    text
}

fn member(field: &Field) -> String {
    let scalar = SCALARS.iter().find(|(name, ..)| *name == field.kind);
    let kind = match field.kind.as_str() {
        "bytes" => "bytes = \"vec\"",
        _ if scalar.is_none() => "message",
        other => other,
    };
    let plain = scalar.map_or(field.kind.as_str(), |(_, rust, _)| rust);
    let (label, rust) = match field.label {
        Label::Repeated => (", repeated", format!("::prost::alloc::vec::Vec<{plain}>")),
        Label::Plain if scalar.is_some() => ("", plain.to_owned()),
        Label::Plain | Label::Optional => (", optional", format!("::core::option::Option<{plain}>")),
    };
    // The one name of ours that is a word of the language.
    let name = if field.name == "type" { "r#type" } else { &field.name };
    format!("    #[prost({kind}{label}, tag = \"{}\")]\n    pub {name}: {rust},\n", field.number)
}

fn docs(text: &mut String, indent: &str, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "{indent}/// {line}");
    }
}
