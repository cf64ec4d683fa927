//! Avro schemas: which texts are valid, which are the same schema, and which can read each other's data.

mod budgets;
mod cases;
mod generate;
mod oracle;
mod peer;
mod properties;
mod references;
mod vectors;
