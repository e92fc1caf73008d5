use std::collections::BTreeMap;

use super::*;
use crate::format::entity;
use crate::format::keys::{Older, Olders};

fn place(at: u64) -> Place {
    Place { file: 3, at }
}

/// The same changes with and without room in memory.
#[test]
fn a_state_on_disk_is_the_state_in_memory() {
    for limit in [u64::MAX, 2000, 0] {
        let mut state = State::new(limit, Vec::new());
        let mut model: BTreeMap<Vec<u8>, (Value<'static>, u64)> = BTreeMap::new();
        for i in 0..2000u64 {
            let key = format!("key{}", i * 7919 % 300).into_bytes();
            if i % 5 == 4 {
                state.delete(&key).unwrap();
                model.remove(&key);
                continue;
            }
            let value = if i % 3 == 0 {
                Value::Placed(Part { file: 3, span: i..i + 1_000_000 })
            } else {
                Value::Bytes(Cow::Owned(vec![i as u8; (i % 50) as usize]))
            };
            state.put(&key, &value, place(i)).unwrap();
            model.insert(key, (value, i));
        }
        let sorted = state.finish().unwrap();
        assert_eq!(sorted.spilled(), limit < u64::MAX);
        let got: Vec<_> = sorted.iter().unwrap().map(Result::unwrap).collect();
        let want: Vec<_> = model
            .iter()
            .map(|(k, (v, at))| Live { key: k.into(), value: v.clone(), place: place(*at) })
            .collect();
        assert_eq!(got, want, "limit {limit}");
    }
}

/// Random numbers, the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Three families: two with an operator that is known, one without.
fn families() -> Vec<Family> {
    let mergers = [Merger::Append(b",".to_vec()), Merger::Add, Merger::Unknown];
    let family = |(number, merger)| Family { number, name: format!("f{number}"), merger };
    (0..).zip(mergers).map(family).collect()
}

fn state_key(random: &mut Random) -> Vec<u8> {
    let (family, key) = (random.below(3) as u32, random.below(60));
    [&family.to_be_bytes()[..], format!("{key:02}").as_bytes()].concat()
}

/// What a key holds, without any cleverness.
#[derive(Clone, Default)]
struct Slot {
    value: Option<Value<'static>>,
    operands: Vec<Cow<'static, [u8]>>,
    at: u64,
}

/// The same as a [`State`], key by key.
#[derive(Default)]
struct Model(BTreeMap<Vec<u8>, Slot>);

impl Model {
    fn change(&mut self, key: &[u8], effect: Effect<Value<'static>>, at: u64) {
        let slot = self.0.entry(key.to_vec()).or_default();
        match effect {
            Effect::Put(value) | Effect::Entity(value) | Effect::Blob(value) => {
                *slot = Slot { value: Some(value), operands: Vec::new(), at };
            }
            Effect::Merge(Value::Bytes(operand)) => {
                slot.operands.push(operand);
                slot.at = at;
            }
            Effect::Delete => *slot = Slot::default(),
            Effect::DeleteRange(Value::Bytes(end)) => {
                self.0.retain(|k, _| k[..] < *key || k[..] >= *end);
            }
            Effect::Merge(_) | Effect::DeleteRange(_) => unreachable!(),
        }
    }

    fn lives(&self, file: usize) -> Vec<Live<'static>> {
        let live = |(key, slot): (&Vec<u8>, &Slot)| {
            let Slot { value, operands, at } = slot.clone();
            let value = if operands.is_empty() { value? } else { model_merge(key[3], value, operands) };
            Some(Live { key: key.clone().into(), value, place: Place { file, at } })
        };
        self.0.iter().filter_map(live).collect()
    }
}

fn model_merge(
    family: u8,
    value: Option<Value<'static>>,
    operands: Vec<Cow<'static, [u8]>>,
) -> Value<'static> {
    let plain = match &value {
        None => None,
        Some(Value::Bytes(bytes)) => Some(bytes.to_vec()),
        Some(Value::Entity(columns)) => Some(entity::plain(columns).unwrap().to_vec()),
        Some(_) => return Value::Unmerged(Box::new(Unmerged { base: value, operands })),
    };
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let merged = match family {
        0 => plain
            .into_iter()
            .chain(operands.iter().map(|o| o.to_vec()))
            .collect::<Vec<_>>()
            .join(&b',')
            .into(),
        1 => {
            let all = plain.iter().map(|b| number(b)).chain(operands.iter().map(|o| number(o)));
            Cow::Owned(all.fold(0, u64::wrapping_add).to_le_bytes().to_vec())
        }
        _ => return Value::Unmerged(Box::new(Unmerged { base: value, operands })),
    };
    match value {
        Some(Value::Entity(columns)) => Value::Entity(entity::with_plain(&columns, &merged).unwrap().into()),
        _ => Value::Bytes(merged),
    }
}

/// Operands that can be joined need not come one by one.
fn joined(live: &Live<'_>) -> Live<'static> {
    let key = Cow::Owned(live.key.to_vec());
    let mut live = Live { key, value: live.value.clone().into_owned(), place: live.place };
    if let Value::Unmerged(unmerged) = &mut live.value {
        let merger = &families()[usize::from(live.key[3])].merger;
        let mut left: Vec<Cow<'static, [u8]>> = Vec::new();
        for operand in unmerged.operands.drain(..) {
            let joins = left.last_mut().is_some_and(|last| merger.join(last.to_mut(), 0, &operand));
            if !joins {
                left.push(operand);
            }
        }
        unmerged.operands = left;
    }
    live
}

fn random_effect(random: &mut Random, key: &[u8], ranges: bool) -> Effect<Value<'static>> {
    let n = random.below(1000);
    let bytes = match random.below(3) {
        0 => Vec::new(),
        1 => n.to_le_bytes().to_vec(),
        _ => vec![n as u8; random.below(40) as usize],
    };
    match n % 20 {
        0..=5 => Effect::Put(Value::Bytes(bytes.into())),
        6 => Effect::Put(Value::Placed(Part { file: 3, span: n..n + 1_000_000 })),
        7 => Effect::Entity(Value::Entity(entity::encode(&[(b"", &bytes), (b"x", b"y")]).into())),
        8 => Effect::Entity(Value::Entity(entity::encode(&[(b"x", b"y")]).into())),
        9 => Effect::Blob(Value::Blob(bytes.into())),
        10..=12 => Effect::Delete,
        13 | 14 if ranges => {
            let mut end = state_key(random);
            // Some are short, some reach into another family, some are empty or turned round.
            if !n.is_multiple_of(3) {
                end = key.to_vec();
                *end.last_mut().unwrap() += 3;
            }
            Effect::DeleteRange(Value::Bytes(end.into()))
        }
        _ => Effect::Merge(Value::Bytes(bytes.into())),
    }
}

/// What tables might hold, and a model of it.
fn older(random: &mut Random) -> (Vec<Older>, Model) {
    let mut model = Model::default();
    for at in 0..150 {
        let key = state_key(random);
        let effect = random_effect(random, &key, false);
        if !matches!(effect, Effect::Put(Value::Placed(_))) {
            model.change(&key, effect, at);
        }
    }
    let mut olders = Vec::new();
    for (key, Slot { value, operands, at }) in &model.0 {
        let value = value.clone().map(|value| match value {
            Value::Bytes(bytes) => Effect::Put(bytes.into_owned()),
            Value::Entity(columns) => Effect::Entity(columns.into_owned()),
            Value::Blob(at) => Effect::Blob(at.into_owned()),
            Value::Placed(_) | Value::Unmerged(_) => unreachable!(),
        });
        if value.is_some() || !operands.is_empty() {
            let operands = operands.iter().map(|o| o.to_vec()).collect();
            olders.push(Older { key: key.clone(), place: Place { file: 3, at: *at }, value, operands });
        }
    }
    (olders, model)
}

struct Tables(Vec<Older>);

impl Base for Tables {
    fn olders(&self) -> Olders<'_> {
        Box::new(self.0.iter().cloned().map(Ok))
    }
}

/// Random changes, with and without room in memory, with and without something below, against the model.
#[test]
fn layers_are_what_a_plain_map_holds() {
    let mut random = Random(5);
    let mut told = [0; 3];
    for round in 0..400 {
        let limit = [u64::MAX, 5000, 0][round % 3];
        let (tables, below) = if round % 2 == 0 { older(&mut random) } else { Default::default() };
        let mut state = State::new(limit, families());
        let mut model = below;
        if round % 2 == 0 {
            state = state.over(Box::new(Tables(tables)));
        }
        let changes = random.below(600);
        for at in 1000..1000 + changes {
            let key = state_key(&mut random);
            let effect = random_effect(&mut random, &key, round % 4 < 2);
            state.change(&key, &effect, place(at)).unwrap();
            model.change(&key, effect, at);
        }
        let sorted = state.finish().unwrap();
        // More than once, as reports do.
        for _ in 0..2 {
            let got: Vec<_> = sorted.iter().unwrap().map(Result::unwrap).collect();
            let want = model.lives(3);
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(joined(got), joined(want), "round {round}");
            }
            assert_eq!(got.len(), want.len(), "round {round}");
        }
        told[0] += usize::from(sorted.spilled());
        for live in model.lives(3) {
            told[1] += usize::from(!live.value.is_known());
            told[2] += usize::from(matches!(live.value, Value::Entity(_)));
        }
        let sorted = sorted.only(Some(1));
        let got: Vec<_> = sorted.iter().unwrap().map(|live| live.unwrap().key.into_owned()).collect();
        let want = model.lives(3).into_iter().map(|live| live.key.into_owned()).filter(|key| key[3] == 1);
        assert_eq!(got, want.collect::<Vec<_>>());
    }
    assert!(told.iter().all(|&n| n > 100), "{told:?}");
}

/// What would take hours if every range were held against every key, or every operand copied for the next one.
#[test]
fn many_ranges_and_operands_take_no_longer_than_they_must() {
    const MANY: u64 = 200_000;
    for limit in [u64::MAX, 1 << 22] {
        let mut state = State::new(limit, families());
        let key = |n: u64| [&0u32.to_be_bytes()[..], format!("{n:08}").as_bytes()].concat();
        for n in 0..MANY {
            state.put(&key(n), &Value::Bytes(b"value"[..].into()), place(n)).unwrap();
            let end = Value::Bytes(key(n).into());
            state.change(&key(n.saturating_sub(1000)), &Effect::DeleteRange(end), place(n)).unwrap();
            state.change(&key(MANY), &Effect::Merge(Value::Bytes(b"x"[..].into())), place(n)).unwrap();
        }
        let sorted = state.finish().unwrap();
        let lives: Vec<_> = sorted.iter().unwrap().map(Result::unwrap).collect();
        assert_eq!(
            lives.iter().map(|live| live.key.to_vec()).collect::<Vec<_>>(),
            [key(MANY - 1), key(MANY)]
        );
        assert_eq!(lives[1].value, Value::Bytes(b"x,".repeat(MANY as usize)[..2 * MANY as usize - 1].into()));
    }
}
