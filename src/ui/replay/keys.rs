//! Keys and values of a state: the family of a key apart from it, and what is known of a value that is not just bytes.

use std::borrow::Cow;

use super::Teller;
use crate::format::Family;
use crate::format::entity;
use crate::format::keys::user_key;
use crate::replay::state::{Unmerged, Value};
use crate::ui::bytes::Notation;
use crate::ui::row::{cell, put, short, string};

impl Teller<'_> {
    /// The name of a column family; of one that is not named, its number.
    pub(super) fn family(&self, number: u32) -> Cow<'_, str> {
        Family::name_of(&self.families, number)
    }

    /// Whether keys belong to column families.
    pub(super) fn in_families(&self) -> bool {
        self.report.format.profile().families
    }

    /// The family of a state's key, where there are any, and the key as its users know it.
    pub(super) fn split<'k>(&self, key: &'k [u8]) -> (Option<Cow<'_, str>>, &'k [u8]) {
        let (number, key) = user_key(self.in_families(), key);
        (number.map(|number| self.family(number)), key)
    }

    /// `"family":…,"key":…`
    pub(super) fn json_key(&self, line: &mut Vec<u8>, key: &[u8]) {
        let (family, key) = self.split(key);
        if let Some(family) = family {
            line.extend_from_slice(b"\"family\":");
            string(line, family.as_bytes(), Notation::Escape);
            line.push(b',');
        }
        line.extend_from_slice(b"\"key\":");
        string(line, key, self.notation);
    }

    /// `family,key`
    pub(super) fn csv_key(&self, line: &mut Vec<u8>, key: &[u8]) {
        let (family, key) = self.split(key);
        if let Some(family) = family {
            cell(line, family.as_bytes(), Notation::Escape);
            line.push(b',');
        }
        cell(line, key, self.notation);
    }

    /// The header of those cells.
    pub(super) fn csv_key_head(&self) -> &'static str {
        if self.in_families() { "family,key" } else { "key" }
    }

    /// As much of a key as people want to see.
    pub(super) fn text_key(&self, line: &mut Vec<u8>, key: &[u8], limit: usize) {
        let (family, key) = self.split(key);
        if let Some(family) = family.filter(|family| family != "default") {
            short(line, family.as_bytes(), Notation::Escape, limit);
            line.push(b':');
        }
        short(line, key, self.notation, limit);
    }

    /// What there is beside the plain value: `,"columns":[…]`, `,"operands":[…]`, `,"blob":…`
    pub(super) fn json_beside(&self, line: &mut Vec<u8>, value: &Value<'_>) {
        match value {
            Value::Bytes(_) | Value::Placed(_) => {}
            Value::Blob(at) => {
                line.extend_from_slice(b",\"blob\":");
                string(line, at, self.notation);
            }
            Value::Entity(columns) => {
                line.extend_from_slice(b",\"columns\":[");
                for (i, (name, value)) in entity::columns(columns).unwrap_or_default().iter().enumerate() {
                    line.extend_from_slice(if i > 0 { b",{\"name\":" } else { b"{\"name\":" });
                    string(line, name, self.notation);
                    line.extend_from_slice(b",\"value\":");
                    string(line, value, self.notation);
                    line.push(b'}');
                }
                line.push(b']');
            }
            Value::Unmerged(unmerged) => self.json_unmerged(line, unmerged),
        }
    }

    fn json_unmerged(&self, line: &mut Vec<u8>, unmerged: &Unmerged<'_>) {
        line.extend_from_slice(b",\"base\":");
        match &unmerged.base {
            Some(Value::Bytes(bytes) | Value::Entity(bytes) | Value::Blob(bytes)) => {
                string(line, bytes, self.notation);
            }
            _ => line.extend_from_slice(b"null"),
        }
        line.extend_from_slice(b",\"operands\":[");
        for (i, operand) in unmerged.operands.iter().enumerate() {
            if i > 0 {
                line.push(b',');
            }
            string(line, operand, self.notation);
        }
        line.push(b']');
    }

    /// Words for a value that is not just bytes.
    pub(super) fn text_beside(&self, line: &mut Vec<u8>, value: &Value<'_>, limit: usize) {
        match value {
            Value::Bytes(bytes) => short(line, bytes, self.notation, limit),
            Value::Placed(_) => {}
            Value::Blob(_) => line.extend_from_slice(b"(in a blob file)"),
            Value::Entity(columns) => match entity::columns(columns) {
                Some(all) => {
                    short(line, entity::plain(columns).unwrap_or_default(), self.notation, limit);
                    put(
                        line,
                        format_args!(" (and {} columns)", all.iter().filter(|c| !c.0.is_empty()).count()),
                    );
                }
                None => line.extend_from_slice(b"(columns that cannot be read)"),
            },
            Value::Unmerged(unmerged) => {
                if let Some(base) = &unmerged.base {
                    self.text_beside(line, base, limit);
                    line.push(b' ');
                }
                put(line, format_args!("({} operands, merged by an unknown rule)", unmerged.operands.len()));
            }
        }
    }
}
