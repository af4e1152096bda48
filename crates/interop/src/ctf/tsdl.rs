//! The Trace Stream Description Language of CTF 1.8, in which the metadata describes the streams.

mod blocks;
mod grammar;
mod packets;
mod types;

use super::layout::Metadata;
use blocks::Blocks;
use grammar::{Entry, Statement};
pub(crate) use packets::text;
use types::Types;

/// Parses the text of a trace's metadata. Fails if it breaks the grammar or refers to what it does
/// not define; the message has the line and column.
pub(crate) fn parse(text: &str) -> Result<Metadata, String> {
    let statements = grammar::parse_statements(text)?;
    let mut types = Types::new(is_big_endian(&statements));
    let mut blocks = Blocks::new(types.big_endian);
    for (statement, from) in &statements {
        let done = match statement {
            Statement::Define(definition) => types.define(definition),
            Statement::Block(name, entries) => blocks.add_block(name, entries, &mut types),
        };
        done.map_err(|e| format!("{}: {e}", grammar::describe_position(text, *from)))?;
    }
    Ok(blocks.finish())
}

/// Returns whether numbers are big-endian unless their types say otherwise. That holds for types
/// before the `trace` block, too.
fn is_big_endian(statements: &[(Statement<'_>, usize)]) -> bool {
    statements.iter().any(|(statement, _)| {
        match statement {
        Statement::Block("trace", entries) => entries.iter().any(|entry| {
            matches!(entry, Entry::Value(name, value) if name == "byte_order" && names_big_endian(value))
        }),
        _ => false,
    }
    })
}

/// Returns whether a `byte_order` is one of the two names of big-endian.
fn names_big_endian(byte_order: &str) -> bool {
    matches!(byte_order, "be" | "network")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, message) in [
            ("trace { major = 1 };", "line 1, column 19: expected `;` at \"};\""),
            (
                "\n/* x */ env { a = \"b; };",
                "line 2, column 25: expected the end of a string at the end",
            ),
            ("struct s { u32 x; };", "line 1, column 1: the type u32 is unknown"),
            ("clock { freq = ; };", "line 1, column 16: expected a value at \";\""),
            ("struct { u8 x[*]; };", "line 1, column 15: expected a length at \"*];\""),
            (
                "callsite {};\nnonsense {};",
                "line 2, column 1: the metadata has a block \"nonsense\"",
            ),
        ] {
            assert_eq!(parse(text).err().as_deref(), Some(message), "{text}");
        }
    }

    /// The byte order of the `trace` block holds for all integers, however the block is written.
    #[test]
    fn integers_have_the_byte_order_of_the_trace() {
        let types = "typealias integer { size = 32; } := u32;";
        let trace = "byte_order = be; packet.header := struct { u32 magic; };";
        let metadata = parse(&format!("{types} trace {{ {trace} }};")).unwrap_or_default();
        let Some(crate::ctf::Type::Struct(fields, _)) = metadata.packet_header else {
            panic!("no header");
        };
        assert!(matches!(&fields[0].1, crate::ctf::Type::Int(int) if int.big_endian));
    }
}
