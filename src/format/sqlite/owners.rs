//! Which tree a page belongs to. A leaf does not say so; the pages above it do.

use hashbrown::{HashMap, HashSet};

use super::Pages;
use super::header::Header;
use super::page::BtreePage;
use super::schema::Schema;
use super::tree::DEPTH;

/// The tree that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its root.
    pub root: u32,
    /// The pages that lead to it are of the moment that is meant, and do so.
    pub sure: bool,
}

/// The trees of all pages of tables: a dozen bytes a page.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    of: HashMap<u32, Owner>,
    /// Pages with children.
    interior: HashSet<u32>,
}

impl Owners {
    /// Of the tables in this database. Of their trees only the pages above the leaves are read; `sure` tells which of them
    /// are of the moment that is meant.
    pub fn of(pages: &mut dyn Pages, header: &Header, schema: &Schema, sure: &dyn Fn(u32) -> bool) -> Owners {
        let mut owners = Owners::default();
        // Trees that share pages are none; a hostile schema must not make that quadratic.
        let mut left = pages.count() as usize + schema.objects.len();
        for object in schema.objects.iter().filter(|object| object.is_table()) {
            owners.of.insert(object.root, Owner { root: object.root, sure: true });
            let mut level = vec![object.root];
            for _ in 1..levels(pages, header, object.root) {
                let mut below = Vec::new();
                for page in level.into_iter().take(left) {
                    left -= 1;
                    below.extend(owners.children(pages, header, page, sure(page)));
                }
                level = below;
            }
        }
        owners
    }

    /// The tree of a page.
    pub fn get(&self, page: u32) -> Option<Owner> {
        self.of.get(&page).copied()
    }

    /// Notes the children of a page, and returns those of which that is new.
    fn children(&mut self, pages: &mut dyn Pages, header: &Header, number: u32, sure: bool) -> Vec<u32> {
        let Some(parent) = self.get(number) else { return Vec::new() };
        let children = children(pages, header, number);
        if children.is_empty() {
            self.interior.remove(&number);
            return children;
        }
        self.interior.insert(number);
        let owner = Owner { root: parent.root, sure: parent.sure && sure };
        children.into_iter().filter(|&child| self.of.insert(child, owner) != Some(owner)).collect()
    }

    /// Before these pages are written: what they lead to is not sure any more, unless they lead there again.
    pub fn forget(&mut self, pages: &mut dyn Pages, header: &Header, written: &[u32]) {
        for page in written.iter().filter(|page| self.interior.contains(*page)) {
            let root = self.get(*page).map(|owner| owner.root);
            for child in children(pages, header, *page) {
                if let Some(owner) = self.of.get_mut(&child).filter(|owner| Some(owner.root) == root) {
                    owner.sure = false;
                }
            }
        }
    }

    /// After these pages were written, with the schema as it is now and as it was before.
    pub fn follow(
        &mut self,
        pages: &mut dyn Pages,
        header: &Header,
        (schema, before): (&Schema, &Schema),
        written: &[u32],
    ) {
        if schema != before {
            self.roots(schema, before);
        }
        // A page can be noted before the page above it.
        for _ in 0..DEPTH {
            let new = written.iter().map(|&page| self.children(pages, header, page, true).len());
            if new.sum::<usize>() == 0 {
                break;
            }
        }
    }

    /// Where a tree is gone or another one, so are its pages.
    fn roots(&mut self, schema: &Schema, before: &Schema) {
        let now: HashMap<u32, &str> =
            schema.objects.iter().map(|object| (object.root, object.name.as_str())).collect();
        let gone = before.objects.iter().filter(|old| now.get(&old.root) != Some(&old.name.as_str()));
        let gone: HashSet<u32> = gone.map(|old| old.root).collect();
        self.of.values_mut().filter(|owner| gone.contains(&owner.root)).for_each(|owner| owner.sure = false);
        for object in schema.objects.iter().filter(|object| object.is_table()) {
            self.of.insert(object.root, Owner { root: object.root, sure: true });
        }
    }
}

/// The children of a page, if it has any.
fn children(pages: &mut dyn Pages, header: &Header, number: u32) -> Vec<u32> {
    let count = pages.count();
    let image = if (1..=count).contains(&number) { pages.page(number) } else { None };
    let page = image.and_then(|image| BtreePage::of(number, image, header.usable() as usize));
    let Some(page) = page.filter(|page| page.kind.interior()) else { return Vec::new() };
    let children = page.each().flatten().map(|cell| cell.child).chain([page.right()]);
    children.filter(|child| (2..=count).contains(child)).collect()
}

/// Pages from the root to a leaf, both counted.
fn levels(pages: &mut dyn Pages, header: &Header, root: u32) -> usize {
    let mut next = root;
    for level in 1..=DEPTH {
        match children(pages, header, next).first() {
            Some(&first) => next = first,
            None => return level,
        }
    }
    DEPTH
}
