//! Decompression of blocks and blobs, none of which becomes longer than [`BLOCK_MAX`].
//!
//! From version 2 of the format on all but snappy tell the length first, as a varint; before, lz4 as eight bytes and the
//! others not at all. RocksDB compresses with zlib's raw streams. LevelDB's number for zstd is RocksDB's for zlib, and
//! builds of LevelDB for zlib use the same: the first bytes tell them apart.

use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::{BlockDecodingStrategy, Dictionary, FrameDecoder};

use super::BLOCK_MAX;
use crate::codec::cursor::Cursor;

const NONE: u8 = 0;
const SNAPPY: u8 = 1;
const ZLIB: u8 = 2;
const LZ4: u8 = 4;
const LZ4HC: u8 = 5;
const ZSTD: u8 = 7;
const ZSTD_EARLY: u8 = 0x40;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Who compressed, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// LevelDB and its builds.
    LevelDb,
    /// RocksDB before version 2 of the format.
    Early,
    /// RocksDB since.
    Prefixed,
}

/// The contents of a block that is compressed by `kind`; `dictionary` is empty where there is none.
///
/// # Errors
/// Why it cannot be done.
pub fn decompress(bytes: Vec<u8>, kind: u8, dialect: Dialect, dictionary: &[u8]) -> Result<Vec<u8>, String> {
    if kind == NONE {
        return Ok(bytes);
    }
    let mut cursor = Cursor::new(&bytes);
    let length = match (kind, dialect) {
        (SNAPPY, _) => return snappy(&bytes),
        (ZLIB, Dialect::LevelDb) if bytes.starts_with(&ZSTD_MAGIC) => return zstd(&bytes, None, &[]),
        (ZLIB, Dialect::LevelDb) => return inflate(&bytes, has_zlib_header(&bytes), None, &[]),
        (4, Dialect::LevelDb) => return inflate(&bytes, false, None, &[]),
        (ZLIB, Dialect::Early) => return inflate(&bytes, false, None, dictionary),
        (LZ4 | LZ4HC, Dialect::Early) => cursor.le64(),
        (ZLIB | LZ4 | LZ4HC | ZSTD | ZSTD_EARLY, Dialect::Early | Dialect::Prefixed) => cursor.varint64(),
        _ => return Err(format!("{} is not understood", name(kind))),
    };
    let length =
        length.and_then(|n| usize::try_from(n).ok()).ok_or("a compressed block without its length")?;
    if length > BLOCK_MAX {
        return Err(format!("{length} bytes once decompressed, more than {BLOCK_MAX} are not taken"));
    }
    let packed = cursor.rest();
    match kind {
        ZLIB => inflate(packed, false, Some(length), dictionary),
        LZ4 | LZ4HC => lz4(packed, length, dictionary),
        _ => zstd(packed, Some(length), dictionary),
    }
}

/// Two bytes: method 8, and together a multiple of 31.
fn has_zlib_header(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|&[a, b]| a & 15 == 8 && u16::from_be_bytes([a, b]) % 31 == 0)
}

/// What a compression is called.
pub fn name(kind: u8) -> String {
    match kind {
        NONE => "no compression".into(),
        SNAPPY => "snappy".into(),
        ZLIB => "zlib".into(),
        3 => "bzip2".into(),
        LZ4 => "lz4".into(),
        LZ4HC => "lz4hc".into(),
        6 => "xpress".into(),
        ZSTD | ZSTD_EARLY => "zstd".into(),
        _ => format!("compression {kind}"),
    }
}

fn too_long() -> String {
    format!("more than {BLOCK_MAX} bytes once decompressed")
}

fn snappy(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let length = snap::raw::decompress_len(bytes).map_err(|e| format!("snappy: {e}"))?;
    if length > BLOCK_MAX {
        return Err(too_long());
    }
    snap::raw::Decoder::new().decompress_vec(bytes).map_err(|e| format!("snappy: {e}"))
}

fn lz4(bytes: &[u8], length: usize, dictionary: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = vec![0; length];
    let done = match dictionary.is_empty() {
        true => lz4_flex::block::decompress_into(bytes, &mut out),
        false => lz4_flex::block::decompress_into_with_dict(bytes, &mut out, dictionary),
    };
    match done {
        Ok(n) if n == length => Ok(out),
        Ok(n) => Err(format!("lz4: {n} bytes instead of {length}")),
        Err(e) => Err(format!("lz4: {e}")),
    }
}

/// Inflates a zlib stream or a raw one, up to `length` bytes where it is known.
fn inflate(bytes: &[u8], header: bool, length: Option<usize>, dictionary: &[u8]) -> Result<Vec<u8>, String> {
    // A dictionary is what would stand before the stream: stored blocks put it there.
    let mut whole = Vec::new();
    for piece in dictionary.chunks(0xffff) {
        let len = piece.len() as u16;
        whole.push(0);
        whole.extend(len.to_le_bytes());
        whole.extend((!len).to_le_bytes());
        whole.extend(piece);
    }
    let bytes = if whole.is_empty() {
        bytes
    } else {
        whole.extend(bytes);
        &whole
    };
    let max = dictionary.len() + length.unwrap_or(BLOCK_MAX);
    let mut stream = Decompress::new(header);
    let mut out = Vec::new();
    loop {
        let read = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        let rest = bytes.get(read..).unwrap_or_default();
        let before = out.len();
        // One byte more than allowed, to see that there are more.
        out.reserve((max + 1 - before).min(64 << 10));
        let status =
            stream.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(|e| format!("zlib: {e}"))?;
        if out.len() > max {
            return Err(
                length.map_or_else(too_long, |n| format!("zlib: more than the {n} bytes that it says"))
            );
        }
        if status == Status::StreamEnd {
            break;
        }
        if out.len() == before && stream.total_in() == read as u64 {
            return Err("zlib: the stream has no end".into());
        }
    }
    out.drain(..dictionary.len().min(out.len()));
    checked(out, length, "zlib")
}

fn checked(out: Vec<u8>, length: Option<usize>, name: &str) -> Result<Vec<u8>, String> {
    match length {
        Some(n) if n != out.len() => Err(format!("{name}: {} bytes instead of {n}", out.len())),
        _ => Ok(out),
    }
}

/// Decompresses one zstd frame, up to `length` bytes where it is known.
fn zstd(bytes: &[u8], length: Option<usize>, dictionary: &[u8]) -> Result<Vec<u8>, String> {
    let max = length.unwrap_or(BLOCK_MAX);
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(BLOCK_MAX as u64);
    if !dictionary.is_empty() {
        let parsed = Dictionary::decode_dict(dictionary)
            .map_err(|e| format!("zstd: only trained dictionaries are understood: {e}"))?;
        decoder.add_dict(parsed).map_err(|e| format!("zstd: {e}"))?;
    }
    let mut source = bytes;
    decoder.init(&mut source).map_err(|e| format!("zstd: {e}"))?;
    let mut out = Vec::new();
    loop {
        let done = decoder
            .decode_blocks(&mut source, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|e| format!("zstd: {e}"))?;
        out.extend(decoder.collect().unwrap_or_default());
        if out.len() > max {
            return Err(
                length.map_or_else(too_long, |n| format!("zstd: more than the {n} bytes that it says"))
            );
        }
        if done {
            return checked(out, length, "zstd");
        }
    }
}
