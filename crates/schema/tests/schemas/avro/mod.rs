//! Avro schemas: what is one, which texts are the same, and which can read each other's data.

mod cases;
mod generate;
mod oracle;
mod peer;
mod properties;
mod references;
mod vectors;
