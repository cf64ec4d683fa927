//! Numbers that are computed from the points of a window.

use crate::time::Millis;
use prism_call::{
    Error,
    proto::models::timeseries::v1::{AggregateFunction, Aggregation},
};

/// Checks an aggregation: a quantile is for `AGGREGATE_FUNCTION_QUANTILE` only, and from 0 to 1.
pub fn check_aggregation(field: &str, aggregation: &Aggregation) -> Result<(), Error> {
    match aggregation.quantile {
        Some(_) if aggregation.function() != AggregateFunction::Quantile => {
            Err(Error::invalid(format!("{field}.quantile"), "is only for AGGREGATE_FUNCTION_QUANTILE"))
        }
        Some(quantile) if !(0.0..=1.0).contains(&quantile) => Err(Error::invalid(format!("{field}.quantile"), "must be from 0 to 1")),
        _ => Ok(()),
    }
}

/// What is known of the points of a window.
#[derive(Clone, Debug)]
pub struct Accumulator {
    count: u64,
    sum: f64,
    /// The mean, and the sum of the squares of the distances from it (Welford's method).
    mean: f64,
    squares: f64,
    least: f64,
    greatest: f64,
    first: (Millis, f64),
    last: (Millis, f64),
    /// All values, if a quantile is wanted.
    values: Option<Vec<f64>>,
}

impl Accumulator {
    /// An empty window for these aggregations.
    pub fn new(aggregations: &[Aggregation]) -> Self {
        let quantile = aggregations.iter().any(|aggregation| aggregation.function() == AggregateFunction::Quantile);
        Self {
            count: 0,
            sum: 0.0,
            mean: 0.0,
            squares: 0.0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            first: (Millis::MAX, f64::INFINITY),
            last: (Millis::MIN, f64::NEG_INFINITY),
            values: quantile.then(Vec::new),
        }
    }

    /// Adds a point. Points may come in any order.
    pub fn add(&mut self, time: Millis, value: f64) {
        self.count += 1;
        self.sum += value;
        let distance = value - self.mean;
        self.mean += distance / count_as_number(self.count);
        self.squares += distance * (value - self.mean);
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        if time < self.first.0 || (time == self.first.0 && value < self.first.1) {
            self.first = (time, value);
        }
        if time > self.last.0 || (time == self.last.0 && value > self.last.1) {
            self.last = (time, value);
        }
        if let Some(values) = &mut self.values {
            values.push(value);
        }
    }

    /// The number of points.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time of the oldest point.
    pub fn first_time(&self) -> Millis {
        self.first.0
    }

    /// The numbers that are wanted, in their order.
    pub fn finish(mut self, aggregations: &[Aggregation]) -> Vec<f64> {
        if let Some(values) = &mut self.values {
            values.sort_unstable_by(f64::total_cmp);
        }
        aggregations.iter().map(|aggregation| self.number(aggregation)).collect()
    }

    fn number(&self, aggregation: &Aggregation) -> f64 {
        match aggregation.function() {
            AggregateFunction::Average | AggregateFunction::Unspecified => self.sum / count_as_number(self.count),
            AggregateFunction::Sum => self.sum,
            AggregateFunction::Min => self.least,
            AggregateFunction::Max => self.greatest,
            AggregateFunction::Count => count_as_number(self.count),
            AggregateFunction::First => self.first.1,
            AggregateFunction::Last => self.last.1,
            AggregateFunction::Spread => self.greatest - self.least,
            AggregateFunction::StandardDeviation => (self.squares / count_as_number(self.count)).max(0.0).sqrt(),
            AggregateFunction::Quantile => self.quantile(aggregation.quantile.unwrap_or(0.5)),
        }
    }

    /// The quantile of the sorted values, interpolated between neighbours.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rank is from 0 to the number of values")]
    fn quantile(&self, fraction: f64) -> f64 {
        let values = self.values.as_deref().unwrap_or_default();
        let rank = fraction * count_as_number(values.len().saturating_sub(1) as u64);
        let (below, part) = (rank.floor() as usize, rank.fract());
        let value = |index: usize| values.get(index).or(values.last()).copied().unwrap_or_default();
        value(below) * (1.0 - part) + value(below + 1) * part
    }
}

#[expect(clippy::cast_precision_loss, reason = "no window has 2^53 points")]
fn count_as_number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(points: &[(Millis, f64)], functions: &[AggregateFunction]) -> Vec<f64> {
        let aggregations: Vec<Aggregation> =
            functions.iter().map(|function| Aggregation { function: (*function).into(), quantile: None }).collect();
        let mut accumulator = Accumulator::new(&aggregations);
        for (time, value) in points {
            accumulator.add(*time, *value);
        }
        accumulator.finish(&aggregations)
    }

    #[test]
    fn computes_every_function() {
        use AggregateFunction::{Average, Count, First, Last, Max, Min, Quantile, Spread, StandardDeviation, Sum, Unspecified};
        let points = [(3, 4.0), (1, 2.0), (2, 9.0), (5, 5.0), (5, 7.0), (1, 4.0), (4, 5.0), (3, 4.0)];
        let found = numbers(&points, &[Average, Sum, Min, Max, Count, First, Last, Spread, StandardDeviation, Quantile, Unspecified]);
        assert_eq!(found, vec![5.0, 40.0, 2.0, 9.0, 8.0, 2.0, 7.0, 7.0, 2.0, 4.5, 5.0]);
        assert_eq!(numbers(&[(0, 3.0)], &[StandardDeviation, Quantile, Spread]), vec![0.0, 3.0, 0.0]);
    }

    #[test]
    fn quantiles_are_interpolated() {
        let quantile = |fraction| {
            let aggregation = Aggregation { function: AggregateFunction::Quantile.into(), quantile: Some(fraction) };
            check_aggregation("aggregation", &aggregation).unwrap();
            let mut accumulator = Accumulator::new(&[aggregation]);
            for value in [30.0, 10.0, 20.0, 40.0] {
                accumulator.add(0, value);
            }
            accumulator.finish(&[aggregation])[0]
        };
        let quantiles: Vec<f64> = [0.0, 0.5, 1.0, 0.9].into_iter().map(quantile).collect();
        assert_eq!(quantiles, vec![10.0, 25.0, 40.0, 37.0]);
        for bad in [
            Aggregation { function: AggregateFunction::Quantile.into(), quantile: Some(1.5) },
            Aggregation { function: AggregateFunction::Quantile.into(), quantile: Some(f64::NAN) },
            Aggregation { function: AggregateFunction::Sum.into(), quantile: Some(0.5) },
        ] {
            assert_eq!(check_aggregation("aggregation", &bad).unwrap_err().violations()[0].field, "aggregation.quantile");
        }
    }
}
