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

/// Reads all statements, each with the byte at which it begins.
pub(super) fn statements(text: &str) -> Result<Vec<(Statement<'_>, usize)>, String> {
    let mut input = Input { input: LocatingSlice::new(text), state: 0 };
    let located = statement.with_span().map(|(statement, span)| (statement, span.start));
    let parsed = preceded(blanks, repeat_till(0.., located, eof)).parse_next(&mut input);
    parsed.map(|(statements, _)| statements).map_err(|error: ErrMode<ContextError>| {
        let at = input.current_token_start();
        let found = text[at..].split_whitespace().next();
        let found = found.map_or("the end".to_owned(), |word| format!("{:?}", shortened(word)));
        let error = error.into_inner().unwrap_or_default();
        let what = match error.context().next() {
            Some(StrContext::Label(label)) => (*label).to_owned(),
            other => other.map_or("a mistake".to_owned(), ToString::to_string),
        };
        format!("{}: {what} at {found}", position(text, at))
    })
}

/// The line and column of a byte, for messages.
pub(super) fn position(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let (line, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |n| n + 1));
    format!("line {line}, column {}", before[start..].chars().count() + 1)
}

fn shortened(word: &str) -> &str {
    word.char_indices().nth(40).map_or(word, |(end, _)| &word[..end])
}

fn statement<'t>(input: &mut Input<'t>) -> ModalResult<Statement<'t>> {
    dispatch! { peek(word);
        "typealias" | "struct" | "variant" | "enum" => definition.map(Statement::Define),
        _ => (word, block(entry), sign(";")).map(|(name, entries, _)| {
            Statement::Block(name, entries)
        }),
    }
    .parse_next(input)
}

fn entry<'t>(input: &mut Input<'t>) -> ModalResult<Entry<'t>> {
    if let "typealias" | "struct" | "variant" | "enum" = peek(word).parse_next(input)? {
        return definition.map(Entry::Define).parse_next(input);
    }
    let name = dotted(input)?;
    let entry = match alt((symbol(":="), sign("="))).parse_next(input)? {
        ":=" => Entry::Type(name, type_spec(input)?),
        _ => Entry::Value(name, value(input)?),
    };
    sign(";").parse_next(input)?;
    Ok(entry)
}

fn definition<'t>(input: &mut Input<'t>) -> ModalResult<Definition<'t>> {
    let is_alias = opt(word_is("typealias")).parse_next(input)?.is_some();
    let alias = cond(is_alias, preceded(sign(":="), repeat(1.., name)));
    let (spec, alias, _) = (type_spec, alias, sign(";")).parse_next(input)?;
    Ok(Definition { spec, alias })
}

fn type_spec<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    input.state += 1;
    if input.state > MAX_DEPTH {
        return cut_err(fail).context(StrContext::Label(TOO_DEEP)).parse_next(input);
    }
    let spec = dispatch! { peek(word);
        "integer" => preceded(word, values).map(TypeSpec::Integer),
        "floating_point" => preceded(word, values).map(TypeSpec::Float),
        "string" => preceded(word, opt(values)).map(|_| TypeSpec::String),
        "struct" => structure,
        "variant" => variant,
        "enum" => enumeration,
        _ => repeat(1.., name).map(TypeSpec::Named),
    }
    .parse_next(input)?;
    input.state -= 1;
    Ok(spec)
}

fn structure<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    let align = opt(delimited((word_is("align"), sign("(")), cut_err(number), sign(")")));
    let (_, name, body) = (word, opt(name), opt((block(member), align))).parse_next(input)?;
    Ok(TypeSpec::Struct { name, body })
}

fn variant<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    let tag = opt(delimited(symbol("<"), cut_err(field_reference), sign(">")));
    let (_, name, tag, body) = (word, opt(name), tag, opt(block(member))).parse_next(input)?;
    Ok(TypeSpec::Variant { name, tag, body })
}

fn enumeration<'t>(input: &mut Input<'t>) -> ModalResult<TypeSpec<'t>> {
    let colon = (":", not("="), blanks);
    let container = opt(preceded(colon, cut_err(type_spec).map(Box::new)));
    let comma = alt((symbol(",").void(), peek(sign("}")).void()));
    let names = block(terminated(enumerator, comma));
    let (_, name, container, body) = (word, opt(name), container, opt(names)).parse_next(input)?;
    Ok(TypeSpec::Enum { name, container, body })
}

fn enumerator(input: &mut Input<'_>) -> ModalResult<Enumerator> {
    let to = opt(preceded(symbol("..."), cut_err(number)));
    let range = opt(preceded(symbol("="), cut_err((number, to))));
    (alt((text, word.map(str::to_owned))), range).parse_next(input)
}

fn member<'t>(input: &mut Input<'t>) -> ModalResult<Member<'t>> {
    if peek(opt(word_is("typealias"))).parse_next(input)?.is_some() {
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
    sign(";").parse_next(input)?;
    Ok(Member::Fields(spec, fields))
}

fn length<'t>(input: &mut Input<'t>) -> ModalResult<Length<'t>> {
    let length = dispatch! { peek(any);
        '0'..='9' => number.verify_map(|n| u64::try_from(n).ok()).map(Length::Fixed),
        'A'..='Z' | 'a'..='z' | '_' => field_reference.map(Length::Field),
        _ => fail,
    };
    delimited(symbol("["), cut_err(length.context(expected("a length"))), cut_err(sign("]")))
        .parse_next(input)
}

/// A path of names to a field: its last name, as fields are looked up from the innermost struct.
fn field_reference<'t>(input: &mut Input<'t>) -> ModalResult<&'t str> {
    let names: Vec<&str> = separated(1.., word, dot).parse_next(input)?;
    Ok(names.last().map_or("", |name| plain_name(name)))
}

/// LTTng puts an underscore before each name, so that none is a word of the language.
pub(super) fn plain_name(name: &str) -> &str {
    name.strip_prefix('_').unwrap_or(name)
}

/// `{ ITEM ITEM ... }`
fn block<'t, O>(
    item: impl ModalParser<Input<'t>, O, ContextError>,
) -> impl ModalParser<Input<'t>, Vec<O>, ContextError> {
    preceded(sign("{"), cut_err(repeat_till(0.., item, symbol("}")).map(|(items, _)| items)))
}

/// `{ NAME = VALUE; ... }`
fn values(input: &mut Input<'_>) -> ModalResult<Vec<(String, String)>> {
    block((terminated(dotted, sign("=")), terminated(value, sign(";")))).parse_next(input)
}

/// A string, a number, or a dotted name.
fn value(input: &mut Input<'_>) -> ModalResult<String> {
    dispatch! { peek(any);
        '"' => text,
        '-' | '0'..='9' => number.map(|n| n.to_string()),
        'A'..='Z' | 'a'..='z' | '_' => dotted,
        _ => fail,
    }
    .context(expected("a value"))
    .parse_next(input)
}

fn dotted(input: &mut Input<'_>) -> ModalResult<String> {
    separated(1.., word, dot).map(|names: Vec<&str>| names.join(".")).parse_next(input)
}

fn dot(input: &mut Input<'_>) -> ModalResult<()> {
    (".", not("."), blanks).void().parse_next(input)
}

fn text(input: &mut Input<'_>) -> ModalResult<String> {
    let escaped = preceded('\\', any).map(|c| if c == 'n' { '\n' } else { c });
    let inside = repeat(0.., alt((escaped, none_of('"'))));
    let end = cut_err(symbol("\"").context(expected("the end of a string")));
    delimited('"', inside, end).parse_next(input)
}

/// A number as C writes it: decimal, `0x` or octal, with a sign before and `u` or `l` behind it.
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
    terminated((opt(symbol("-")), unsigned), blanks)
        .map(|(minus, n)| if minus.is_some() { -n } else { n })
        .context(expected("a number"))
        .parse_next(input)
}

/// A word that must come here.
fn word<'t>(input: &mut Input<'t>) -> ModalResult<&'t str> {
    name.context(expected("a name")).parse_next(input)
}

/// A word that may come here: without it, no error is made.
fn name<'t>(input: &mut Input<'t>) -> ModalResult<&'t str> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let more = |c: char| c.is_ascii_alphanumeric() || c == '_';
    terminated((one_of(letter), take_while(0.., more)).take(), blanks).parse_next(input)
}

fn word_is<'t>(wanted: &'static str) -> impl ModalParser<Input<'t>, &'t str, ContextError> {
    name.verify(move |word: &str| word == wanted)
}

/// A sign that must come here.
fn sign<'t>(sign: &'static str) -> impl ModalParser<Input<'t>, &'t str, ContextError> {
    symbol(sign).context(StrContext::Expected(sign.into()))
}

/// A sign that may come here: without it, no error is made.
fn symbol<'t>(sign: &'static str) -> impl ModalParser<Input<'t>, &'t str, ContextError> {
    terminated(sign, blanks)
}

/// White space and comments. A comment that nothing ends reaches to the end.
fn blanks(input: &mut Input<'_>) -> ModalResult<()> {
    let space = || take_while(0.., char::is_whitespace).void();
    let long = preceded("/*", alt(((take_until(0.., "*/"), "*/").void(), rest.void())));
    let line = preceded("//", take_till(0.., '\n')).void();
    let comments = repeat::<_, _, (), _, _>(0.., terminated(alt((long, line)), space()));
    (space(), comments).void().parse_next(input)
}

fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}
