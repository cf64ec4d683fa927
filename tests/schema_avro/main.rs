//! Avro schemas: what is one, which texts are the same, and which can read each other's data.

mod vectors;
