//! Reads points of several series.

use tokio_postgres::types::Type;

use crate::{database::Database, error, sql::Sql};
use prism_call::{Context, Error};
use prism_driver::{
    time::Millis,
    timeseries::{Span, selector::Selector},
};

/// The time of the oldest point of a name (`$1`) that can be found; the least number if points live forever.
macro_rules! oldest {
    () => {
        "coalesce((SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint - max_age FROM {schema}.series_names WHERE id = $1), $3)"
    };
}

/// Points of series (`$2`), series by series, from `$3` and before `$4`, at most `$7` of each and `$8` in all. In the first series, those from `$5` and before
/// `$6`. PostgreSQL reads the series in their order, and stops at the limit.
macro_rules! points {
    ($order:literal) => {
        Sql {
            text: concat!(
                "SELECT wanted.number, point.time, point.value FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (id, number)
                 CROSS JOIN LATERAL (
                     SELECT time, value FROM {schema}.points
                     WHERE series = wanted.id
                         AND time >= greatest(CASE WHEN wanted.number = 1 THEN $5 ELSE $3 END, ",
                oldest!(),
                ")
                         AND time < CASE WHEN wanted.number = 1 THEN $6 ELSE $4 END
                     ORDER BY time ",
                $order,
                " LIMIT $7) AS point LIMIT $8"
            ),
            types: &[Type::INT8, Type::INT8_ARRAY, Type::INT8, Type::INT8, Type::INT8, Type::INT8, Type::INT8, Type::INT8],
        }
    };
}

static FORWARD: Sql = points!("");
static BACKWARD: Sql = points!("DESC");

/// The time of the oldest point of series (`$2`) from `$3` and before `$4`.
static OLDEST: Sql = Sql {
    text: concat!(
        "SELECT min(first.time) FROM unnest($2::bigint[]) AS wanted (id) CROSS JOIN LATERAL (
             SELECT time FROM {schema}.points WHERE series = wanted.id AND time >= greatest($3, ",
        oldest!(),
        ") AND time < $4 ORDER BY time LIMIT 1) AS first"
    ),
    types: &[Type::INT8, Type::INT8_ARRAY, Type::INT8, Type::INT8],
};

static SERIES: Sql = Sql {
    text: "SELECT id, digest, labels FROM {schema}.series WHERE name = $1 AND digest > $2 ORDER BY digest LIMIT $3",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

/// The same, from the series with some labels on.
static SERIES_FROM: Sql = Sql {
    text: "SELECT id, digest, labels FROM {schema}.series WHERE name = $1 AND digest >= sha256($2) ORDER BY digest LIMIT $3",
    types: &[Type::INT8, Type::BYTEA, Type::INT8],
};

/// Where in the series of a name to begin.
#[derive(Clone, Debug)]
pub enum SeriesStart {
    /// With the series that has these encoded labels.
    At(Vec<u8>),
    /// After the series with this digest. All digests come after the empty one.
    After(Vec<u8>),
}

/// A row of the table `series`.
pub struct StoredSeries {
    pub id: i64,
    pub digest: Vec<u8>,
    pub labels: prism_driver::timeseries::Labels,
}

/// A page of the series of a name.
#[derive(Default)]
pub struct SeriesPage {
    /// Those that are selected.
    pub selected: Vec<StoredSeries>,
    /// The digest of the last series, also if it is not selected; `None` if there are no more.
    pub last: Option<Vec<u8>>,
}

/// Reads a page of at most `most` series of a name, in the order of their digests.
pub async fn read_series(
    database: &Database,
    context: &Context,
    name: i64,
    selector: &Selector,
    start: &SeriesStart,
    most: usize,
) -> Result<SeriesPage, Error> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = match start {
        SeriesStart::At(labels) => database.query(context, &SERIES_FROM, &[&name, labels, &limit]).await?,
        SeriesStart::After(digest) => database.query(context, &SERIES, &[&name, digest, &limit]).await?,
    };
    let mut page = SeriesPage { selected: Vec::new(), last: rows.last().filter(|_| rows.len() >= most).map(|row| row.get(1)) };
    for row in &rows {
        let labels = prism_driver::attributes::decode(row.get(2))?;
        if selector.matches(&labels) {
            page.selected.push(StoredSeries { id: row.get(0), digest: row.get(1), labels });
        }
    }
    Ok(page)
}

/// Which points to read.
pub struct PointQuery<'q> {
    /// The id of the name of the series.
    pub name: i64,
    /// The series.
    pub series: &'q [i64],
    /// The time of the points.
    pub span: Span,
    /// The time of the points of the first series.
    pub first_span: Span,
    /// Whether points come from the newest to the oldest.
    pub reverse: bool,
    /// Most points of each series, and in all.
    pub per_series: usize,
    pub limit: usize,
}

/// A point, and the place of its series.
pub type PlacedPoint = (usize, Millis, f64);

/// Reads points, series by series.
pub async fn read_points(database: &Database, context: &Context, query: &PointQuery<'_>) -> Result<Vec<PlacedPoint>, Error> {
    let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let statement = if query.reverse { &BACKWARD } else { &FORWARD };
    let (PointQuery { name, series, span, first_span, .. }, per_series, limit) = (query, number(query.per_series), number(query.limit));
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
        [name, series, &span.start, &span.end, &first_span.start, &first_span.end, &per_series, &limit];
    let rows = database.query(context, statement, &parameters).await?;
    let place = |number: i64| usize::try_from(number - 1).unwrap_or(0);
    let points: Vec<PlacedPoint> = rows.iter().map(|row| (place(row.get(0)), row.get(1), row.get(2))).collect();
    // The limit would have cut others off.
    if points.is_sorted_by_key(|(place, ..)| *place) { Ok(points) } else { Err(error::unexpected_reply()) }
}

/// Returns the time of the oldest point of some series in a span.
pub async fn read_oldest(database: &Database, context: &Context, name: i64, series: &[i64], span: Span) -> Result<Option<Millis>, Error> {
    let row = database.query_optional(context, &OLDEST, &[&name, &series, &span.start, &span.end]).await?;
    Ok(row.and_then(|row| row.get(0)))
}
