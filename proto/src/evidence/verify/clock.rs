//! Whether leaves run forwards on each boot's clock: part of check `time`.

use std::collections::{BTreeSet, VecDeque};

use super::checks::Checks;
use crate::evidence::Check;
use crate::ledger::LeafHead;
use crate::text;

/// Boots that are over and remembered: ten years of one a day.
const BOOTS_MAX: usize = 4096;

/// The clock of the boot whose leaves come, and the boots before.
#[derive(Debug, Default)]
pub(super) struct Clock {
    boot: String,
    mono_ms: u64,
    over: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Clock {
    pub(super) fn take(&mut self, head: &LeafHead, checks: &mut Checks) {
        let (index, now, before) = (head.index, head.mono_ms, self.mono_ms);
        if head.boot != self.boot {
            let boot = std::mem::replace(&mut self.boot, head.boot.clone());
            if self.over.contains(&head.boot) {
                let boot = &head.boot;
                checks.fail(Check::Time, || {
                    text!(
                        "leaf {index}: boot {boot} was over already",
                        "第 {index} 条记录：启动 {boot} 早已结束"
                    )
                });
            }
            self.over.insert(boot.clone());
            self.order.push_back(boot);
            if self.order.len() > BOOTS_MAX {
                let oldest = self.order.pop_front();
                self.over.remove(&oldest.unwrap_or_default());
            }
        } else if now < before {
            checks.fail(Check::Time, || {
                text!(
                    "leaf {index}: its clock says {now} ms, after {before} ms before it",
                    "第 {index} 条记录：时钟读数 {now} 毫秒，而前一条已是 {before} 毫秒"
                )
            });
        }
        self.mono_ms = now;
    }
}
