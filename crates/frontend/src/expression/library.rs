//! The environment of expressions: CEL's standard functions, its extensions for strings and lists, and Prism's own functions.
#![expect(clippy::needless_pass_by_value, reason = "that is how the engine calls functions")]

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::HashMap,
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use cel::{
    DeclarationError, Env, ExecutionError, Value, add_member_overload, add_overload,
    common::{
        types::{CelBool, CelInt, CelList, CelString, DYN_TYPE, LIST_TYPE, STRING_TYPE},
        value::{CowVal, Val},
    },
    extensions,
};
use regex::bytes::{Regex, RegexBuilder};

use super::{budget, glob, value};
use crate::{percent, time};

/// Limit of the cache of compiled patterns, each of at most 1 MiB. Patterns are literals, so the cache needs one entry for
/// each pattern in the configuration and in the filters of requests.
const MAX_PATTERNS: usize = 256;
/// Name of the `split` that charges the budget.
pub const SPLIT: &str = "@split";
/// Name of the `flatten` that charges the budget.
pub const FLATTEN: &str = "@flatten";
/// Name of the `replace` that charges the budget.
pub const REPLACE: &str = "@replace";

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    // `declare` can only fail if two names clash. A test calls every function and would find that.
    Arc::new(declare().unwrap_or_else(|_| Env::stdlib()))
});

static PATTERNS: LazyLock<RwLock<HashMap<String, Regex>>> = LazyLock::new(RwLock::default);

/// Returns the environment that all expressions are compiled and run with.
pub fn environment() -> &'static Arc<Env> {
    &ENVIRONMENT
}

pub(super) fn declare() -> Result<Env, DeclarationError> {
    let mut env = Env::stdlib().with_optional_support(false);
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::lists)?;
    env.add_extension(extensions::encoders)?;
    env.add_overload("json.encode", "json_encode", vec![DYN_TYPE], json_encode)?;
    env.add_overload("json.decode", "json_decode", vec![STRING_TYPE], json_decode)?;
    env.add_overload("math.greatest", "math_greatest", vec![DYN_TYPE, DYN_TYPE], greatest)?;
    env.add_overload("math.least", "math_least", vec![DYN_TYPE, DYN_TYPE], least)?;
    env.add_overload(budget::EACH, "each", vec![DYN_TYPE], budget::each)?;
    env.add_overload(budget::KEEP, "keep", vec![DYN_TYPE], budget::keep)?;
    env.add_overload(budget::READ, "read", vec![DYN_TYPE], budget::read)?;
    env.add_overload(budget::SQUARE, "square", vec![DYN_TYPE], budget::square)?;
    add_overload!(env, fn millis: (CelString) -> Result<CelInt>, name = "time.millis")?;
    add_overload!(env, fn url_encode: (CelString) -> CelString, name = "url.encode")?;
    add_overload!(env, fn url_decode: (CelString) -> Result<CelString>, name = "url.decode")?;
    add_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>, name = "matches")?;
    add_member_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>, name = "matches", id = "member_matches")?;
    add_member_overload!(env, fn matches_glob: (CelString, CelString) -> Result<CelBool>, name = "matchesGlob")?;
    add_member_overload!(env, fn split: (CelString, CelString) -> Result<CelList>, name = "@split")?;
    env.add_member_overload(FLATTEN, "list_flatten_charged", LIST_TYPE, vec![], flatten)?;
    add_member_overload!(env, fn replace: (CelString, CelString, CelString) -> Result<CelString>, name = "@replace")?;
    Ok(env)
}

fn json_encode<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.first().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let mut out = Vec::new();
    value::to_json(&Value::try_from(value.as_ref())?, &mut out);
    let text = String::from_utf8(out).map_err(|error| ExecutionError::function_error("json.encode", error))?;
    Ok(CowVal::owned(CelString::from(text)))
}

fn json_decode<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = args.first().and_then(|text| text.downcast_ref::<CelString<'_>>());
    let text = text.ok_or_else(ExecutionError::missing_argument_or_target)?;
    let json: serde_json::Value =
        serde_json::from_str(text.inner()).map_err(|error| ExecutionError::function_error("json.decode", format!("not JSON: {error}")))?;
    Ok(CowVal::Owned(value::from_json(&json).try_into()?))
}

fn millis(text: &CelString<'_>) -> Result<CelInt, ExecutionError> {
    let time = time::parse_timestamp(text.inner()).ok_or_else(|| {
        ExecutionError::function_error("time.millis", format!("{:?} is no timestamp, as 2026-01-02T03:04:05Z", text.inner()))
    })?;
    Ok(CelInt::from(time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000)))
}

fn url_encode(text: &CelString<'_>) -> CelString<'static> {
    CelString::from(percent::encode(text.inner(), percent::Slash::Decoded))
}

fn url_decode(text: &CelString<'_>) -> Result<CelString<'static>, ExecutionError> {
    percent::decode(text.inner(), percent::Slash::Decoded)
        .map(|text| CelString::from(Cow::into_owned(text)))
        .map_err(|error| ExecutionError::function_error("url.decode", format!("the text {error}")))
}

/// Compiles a pattern for `matches`. Character classes are ASCII, and `.` matches one byte.
pub fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).unicode(false).size_limit(1 << 20).build().map_err(|error| {
        let text = error.to_string();
        text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
    })
}

fn matches(text: &CelString<'_>, wanted: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let (text, wanted) = (text.inner().as_bytes(), wanted.inner());
    budget::charge(text.len() as u64)?;
    if let Some(known) = PATTERNS.read().unwrap_or_else(PoisonError::into_inner).get(wanted) {
        return Ok(CelBool::from(known.is_match(text)));
    }
    let compiled = pattern(wanted).map_err(|error| ExecutionError::function_error("matches", error))?;
    let found = compiled.is_match(text);
    let mut known = PATTERNS.write().unwrap_or_else(PoisonError::into_inner);
    // Patterns of filters that nobody uses any longer must not keep the others out. Those in use come back.
    if known.len() >= MAX_PATTERNS {
        known.clear();
    }
    known.insert(wanted.to_owned(), compiled);
    Ok(CelBool::from(found))
}

fn matches_glob(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    let (text, pattern) = (text.inner(), pattern.inner());
    // The most steps that the match can take: what follows the first `*` may be tried at every place of the text.
    let repeated = pattern.find('*').map_or(0, |star| pattern.len() - star) as u64;
    let tried = (text.len() as u64).saturating_mul(repeated);
    budget::charge(tried.saturating_add((text.len() + pattern.len()) as u64))?;
    Ok(CelBool::from(glob::matches(pattern, text)))
}

fn split(text: &CelString<'_>, separator: &CelString<'_>) -> Result<CelList<'static>, ExecutionError> {
    let (text, separator) = (text.inner(), separator.inner());
    let parts: Box<dyn Iterator<Item = &str>> =
        // An empty separator gives one part for each character, and no empty parts at the ends.
        if separator.is_empty() { Box::new(text.split("").filter(|part| !part.is_empty())) } else { Box::new(text.split(separator)) };
    let mut list: Vec<Box<dyn Val>> = Vec::new();
    for part in parts {
        budget::charge(64 + part.len() as u64)?;
        list.push(Box::new(CelString::from(part.to_owned())));
    }
    Ok(CelList::from(list))
}

/// Puts the items of the lists in a list into one list. Other items stay as they are.
fn flatten<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let list = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let outer = list.as_iterable().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let mut flat: Vec<Box<dyn Val + 'v>> = Vec::new();
    let mut push = |item: &(dyn Val + 'v)| {
        budget::charge(budget::size(item))?;
        flat.push(item.clone_as_boxed());
        Ok::<_, ExecutionError>(())
    };
    let mut items = outer.iter();
    while let Some(item) = items.next() {
        match item.as_iterable().filter(|_| *item.get_type() == LIST_TYPE) {
            None => push(item)?,
            Some(inner) => {
                let mut items = inner.iter();
                while let Some(item) = items.next() {
                    push(item)?;
                }
            }
        }
    }
    drop(items);
    Ok(CowVal::Owned(Box::new(CelList::from(flat))))
}

fn replace(text: &CelString<'_>, from: &CelString<'_>, to: &CelString<'_>) -> Result<CelString<'static>, ExecutionError> {
    let (text, from, to) = (text.inner(), from.inner(), to.inner());
    let added = (text.matches(from).count() as u64).saturating_mul(to.len() as u64);
    budget::charge(added.saturating_add(text.len() as u64))?;
    Ok(CelString::from(text.replace(from, to)))
}

fn greatest<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    extreme(args, "math.greatest", Ordering::Less)
}

fn least<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    extreme(args, "math.least", Ordering::Greater)
}

/// Returns the second number if the first one compares to it as `worse`, else the first.
fn extreme<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>, name: &str, worse: Ordering) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (Some(second), Some(first)) = (args.pop(), args.pop()) else { return Err(ExecutionError::missing_argument_or_target()) };
    let comparer = first.as_comparer().ok_or_else(|| ExecutionError::function_error(name, "takes two numbers"))?;
    let order = comparer.compare(second.as_ref())?;
    Ok(if order == worse { second } else { first })
}
