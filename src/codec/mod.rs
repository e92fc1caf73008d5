//! Arithmetic on bytes: bounded reads, checksums.

pub mod ascii;
// The only hand-made vector kernel: two masked loads and the dispatch to them.
#[allow(unsafe_code)]
pub mod crc32;
pub mod crc32c;
pub mod cursor;
// The dispatch to what is compiled for newer CPUs.
#[allow(unsafe_code)]
pub mod fibonacci;
pub mod hex;
pub mod varint;
