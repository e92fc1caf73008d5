//! Databases that the real engines made, read through CURRENT, MANIFEST and tables, against what the engines iterate.
//!
//! Needs Python with rocksdict and plyvel, and for merges, old versions of the format and the reverse order the C library of
//! RocksDB; what is missing is said and not run. `WALMEDIC_SEED=n cargo test --test sstable` tries other operations.

#[path = "common/random.rs"]
#[allow(dead_code)]
mod random;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use random::seed;
use walmedic::format::block_log::manifest::{Catalogue, Family, LiveTable, pairs};
use walmedic::format::sstable::blob::{self, Reference};
use walmedic::format::sstable::merged::{Merged, MergedError};
use walmedic::format::sstable::table::Table;
use walmedic::format::sstable::visible::{Content, Keys, Value};
use walmedic::log::bytes::ReadAt;

/// Families by name, each with its keys and values.
type State = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// What the scripts share: random operations over a narrow set of keys, and the state as lines.
const COMMON: &str = r#"
import sys, random, json
path, seed, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
rng = random.Random(seed)
keys = options.get('keys', 500)
def key():
    n = rng.randrange(keys)
    return b'user%05d' % n if n % 3 else bytes([n % 251]) * (n % 7) + b'%d' % n
def value():
    if rng.random() < 0.05:
        return b''
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(9000))
    return b'value %d ' % rng.randrange(1000) * rng.randrange(1, 12)
def tell(family, items):
    print(family, '-', '-')
    for k, v in items:
        print(family, k.hex() or '.', v.hex() or '.')
"#;

const ROCKSDICT: &str = r#"
try:
    from rocksdict import *
except ImportError:
    print('missing'); sys.exit()
def families(db):
    return {name: db.get_column_family(name) for name in ('default', 'other')}
o = Options(raw_mode=True)
o.create_if_missing(True)
o.set_disable_auto_compactions(options.get('manual', False))
o.set_write_buffer_size(64 << 10)
o.set_target_file_size_base(options.get('file', 16 << 10))
o.set_level_zero_file_num_compaction_trigger(3)
o.set_max_bytes_for_level_base(64 << 10)
o.set_compression_type(getattr(DBCompressionType, options.get('compression', 'none'))())
if options.get('dictionary'):
    o.set_compression_options(-14, 32767, 0, options['dictionary'])
if options.get('train'):
    o.set_zstd_max_train_bytes(options['train'])
if options.get('blobs'):
    o.set_enable_blob_files(True)
    o.set_min_blob_size(options['blobs'])
    o.set_blob_file_size(32 << 10)
    o.set_enable_blob_gc(True)
    o.set_blob_compression_type(getattr(DBCompressionType, options.get('blob_compression', 'none'))())
b = BlockBasedOptions()
b.set_block_size(options.get('block', 1024))
b.set_metadata_block_size(256)
b.set_format_version(options.get('version', 5))
b.set_checksum_type(getattr(ChecksumType, options.get('checksum', 'crc32c'))())
if options.get('index'):
    b.set_index_type(getattr(BlockBasedIndexType, options['index'])())
if options.get('index') == 'hash_search':
    o.set_prefix_extractor(SliceTransform.create_fixed_prefix(3))
if options.get('hash'):
    b.set_data_block_index_type(DataBlockIndexType.binary_and_hash())
b.set_index_block_restart_interval(options.get('restart', 1))
b.set_bloom_filter(10, False)
o.set_block_based_table_factory(b)
db = Rdict(path, o)
other = db.create_column_family('other', o)
for step in range(options.get('ops', 1500)):
    family = other if rng.random() < 0.3 else db
    what = rng.random()
    if what < 0.70:
        family.put(key(), value())
    elif what < 0.85:
        family.delete(key())
    elif what < 0.87 and options.get('ranges', True):
        a, b_ = sorted((key(), key()))
        family.delete_range(a, b_)
    elif what < 0.88:
        family.flush()
    elif what < 0.881:
        family.compact_range(None, None)
    elif what < 0.891 and options.get('ingest', True):
        w = SstFileWriter(o)
        w.open(path + '.ingest')
        for k in sorted({key() for _ in range(40)}):
            w[k] = b'ingested ' + value()
        w.finish()
        db.ingest_external_file([path + '.ingest'])
db.flush(); other.flush()
if options.get('compact'):
    db.compact_range(None, None); other.compact_range(None, None)
r = ReadOptions()
r.set_total_order_seek(True)
tell('default', db.items(read_opt=r)); tell('other', other.items(read_opt=r))
other.close(); db.close()
"#;

const PLYVEL: &str = r#"
try:
    import plyvel
except ImportError:
    print('missing'); sys.exit()
o = dict(compression=options.get('compression'), write_buffer_size=65536, block_size=options.get('block', 1024),
         max_file_size=1 << 20)
db = plyvel.DB(path, create_if_missing=True, **o)
for step in range(options.get('ops', 6000)):
    if rng.random() < 0.75:
        db.put(key(), value())
    else:
        db.delete(key())
    if rng.random() < 0.0005:
        db.compact_range()
# Opening writes what the log still has into a table.
tell('default', list(db))
db.close()
plyvel.DB(path, **o).close()
"#;

/// The C library, for what the Python bindings do not offer.
const CLIBRARY: &str = r#"
from ctypes import *
try:
    lib = CDLL(options['library'])
except OSError:
    print('missing'); sys.exit()
def call(name, *args, result=c_void_p):
    f = getattr(lib, 'rocksdb_' + name)
    f.restype = result
    return f(*args)
def checked(name, *args, result=c_void_p):
    error = c_char_p()
    done = call(name, *args, byref(error), result=result)
    if error.value:
        raise Exception(error.value)
    return done
o = c_void_p(call('options_create'))
call('options_set_create_if_missing', o, c_ubyte(1))
call('options_set_write_buffer_size', o, c_size_t(65536))
call('options_set_target_file_size_base', o, c_uint64(16384))
call('options_set_level0_file_num_compaction_trigger', o, c_int(6))
call('options_set_compression', o, c_int(options.get('compression', 0)))
if options.get('dictionary'):
    call('options_set_compression_options', o, c_int(-14), c_int(32767), c_int(0), c_int(options['dictionary']))
    call('options_set_compression_options_zstd_max_train_bytes', o, c_int(options.get('train', 0)))
if options.get('merge'):
    call('options_set_uint64add_merge_operator', o)
if options.get('reverse'):
    @CFUNCTYPE(c_int, c_void_p, POINTER(c_char), c_size_t, POINTER(c_char), c_size_t)
    def compare(_, a, n, b, m):
        a, b = a[:n], b[:m]
        return (a < b) - (a > b)
    @CFUNCTYPE(c_char_p, c_void_p)
    def name(_):
        return b'rocksdb.ReverseBytewiseComparator'
    @CFUNCTYPE(None, c_void_p)
    def gone(_):
        pass
    call('options_set_comparator', o, c_void_p(call('comparator_create', None, gone, compare, name)))
b = c_void_p(call('block_based_options_create'))
call('block_based_options_set_block_size', b, c_size_t(1024))
call('block_based_options_set_format_version', b, c_int(options.get('version', 5)))
call('options_set_block_based_table_factory', o, b)
db = c_void_p(checked('open', o, path.encode()))
w = c_void_p(call('writeoptions_create'))
f = c_void_p(call('flushoptions_create'))
n64 = lambda n: (n & (2**64 - 1)).to_bytes(8, 'little')
for step in range(options.get('ops', 5000)):
    k = key()
    what = rng.random()
    if what < 0.5:
        v = n64(rng.randrange(2**64)) if options.get('merge') else value()
        checked('put', db, w, k, c_size_t(len(k)), v, c_size_t(len(v)))
    elif what < 0.6:
        checked('delete', db, w, k, c_size_t(len(k)))
    elif what < 0.9 and options.get('merge'):
        checked('merge', db, w, k, c_size_t(len(k)), n64(rng.randrange(1000)), c_size_t(8))
    elif what < 0.92:
        once = b'once%d' % step
        checked('put', db, w, once, c_size_t(len(once)), n64(step), c_size_t(8))
        if rng.random() < 0.5:
            if rng.random() < 0.5:
                checked('flush', db, f)
            checked('singledelete', db, w, once, c_size_t(len(once)))
    elif what < 0.93:
        checked('flush', db, f)
checked('flush', db, f)
i = c_void_p(call('create_iterator', db, c_void_p(call('readoptions_create'))))
call('iter_seek_to_first', i)
items, n = [], c_size_t()
while call('iter_valid', i, result=c_ubyte):
    k = string_at(call('iter_key', i, byref(n)), n.value)
    items.append((k, string_at(call('iter_value', i, byref(n)), n.value)))
    call('iter_next', i)
tell('default', items)
call('iter_destroy', i)
call('close', db)
"#;

/// The engine's own state of a fresh database in `dir`; `None` where the engine is missing.
fn make(script: &str, dir: &Path, seed: u64, options: &str) -> Option<State> {
    let code = format!("{COMMON}{script}");
    let mut python = Command::new("python3");
    let output = python.args(["-B", "-c", &code]).arg(dir).arg(seed.to_string()).arg(options).output();
    let Ok(output) = output else {
        println!("not run: python3 is missing");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "seed {seed} {options}: {errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    if text.trim() == "missing" {
        println!("not run: the engine of {options} is missing");
        return None;
    }
    let mut state = State::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (family, key, value) = (words.next(), words.next(), words.next());
        let family = state.entry(family.expect("a family").to_owned()).or_default();
        let (key, value) = (key.expect("a key"), value.expect("a value"));
        if key != "-" {
            family.insert(unhex(key), unhex(value));
        }
    }
    Some(state)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim_matches('.').as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

/// The logical records of an undamaged MANIFEST.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for block in bytes.chunks(32768) {
        let mut rest = block;
        while let [_, _, _, _, low, high, kind @ 1..=4, body @ ..] = rest {
            let len = usize::from(u16::from_le_bytes([*low, *high]));
            if matches!(kind, 1 | 2) {
                all.push(Vec::new());
            }
            all.last_mut().expect("begun").extend_from_slice(&body[..len]);
            rest = &body[len..];
        }
    }
    all
}

fn catalogue(dir: &Path) -> Catalogue {
    let current = std::fs::read_to_string(dir.join("CURRENT")).expect("CURRENT");
    let manifest = std::fs::read(dir.join(current.trim())).expect("the MANIFEST");
    let mut catalogue = Catalogue::default();
    for record in records(&manifest) {
        catalogue.apply(&record).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        assert!(pairs(&record, usize::MAX).iter().all(|(name, _)| *name != "fault"));
    }
    assert_eq!(catalogue.waiting(), 0);
    catalogue
}

fn open(dir: &Path, table: &LiveTable) -> Result<Box<dyn ReadAt>, String> {
    let path = ["sst", "ldb"].map(|end| dir.join(format!("{:06}.{end}", table.number)));
    let path = path.iter().find(|path| path.is_file()).ok_or("no such file")?;
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    assert_eq!(bytes.len() as u64, table.size, "{}", path.display());
    Ok(Box::new(Held(bytes)))
}

/// A file in memory that hands out a few bytes at a time, as a slow disk may.
struct Held(Vec<u8>);

impl ReadAt for Held {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = buf.len().min(4096);
        self.0.as_slice().read_at(at, &mut buf[..n])
    }
}

fn family_state(dir: &Path, family: &Family) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, MergedError> {
    let opener = |table: &LiveTable| open(dir, table);
    let merged = Merged::new(family, &opener).expect("a known order");
    let mut state = BTreeMap::new();
    let mut last: Option<Vec<u8>> = None;
    let order = merged.order();
    for found in Keys::new(merged) {
        let found = found?;
        let rises = last.as_ref().is_none_or(|last| order.compare(last, &found.key).is_lt());
        assert!(rises, "keys out of order");
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let value = match found.content {
            Content::Deleted => None,
            Content::Value(value) => Some(resolve(dir, &found.key, value)),
            Content::Merge { operands, base } => {
                let base = base.map_or(0, |base| number(&resolve(dir, &found.key, base)));
                let sum = operands.iter().fold(base, |sum, operand| sum.wrapping_add(number(operand)));
                Some(sum.to_le_bytes().to_vec())
            }
        };
        if let Some(value) = value {
            state.insert(found.key.clone(), value);
        }
        last = Some(found.key);
    }
    Ok(state)
}

fn resolve(dir: &Path, key: &[u8], value: Value) -> Vec<u8> {
    match value {
        Value::Plain(bytes) => bytes,
        Value::Columns(_) => panic!("no columns were written"),
        Value::Blob(reference) => match Reference::read(&reference).expect("a reference") {
            Reference::Inline(bytes) => bytes.to_vec(),
            Reference::Blob { file, offset, size, compression } => {
                let bytes = std::fs::read(dir.join(format!("{file:06}.blob"))).expect("the blob file");
                blob::value(&Held(bytes), key, offset, size, compression).expect("the blob")
            }
        },
    }
}

/// What a table makes use of, in words, so that a test can tell whether it tried it.
fn features(dir: &Path, live: &LiveTable) -> Vec<String> {
    let table = Table::open(Opened(open(dir, live).expect("a table"))).expect("a table");
    let footer = table.footer();
    let mut all = vec![format!("version {}", footer.version), format!("{:?}", footer.checksum)];
    all.push(format!("level {}", live.level));
    if let Some(p) = table.properties() {
        all.push(format!("index {} {} {}", p.index_type, p.index_key_is_user_key, p.index_value_is_delta));
        all.push(String::from_utf8_lossy(p.compression.as_deref().unwrap_or_default()).into_owned());
        all.extend(p.external_version.map(|_| "ingested".to_owned()));
    }
    all.extend(table.ranges().first().map(|_| "ranges".to_owned()));
    all.extend(table.has_dictionary().then(|| "dictionary".to_owned()));
    all
}

/// A boxed file as a file.
struct Opened(Box<dyn ReadAt>);

impl ReadAt for Opened {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn read_at(&self, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(at, buf)
    }
}

/// Compares our state with the engine's, in which tables with the features `wanted` are to be seen. `None`: no engine.
fn compare(script: &str, options: &str, wanted: &[&str]) -> Option<()> {
    let seed = seed();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("db");
    let expected = make(script, &path, seed, options)?;
    let catalogue = catalogue(&path);
    let mut tables = 0;
    let mut seen = BTreeMap::<String, usize>::new();
    for family in catalogue.families.values() {
        let name = String::from_utf8_lossy(family.name.as_deref().unwrap_or_default()).into_owned();
        let own = family_state(&path, family).unwrap_or_else(|e| panic!("seed {seed} {options} {name}: {e}"));
        let theirs = &expected[&name];
        let differs: Vec<_> =
            theirs.keys().chain(own.keys()).filter(|k| own.get(*k) != theirs.get(*k)).collect();
        assert!(
            differs.is_empty(),
            "seed {seed} {options} {name}: {} keys, {:?}",
            differs.len(),
            differs.first()
        );
        tables += family.tables.len();
        for live in family.tables.values() {
            for feature in features(&path, live) {
                *seen.entry(feature).or_default() += 1;
            }
        }
        assert!(!theirs.is_empty());
    }
    for feature in wanted {
        assert!(seen.contains_key(*feature), "seed {seed} {options}: no {feature} was tried, but {seen:?}");
    }
    assert!(tables > 1, "{options}: only {tables} tables");
    Some(())
}

/// Catalogues and tables of a corpus that lies beside the checkout, or under `$WALMEDIC_SHARED`: its damage is in logs.
#[test]
fn catalogues_and_tables_of_the_corpus_are_read() {
    let shared = std::env::var_os("WALMEDIC_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), Into::into);
    let mut read = [0, 0];
    for system in ["leveldb", "rocksdb"] {
        let Ok(cases) = std::fs::read_dir(shared.join("corpus").join(system)) else {
            println!("not run: no corpus of {system} in {}", shared.display());
            continue;
        };
        for case in cases {
            let dir = case.expect("a case").path().join("input");
            if !dir.join("CURRENT").is_file() {
                continue;
            }
            let catalogue = catalogue(&dir);
            read[0] += 1;
            assert!(catalogue.families[&0].comparator.is_some(), "{}", dir.display());
            for family in catalogue.families.values() {
                read[1] += family.tables.len();
                let state = family_state(&dir, family).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
                assert_eq!(state.is_empty(), family.tables.is_empty());
            }
        }
        assert!(read[0] > 0, "{system}: no case has a catalogue");
    }
    println!("{} catalogues and {} tables", read[0], read[1]);
}

/// Options of a run, and features that its tables must have made use of.
type Case = (&'static str, &'static [&'static str]);

const TODAY: &[Case] = &[
    (r#"{}"#, &["version 5", "Crc32c", "NoCompression"]),
    (r#"{"compression": "snappy", "version": 2, "checksum": "xxhash"}"#, &["version 2", "Snappy", "Xxh32"]),
    (
        r#"{"compression": "zlib", "version": 3, "checksum": "xxhash64", "hash": true}"#,
        &["version 3", "Zlib", "Xxh64", "index 0 true false"],
    ),
    (
        r#"{"compression": "lz4", "version": 4, "checksum": "xxh3", "restart": 7}"#,
        &["version 4", "LZ4", "Xxh3", "index 0 true true"],
    ),
    (
        r#"{"compression": "lz4hc", "version": 5, "index": "two_level_index_search", "restart": 3}"#,
        &["LZ4HC", "index 2 true true"],
    ),
    (
        r#"{"compression": "zstd", "version": 6, "index": "two_level_index_search", "checksum": "xxh3"}"#,
        &["version 6", "ZSTD", "Xxh3", "index 2 true true"],
    ),
    (r#"{"version": 6, "index": "hash_search"}"#, &["version 6", "Crc32c", "index 1 true true"]),
    (r#"{"version": 6, "checksum": "no_checksum", "hash": true}"#, &["version 6", "None"]),
    (r#"{"compression": "lz4", "dictionary": 4096, "compact": true}"#, &["LZ4", "dictionary"]),
    (r#"{"blobs": 40}"#, &[]),
    (r#"{"blobs": 40, "blob_compression": "lz4", "compact": true}"#, &["level 6"]),
    (r#"{"blobs": 40, "blob_compression": "zstd", "version": 6}"#, &["version 6"]),
    (r#"{"manual": true, "ops": 4000, "keys": 2000}"#, &["ingested", "ranges", "level 0"]),
];

#[test]
fn rocksdb_of_today_is_read_as_it_reads_itself() {
    for (options, wanted) in TODAY {
        if compare(ROCKSDICT, options, wanted).is_none() {
            return;
        }
    }
}

const BEFORE: &[Case] = &[
    (r#"{"merge": 1}"#, &["version 5"]),
    (r#"{"merge": 1, "version": 0, "compression": 1}"#, &["Snappy"]),
    (r#"{"version": 0, "compression": 2}"#, &["Zlib"]),
    (r#"{"version": 1, "compression": 4}"#, &["version 1", "LZ4"]),
    (r#"{"version": 1, "compression": 7}"#, &["version 1", "ZSTD"]),
    (r#"{"reverse": 1, "version": 3}"#, &["version 3"]),
    (r#"{"reverse": 1, "merge": 1, "compression": 7}"#, &["ZSTD"]),
    (r#"{"compression": 7, "dictionary": 4096, "train": 65536}"#, &["ZSTD", "dictionary"]),
    (r#"{"compression": 2, "dictionary": 4096}"#, &["Zlib", "dictionary"]),
    (r#"{"compression": 2, "version": 4}"#, &["version 4", "Zlib"]),
];

#[test]
fn rocksdb_of_before_is_read_as_it_reads_itself() {
    for (options, wanted) in BEFORE {
        let options = options.replacen('{', r#"{"library": "librocksdb.so.7.8", "#, 1);
        if compare(CLIBRARY, &options, wanted).is_none() {
            return;
        }
    }
}

const LEVELDB: &[Case] = &[
    (r#"{}"#, &["version 0"]),
    (r#"{"compression": "snappy"}"#, &["version 0"]),
    (r#"{"compression": "snappy", "block": 300, "keys": 5000}"#, &["version 0"]),
];

#[test]
fn leveldb_is_read_as_it_reads_itself() {
    for (options, wanted) in LEVELDB {
        if compare(PLYVEL, options, wanted).is_none() {
            return;
        }
    }
}
