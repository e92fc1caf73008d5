//! The shared reader: pure, without I/O, and without knowledge of any format.
//!
//! One driver ([`scan`]) moves a window over a file, lets a [`decoder::Decoder`] turn bytes into [`record::Record`]s
//! and, where one cannot, asks it for the next place that provably holds one. A [`survey`] keeps what is out of the
//! ordinary, so its memory follows the damage and not the log; joining two surveys is putting one behind the other.
//! [`conclude`] then draws, once per log, every conclusion that needs neighbours: gaps, wrong numbers, repeats, orphans.
//!
//! # How the other families fit
//!
//! | family | `fill` | `recover` | numbers and groups |
//! | --- | --- | --- | --- |
//! | LevelDB, RocksDB | unframes 32 KiB blocks, assembles fragments in the decoder, emits one record per batch whose span covers its headers; zstd streams live in the decoder | next first-fragment, also inside the damaged block; then past inserted bytes, off the grid; an older log number is the `Stale` end | a record covers `seq..next` = its count; 2PC keys a group by `txn` |
//! | PostgreSQL | a position is `base + offset`; a record that crosses pages or segments waits in the decoder between two `fill`s, and the surveys of neighbouring segments carry it over | next page whose own address matches | LSN as `seq`; groups keyed by `txn` (xid), any number open |
//! | SQLite WAL | each frame is checked from the *stored* sum before it: a link | fixed stride; recompute from the frame before where the stored sum may be the broken part; old salts are the `Stale` end | frame number; a commit frame is data *and* mark |
//! | SQLite journal | header, then counted pages; a nonce proves each | fixed stride, next sector-aligned header; a record by its nonce, or two that agree on one | place of the record; a record is an *old* page, so what replay makes is the state before |
//! | InnoDB | the file is circular, so a stream has pieces: block, 512-byte frame, mini-transaction assembled in the decoder | next block whose first-group field is set; MariaDB 10.8 has chained mini-transactions: [`crate::format::chain`] | LSN as `seq`; every mini-transaction is atomic |
//!
//! None of them needs a change above this module: commands see surveys, records and findings only.

pub mod ahead;
pub mod buffer;
pub mod bytes;
pub mod conclude;
pub mod decoder;
pub mod fault;
pub mod finding;
pub mod layout;
pub mod numbering;
pub mod record;
pub mod region;
mod rising;
pub mod scan;
pub mod survey;
pub mod surveyor;
mod walk;
