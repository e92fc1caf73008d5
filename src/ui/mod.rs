//! What people and machines see.

pub mod json;
pub mod out;
pub mod paint;
pub mod progress;
pub mod text;
