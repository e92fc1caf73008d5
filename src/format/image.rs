//! One file made over another: of two logs about the same pages the engine goes by one first, and by the other over what
//! that leaves.

use std::ops::Range;

use super::{Fill, Image, Part, Patch};

impl Image {
    /// This file, with `before` in the place of the old file that both are made over.
    pub fn over(self, before: Image) -> Image {
        let mut under: Vec<Patch> =
            before.patches.iter().filter_map(|patch| patch.part(0..before.len)).collect();
        let behind = before.len..self.len;
        // What was cut off does not come back with the length.
        under.extend((!behind.is_empty()).then(|| Patch {
            at: behind.start,
            len: behind.end - behind.start,
            fill: Fill::Bytes(Vec::new()),
        }));
        let (mut patches, mut from) = (Vec::with_capacity(self.patches.len()), 0);
        for patch in self.patches {
            patches.extend(within(&under, from..patch.at));
            from = patch.end();
            patches.push(patch);
        }
        patches.extend(within(&under, from..self.len));
        Image { base: before.base, patches, ..self }
    }
}

/// The parts of patches, which rise, that lie in `span`.
fn within(patches: &[Patch], span: Range<u64>) -> impl Iterator<Item = Patch> + '_ {
    let first = patches.partition_point(|patch| patch.end() <= span.start);
    let rest = patches.get(first..).unwrap_or_default();
    rest.iter().map_while(move |patch| patch.part(span.clone()))
}

impl Patch {
    fn end(&self) -> u64 {
        self.at.saturating_add(self.len)
    }

    /// What of it lies in `span`; `None`: nothing.
    fn part(&self, span: Range<u64>) -> Option<Patch> {
        let (at, end) = (self.at.max(span.start), self.end().min(span.end));
        let len = end.checked_sub(at).filter(|len| *len > 0)?;
        let skipped = at - self.at;
        let fill = match &self.fill {
            Fill::Part(Part { file, span }) => {
                let from = span.start.saturating_add(skipped).min(span.end);
                Fill::Part(Part { file: *file, span: from..from.saturating_add(len).min(span.end) })
            }
            Fill::Bytes(bytes) => {
                let rest = usize::try_from(skipped).ok().and_then(|n| bytes.get(n..)).unwrap_or_default();
                Fill::Bytes(rest.iter().copied().take(usize::try_from(len).unwrap_or(usize::MAX)).collect())
            }
        };
        Some(Patch { at, len, fill })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of an image over the file `old`, whose parts are of `log`.
    fn bytes(image: &Image, old: &[u8], log: &[u8]) -> Vec<u8> {
        let mut file = if image.base.is_some() { old.to_vec() } else { Vec::new() };
        file.resize(image.len as usize, 0);
        let mut last = 0;
        for patch in &image.patches {
            assert!(patch.at >= last, "{:?} is not behind the one before it", patch);
            last = patch.end();
            let part = match &patch.fill {
                Fill::Part(part) => &log[part.span.start as usize..part.span.end as usize],
                Fill::Bytes(bytes) => bytes,
            };
            for (i, at) in (patch.at..last.min(image.len)).enumerate() {
                file[at as usize] = part.get(i).copied().unwrap_or(0);
            }
        }
        file
    }

    #[test]
    fn one_file_over_another_is_what_one_after_the_other_makes() {
        let (old, log) = (vec![b'o'; 40], (0..=255).collect::<Vec<u8>>());
        let patch = |at: u64, len: u64, from: u64| Patch {
            at,
            len,
            fill: Fill::Part(Part { file: 1, span: from..from + len }),
        };
        let image =
            |len, patches: &[Patch]| Image { base: Some(0), len, page_bytes: 4, patches: patches.to_vec() };
        let short = Patch { at: 12, len: 9, fill: Fill::Bytes(b"abc".to_vec()) };
        let befores = [
            image(40, &[]),
            image(20, &[patch(0, 8, 100), patch(8, 4, 50), short.clone()]),
            image(64, &[patch(4, 20, 7), patch(60, 4, 9)]),
        ];
        let afters = [
            image(24, &[]),
            image(48, &[patch(0, 4, 200), patch(16, 2, 220), patch(18, 4, 230)]),
            image(30, &[patch(9, 7, 1), patch(28, 2, 90)]),
        ];
        for before in &befores {
            for after in &afters {
                let first = bytes(before, &old, &log);
                let made = after.clone().over(before.clone());
                assert_eq!(bytes(&made, &old, &log), bytes(after, &first, &log), "{after:?} over {before:?}");
            }
        }
    }
}
