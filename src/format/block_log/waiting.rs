//! Transactions that are prepared and wait for their end, by name.

use std::collections::BTreeMap;

use super::batch;

/// Bytes of a name that are kept; a longer one is known by its hash as well.
const NAME: usize = 1 << 10;

/// Parts that are followed at a time, unless somebody wants fewer.
pub const MOST: usize = 1 << 16;

/// See the top of this file. `T`: what is kept of each part.
pub struct Waiting<T> {
    /// Parts of transactions, and whether more are to follow.
    by_name: BTreeMap<Vec<u8>, Vec<(T, bool)>>,
    /// Those whose name another one has taken since: their own end is lost.
    left: Vec<(Vec<u8>, T)>,
    parts: usize,
    most: usize,
}

impl<T> Waiting<T> {
    /// None yet, and never more parts than `most`, nor more of those whose own end is lost.
    pub fn up_to(most: usize) -> Waiting<T> {
        Waiting { by_name: BTreeMap::new(), left: Vec::new(), parts: 0, most }
    }

    /// A part of a transaction is prepared; `more`: it is not the last one, which only stores do that write what they cannot
    /// hold before it is prepared. Gives back whether that leaves out none, neither it nor those that had its name.
    pub fn prepare(&mut self, name: &[u8], more: bool, part: T) -> bool {
        if self.parts >= self.most {
            return false;
        }
        let name = key(name);
        let parts = self.by_name.entry(name.clone()).or_default();
        let mut all = true;
        if parts.last().is_some_and(|(_, more)| !more) {
            self.parts = self.parts.saturating_sub(parts.len());
            let room = self.most.saturating_sub(self.left.len());
            all = parts.len() <= room;
            self.left.extend(parts.drain(..).take(room).map(|(part, _)| (name.clone(), part)));
        }
        parts.push((part, more));
        self.parts += 1;
        all
    }

    /// The first part that waits under a name.
    pub fn first(&self, name: &[u8]) -> Option<&T> {
        Some(&self.by_name.get(&key(name))?.first()?.0)
    }

    /// The parts of a transaction that ends.
    pub fn end(&mut self, name: &[u8]) -> Vec<T> {
        let parts = self.by_name.remove(&key(name)).unwrap_or_default();
        self.parts = self.parts.saturating_sub(parts.len());
        parts.into_iter().map(|(part, _)| part).collect()
    }

    /// All parts that have no end so far, each with the name of its transaction.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &T)> {
        let left = self.left.iter().map(|(name, part)| (&name[..], part));
        let named = self
            .by_name
            .iter()
            .flat_map(|(name, parts)| parts.iter().map(move |(part, _)| (&name[..], part)));
        left.chain(named)
    }

    /// Takes them out.
    pub fn rest(&mut self) -> Vec<(Vec<u8>, T)> {
        let mut rest = std::mem::take(&mut self.left);
        for (name, parts) in std::mem::take(&mut self.by_name) {
            rest.extend(parts.into_iter().map(|(part, _)| (name.clone(), part)));
        }
        self.parts = 0;
        rest
    }
}

/// What a transaction of this name is known by.
pub fn key(name: &[u8]) -> Vec<u8> {
    match name.get(..NAME) {
        Some(front) if front.len() < name.len() => [front, &batch::xid(name).to_le_bytes()].concat(),
        _ => name.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_used_again_begins_anew() {
        let mut waiting = Waiting::up_to(4);
        assert!(waiting.prepare(b"x", false, 1) && waiting.prepare(b"x", false, 2));
        assert_eq!((waiting.end(b"x"), waiting.end(b"x")), (vec![2], vec![]));
        // Parts that are followed by others belong together.
        assert!(waiting.prepare(b"y", true, 3) && waiting.prepare(b"y", false, 4));
        assert_eq!(waiting.end(b"y"), [3, 4]);
        assert_eq!(waiting.rest(), [(b"x".to_vec(), 1)]);
    }

    #[test]
    fn a_name_that_is_used_over_and_over_takes_no_room_from_others() {
        let mut waiting = Waiting::up_to(2);
        let told: Vec<_> = (0..5).map(|part| waiting.prepare(b"x", false, part)).collect();
        assert_eq!(told, [true, true, true, false, false]);
        assert!(waiting.prepare(b"y", false, 9));
        assert_eq!((waiting.end(b"x"), waiting.end(b"y")), (vec![4], vec![9]));
        assert_eq!(waiting.rest(), [(b"x".to_vec(), 0), (b"x".to_vec(), 1)]);
    }

    #[test]
    fn long_names_and_many_of_them_are_bounded() {
        let mut waiting = Waiting::up_to(2);
        let (one, two) = ([b'n'; 5000], [&[b'n'; 4999][..], b"o"].concat());
        assert!(waiting.prepare(&one, false, 1) && waiting.prepare(&two, false, 2));
        assert!(!waiting.prepare(b"x", false, 3));
        assert_eq!(waiting.end(&one), [1]);
        assert!(waiting.rest().iter().all(|(name, part)| name.len() < 1100 && *part == 2));
    }
}
