//! What people and machines see.

pub mod bytes;
pub mod explain;
pub mod hex;
pub mod json;
pub mod out;
pub mod paint;
pub mod plan;
pub mod progress;
pub mod replay;
pub mod row;
pub mod shell;
pub mod text;
