//! Processes messages whose delay or lease has ended.

use tokio_postgres::types::Type;

use crate::sql::Sql;

/// Messages that one statement processes, so that its locks are held only for a short time.
pub const MESSAGES_PER_STATEMENT: usize = 1000;

/// Processes messages of a keyspace that are due, in the order of their times. Returns a row for each.
pub static PROCESS: Sql = Sql {
    text: "WITH due AS MATERIALIZED (
               SELECT message.id, message.queue, message.state = 2 AS scheduled, queue.dead_letter,
                      message.state = 1 AND queue.dead_letter IS NOT NULL AND message.attempts >= queue.max_attempts AS failed
               FROM {schema}.messages AS message JOIN {schema}.queues AS queue ON queue.id = message.queue
               WHERE message.keyspace = $1 AND message.state > 0 AND message.due <= now()
               ORDER BY message.due, message.id LIMIT 1000 FOR UPDATE OF message),
           placed AS MATERIALIZED (SELECT *, CASE WHEN scheduled OR failed THEN {next_message} END AS place FROM due)
           UPDATE {schema}.messages AS message SET
               queue = CASE WHEN placed.failed THEN placed.dead_letter ELSE message.queue END,
               source = CASE WHEN placed.failed THEN placed.queue ELSE message.source END,
               attempts = CASE WHEN placed.failed THEN 0 ELSE message.attempts END,
               place = coalesce(placed.place, message.place), state = 0, lease = 0
           FROM placed WHERE message.id = placed.id
           RETURNING 1",
    types: &[Type::INT8],
};
