//! Parses the texts of numbers and booleans. The errors describe what the text must be.

/// Parses a whole number.
pub fn int_of_text(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("must be a whole number, not {text:?}"))
}

/// Parses a whole number that is not negative.
pub fn uint_of_text(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("must be a whole number that is not negative, not {text:?}"))
}

/// Parses a finite number.
pub fn float_of_text(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| format!("must be a number, not {text:?}"))
}

/// Parses `true` or `false`.
pub fn bool_of_text(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "0" => Ok(false),
        _ => Err(format!("must be true or false, not {text:?}")),
    }
}
