//! What people and machines see.

pub mod explain;
pub mod json;
pub mod out;
pub mod paint;
pub mod progress;
pub mod text;
