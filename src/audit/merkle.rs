//! The RFC 6962 hash tree: hashing, roots, proofs and their checking.
//!
//! ```text
//!  height 2          n(2,0)                 a node (height, index) is *complete*: it covers the leaves
//!                  ╱        ╲               index·2^height .. (index+1)·2^height and never changes again
//!  height 1    n(1,0)      n(1,1)
//!              ╱    ╲      ╱    ╲           the right edge of an uneven tree is folded from complete nodes
//!  leaves     0      1    2      3   4
//! ```

use ring::digest::{Context, SHA256};

use crate::terms::Digest;

/// Hash of an entry: `SHA-256(0x00 ‖ bytes)` (RFC 6962 §2.1).
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(bytes);
    finish(context)
}

/// Hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)` (RFC 6962 §2.1).
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut buffer = [1u8; 65];
    buffer[1..33].copy_from_slice(&left.0);
    buffer[33..].copy_from_slice(&right.0);
    Digest::of(&buffer)
}

/// Root of the tree without leaves: the SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

fn finish(context: Context) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Digest(out)
}

/// The right edge of a growing tree: one hash for each set bit of the size, largest subtree first.
/// At most 64 hashes, however large the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    edge: Vec<Digest>,
}

impl Frontier {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// The right edge of the first `size` leaves of a tree whose nodes are known.
    pub fn at<N: Nodes + ?Sized>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let (mut edge, mut start) = (Vec::new(), 0u64);
        for height in (0..64).rev().filter(|height| size >> height & 1 == 1) {
            edge.push(nodes.node(height, start >> height)?);
            start += 1 << height;
        }
        Ok(Self { size, edge })
    }

    /// Its hashes, largest subtree first.
    pub fn edge(&self) -> &[Digest] {
        &self.edge
    }

    /// An edge that was kept; `None` unless it has as many hashes as a tree of `size` leaves.
    pub fn from_edge(size: u64, edge: Vec<Digest>) -> Option<Self> {
        (edge.len() == size.count_ones() as usize).then_some(Self { size, edge })
    }

    /// Adds a leaf hash.
    pub fn push(&mut self, leaf: Digest) {
        self.push_with(leaf, |_, _| {});
    }

    /// Adds a leaf hash; `completed` hears of every node that is now complete, the leaf (height 0) first.
    pub fn push_with(&mut self, leaf: Digest, completed: impl FnMut(u32, &Digest)) {
        self.push_by(leaf, node_hash, completed);
    }

    /// [`Frontier::push_with`] of a tree whose nodes another function hashes.
    pub fn push_by(
        &mut self,
        leaf: Digest,
        node: impl Fn(&Digest, &Digest) -> Digest,
        mut completed: impl FnMut(u32, &Digest),
    ) {
        let mut hash = leaf;
        completed(0, &hash);
        for height in 1..=self.size.trailing_ones() {
            let Some(left) = self.edge.pop() else { break };
            hash = node(&left, &hash);
            completed(height, &hash);
        }
        self.edge.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Digest {
        self.root_by(node_hash, empty_root)
    }

    /// [`Frontier::root`] of a tree whose nodes another function hashes; `empty` is its root without leaves.
    pub fn root_by(&self, node: impl Fn(&Digest, &Digest) -> Digest, empty: impl Fn() -> Digest) -> Digest {
        let mut edge = self.edge.iter().rev();
        match edge.next() {
            None => empty(),
            Some(&smallest) => edge.fold(smallest, |right, left| node(left, &right)),
        }
    }
}

/// Where complete nodes come from: memory, level files, tiles.
pub trait Nodes {
    type Error;
    /// The complete node at (`height`, `index`).
    fn node(&self, height: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// Root of the leaves `start..end`. The range must be one that RFC 6962 splits off: `start` a multiple of
/// the smallest power of two that is not below `end - start`.
pub fn range_root<N: Nodes + ?Sized>(nodes: &N, start: u64, end: u64) -> Result<Digest, N::Error> {
    let count = end.saturating_sub(start);
    if count == 0 {
        return Ok(empty_root());
    }
    if count.is_power_of_two() {
        let height = count.trailing_zeros();
        return nodes.node(height, start >> height);
    }
    let middle = start + split(count);
    Ok(node_hash(&range_root(nodes, start, middle)?, &range_root(nodes, middle, end)?))
}

/// The largest power of two below `count` (`count` > 1).
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// Inclusion proof of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1). Empty when `index >= size`.
pub fn inclusion<N: Nodes + ?Sized>(nodes: &N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    range_inclusion(nodes, index, 0, size)
}

/// Inclusion proof of leaf `index` within the subtree of the leaves `start..end`.
pub fn range_inclusion<N: Nodes + ?Sized>(
    nodes: &N,
    index: u64,
    mut start: u64,
    mut end: u64,
) -> Result<Vec<Digest>, N::Error> {
    let mut proof = Vec::new();
    if !(start..end).contains(&index) {
        return Ok(proof);
    }
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Consistency proof between the trees of `old` and `new` leaves (RFC 6962 §2.1.2).
/// Empty when `old` is 0, equal to `new`, or larger.
pub fn consistency<N: Nodes + ?Sized>(nodes: &N, old: u64, new: u64) -> Result<Vec<Digest>, N::Error> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut start, mut end, mut whole) = (0, new, true);
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(nodes, start, middle)?);
            (start, whole) = (middle, false);
        }
    }
    if !whole {
        proof.push(range_root(nodes, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the index lies outside the tree, or the old tree is larger than the new one")]
    Range,
    #[error("the proof has too many or too few hashes")]
    Length,
    #[error("the proof leads to another root")]
    Root,
}

/// Checks that `leaf` is leaf `index` of the tree (`size`, `root`) (RFC 9162 §2.1.3.2).
pub fn check_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut here, mut last, mut hash) = (index, size - 1, *leaf);
    for step in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if here & 1 == 1 || here == last {
            hash = node_hash(step, &hash);
            while here & 1 == 0 && here != 0 {
                (here, last) = (here >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, step);
        }
        (here, last) = (here >> 1, last >> 1);
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the tree (`new`, `new_root`) only adds leaves to (`old`, `old_root`) (RFC 9162 §2.1.4.2).
pub fn check_consistency(
    (old, old_root): (u64, &Digest),
    (new, new_root): (u64, &Digest),
    proof: &[Digest],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Range);
    }
    if old == new || old == 0 {
        let same = if old == 0 { *old_root == empty_root() } else { old_root == new_root };
        let same = same && (old != new || old_root == new_root);
        return match (proof.is_empty(), same) {
            (true, true) => Ok(()),
            (false, _) => Err(ProofError::Length),
            (_, false) => Err(ProofError::Root),
        };
    }
    let (mut here, mut last) = (old - 1, new - 1);
    while here & 1 == 1 {
        (here, last) = (here >> 1, last >> 1);
    }
    // An old tree that is one complete subtree is its own first step.
    let mut steps = proof.iter();
    let first = if old.is_power_of_two() { old_root } else { steps.next().ok_or(ProofError::Length)? };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for step in steps {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if here & 1 == 1 || here == last {
            (old_hash, new_hash) = (node_hash(step, &old_hash), node_hash(step, &new_hash));
            while here & 1 == 0 && here != 0 {
                (here, last) = (here >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(&new_hash, step);
        }
        (here, last) = (here >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tree in memory, for tests: folds every node from its leaves.
    pub(in crate::audit) struct Leaves(pub Vec<Digest>);

    impl Nodes for Leaves {
        type Error = std::convert::Infallible;
        fn node(&self, height: u32, index: u64) -> Result<Digest, Self::Error> {
            let mut frontier = Frontier::new();
            let start = (index << height) as usize;
            self.0[start..start + (1 << height)].iter().for_each(|leaf| frontier.push(*leaf));
            Ok(frontier.root())
        }
    }

    fn leaves(n: u64) -> Leaves {
        Leaves((0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect())
    }

    fn root(tree: &Leaves, n: u64) -> Digest {
        range_root(tree, 0, n).unwrap()
    }

    #[test]
    fn every_proof_of_every_small_tree_holds() {
        let tree = leaves(40);
        for new in 0..=40 {
            for old in 0..=new {
                let proof = consistency(&tree, old, new).unwrap();
                let (a, b) = (root(&tree, old), root(&tree, new));
                assert_eq!(check_consistency((old, &a), (new, &b), &proof), Ok(()), "{old} to {new}");
            }
            for index in 0..new {
                let proof = inclusion(&tree, index, new).unwrap();
                let want = root(&tree, new);
                assert_eq!(check_inclusion(&tree.0[index as usize], index, new, &want, &proof), Ok(()));
            }
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_definition() {
        let (tree, mut frontier) = (leaves(600), Frontier::new());
        for (n, leaf) in tree.0.iter().enumerate() {
            assert_eq!(frontier.root(), root(&tree, n as u64));
            assert_eq!(Frontier::at(&tree, n as u64), Ok(frontier.clone()));
            frontier.push_with(*leaf, |height, hash| {
                assert_eq!(*hash, tree.node(height, (n as u64) >> height).unwrap());
            });
        }
    }

    proptest! {
        #[test]
        fn a_changed_proof_never_holds(size in 2u64..200, index: u64, at: usize, bit in 0u8..8, cut: bool) {
            let (tree, index) = (leaves(size), index % size);
            let (leaf, want) = (tree.0[index as usize], root(&tree, size));
            let mut proof = inclusion(&tree, index, size).unwrap();
            if cut { proof.pop(); } else {
                let at = at % (proof.len() * 32);
                proof[at / 32].0[at % 32] ^= 1 << bit;
            }
            prop_assert!(check_inclusion(&leaf, index, size, &want, &proof).is_err());
        }

        #[test]
        fn a_rewritten_leaf_breaks_consistency(old in 1u64..150, more in 1u64..50, at: u64) {
            let (mut tree, new) = (leaves(old + more), old + more);
            let before = root(&tree, old);
            tree.0[(at % old) as usize] = leaf_hash(b"rewritten");
            let proof = consistency(&tree, old, new).unwrap();
            prop_assert!(check_consistency((old, &before), (new, &root(&tree, new)), &proof).is_err());
        }

        #[test]
        fn no_proof_panics(index: u64, size: u64, n in 0usize..70) {
            let proof = vec![empty_root(); n];
            let _ = check_inclusion(&empty_root(), index, size, &empty_root(), &proof);
            let _ = check_consistency((index, &empty_root()), (size, &empty_root()), &proof);
        }
    }
}
