//! Arithmetic on bytes: bounded reads, checksums.

pub mod ascii;
// The only vector kernel: two masked loads and the dispatch to them.
#[allow(unsafe_code)]
pub mod crc32;
pub mod hex;
