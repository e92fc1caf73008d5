//! Pages of the B-tree's data file, all big-endian.
//!
//! ```text
//! page 0    root u32 | height u32 | total_keys u32 | next_free u32 | free_head u32 | page_size u32
//! leaf      1 u8 | n u16 | next sibling u32 | n times: key_len u16 | key | val_len u16 | value
//! internal  0 u8 | n u16 | child u32 | n times: key_len u16 | key | child u32
//! ```

/// No sibling, no free page.
pub const NONE: u32 = u32::MAX;

/// Page 0.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    pub root: u32,
    pub height: u32,
    pub total: u32,
    pub next_free: u32,
    pub free_head: u32,
}

fn padded(mut page: Vec<u8>, size: usize) -> Vec<u8> {
    assert!(page.len() <= size, "a page of {} bytes in {size}", page.len());
    page.resize(size, 0);
    page
}

pub fn meta(m: Meta, size: usize) -> Vec<u8> {
    let fields = [m.root, m.height, m.total, m.next_free, m.free_head];
    padded(fields.iter().flat_map(|f| f.to_be_bytes()).collect(), size)
}

pub fn leaf(next: u32, pairs: &[(Vec<u8>, Vec<u8>)], size: usize) -> Vec<u8> {
    let mut page = vec![1];
    page.extend((pairs.len() as u16).to_be_bytes());
    page.extend(next.to_be_bytes());
    for (k, v) in pairs {
        page.extend((k.len() as u16).to_be_bytes());
        page.extend(k);
        page.extend((v.len() as u16).to_be_bytes());
        page.extend(v);
    }
    padded(page, size)
}

pub fn internal(first: u32, rest: &[(Vec<u8>, u32)], size: usize) -> Vec<u8> {
    let mut page = vec![0];
    page.extend((rest.len() as u16).to_be_bytes());
    page.extend(first.to_be_bytes());
    for (k, child) in rest {
        page.extend((k.len() as u16).to_be_bytes());
        page.extend(k);
        page.extend(child.to_be_bytes());
    }
    padded(page, size)
}

/// Key and value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A tree of one root over some leaves.
#[derive(Clone, Debug)]
pub struct Tree {
    pub page_bytes: usize,
    /// Page number and pairs of each leaf, in key order.
    pub leaves: Vec<(u32, Vec<Pair>)>,
    pub root: u32,
    pub next_free: u32,
}

impl Tree {
    /// Leaves of `each` pairs, and the root behind them.
    pub fn new(pairs: &[(Vec<u8>, Vec<u8>)], each: usize, page_bytes: usize) -> Tree {
        let leaves: Vec<_> =
            pairs.chunks(each).enumerate().map(|(i, c)| (i as u32 + 1, c.to_vec())).collect();
        let root = leaves.len() as u32 + 1;
        Tree { page_bytes, leaves, root, next_free: root + 1 }
    }

    /// Page 0.
    pub fn meta(&self) -> Vec<u8> {
        let total = self.leaves.iter().map(|l| l.1.len()).sum::<usize>() as u32;
        let m = Meta { root: self.root, height: 2, total, next_free: self.next_free, free_head: NONE };
        meta(m, self.page_bytes)
    }

    /// The image of any other page.
    pub fn page(&self, number: u32) -> Vec<u8> {
        if number == self.root {
            let rest: Vec<_> = self.leaves[1..].iter().map(|(no, pairs)| (pairs[0].0.clone(), *no)).collect();
            return internal(self.leaves[0].0, &rest, self.page_bytes);
        }
        let i = self.leaves.iter().position(|l| l.0 == number).expect("a page of the tree");
        let next = self.leaves.get(i + 1).map_or(NONE, |l| l.0);
        leaf(next, &self.leaves[i].1, self.page_bytes)
    }

    /// The data file.
    pub fn image(&self) -> Vec<u8> {
        let mut out = self.meta();
        (1..self.next_free).for_each(|no| out.extend(self.page(no)));
        out
    }

    /// Puts a pair into the last leaf; splits it when it then has more than `most`. Gives the pages changed, in the
    /// order in which the engine writes them.
    pub fn insert_last(&mut self, pair: (Vec<u8>, Vec<u8>), most: usize) -> Vec<u32> {
        let (number, pairs) = self.leaves.last_mut().expect("a leaf");
        let number = *number;
        pairs.push(pair);
        if pairs.len() <= most {
            return vec![number];
        }
        let right = pairs.split_off(pairs.len() / 2);
        let new = self.next_free;
        self.next_free += 1;
        self.leaves.push((new, right));
        vec![new, number, self.root]
    }
}
