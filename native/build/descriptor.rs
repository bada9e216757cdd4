//! The file described to those who ask for reflection: a `FileDescriptorSet` of `google/protobuf/descriptor.proto`, whose
//! field numbers these are.

use crate::parse::{Field, File, Label, Message, SCALARS, Service};

/// The set with this one file in it, encoded.
pub(crate) fn set(file: &File, name: &str) -> Vec<u8> {
    let mut described = Out::default().text(1, name).text(2, &file.package);
    for message in &file.messages {
        described = described.inner(4, &of_message(message, &file.package));
    }
    for service in &file.services {
        described = described.inner(6, &of_service(service, &file.package));
    }
    Out::default().inner(1, &described.text(12, "proto3")).0
}

fn of_message(message: &Message, package: &str) -> Out {
    let mut out = Out::default().text(1, &message.name);
    let optional: Vec<&Field> = message.fields.iter().filter(|field| field.label == Label::Optional).collect();
    for field in &message.fields {
        let choice = optional.iter().position(|other| other.number == field.number);
        out = out.inner(2, &of_field(field, choice, package));
    }
    // An optional field is alone in a choice of its own.
    optional.iter().fold(out, |out, field| out.inner(8, &Out::default().text(1, &format!("_{}", field.name))))
}

fn of_field(field: &Field, choice: Option<usize>, package: &str) -> Out {
    let label = if field.label == Label::Repeated { 3 } else { 1 };
    let out = Out::default().text(1, &field.name).number(3, u64::from(field.number)).number(4, label);
    let out = match SCALARS.iter().find(|(name, ..)| *name == field.kind) {
        Some((.., number)) => out.number(5, *number),
        None => out.number(5, 11).text(6, &format!(".{package}.{}", field.kind)),
    };
    let out = match choice {
        Some(place) => out.number(9, place as u64),
        None => out,
    };
    let out = out.text(10, &in_json(&field.name));
    if choice.is_some() { out.number(17, 1) } else { out }
}

fn of_service(service: &Service, package: &str) -> Out {
    let full = |name: &str| format!(".{package}.{name}");
    service.calls.iter().fold(Out::default().text(1, &service.name), |out, call| {
        out.inner(2, &Out::default().text(1, &call.name).text(2, &full(&call.request)).text(3, &full(&call.response)))
    })
}

/// A name as JSON has it: `took_us` is `tookUs`.
fn in_json(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        name + &head.to_ascii_uppercase() + tail
    })
}

/// Fields of a message, encoded one after the other.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn inner(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
