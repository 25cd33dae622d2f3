//! The index of logs that the real ledger wrote, laid out as an archive has them.

mod crash;
mod hostile;
mod laid;
mod odd;
mod queries;
mod twice;
mod wanted;
mod year;

use std::sync::Arc;

use super::{Checked, Index, Indexer, check};
use laid::Laid;

/// Small enough that a few thousand leaves are dozens of batches.
const PART_BYTES: usize = 16 << 10;

fn embedded(laid: &Laid) -> Arc<Index> {
    Arc::new(Index::embedded(laid.dir()).unwrap())
}

fn indexed(laid: &Laid, index: &Arc<Index>) -> u64 {
    let mut indexer = Indexer::new(laid.shelf(), Arc::clone(index)).in_parts(PART_BYTES);
    let round = indexer.round(&mut || false).unwrap();
    assert_eq!((round.faults, round.is_stopped), (0, false));
    round.leaves
}

/// The index is what the tiles say, to their heads.
fn equals(laid: &Laid, index: &Index) -> Checked {
    let checked = check(&laid.shelf(), index).unwrap();
    assert_eq!(checked.first, []);
    assert_eq!((checked.count, checked.behind), (0, 0));
    checked
}
