//! Compares values for equality and order, and pays for what it reads.

use std::cmp::Ordering;

use super::{
    fuel::{Fuel, OutOfFuel},
    value::{Value, View},
};

/// Whether two values are equal, at any depth. Numbers are compared as 64-bit floats.
pub(super) fn equal<'d>(left: &Value<'d>, right: &Value<'d>, fuel: &mut Fuel<'_>) -> Result<bool, OutOfFuel> {
    let mut pairs = Vec::new();
    let mut first = Some((left.clone(), right.clone()));
    while let Some((left, right)) = first.take().or_else(|| pairs.pop()) {
        fuel.spend(2)?;
        let same = match (left.view(), right.view()) {
            (View::Null, View::Null) => true,
            (View::Bool(left), View::Bool(right)) => left == right,
            (View::Number(left), View::Number(right)) => left == right,
            (View::String(left), View::String(right)) => {
                left.len() == right.len() && {
                    fuel.read(left.len())?;
                    left == right
                }
            }
            (View::List(left), View::List(right)) => {
                if left.len() == right.len() {
                    for pair in left.iter().zip(right.iter()) {
                        fuel.push(&mut pairs, pair)?;
                    }
                }
                left.len() == right.len()
            }
            (View::Object(left), View::Object(right)) => {
                let mut same = left.len() == right.len();
                for ((left_key, left), (right_key, right)) in left.iter().zip(right.iter()) {
                    fuel.read(left_key.len().min(right_key.len()))?;
                    if !same || left_key != right_key {
                        same = false;
                        break;
                    }
                    fuel.push(&mut pairs, (left, right))?;
                }
                same
            }
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The sort key of `sort`, `max` and similar functions.
pub(super) enum Key<'v> {
    Number(f64),
    String(&'v str),
}

impl Key<'_> {
    /// Strings are ordered by code points, numbers by size. Strings and numbers are never
    /// compared with each other.
    pub(super) fn cmp(&self, other: &Self, fuel: &mut Fuel<'_>) -> Result<Ordering, OutOfFuel> {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => {
                fuel.spend(1)?;
                Ok(left.partial_cmp(right).unwrap_or(Ordering::Equal))
            }
            (Self::String(left), Self::String(right)) => {
                fuel.read(left.len().min(right.len()))?;
                Ok(left.cmp(right))
            }
            (Self::Number(_), Self::String(_)) | (Self::String(_), Self::Number(_)) => Ok(Ordering::Equal),
        }
    }
}

/// The indexes of `keys` in sorted order; the sort is stable. This is a merge sort of
/// our own, because the standard library's sort cannot stop when fuel runs out.
pub(super) fn sorted(keys: &[Key<'_>], fuel: &mut Fuel<'_>) -> Result<Vec<u32>, OutOfFuel> {
    fuel.hold(2 * size_of::<u32>() * keys.len())?;
    let mut order: Vec<u32> = (0..).take(keys.len()).collect();
    let mut merged = Vec::with_capacity(keys.len());
    let mut width = 1;
    while width < keys.len() {
        merged.clear();
        for run in order.chunks(2 * width) {
            let (mut left, mut right) = run.split_at(width.min(run.len()));
            while let ([first, left_rest @ ..], [second, right_rest @ ..]) = (left, right) {
                if keys[*second as usize].cmp(&keys[*first as usize], fuel)? == Ordering::Less {
                    merged.push(*second);
                    right = right_rest;
                } else {
                    merged.push(*first);
                    left = left_rest;
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
            fuel.spend(run.len() / 8 + 1)?;
        }
        std::mem::swap(&mut order, &mut merged);
        width *= 2;
    }
    Ok(order)
}
