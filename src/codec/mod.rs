//! Arithmetic on bytes: bounded reads, checksums.

pub mod ascii;
pub mod crc32;
pub mod crc32c;
pub mod cursor;
// The dispatch to what is compiled for newer CPUs.
#[allow(unsafe_code)]
pub mod fibonacci;
// The only hand-made vector kernel: three loads, and the dispatch to it.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod fold;
#[cfg(not(target_arch = "x86_64"))]
#[path = "fold_elsewhere.rs"]
mod fold;
pub mod hex;
pub mod varint;
