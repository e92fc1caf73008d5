//! Properties of every registered format, over generated logs and generated damage.
//!
//! The seed is fixed, so that a run can be repeated; `WALMEDIC_SEED=n cargo test --test properties` tries another, and
//! a failure prints the one it had.

mod common;

use common::damage::Damage;
use common::log::{Log, Promise};
use common::random::{Random, Watch};
use common::read::{assert_keeps, assert_tiles, format, open, report, survey, survey_in_pieces};
use common::{Sample, known_samples, samples, wal};
use walmedic::analysis::Report;
use walmedic::fate::Standing;
use walmedic::log::region::Kind;
use walmedic::replay::history::{self, Wanted};
use walmedic::replay::measure::measure;
use walmedic::replay::walk::walk;
use walmedic::replay::{Policy, Wish, replay};

/// Runs `check` and, when it fails, says on what.
fn on<T>(what: impl Fn() -> String, check: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_or_else(|cause| {
        eprintln!("while reading {}", what());
        std::panic::resume_unwind(cause)
    })
}

fn sound(report: &Report) -> bool {
    report.files.iter().all(|f| f.survey.regions.first_bad().is_none())
}

#[test]
fn every_format_has_an_encoder() {
    for format in walmedic::format::ALL {
        let profile = format.profile();
        let names: Vec<_> = samples().iter().filter(|s| s.format == profile.name).map(|s| s.name).collect();
        assert!(!names.is_empty(), "{}: no encoder in tests/common", profile.name);
        for revision in profile.revisions {
            assert!(names.contains(revision), "{} {revision}: no encoder in tests/common", profile.name);
        }
    }
}

#[test]
fn undamaged_logs_are_read_whole() {
    let watch = Watch::new("undamaged logs", 120);
    for (i, sample) in known_samples().iter().enumerate() {
        for round in 0..20 {
            let log = (sample.write)(&mut watch.random(i * 100 + round), 5 + 10 * round);
            on(
                || format!("{} {}", sample.format, sample.name),
                || {
                    let report = report(&log);
                    assert_tiles(&report);
                    assert_keeps(&log, &report);
                    assert!(sound(&report), "{:#?}", report.findings().collect::<Vec<_>>());
                    for file in log.files.iter().filter(|f| f.promise != Promise::Tiled) {
                        let read = report.files.iter().find(|f| *f.name == *file.name).expect("read");
                        let (before, after, recovered) = read.survey.counts();
                        assert_eq!(
                            (before, after, recovered),
                            (file.records.len() as u64, 0, 0),
                            "{}",
                            file.name
                        );
                    }
                },
            );
        }
    }
}

#[test]
fn cuts_at_every_byte_lose_nothing_before_them() {
    let watch = Watch::new("cuts", 300);
    for (i, sample) in known_samples().iter().enumerate() {
        let log = (sample.write)(&mut watch.random(i), 9);
        for file in 0..log.files.len() {
            for at in places(&log.files[file]) {
                check_one(sample, &log, file, &Damage::Cut(at), &watch.random(i));
            }
        }
    }
}

#[test]
fn flips_of_every_bit_touch_one_record() {
    let watch = Watch::new("flips", 600);
    for (i, sample) in known_samples().iter().enumerate() {
        let log = (sample.write)(&mut watch.random(i), 9);
        for file in 0..log.files.len() {
            let len = log.files[file].bytes.len();
            for at in places(&log.files[file]).filter(|&at| at < len) {
                for bit in 0..8 {
                    check_one(sample, &log, file, &Damage::Flip { at, bit }, &watch.random(i));
                }
            }
        }
    }
}

/// Every place in a short file, its end included; in one of long records all around their ends and those of blocks, and some of
/// the rest.
fn places(file: &common::log::File) -> impl Iterator<Item = usize> {
    const SHORT: usize = 16 << 10;
    const NEAR: usize = 26;
    const STEP: usize = 211;
    let len = file.bytes.len();
    let mut ends: Vec<_> = file.records.iter().flat_map(|r| [r.span.start, r.span.end]).collect();
    ends.extend((0..=len).step_by(common::block_log::BLOCK));
    ends.sort_unstable();
    (0..=len).filter(move |&at| {
        let next = ends.partition_point(|&end| end < at);
        let near = ends[next.saturating_sub(1)..].iter().take(2).any(|end| end.abs_diff(at) <= NEAR);
        len <= SHORT || near || at % STEP == 0
    })
}

fn check_one(sample: &Sample, log: &Log, file: usize, damage: &Damage, random: &Random) {
    let mut log = log.clone();
    damage.apply(&mut log.files[file], &mut random.clone());
    on(
        || format!("{} {}, {} with {damage:?}", sample.format, sample.name, log.files[file].name),
        || {
            let report = report(&log);
            assert_tiles(&report);
            assert_keeps(&log, &report);
        },
    );
}

#[test]
fn any_damage_tiles_and_keeps_what_it_did_not_touch() {
    let watch = Watch::new("damage", 600);
    for (i, sample) in known_samples().iter().enumerate() {
        for round in 0..600 {
            let mut random = watch.random(i * 10_000 + round);
            let records = random.within(1, 40);
            let mut log = (sample.write)(&mut random, records);
            let mut done = Vec::new();
            for _ in 0..random.within(1, 5) {
                let file = log.any_file(&mut random);
                if log.files[file].bytes.is_empty() {
                    continue;
                }
                let damage = Damage::any(&log.files[file], &mut random);
                damage.apply(&mut log.files[file], &mut random);
                done.push((log.files[file].name.clone(), damage));
            }
            on(
                || format!("{} {} round {round}, {done:?}", sample.format, sample.name),
                || {
                    let report = report(&log);
                    assert_tiles(&report);
                    assert_keeps(&log, &report);
                },
            );
        }
    }
}

#[test]
fn the_window_size_changes_nothing() {
    let watch = Watch::new("windows", 600);
    for (i, sample) in known_samples().iter().enumerate() {
        for round in 0..30 {
            let mut random = watch.random(i * 10_000 + round);
            let mut log = (sample.write)(&mut random, 12);
            for _ in 0..round % 4 {
                let file = log.any_file(&mut random);
                if !log.files[file].bytes.is_empty() {
                    Damage::any(&log.files[file], &mut random).apply(&mut log.files[file], &mut random);
                }
            }
            let open = open(&log);
            for file in 0..log.files.len() {
                let whole = survey(&open, file);
                for chunk in [1, 2, 3, 7, 64, 4096] {
                    on(
                        || {
                            format!(
                                "{} {} round {round}, {chunk} bytes at a time",
                                sample.format, sample.name
                            )
                        },
                        || {
                            assert_eq!(survey_in_pieces(&open, file, chunk), whole);
                        },
                    );
                }
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    let watch = Watch::new("threads", 300);
    for (i, sample) in known_samples().iter().enumerate() {
        for round in 0..10 {
            let mut random = watch.random(i * 10_000 + round);
            let mut log = (sample.write)(&mut random, 40);
            for _ in 0..round % 4 {
                let file = log.any_file(&mut random);
                Damage::any(&log.files[file], &mut random).apply(&mut log.files[file], &mut random);
            }
            let open = open(&log);
            let alone = format!("{:?}", open.analyse(1));
            assert_eq!(format!("{:?}", open.analyse(8)), alone, "{} {}", sample.format, sample.name);
        }
    }
}

/// Replay survives any damage; salvage takes every record that committed takes; neither memory nor the way of opening the
/// bytes changes a state.
#[test]
fn replay_survives_damage_and_salvage_takes_all() {
    let watch = Watch::new("replay", 600);
    for (i, sample) in known_samples().iter().enumerate() {
        for round in 0..120 {
            let mut random = watch.random(i * 10_000 + round);
            let mut log = (sample.write)(&mut random, 30);
            for _ in 0..round % 5 {
                let file = log.any_file(&mut random);
                if !log.files[file].bytes.is_empty() {
                    Damage::any(&log.files[file], &mut random).apply(&mut log.files[file], &mut random);
                }
            }
            on(|| format!("{} {} round {round}", sample.format, sample.name), || check_replay(&log));
        }
    }
}

fn check_replay(log: &Log) {
    let open = open(log);
    let report = open.analyse(1);
    let mut counts = Vec::new();
    for policy in [Policy::Engine, Policy::Committed, Policy::Salvage] {
        let [all, none] = [u64::MAX, 0].map(|memory| {
            let replayed = replay(&open, &report, &Wish::new(policy, memory)).expect("a state");
            let held = measure(&open, &replayed.state).expect("a hash");
            (replayed.opens, replayed.applied, held, replayed.left_out)
        });
        assert_eq!(all, none, "{policy:?} with and without memory");
        counts.push(all);
    }
    // What committed leaves out for its batch is what salvage takes more.
    let left = |standing| counts[1].3.count(standing);
    let more = left(Standing::Uncommitted) + left(Standing::Incomplete) + left(Standing::Undecided);
    assert_eq!(counts[1].1 + more, counts[2].1);
    let mut committed = Vec::new();
    let every = |policy: Policy, standing| policy.takes(standing, false);
    walk(&open, &report, None, &mut |item| {
        if every(Policy::Committed, item.standing) {
            assert!(every(Policy::Salvage, item.standing));
            committed.push(item.place());
        }
        Ok(())
    })
    .expect("nothing stops it");
    committed.sort_unstable();
    assert!(committed.windows(2).all(|pair| pair[0] < pair[1]), "a record twice");
    let key = |_: &[u8]| true;
    let wanted = Wanted { keys: &key, engine: None, mode: None, undecided: false };
    let found = history::find(&open, &report, &wanted).expect("a history");
    let (mut versions, all) = (0, found.versions);
    history::tell(&open, &report, &wanted, &found, &mut |version| {
        versions += u64::from(version.standing.is_some());
        Ok(())
    })
    .expect("a history");
    assert_eq!(versions, all);
}

/// A chain of records cut into files at any place between two of them says the same as the chain in one file.
#[test]
fn parts_say_the_same_as_the_whole() {
    let watch = Watch::new("parts", 300);
    for (i, sample) in known_samples().iter().enumerate().filter(|(_, s)| s.format == "ddia-wal") {
        for round in 0..60 {
            let mut random = watch.random(i * 10_000 + round);
            let mut log = (sample.write)(&mut random, 40);
            for _ in 0..round % 2 {
                // Flips only: the seams stay where they are. In a file of few records nobody knows which number is wrong.
                let file = log.any_file(&mut random);
                let at = random.below(log.files[file].bytes.len());
                if log.files[file].records.len() > 2 {
                    Damage::Flip { at, bit: 3 }.apply(&mut log.files[file], &mut random);
                }
            }
            let mut whole = log.clone();
            whole.files.truncate(1);
            whole.files[0].bytes = log.files.iter().flat_map(|f| f.bytes.clone()).collect();
            let (parts, whole) = (report(&log), report(&whole));
            let sums = |r: &Report| {
                let counts = r.files.iter().map(|f| f.survey.counts());
                let (intact, recovered) = counts.fold((0, 0), |(i, c), (b, a, f)| (i + b + a, c + f));
                let gaps: Vec<_> = r.conclusions.gaps.iter().map(|g| (g.first, g.last)).collect();
                (intact, recovered, gaps, r.conclusions.numbers, r.conclusions.committed)
            };
            assert_eq!(sums(&parts), sums(&whole), "{} {} round {round}", sample.format, sample.name);
        }
    }
}

/// Formats whose records a checksum proves never find one in what is not a log.
#[test]
fn noise_is_no_record() {
    let watch = Watch::new("noise", 300);
    for (i, sample) in known_samples().iter().enumerate() {
        let log = (sample.write)(&mut watch.random(i), 3);
        for file in log.files.iter().filter(|f| matches!(f.promise, Promise::Proved | Promise::Lossless)) {
            for (n, len) in [1, 11, 12, 20, 25, 100, 4096, 70_001, 300_000].into_iter().enumerate() {
                let mut random = watch.random(i * 100 + n);
                for bytes in [vec![0; len], vec![0xff; len], random.bytes(len), random.text(len)] {
                    let what = bytes[0];
                    let mut noise = Log::new(log.format, log.revision);
                    noise.files.push(common::log::File { bytes, records: Vec::new(), ..file.clone() });
                    let report = report(&noise);
                    assert_tiles(&report);
                    let counts = report.files[0].survey.counts();
                    assert_eq!(
                        counts,
                        (0, 0, 0),
                        "{} {}: {len} bytes of noise, first {what}, became records",
                        sample.format,
                        sample.name
                    );
                }
            }
        }
    }
}

#[test]
fn zeros_behind_a_log_are_no_records() {
    let watch = Watch::new("zeros", 300);
    for (i, sample) in known_samples().iter().enumerate() {
        let log = (sample.write)(&mut watch.random(i), 9);
        for file in (0..log.files.len()).filter(|&f| log.files[f].promise != Promise::Tiled) {
            for len in [1, 4, 8, 12, 16, 20, 24, 25, 40, 512, 5000] {
                let mut log = log.clone();
                let name = log.files[file].name.clone();
                log.files[file].bytes.extend(vec![0; len]);
                let report = report(&log);
                assert_tiles(&report);
                let read = report.files.iter().find(|f| *f.name == *name).expect("read");
                let (before, after, recovered) = read.survey.counts();
                let written = log.files[file].records.len() as u64;
                assert!(
                    before + after + recovered <= written,
                    "{} {} {name}: {len} zeros became records: {before} {after} {recovered} of {written}",
                    sample.format,
                    sample.name
                );
            }
        }
    }
}

/// A value may hold a whole log, byte for byte. Whatever bit of the record around it is wrong, the log inside is not
/// taken for real.
#[test]
fn embedded_logs_are_contents() {
    let watch = Watch::new("embedded", 300);
    for inner_from in [1, 5, 6, 7, 900] {
        let log = wal::embedded(&mut watch.random(0), inner_from);
        let outer = log.files[0].records[4].span.clone();
        for at in outer.clone() {
            for bit in 0..8 {
                let mut log = log.clone();
                Damage::Flip { at, bit }.apply(&mut log.files[0], &mut watch.random(1));
                let report = report(&log);
                assert_tiles(&report);
                assert_keeps(&log, &report);
                let regions = report.files[0].survey.regions.as_slice();
                let inside = |r: &&walmedic::log::region::Region| {
                    r.kind == Kind::Records && r.at < outer.end as u64 && r.end() > outer.start as u64
                };
                assert_eq!(
                    regions.iter().find(inside),
                    None,
                    "inner log from {inner_from}, byte {} of the outer record, bit {bit}: {regions:#?}",
                    at - outer.start
                );
            }
        }
    }
}

#[test]
fn any_name_of_a_format_is_claimed() {
    for sample in known_samples() {
        let log = (sample.write)(&mut Random::new(1), 9);
        let format = format(sample.format);
        for file in &log.files {
            // By its own name, or by that of the log that is about it.
            let about = |log: &common::log::File| format.subject(&log.name).is_some_and(|s| s.0 == file.name);
            let claimed = format.claim(&file.name).is_some() || log.files.iter().any(about);
            assert!(claimed, "{}: {}", sample.format, file.name);
        }
    }
}

#[test]
fn damage_keeps_account_of_the_records() {
    let mut random = Random::new(1);
    let mut file = common::log::File::new("x", Promise::Tiled, &[]);
    (0..4).for_each(|i| file.push(&[i; 4]));
    let whole = |f: &common::log::File| -> Vec<(usize, bool)> {
        f.records.iter().map(|r| (r.span.start, r.whole)).collect()
    };
    let mut cut = file.clone();
    Damage::Cut(6).apply(&mut cut, &mut random);
    assert_eq!(whole(&cut), [(0, true), (4, false)]);
    let mut removed = file.clone();
    Damage::Remove(2..9).apply(&mut removed, &mut random);
    assert_eq!(whole(&removed), [(0, false), (2, false), (5, true)]);
    let mut inserted = file.clone();
    Damage::Insert { at: 8, len: 3 }.apply(&mut inserted, &mut random);
    assert_eq!(whole(&inserted), [(0, true), (4, true), (11, true), (15, true)]);
    let mut zeroed = file;
    Damage::Zero(0..6).apply(&mut zeroed, &mut random);
    assert_eq!(
        whole(&zeroed),
        [(0, true), (4, false), (8, true), (12, true)],
        "zeros over zeros change nothing"
    );
}
