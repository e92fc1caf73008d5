//! Arithmetic on bytes: bounded reads, checksums.

pub mod ascii;
// The dispatch to `fold`.
#[allow(unsafe_code)]
pub mod crc32;
#[allow(unsafe_code)]
pub mod crc32c;
pub mod cursor;
// The dispatch to what is compiled for newer CPUs.
#[allow(unsafe_code)]
pub mod fibonacci;
// The only hand-made vector kernel: three loads.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod fold;
pub mod hex;
pub mod varint;
