//! The build script of `nearshore` reads `nearshore.proto` with a small parser of its own. This compares the descriptor that comes
//! of it, field by field, with that of a full compiler: they must be the same.

#[expect(dead_code, reason = "docs of messages are for Rust")]
#[path = "../../../native/build/parse.rs"]
mod parse;

#[path = "../../../native/build/descriptor.rs"]
mod descriptor;

use std::path::Path;

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../native/proto");
    let name = "nearshore.proto";
    let text = std::fs::read_to_string(folder.join(name)).expect("the file");
    let file = parse::parse(&text).expect("a file that the build script understands");
    let ours = FileDescriptorSet::decode(&descriptor::set(&file, name)[..]).expect("a descriptor");
    let mut theirs = protox::compile([name], [&folder]).expect("a file that the compiler understands");
    theirs.file.iter_mut().for_each(|file| file.source_code_info = None);
    assert_eq!(ours, theirs);
    let messages = theirs.file[0].message_type.len();
    assert_eq!(messages, file.messages.len());
    println!("nearshore.proto: {messages} messages, the same descriptor from both");
}
