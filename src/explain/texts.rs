//! The texts, in the order of the codes. Written for someone who has to decide something now: what the bytes
//! show, where it usually comes from, what is done with it, what can go wrong, what to do.

mod bytes;
mod logs;

use super::Explanation;
use crate::log::finding::Code;

const _: () = assert!(bytes::TEXTS.len() + logs::TEXTS.len() == Code::ALL.len(), "one for each code");

/// The one of a code; its place is the code's own.
pub(super) fn of(code: Code) -> &'static Explanation {
    let nth = code as usize;
    bytes::TEXTS.get(nth).unwrap_or_else(|| &logs::TEXTS[nth - bytes::TEXTS.len()])
}
