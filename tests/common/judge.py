"""Writes and opens databases by LevelDB and RocksDB, for the tests that compare walmedic with them.

write ENGINE DIR SEED [FEATURE...]
                          a database with a log that was never closed; features: families, logs (several), tables
                          (LevelDB), zstd, recycled, tracked (sizes of logs in the MANIFEST), resumed (two more sessions behind
                          a flipped bit, each with a log of its own)
open DIR MODE ENGINE      (mode as-set-up: as the OPTIONS file says) what the engine makes of a copy of it, as JSON: {"opens", "error", "state": {"key": "value"}}
                          (column families in front of the keys, as "other:"), or {"hangs": true}
"""
import json, os, random, shutil, signal, subprocess, sys, tempfile

MODES = ["tolerate-corrupted-tail", "absolute-consistency", "point-in-time", "skip-any"]
NAMES = ["kTolerateCorruptedTailRecords", "kAbsoluteConsistency", "kPointInTimeRecovery", "kSkipAnyCorruptedRecords"]


FAMILIES = ["other", "third"]


def family(name):
    return "" if name == "default" else name + ":"


def value(rng):
    kind = rng.randrange(12)
    size = rng.randrange(200) if kind < 8 else rng.randrange(3000) if kind < 11 else rng.randrange(90000)
    return rng.randbytes(size)


def write(engine, path, seed, features):
    rng = random.Random(seed)
    key = lambda: b"k%03d" % rng.randrange(300)
    (write_leveldb if engine == "leveldb" else write_rocksdb)(path, seed, rng, key, features)


def write_leveldb(path, seed, rng, key, features):
    import plyvel
    buffer = 100 << 10 if "tables" in features else 64 << 20
    db = plyvel.DB(path, create_if_missing=True, write_buffer_size=buffer)
    for _ in range(rng.randrange(40, 220)):
        with db.write_batch() as batch:
            for _ in range(rng.choice([1, 1, 1, 4])):
                batch.delete(key()) if rng.randrange(6) == 0 else batch.put(key(), value(rng))
    crash()


def crash():
    """Before anything is closed."""
    os._exit(0)


def patched(path, changes):
    """The options of a new database, some of which no binding sets."""
    from rocksdict import Rdict, Options
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    Rdict(path, options).close()
    name = os.path.join(path, max(name for name in os.listdir(path) if name.startswith("OPTIONS-")))
    text = open(name).read()
    for old, new in changes:
        text = text.replace(old, new)
    open(name, "w").write(text)
    return Options.load_latest(path)


def write_resumed(path):
    """Three sessions over the same key; from the second on recovery stops at a flipped bit of the first one's log."""
    from rocksdict import Rdict, Options
    patched(path, [("avoid_flush_during_recovery=false", "avoid_flush_during_recovery=true")])
    for session, writes in enumerate([10, 3, 2]):
        if os.fork() == 0:
            options, families = Options.load_latest(path)
            db = Rdict(path, options, column_families=families)
            for nth in range(writes):
                db.put(b"key", b"session %d, write %d" % (session, nth))
            db.put(b"only %d" % session, b"")
            db.flush_wal(True)
            crash()
        os.wait()
        if session == 0:
            logs = [os.path.join(path, name) for name in os.listdir(path) if name.endswith(".log")]
            log = max(logs, key=os.path.getsize)
            data = bytearray(open(log, "rb").read())
            data[len(data) // 3] ^= 4
            open(log, "wb").write(data)
    crash()


def write_rocksdb(path, seed, rng, key, features):
    from rocksdict import Rdict, Options, WriteBatch
    if "resumed" in features:
        write_resumed(path)
    known = {"zstd": ("wal_compression=kNoCompression", "wal_compression=kZSTD"),
             "tracked": ("track_and_verify_wals_in_manifest=false", "track_and_verify_wals_in_manifest=true")}
    changes = [known[feature] for feature in features if feature in known]
    if changes:
        options, families = patched(path, changes)
    else:
        options, families = Options(raw_mode=True), None
        options.create_if_missing(True)
    options.set_recycle_log_file_num(3 if "recycled" in features else 0)
    db = Rdict(path, options, column_families=families)
    names = FAMILIES if "families" in features else FAMILIES[:1] if not features and seed % 3 == 0 else []
    tables = [db] + [db.create_column_family(name, Options(raw_mode=True)) for name in names]
    handles = [None] + [db.get_column_family_handle(name) for name in names]

    def work(batches):
        for _ in range(batches):
            if rng.randrange(4):
                to = rng.choice(tables)
                to.delete(key()) if rng.randrange(6) == 0 else to.put(key(), value(rng))
            else:
                batch = WriteBatch(raw_mode=True)
                for _ in range(4):
                    handle = rng.choice(handles)
                    batch.delete(key(), handle) if rng.randrange(6) == 0 else batch.put(key(), value(rng), handle)
                db.write(batch)

    if "recycled" in features:
        # A log is begun in the file of an older one, whose end is left.
        for _ in range(5):
            work(40)
            db.flush()
        work(rng.randrange(5, 25))
    elif "logs" in features:
        # A family that is flushed begins a log; the others keep those before.
        for _ in range(3):
            work(rng.randrange(10, 50))
            tables[-1].flush()
        work(40)
    else:
        work(rng.randrange(40, 220))
    db.flush_wal(True)
    crash()


def open_leveldb(path, mode):
    import plyvel
    db = plyvel.DB(path, create_if_missing=False, paranoid_checks=mode == "paranoid")
    return {key.hex(): value.hex() for key, value in db}


def open_rocksdb(path, mode):
    from rocksdict import Rdict, Options, DBRecoveryMode
    modes = [DBRecoveryMode.tolerate_corrupted_tail_records(), DBRecoveryMode.absolute_consistency(),
             DBRecoveryMode.point_in_time(), DBRecoveryMode.skip_any_corrupted_record()]
    if mode == "as-set-up":
        options, columns = Options.load_latest(path)
        families = list(columns)
    else:
        options = Options(raw_mode=True)
        options.create_if_missing(False)
        options.set_wal_recovery_mode(modes[MODES.index(mode)])
        families = Rdict.list_cf(path, options)
        columns = {name: Options(raw_mode=True) for name in families}
    db = Rdict(path, options, column_families=columns)
    state = {}
    for name in families:
        table = db if name == "default" else db.get_column_family(name)
        state.update({family(name) + key.hex(): value.hex() for key, value in table.items()})
    return state


def open_ldb(path, mode):
    """Debian's RocksDB 7.8.3, through its tool, which opens for reading."""
    for name in os.listdir(path):
        if name.startswith("OPTIONS-"):
            lines = open(os.path.join(path, name)).read().split("\n")
            lines = ["  wal_recovery_mode=" + NAMES[MODES.index(mode)] if "wal_recovery_mode=" in line else line
                     for line in lines]
            open(os.path.join(path, name), "w").write("\n".join(lines))
    state = {}
    families = subprocess.run(["ldb", "--db=" + path, "list_column_families"], capture_output=True, text=True).stdout
    for name in ["default"] + [name for name in FAMILIES if name in families]:
        done = subprocess.run(["ldb", "--db=" + path, "--try_load_options", "--ignore_unknown_options", "--column_family=" + name, "--hex", "scan"],
                              capture_output=True, text=True, timeout=6)
        if "Failed" in done.stderr or done.returncode or "Corruption" in done.stderr or "Not implemented" in done.stderr:
            raise ValueError(done.stderr.strip())
        for line in done.stdout.splitlines():
            if line.startswith("0x") and " : " in line or line.startswith("0x") and " ==> " in line:
                key, held = line.replace(" ==> ", " : ").split(" : ", 1)
                state[family(name) + key[2:].lower()] = held[2:].lower()
    return state


def look(path, mode, engine):
    copy = tempfile.mkdtemp()
    try:
        place = os.path.join(copy, "db")
        shutil.copytree(path, place)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                how = {"leveldb": open_leveldb, "9.8.4": open_rocksdb, "7.8.3": open_ldb}[engine]
                told = {"opens": True, "state": how(place, mode)}
            except subprocess.TimeoutExpired:
                told = {"hangs": True}
            except Exception as error:
                told = {"opens": False, "error": str(error)}
            with os.fdopen(writer, "w") as out:
                json.dump(told, out)
            os._exit(0)
        os.close(writer)
        signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
        signal.alarm(14 if engine == "7.8.3" else 7)
        with os.fdopen(reader) as answer:
            text = answer.read()
        signal.alarm(0)
        os.waitpid(child, 0)
        return json.loads(text) if text else {"hangs": True}
    finally:
        shutil.rmtree(copy)


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
elif sys.argv[1] == "has":
    sys.exit(0 if {"leveldb": "plyvel", "9.8.4": "rocksdict"}[sys.argv[2]] and __import__(
        {"leveldb": "plyvel", "9.8.4": "rocksdict"}[sys.argv[2]]) else 1)
else:
    # One question a line: directory, mode, engine.
    for line in sys.stdin:
        print(json.dumps(look(*line.split())), flush=True)
