//! Rewrites what protoc accepts and the parser doesn't, and refuses what only the parser accepts.

use super::{
    edits::Edits,
    scan::{Token, TokenKind, describe_position},
};
use crate::InvalidSchema;

/// Notes the edits of a text of any syntax.
pub(super) fn rewrite_dialect(text: &str, tokens: &[Token], edits: &mut Edits) -> Result<(), InvalidSchema> {
    let mut begins = true;
    // For each open brace, whether it is that of a oneof.
    let mut braces = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Punctuation(b'{') => {
                let keyword = index.checked_sub(2).and_then(|at| tokens.get(at));
                let starts = index.checked_sub(3).is_none_or(|at| tokens.get(at).is_none_or(|before| is_boundary(*before)));
                braces.push(starts && keyword.is_some_and(|keyword| keyword.text_in(text) == "oneof"));
            }
            TokenKind::Punctuation(b'}') => drop(braces.pop()),
            TokenKind::Punctuation(b';') if begins && braces.last() == Some(&true) => {
                return Err(refused(text, *token, "a oneof has no empty statements; remove the semicolon"));
            }
            TokenKind::Name if token.text_in(text) == "uninterpreted_option" && names_option(text, tokens, index) => {
                return Err(refused(text, *token, "`uninterpreted_option` is a reserved name"));
            }
            TokenKind::Name if is_hexadecimal_zero(token.text_in(text)) => edits.replace(token.start, token.end, "0"),
            TokenKind::Name if begins && token.text_in(text) == "extensions" => name_range_ends(text, &tokens[index + 1..], edits),
            TokenKind::Name if begins && token.text_in(text) == "extend" => check_extend(text, *token, &tokens[index + 1..])?,
            TokenKind::Name if begins_list(text, &tokens[index..]) => edits.insert(token.end, ":"),
            TokenKind::Name if is_large_number(token.text_in(text)) && follows_sign(tokens, index) => edits.insert(token.end, ".0"),
            TokenKind::Text => join_surrogates(*token, token.text_in(text), edits),
            TokenKind::Punctuation(b'-') => name_infinity(text, tokens, index, edits),
            _ => {}
        }
        begins = is_boundary(*token);
    }
    Ok(())
}

/// Refuses an `extend` without a field.
fn check_extend(text: &str, token: Token, tokens: &[Token]) -> Result<(), InvalidSchema> {
    let mut behind_name = tokens.iter().skip_while(|token| !is_boundary(**token));
    let opens = behind_name.next().is_some_and(|token| token.is(b'{'));
    if opens
        && behind_name.find(|token| !token.is(b';')).is_some_and(|token| token.is(b'}'))
        && tokens.first().is_some_and(|name| name.kind != TokenKind::Punctuation(b'='))
    {
        return Err(refused(text, token, "`extend` has no field; add one, or remove it"));
    }
    Ok(())
}

fn refused(text: &str, token: Token, why: &str) -> InvalidSchema {
    InvalidSchema::new(format!("{}: {why}", describe_position(text, token.start)))
}

/// Returns whether a statement can begin behind a token.
fn is_boundary(token: Token) -> bool {
    matches!(token.kind, TokenKind::Punctuation(b';' | b'{' | b'}'))
}

/// Returns whether a token is the name of an option.
fn names_option(text: &str, tokens: &[Token], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|at| tokens.get(at));
    let begins = before.is_some_and(|before| before.is(b'[') || before.is(b',') || before.text_in(text) == "option");
    begins && tokens.get(index + 1).is_some_and(|next| next.is(b'=') || next.is(b'.'))
}

fn is_hexadecimal_zero(text: &str) -> bool {
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit == b'0'))
}

/// Returns whether a list of messages follows a name in a literal. The parser wants a colon between them.
fn begins_list(text: &str, tokens: &[Token]) -> bool {
    let [name, open, first, ..] = tokens else { return false };
    let named = name.text_in(text).starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    named && open.is(b'[') && (first.is(b'{') || first.is(b'<'))
}

/// Writes both ends of the last range of `extensions`, if options follow: the parser takes options only behind two ends.
fn name_range_ends(text: &str, tokens: &[Token], edits: &mut Edits) {
    let Some(options) = tokens.iter().position(|token| token.is(b'[') || token.is(b';') || token.is(b'}')) else { return };
    let Some(number) = options.checked_sub(1).and_then(|last| tokens.get(last)) else { return };
    let has_end = options.checked_sub(2).and_then(|before| tokens.get(before)).is_some_and(|before| before.text_in(text) == "to");
    if tokens.get(options).is_some_and(|token| token.is(b'[')) && number.kind == TokenKind::Name && !has_end {
        edits.insert(number.end, format!(" to {}", number.text_in(text)));
    }
}

/// Returns whether a text is an integer of more than 64 bits, which is a number of type double.
fn is_large_number(text: &str) -> bool {
    text.len() >= 20 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0') && text.parse::<u64>().is_err()
}

/// Returns whether a token is a value.
fn follows_sign(tokens: &[Token], index: usize) -> bool {
    index
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .is_some_and(|before| [b'=', b':', b'-', b',', b'['].into_iter().any(|sign| before.is(sign)))
}

/// Writes `-inf` of a custom option as a number, because the parser takes no sign before a name. A NaN has no sign that matters.
fn name_infinity(text: &str, tokens: &[Token], index: usize, edits: &mut Edits) {
    let Some([name, equals, minus, word]) = index.checked_sub(2).and_then(|from| tokens.get(from..index + 2)) else { return };
    if !equals.is(b'=') || name.text_in(text) == "default" {
        return;
    }
    match word.text_in(text) {
        "inf" => edits.replace(minus.start, word.end, "-1e999"),
        "nan" => edits.replace(minus.start, word.start, ""),
        _ => {}
    }
}

/// Joins two escaped surrogates, `\\ud83d\\ude00`, to one character.
fn join_surrogates(token: Token, literal: &str, edits: &mut Edits) {
    let unit = |at: usize| {
        let digits = literal.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut from = 0;
    while let Some(found) = literal.get(from..).and_then(|rest| rest.find('\\')) {
        let at = from + found;
        let pair = [unit(at), unit(at + 6)].map(Option::unwrap_or_default);
        match char::decode_utf16(pair).next() {
            Some(Ok(letter)) if letter.len_utf16() == 2 => {
                edits.replace(token.start + at, token.start + at + 12, format!("\\U{:08x}", u32::from(letter)));
                from = at + 12;
            }
            _ => from = at + 2,
        }
    }
}
