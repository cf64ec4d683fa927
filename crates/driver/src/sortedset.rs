//! Limits, checks and cursors of requests of sorted sets that are the same in every driver.

use std::collections::HashMap;

use bytes::Bytes;

use crate::{Limits, check, cursor, range::next_after, set};
use prism_call::{
    Code, Error,
    proto::models::sortedset::v1::{
        AddOperation, AddRequest, GetRangeByLexRequest, GetRangeByScoreRequest, IntersectionResponse, ScoreAggregation, ScoreBound,
        ScoredMember, UnionResponse, WeightedSource, intersection_response, union_response,
    },
};

/// Largest member, in bytes.
pub const MAX_MEMBER_BYTES: u64 = 64 << 10;
/// Most members of a range that are read at one instant.
pub const PAGE_MEMBERS: usize = 1000;
/// A page of a range ends after the member with which it has this many bytes.
pub const PAGE_BYTES: usize = 4 << 20;

/// The members of Add, each once.
pub struct Additions {
    /// The members, with the score that counts.
    pub members: Vec<(Bytes, f64)>,
    /// For each member of the request its number in `members`.
    pub numbers: Vec<usize>,
}

impl Additions {
    /// Checks a request. Of a member that is given twice the last score counts; increments are added up.
    pub fn new(limits: &Limits, request: &AddRequest) -> Result<Self, Error> {
        check::key(limits, &request.key)?;
        check::batch(limits, "members", request.members.len())?;
        let limits = Limits { max_value_bytes: limits.max_value_bytes.min(MAX_MEMBER_BYTES), ..*limits };
        let increments = request.operation() == AddOperation::Increment;
        let mut known: HashMap<&Bytes, usize> = HashMap::new();
        let mut additions = Self { members: Vec::new(), numbers: Vec::with_capacity(request.members.len()) };
        for (index, given) in request.members.iter().enumerate() {
            check::value(&limits, format_args!("members[{index}].member"), &given.member)?;
            if given.score.is_nan() {
                return Err(invalid_score(&format!("members[{index}].score")));
            }
            let score = without_sign_of_zero(given.score);
            let number = *known.entry(&given.member).or_insert(additions.members.len());
            match additions.members.get_mut(number) {
                None => additions.members.push((given.member.clone(), score)),
                Some((_, sum)) if increments => *sum = checked_sum(*sum, score)?,
                Some((_, last)) => *last = score,
            }
            additions.numbers.push(number);
        }
        Ok(additions)
    }
}

/// The score of a member after Add; `None` if the member is passed over. `current` is the score before, if the member exists.
pub fn score_after(operation: AddOperation, current: Option<f64>, given: f64) -> Result<Option<f64>, Error> {
    Ok(Some(match (operation, current) {
        (AddOperation::OnlyExisting, None) => return Ok(None),
        (AddOperation::OnlyNew, Some(current)) => current,
        (AddOperation::KeepGreater, Some(current)) => current.max(given),
        (AddOperation::KeepLess, Some(current)) => current.min(given),
        (AddOperation::Increment, Some(current)) => without_sign_of_zero(checked_sum(current, given)?),
        _ => given,
    }))
}

/// Minus zero is stored as zero.
pub fn without_sign_of_zero(score: f64) -> f64 {
    score + 0.0
}

fn checked_sum(one: f64, other: f64) -> Result<f64, Error> {
    let sum = one + other;
    if sum.is_nan() { Err(not_a_number()) } else { Ok(sum) }
}

/// `FAILED_PRECONDITION INVALID_SCORE`: an increment would make a score NaN.
pub fn not_a_number() -> Error {
    Error::new(
        Code::FailedPrecondition,
        "INVALID_SCORE",
        "an increment would add infinity and minus infinity, which is no number; set the score instead",
    )
}

/// `INVALID_ARGUMENT INVALID_SCORE`
fn invalid_score(field: &str) -> Error {
    Error::invalid(field, "must be a number, not NaN").with_reason("INVALID_SCORE")
}

/// A range of scores in one direction, and where in it to begin.
#[derive(Clone, Debug)]
pub struct ScoreRange {
    /// The lower end. `None` = no bound.
    pub min: Option<ScoreBound>,
    /// The upper end. `None` = no bound.
    pub max: Option<ScoreBound>,
    /// From the greatest score to the least.
    pub reverse: bool,
    /// The score and the member after which the range begins.
    pub after: Option<(f64, Bytes)>,
    /// Members to leave out at the beginning.
    pub skip: u64,
}

impl ScoreRange {
    /// Checks the fields of a request.
    pub fn new(limits: &Limits, request: &GetRangeByScoreRequest) -> Result<Self, Error> {
        check::key(limits, &request.key)?;
        for (field, bound) in [("min", &request.min), ("max", &request.max)] {
            if bound.as_ref().is_some_and(|bound| bound.score.is_nan()) {
                return Err(invalid_score(&format!("{field}.score")));
            }
        }
        check_skip(request.skip, &request.cursor)?;
        let after = match cursor::open(scope("score", request.reverse), &request.cursor)? {
            None => None,
            Some(position) => Some(parse_position(&position)?),
        };
        Ok(Self { min: request.min, max: request.max, reverse: request.reverse, after, skip: request.skip })
    }

    /// The least and the greatest score of the range; `None` if it is empty.
    pub fn interval(&self) -> Option<(f64, f64)> {
        let least = match self.min {
            None => f64::NEG_INFINITY,
            Some(min) if min.exclusive && min.score.is_infinite() && min.score > 0.0 => return None,
            Some(min) if min.exclusive => min.score.next_up(),
            Some(min) => min.score,
        };
        let greatest = match self.max {
            None => f64::INFINITY,
            Some(max) if max.exclusive && max.score.is_infinite() && max.score < 0.0 => return None,
            Some(max) if max.exclusive => max.score.next_down(),
            Some(max) => max.score,
        };
        (least <= greatest).then_some((least, greatest))
    }

    /// The cursor that continues after a member.
    pub fn cursor(&self, score: f64, member: &[u8]) -> String {
        let position = [&score.to_bits().to_be_bytes()[..], member].concat();
        cursor::seal(scope("score", self.reverse), &position)
    }
}

fn parse_position(position: &[u8]) -> Result<(f64, Bytes), Error> {
    let (score, member) = position.split_first_chunk::<8>().ok_or_else(cursor::invalid)?;
    let score = f64::from_bits(u64::from_be_bytes(*score));
    if score.is_nan() { Err(cursor::invalid()) } else { Ok((score, Bytes::copy_from_slice(member))) }
}

/// Encodes the cursor of GetRangeByLex, which continues after a member.
pub fn encode_lex_cursor(reverse: bool, member: &[u8]) -> String {
    cursor::seal(scope("lex", reverse), member)
}

/// Checks `skip` and `cursor` of GetRangeByLex, and returns the member after which the range begins.
pub fn lex_start(reverse: bool, skip: u64, cursor: &str) -> Result<Option<Bytes>, Error> {
    check_skip(skip, cursor)?;
    Ok(cursor::open(scope("lex", reverse), cursor)?.map(Bytes::from))
}

/// A range of members in one direction. It gets smaller while it is read in pages.
#[derive(Clone, Debug)]
pub struct LexRange {
    /// The lower end, inclusive.
    pub lower: Bytes,
    /// The upper end, exclusive. `None` = no bound.
    pub upper: Option<Bytes>,
    /// From the greatest member to the least.
    pub reverse: bool,
    /// Members to leave out at the beginning.
    pub skip: i64,
}

impl LexRange {
    /// Combines the bounds and the cursor of a request.
    pub fn new(request: &GetRangeByLexRequest) -> Result<Self, Error> {
        let after = lex_start(request.reverse, request.skip, &request.cursor)?;
        let next = |member: &Bytes| Bytes::from(next_after(member));
        let lower = request.min.as_ref().map_or_else(Bytes::new, |min| if min.exclusive { next(&min.member) } else { min.member.clone() });
        let upper = request.max.as_ref().map(|max| if max.exclusive { max.member.clone() } else { next(&max.member) });
        let mut range = Self { lower, upper, reverse: request.reverse, skip: i64::try_from(request.skip).unwrap_or(i64::MAX) };
        if let Some(member) = after {
            range.continue_after(&member);
        }
        Ok(range)
    }

    /// Leaves out the members up to this one, which were sent.
    pub fn continue_after(&mut self, member: &Bytes) {
        self.skip = 0;
        if !self.reverse {
            self.lower = Bytes::from(next_after(member)).max(std::mem::take(&mut self.lower));
        } else if self.upper.as_ref().is_none_or(|upper| upper > member) {
            self.upper = Some(member.clone());
        }
    }
}

fn check_skip(skip: u64, cursor: &str) -> Result<(), Error> {
    if skip > 0 && !cursor.is_empty() {
        return Err(Error::invalid("skip", "is not allowed with cursor: the members before it are left out already"));
    }
    Ok(())
}

fn scope(interface: &str, reverse: bool) -> &'static str {
    match (interface, reverse) {
        ("lex", false) => "sortedset:lex",
        ("lex", true) => "sortedset:lex:reverse",
        (_, false) => "sortedset:score",
        (_, true) => "sortedset:score:reverse",
    }
}

/// One message of the reply to an operation on several sorted sets.
#[derive(Clone, Debug, PartialEq)]
pub enum AlgebraOutcome {
    /// A member of the result.
    Entry(ScoredMember),
    /// The size of the result that was stored.
    Stored(u64),
}

impl From<AlgebraOutcome> for UnionResponse {
    fn from(outcome: AlgebraOutcome) -> Self {
        use union_response::Outcome;
        let outcome = match outcome {
            AlgebraOutcome::Entry(entry) => Outcome::Entry(entry),
            AlgebraOutcome::Stored(size) => Outcome::StoredSize(size),
        };
        Self { outcome: Some(outcome) }
    }
}

impl From<AlgebraOutcome> for IntersectionResponse {
    fn from(outcome: AlgebraOutcome) -> Self {
        use intersection_response::Outcome;
        let outcome = match outcome {
            AlgebraOutcome::Entry(entry) => Outcome::Entry(entry),
            AlgebraOutcome::Stored(size) => Outcome::StoredSize(size),
        };
        Self { outcome: Some(outcome) }
    }
}

/// Checks an operation on several sorted sets, and returns the weight of each source.
pub fn check_sources(limits: &Limits, sources: &[WeightedSource], destination: Option<&Bytes>, limit: u32) -> Result<Vec<f64>, Error> {
    set::check_sources("sources", sources.len())?;
    let mut weights = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        check::key_at(limits, format_args!("sources[{index}].key"), &source.key)?;
        let weight = source.weight.unwrap_or(1.0);
        if weight.is_nan() {
            return Err(invalid_score(&format!("sources[{index}].weight")));
        }
        weights.push(weight);
    }
    set::check_destination(limits, destination, limit)?;
    Ok(weights)
}

/// A score times the weight of its source.
pub fn weighted(score: f64, weight: f64) -> f64 {
    number_or_zero(score * weight)
}

/// Two weighted scores of a member as one.
pub fn combine(aggregation: ScoreAggregation, one: f64, other: f64) -> f64 {
    number_or_zero(match aggregation {
        ScoreAggregation::Min => one.min(other),
        ScoreAggregation::Max => one.max(other),
        ScoreAggregation::Sum | ScoreAggregation::Unspecified => one + other,
    })
}

/// The first members of a result, in the order of a sorted set. 0 = all members.
pub fn first_members(scores: impl IntoIterator<Item = (Bytes, f64)>, limit: u32) -> Vec<ScoredMember> {
    let mut members: Vec<ScoredMember> = scores.into_iter().map(|(member, score)| ScoredMember { member, score }).collect();
    members.sort_unstable_by(|one, other| one.score.total_cmp(&other.score).then_with(|| one.member.cmp(&other.member)));
    members.truncate(check::limit_or_all(limit));
    members
}

fn number_or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { without_sign_of_zero(score) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_call::proto::models::sortedset::v1::MemberBound;

    fn additions(operation: AddOperation, members: &[(&str, f64)]) -> Result<Vec<(Bytes, f64)>, Error> {
        let members = members.iter().map(|(member, score)| ScoredMember { member: Bytes::from((*member).to_owned()), score: *score });
        let request = AddRequest { key: "key".into(), members: members.collect(), operation: operation.into() };
        Additions::new(&Limits::default(), &request).map(|additions| additions.members)
    }

    #[test]
    fn a_member_that_is_given_twice() {
        let twice = [("a", 1.0), ("b", -0.0), ("a", 5.0)];
        assert_eq!(additions(AddOperation::Set, &twice).unwrap(), [("a".into(), 5.0), ("b".into(), 0.0)]);
        assert_eq!(additions(AddOperation::Increment, &twice).unwrap(), [("a".into(), 6.0), ("b".into(), 0.0)]);
        let error = additions(AddOperation::Increment, &[("a", f64::INFINITY), ("a", f64::NEG_INFINITY)]).unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "INVALID_SCORE"));
        assert_eq!(additions(AddOperation::Set, &[("a", f64::NAN)]).unwrap_err().violations()[0].field, "members[0].score");
    }

    #[test]
    fn exclusive_bounds_are_the_next_scores() {
        let bound = |score, exclusive| Some(ScoreBound { score, exclusive });
        let interval = |min, max| ScoreRange { min, max, reverse: false, after: None, skip: 0 }.interval();
        let (least, greatest) = interval(bound(0.0, true), bound(1.0, true)).unwrap();
        assert!(least > 0.0 && least < f64::MIN_POSITIVE && greatest < 1.0 && greatest > 0.999);
        assert!(interval(bound(-0.0, true), None).unwrap().0 > 0.0);
        assert_eq!(interval(None, None), Some((f64::NEG_INFINITY, f64::INFINITY)));
        assert_eq!(interval(bound(f64::NEG_INFINITY, true), bound(f64::INFINITY, true)), Some((f64::MIN, f64::MAX)));
        for (min, max) in [
            (bound(f64::INFINITY, true), None),
            (None, bound(f64::NEG_INFINITY, true)),
            (bound(1.0, true), bound(1.0, false)),
            (bound(2.0, false), bound(1.0, false)),
        ] {
            assert_eq!(interval(min, max), None, "{min:?} {max:?}");
        }
    }

    #[test]
    fn a_range_of_members_continues_after_a_cursor() {
        let range = |reverse, cursor: String| {
            let [min, max] = ["b", "d"].map(|member| Some(MemberBound { member: member.into(), exclusive: false }));
            let request = GetRangeByLexRequest { key: "key".into(), min, max, reverse, cursor, ..GetRangeByLexRequest::default() };
            LexRange::new(&request).unwrap()
        };
        let bounds = |reverse, after: &str| {
            let range = range(reverse, encode_lex_cursor(reverse, after.as_bytes()));
            (range.lower, range.upper.unwrap())
        };
        assert_eq!(range(false, String::new()).upper, Some("d\0".into()));
        assert_eq!(bounds(false, "c"), ("c\0".into(), "d\0".into()));
        assert_eq!(bounds(false, "a"), ("b".into(), "d\0".into()));
        assert_eq!(bounds(true, "c"), ("b".into(), "c".into()));
        assert_eq!(bounds(true, "e"), ("b".into(), "d\0".into()));
    }

    #[test]
    fn scores_are_combined_to_numbers() {
        assert_eq!(weighted(f64::INFINITY, 0.0).to_bits(), 0.0_f64.to_bits());
        assert_eq!(weighted(0.0, -1.0).to_bits(), 0.0_f64.to_bits());
        let combined = vec![
            combine(ScoreAggregation::Sum, f64::INFINITY, f64::NEG_INFINITY),
            combine(ScoreAggregation::Min, 1.0, 2.0),
            combine(ScoreAggregation::Max, 1.0, 2.0),
        ];
        assert_eq!(combined, vec![0.0, 1.0, 2.0]);
    }
}
