//! The grammar: C's declarations, and blocks of `name = value;` and `name := type;`.
//!
//! Each choice is made by the next token, so that a text is read once, whatever is in it.

use winnow::combinator::{
    alt, cond, cut_err, delimited, dispatch, eof, fail, not, opt, peek, preceded, repeat,
    repeat_till, separated, terminated,
};
use winnow::error::{ContextError, ErrMode, StrContext, StrContextValue};
use winnow::stream::{LocatingSlice, Location, Stateful};
use winnow::token::{any, none_of, one_of, rest, take_till, take_until, take_while};
use winnow::{ModalParser, ModalResult, Parser};

/// How deep types nest. It bounds the recursion of all that walks over them.
pub(super) const MAX_DEPTH: usize = 64;
pub(super) const TOO_DEEP: &str = "types nested too deep";

/// A declaration outside of blocks.
#[derive(Debug)]
pub(super) enum Statement<'t> {
    Define(Definition<'t>),
    /// `NAME { ENTRIES };`
    Block(&'t str, Vec<Entry<'t>>),
}

/// A line of a block.
#[derive(Debug)]
pub(super) enum Entry<'t> {
    Define(Definition<'t>),
    /// `NAME = VALUE;`
    Value(String, String),
    /// `NAME := TYPE;`
    Type(String, TypeSpec<'t>),
}

/// `typealias TYPE := WORDS;`, or without an alias a struct, a variant or an enumeration that has a
/// name.
#[derive(Debug)]
pub(super) struct Definition<'t> {
    pub spec: TypeSpec<'t>,
    pub alias: Option<Vec<&'t str>>,
}

/// A type as it is written. A struct, a variant or an enumeration without a body is one that was
/// defined before.
#[derive(Debug)]
pub(super) enum TypeSpec<'t> {
    /// The words of a name.
    Named(Vec<&'t str>),
    Integer(Vec<(String, String)>),
    Float(Vec<(String, String)>),
    String,
    Struct {
        name: Option<&'t str>,
        /// Members, and the alignment in bits.
        body: Option<(Vec<Member<'t>>, Option<i128>)>,
    },
    Variant {
        name: Option<&'t str>,
        tag: Option<&'t str>,
        body: Option<Vec<Member<'t>>>,
    },
    Enum {
        name: Option<&'t str>,
        container: Option<Box<TypeSpec<'t>>>,
        body: Option<Vec<Enumerator>>,
    },
}

/// A line of a struct's or a variant's body.
#[derive(Debug)]
pub(super) enum Member<'t> {
    Define(Definition<'t>),
    /// `TYPE NAME, NAME[LENGTH], ...;`
    Fields(TypeSpec<'t>, Vec<Declarator<'t>>),
}

/// A field's name, and its lengths if it is an array, the outermost first.
pub(super) type Declarator<'t> = (&'t str, Vec<Length<'t>>);

/// How many elements an array has.
#[derive(Debug)]
pub(super) enum Length<'t> {
    Fixed(u64),
    /// As many as the field of this name says.
    Field(&'t str),
}

/// `NAME`, `NAME = FROM` or `NAME = FROM ... TO`.
pub(super) type Enumerator = (String, Option<(i128, Option<i128>)>);

/// The text, with the number of types around the current one.
type Input<'t> = Stateful<LocatingSlice<&'t str>, usize>;

/// Parses all statements, each with the byte offset at which it begins.
pub(super) fn parse_statements(text: &str) -> Result<Vec<(Statement<'_>, usize)>, String> {
    let mut input = Input { input: LocatingSlice::new(text), state: 0 };
    let located = statement.with_span().map(|(statement, span)| (statement, span.start));
    let parsed = preceded(skip_blanks, repeat_till(0.., located, eof)).parse_next(&mut input);
    parsed.map(|(statements, _)| statements).map_err(|error: ErrMode<ContextError>| {
        let offset = input.current_token_start();
        let word = text[offset..].split_whitespace().next();
        let found = word.map_or("the end".to_owned(), |word| format!("{:?}", shorten(word)));
        let error = error.into_inner().unwrap_or_default();
        let what = match error.context().next() {
            Some(StrContext::Label(label)) => (*label).to_owned(),
            other => other.map_or("a mistake".to_owned(), ToString::to_string),
        };
        format!("{}: {what} at {found}", describe_position(text, offset))
    })
}

/// Returns the line and column of a byte offset, for messages.
pub(super) fn describe_position(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let (line, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |n| n + 1));
    format!("line {line}, column {}", before[start..].chars().count() + 1)
}

/// Shortens a word for messages.
fn shorten(word: &str) -> &str {
    word.char_indices().nth(40).map_or(word, |(end, _)| &word[..end])
}

/// Parses a statement: the definition of a type, or a block.
fn statement<'t>(input: &mut Input<'t>) -> ModalResult<Statement<'t>> {
    dispatch! { peek(word);
        "typealias" | "struct" | "variant" | "enum" => definition.map(Statement::Define),
        _ => (word, block(entry), required_symbol(";")).map(|(name, entries, _)| {
            Statement::Block(name, entries)
        }),
    }
    .parse_next(input)
}

/// Parses an entry of a block: the definition of a type, `NAME := TYPE;` or `NAME = VALUE;`.
fn entry<'t>(input: &mut Input<'t>) -> ModalResult<Entry<'t>> {
    if let "typealias" | "struct" | "variant" | "enum" = peek(word).parse_next(input)? {
        return definition.map(Entry::Define).parse_next(input);
    }
    let name = dotted_name(input)?;
    let entry = match alt((symbol(":="), required_symbol("="))).parse_next(input)? {
        ":=" => Entry::Type(name, type_spec(input)?),
        _ => Entry::Value(name, value(input)?),
    };
    required_symbol(";").parse_next(input)?;
    Ok(entry)
}

/// Parses the definition of a type: `typealias TYPE := NAME;`, or a struct, variant or enum with a
/// name.
fn definition<'t>(input: &mut Input<'t>) -> ModalResult<Definition<'t>> {
    let is_alias = opt(keyword("typealias")).parse_next(input)?.is_some();
    let alias = cond(is_alias, preceded(required_symbol(":="), repeat(1.., optional_word)));
    let (spec, alias, _) = (type_spec, alias, required_symbol(";")).parse_next(input)?;
    Ok(Definition { spec, alias })
}

/// Parses a type: a description of one, or the name of a defined one. Fails if types nest too deep.
fn type_spec<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    input.state += 1;
    if input.state > MAX_DEPTH {
        return cut_err(fail).context(StrContext::Label(TOO_DEEP)).parse_next(input);
    }
    let spec = dispatch! { peek(word);
        "integer" => preceded(word, attributes).map(TypeSpec::Integer),
        "floating_point" => preceded(word, attributes).map(TypeSpec::Float),
        "string" => preceded(word, opt(attributes)).map(|_| TypeSpec::String),
        "struct" => structure,
        "variant" => variant,
        "enum" => enumeration,
        _ => repeat(1.., optional_word).map(TypeSpec::Named),
    }
    .parse_next(input)?;
    input.state -= 1;
    Ok(spec)
}

/// Parses a struct, with its fields or by its name alone.
fn structure<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    let align = opt(delimited(
        (keyword("align"), required_symbol("(")),
        cut_err(number),
        required_symbol(")"),
    ));
    let (_, name, body) =
        (word, opt(optional_word), opt((block(member), align))).parse_next(input)?;
    Ok(TypeSpec::Struct { name, body })
}

/// Parses a variant, with its fields or by its name alone.
fn variant<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    let tag = opt(delimited(symbol("<"), cut_err(field_reference), required_symbol(">")));
    let (_, name, tag, body) =
        (word, opt(optional_word), tag, opt(block(member))).parse_next(input)?;
    Ok(TypeSpec::Variant { name, tag, body })
}

/// Parses an enum, with its container type and names, or by its name alone.
fn enumeration<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    let colon = (":", not("="), skip_blanks);
    let container = opt(preceded(colon, cut_err(type_spec).map(Box::new)));
    let comma = alt((symbol(",").void(), peek(required_symbol("}")).void()));
    let names = block(terminated(enumerator, comma));
    let (_, name, container, body) =
        (word, opt(optional_word), container, opt(names)).parse_next(input)?;
    Ok(TypeSpec::Enum { name, container, body })
}

/// Parses a name of an enum, with its value or range if it has one.
fn enumerator(input: &mut Input<'_>) -> ModalResult<Enumerator> {
    let to = opt(preceded(symbol("..."), cut_err(number)));
    let range = opt(preceded(symbol("="), cut_err((number, to))));
    (alt((quoted_string, word.map(str::to_owned))), range).parse_next(input)
}

/// Parses a member of a struct or variant: the definition of a type, or fields of one type.
fn member<'t>(input: &mut Input<'t>) -> ModalResult<Member<'t>> {
    if peek(opt(keyword("typealias"))).parse_next(input)?.is_some() {
        return definition.map(Member::Define).parse_next(input);
    }
    let mut spec = type_spec(input)?;
    // The last word of `unsigned long x` is the field's name.
    let first = match &mut spec {
        TypeSpec::Named(words) if words.len() > 1 => words.pop(),
        _ => None,
    };
    let first = first.map_or_else(|| word(input), Ok)?;
    let mut lengths = repeat(0.., length);
    let mut fields = vec![(first, lengths.parse_next(input)?)];
    while opt(symbol(",")).parse_next(input)?.is_some() {
        fields.push((word, repeat(0.., length)).parse_next(input)?);
    }
    required_symbol(";").parse_next(input)?;
    Ok(Member::Fields(spec, fields))
}

/// Parses the length of an array in brackets: a number, or the field that holds it.
fn length<'t>(input: &mut Input<'t>) -> ModalResult<Length<'t>> {
    let length = dispatch! { peek(any);
        '0'..='9' => number.verify_map(|n| u64::try_from(n).ok()).map(Length::Fixed),
        'A'..='Z' | 'a'..='z' | '_' => field_reference.map(Length::Field),
        _ => fail,
    };
    delimited(
        symbol("["),
        cut_err(length.context(expected("a length"))),
        cut_err(required_symbol("]")),
    )
    .parse_next(input)
}

/// Parses a dotted path to a field. Returns its last name, as fields are looked up from the
/// innermost struct.
fn field_reference<'t>(input: &mut Input<'t>) -> ModalResult<&'t str> {
    let names: Vec<&str> = separated(1.., word, dot).parse_next(input)?;
    Ok(names.last().map_or("", |name| plain_name(name)))
}

/// Removes the underscore that LTTng puts before each name, so that none is a keyword of the
/// language.
pub(super) fn plain_name(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

/// Parses `{ ITEM ITEM ... }`.
fn block<'t, O>(
    item: impl ModalParser<Input<'t>, O, ContextError>,
) -> impl ModalParser<Input<'t>, Vec<O>, ContextError> {
    preceded(
        required_symbol("{"),
        cut_err(repeat_till(0.., item, symbol("}")).map(|(items, _)| items)),
    )
}

/// Parses `{ NAME = VALUE; ... }`.
fn attributes(input: &mut Input<'_>) -> ModalResult<Vec<(String, String)>> {
    block((terminated(dotted_name, required_symbol("=")), terminated(value, required_symbol(";"))))
        .parse_next(input)
}

/// Parses a string, a number, or a dotted name, and returns it as text.
fn value(input: &mut Input<'_>) -> ModalResult<String> {
    dispatch! { peek(any);
        '"' => quoted_string,
        '-' | '0'..='9' => number.map(|n| n.to_string()),
        'A'..='Z' | 'a'..='z' | '_' => dotted_name,
        _ => fail,
    }
    .context(expected("a value"))
    .parse_next(input)
}

/// Parses names with dots between them, and returns them as one text.
fn dotted_name(input: &mut Input<'_>) -> ModalResult<String> {
    separated(1.., word, dot).map(|names: Vec<&str>| names.join(".")).parse_next(input)
}

/// Parses a dot or an arrow between names.
fn dot(input: &mut Input<'_>) -> ModalResult<()> {
    (".", not("."), skip_blanks).void().parse_next(input)
}

/// Parses a string in quotes, with its escapes.
fn quoted_string(input: &mut Input<'_>) -> ModalResult<String> {
    let escaped = preceded('\\', any).map(|c| if c == 'n' { '\n' } else { c });
    let inside = repeat(0.., alt((escaped, none_of('"'))));
    let end = cut_err(symbol("\"").context(expected("the end of a string")));
    delimited('"', inside, end).parse_next(input)
}

/// Parses a number as C writes it: decimal, `0x` or octal, with an optional sign before and `u` or
/// `l` behind it.
fn number(input: &mut Input<'_>) -> ModalResult<i128> {
    let digits = (one_of('0'..='9'), take_while(0.., |c: char| c.is_ascii_alphanumeric())).take();
    let unsigned = digits.try_map(|digits: &str| {
        let digits = digits.trim_end_matches(['u', 'U', 'l', 'L']);
        match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => i128::from_str_radix(hex, 16),
            None if digits.len() > 1 && digits.starts_with('0') => i128::from_str_radix(digits, 8),
            None => digits.parse(),
        }
    });
    terminated((opt(symbol("-")), unsigned), skip_blanks)
        .map(|(minus, n)| if minus.is_some() { -n } else { n })
        .context(expected("a number"))
        .parse_next(input)
}

/// Parses a word that must come here: its absence is reported as an error.
fn word<'t>(input: &mut Input<'t>) -> ModalResult<&'t str> {
    optional_word.context(expected("a name")).parse_next(input)
}

/// Parses a word that may come here: its absence is not reported.
fn optional_word<'t>(input: &mut Input<'t>) -> ModalResult<&'t str> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let more = |c: char| c.is_ascii_alphanumeric() || c == '_';
    terminated((one_of(letter), take_while(0.., more)).take(), skip_blanks).parse_next(input)
}

/// Parses this word, and no other.
fn keyword<'t>(wanted: &'static str) -> impl ModalParser<Input<'t>, &'t str, ContextError> {
    optional_word.verify(move |word: &str| word == wanted)
}

/// Parses a symbol that must come here: its absence is reported as an error.
fn required_symbol<'t>(sign: &'static str) -> impl ModalParser<Input<'t>, &'t str, ContextError> {
    symbol(sign).context(StrContext::Expected(sign.into()))
}

/// Parses a symbol that may come here: its absence is not reported.
fn symbol<'t>(sign: &'static str) -> impl ModalParser<Input<'t>, &'t str, ContextError> {
    terminated(sign, skip_blanks)
}

/// Skips white space and comments. A comment without an end reaches to the end of the text.
fn skip_blanks(input: &mut Input<'_>) -> ModalResult<()> {
    let space = || take_while(0.., char::is_whitespace).void();
    let long = preceded("/*", alt(((take_until(0.., "*/"), "*/").void(), rest.void())));
    let line = preceded("//", take_till(0.., '\n')).void();
    let comments = repeat::<_, _, (), _, _>(0.., terminated(alt((long, line)), space()));
    (space(), comments).void().parse_next(input)
}

/// Returns the context of an error that says what was expected.
fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}
