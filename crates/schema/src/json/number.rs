//! Compares numbers of schemas without rounding where possible.

use std::cmp::Ordering;

use serde_json::Number;

/// The largest exponent of ten that is compared exactly. Larger numbers are compared as `f64`.
const MAX_EXPONENT: i32 = 30;

/// Returns the number as an integer, if it is one: `1.0` is 1.
pub fn as_integer(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    let (digits, scale) = decimal(number)?;
    (scale == 0).then_some(digits)
}

/// Compares two numbers.
pub fn compare(left: &Number, right: &Number) -> Ordering {
    if let (Some((left, left_scale)), Some((right, right_scale))) = (decimal(left), decimal(right)) {
        let scale = left_scale.max(right_scale);
        if let (Some(left), Some(right)) = (multiply_by_power(left, scale - left_scale), multiply_by_power(right, scale - right_scale)) {
            return left.cmp(&right);
        }
    }
    let approximate = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
    approximate(left).partial_cmp(&approximate(right)).unwrap_or(Ordering::Equal)
}

/// Returns whether `number` is a multiple of `step`, or `None` if that can't be decided.
pub fn is_multiple(number: &Number, step: &Number) -> Option<bool> {
    let ((number, number_scale), (step, step_scale)) = (decimal(number)?, decimal(step)?);
    let scale = number_scale.max(step_scale);
    let (number, step) = (multiply_by_power(number, scale - number_scale)?, multiply_by_power(step, scale - step_scale)?);
    (step != 0).then(|| number % step == 0)
}

/// Returns the digits of a number, and how many of them are behind the decimal point.
fn decimal(number: &Number) -> Option<(i128, u32)> {
    if let Some(value) = number.as_i64() {
        return Some((value.into(), 0));
    }
    if let Some(value) = number.as_u64() {
        return Some((value.into(), 0));
    }
    let text = format!("{:e}", number.as_f64()?);
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{before}{behind}").parse().ok()?;
    let exponent = exponent - i32::try_from(behind.len()).ok()?;
    if exponent >= 0 {
        (exponent <= MAX_EXPONENT).then_some(())?;
        return Some((multiply_by_power(digits, u32::try_from(exponent).ok()?)?, 0));
    }
    (exponent >= -MAX_EXPONENT).then_some((digits, exponent.unsigned_abs()))
}

fn multiply_by_power(digits: i128, by: u32) -> Option<i128> {
    digits.checked_mul(10_i128.checked_pow(by)?)
}
