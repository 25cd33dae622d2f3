//! A receipt: one session on one page, for the renter and the invoice, with its proof and a code to look it up by.

use lineside_proto::evidence::{SessionTotals, Verdict};
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::proof::LeafProof;
use lineside_proto::{Identifier, Time};
use maud::{Markup, html};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sheet::{self, Sheet};
use super::{figure, paint, qr};
use crate::text::Language;

/// The `kind` of a receipt.
pub const RECEIPT_KIND: &str = "lineside-receipt";

/// The first line of what a receipt's code holds.
pub const CODE_HEADER: &str = "lineside-receipt/v1";

/// A session, what it counts, and the proof of the leaf that says so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Version of this document's shape: 1.
    pub v: u8,
    /// [`RECEIPT_KIND`].
    pub kind: String,
    /// By which program.
    pub by: String,
    /// What the bundle's verifier said. Less than `verified` is no receipt to pay by.
    pub verdict: Verdict,
    /// When a trusted witness cosigned the newest head in the bundle; null for none.
    pub cosigned: Option<Time>,
    /// The pilot platform.
    pub site: Identifier,
    /// The gateway.
    pub gateway: Identifier,
    /// The machine.
    pub machine: Identifier,
    /// The begin of the bundle's period: what the session did before is not in its hours.
    pub from: Time,
    /// The end of the bundle's period: what the session did after is not in its hours.
    pub to: Time,
    /// Whether the session may have hours outside the bundle's period, or has not ended.
    pub is_partial: bool,
    /// The session.
    pub session: SessionTotals,
    /// The ledger's origin.
    pub origin: String,
    /// Where the session's leaf stands: the closing one, or the opening one while it is open.
    pub index: u64,
    /// The exact text of that leaf.
    pub leaf: String,
    /// Its hash, base64.
    pub leaf_hash: String,
    /// The inclusion proof, base64.
    pub hashes: Vec<String>,
    /// The leaves of the signed tree.
    pub size: u64,
    /// Its root, base64.
    pub root: String,
    /// The signed note of that tree.
    pub checkpoint: String,
    /// What the code on the page holds.
    pub code: String,
}

/// What a receipt's code holds: enough to look the leaf up in any copy of the ledger, and to see that it is the same.
pub fn code(index: u64, leaf: Hash, origin: &str, size: u64, root: Hash) -> String {
    format!("{CODE_HEADER}\nindex {index}\nleaf {leaf}\n\n{origin}\n{size}\n{root}\n")
}

impl Receipt {
    /// The proof as a file of its own, the leaf in it.
    pub fn proof(&self) -> LeafProof {
        LeafProof {
            extra: Some(self.leaf.clone().into_bytes()),
            index: self.index,
            hashes: self
                .hashes
                .iter()
                .filter_map(|hash| Hash::from_base64(hash))
                .collect(),
            checkpoint: self.checkpoint.clone(),
        }
    }

    /// The receipt as a page.
    pub fn page(&self, language: Language) -> String {
        let title = format!(
            "{} {}",
            language.pick("Receipt", "上机凭证"),
            self.session.session
        );
        let mark = match self.verdict {
            Verdict::Verified => None,
            Verdict::SelfConsistent => Some(language.pick("SIGNER UNKNOWN", "签名者未知")),
            Verdict::Failed => Some(language.pick("NOT VERIFIED", "未通过核验")),
        };
        let sheet = Sheet {
            title: &title,
            language,
            mark,
            foot: &self.by,
        };
        sheet::page(&sheet, &self.body(language))
    }

    fn body(&self, language: Language) -> Markup {
        html! {
            h1 { (language.pick("Receipt for machine-hours", "上机机时凭证")) }
            p.lead { (self.site) " / " (self.gateway) " / " b { (self.machine) } }
            div.receipt {
                div { (self.facts(language)) }
                div {
                    (picture(&self.code, language))
                    p.soft {
                        (language.pick(
                            "The code names the leaf, its hash and the signed tree: any copy of this ledger can be asked for it.",
                            "二维码载有记录序号、记录哈希和已签名的树，可在该台账的任何副本中查询核对。",
                        ))
                    }
                }
            }
            (self.hours(language))
            (self.evidence(language))
        }
    }

    fn facts(&self, language: Language) -> Markup {
        let session = &self.session;
        let none = language.pick("none", "无");
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| none.to_owned());
        let when = |time: Option<Time>, other: &'static str| {
            time.map_or_else(|| other.to_owned(), figure::time)
        };
        let ended = session
            .reason
            .map(|reason| figure::reason(reason, language));
        let rows = [
            (
                language.pick("Session", "上机记录"),
                session.session.clone(),
            ),
            (
                language.pick("Began", "开始"),
                when(
                    session.from,
                    language.pick("before this period", "早于本期"),
                ),
            ),
            (
                language.pick("Ended", "结束"),
                when(
                    session.to,
                    language.pick("not yet, as far as this says", "尚未结束（据此存证包）"),
                ),
            ),
            (
                language.pick("Ended by", "结束方式"),
                ended.unwrap_or(none).to_owned(),
            ),
            (
                language.pick("Class", "类别"),
                figure::class(session.class, language).to_owned(),
            ),
            (language.pick("Booking", "预约"), or_none(&session.booking)),
            (
                language.pick("Booked by", "预约单位"),
                or_none(&session.org),
            ),
            (
                language.pick("Check-in", "签到"),
                session
                    .check_in
                    .map_or(none, |way| figure::check_in(way, language))
                    .to_owned(),
            ),
        ];
        html! {
            table.facts {
                tbody {
                    @for (name, value) in rows { tr { th { (name) } td { (value) } } }
                }
            }
            p.soft { (language.pick("Times are of Asia/Shanghai.", "时间均为北京时间。")) }
        }
    }

    /// The counted hours, then where the rest of the time went, then the grade and why.
    fn hours(&self, language: Language) -> Markup {
        let session = &self.session;
        let shown = paint::ORDER.map(|state| (state, session.ms.get(&state).copied().unwrap_or(0)));
        let shown: Vec<_> = shown.into_iter().filter(|&(_, ms)| ms > 0).collect();
        let why: Vec<_> = session
            .why
            .iter()
            .map(|why| figure::why(*why, language))
            .collect();
        html! {
            div.heads {
                div.head {
                    div.name { (language.pick("Counted (set-up, run, hold up to its cap)", "计入时长（准备、运行、上限内暂停）")) }
                    div.value { (figure::hours(session.active_ms)) " h" }
                    div.how { (figure::span(session.active_ms, language)) }
                }
                div.head {
                    div.name { (language.pick("Evidence", "证据等级")) }
                    div.value { (session.grade) }
                    div.how { (figure::grade(session.grade, language)) }
                }
                div.head {
                    div.name { (language.pick("Energy", "用电量")) }
                    div.value { (session.energy_mwh.map_or_else(|| "—".to_owned(), figure::kilowatt_hours)) " kWh" }
                }
            }
            @if !why.is_empty() {
                p { b { (language.pick("Why not better: ", "未达更高等级的原因：")) } (why.join(language.pick("; ", "；"))) }
            }
            table.keep {
                thead { tr { @for (state, _) in &shown { th.n { (paint::swatch(&paint::fill(*state))) " " (figure::state(*state, language)) } } } }
                tbody { tr { @for (_, ms) in &shown { td.n { (figure::span(*ms, language)) } } } }
            }
            @if self.is_partial {
                p {
                    b { (language.pick("Only a part: ", "仅为一部分：")) }
                    (language.pick("hours are those within ", "仅含此时段内的机时："))
                    (figure::minute(self.from)) " – " (figure::minute(self.to))
                }
            }
        }
    }

    fn evidence(&self, language: Language) -> Markup {
        let said = figure::verdict(self.verdict, language);
        html! {
            h3 { (language.pick("Proof", "存证证明")) }
            p {
                b { (said) } ". "
                @match self.cosigned {
                    Some(at) => { (language.pick("Cosigned by a trusted witness ", "受信见证时间 ")) (figure::time(at)) }
                    None => (language.pick("No trusted witness has cosigned it.", "没有受信见证。")),
                }
            }
            p {
                (language.pick("Leaf ", "第 ")) b { (self.index) }
                (language.pick(" of the ledger ", " 条记录，台账 ")) code { (self.origin) }
                (language.pick(" says so; with the hashes below it leads to the root of the tree of ", "；由下列哈希可得出含 "))
                b { (self.size) }
                (language.pick(" leaves that was signed.", " 条记录的已签名树的根。"))
            }
            pre { (self.leaf) }
            p.soft { (language.pick("Hash of the leaf (SHA-256 of a zero byte and the leaf): ", "记录哈希（零字节与记录的 SHA-256）：")) code { (self.leaf_hash) } }
            pre.columns { @for hash in &self.hashes { (hash) "\n" } }
            pre { (self.checkpoint) }
            p.soft {
                (language.pick("As a file for other verifiers (C2SP tlog-proof): ", "供其他核验程序使用的文件（C2SP tlog-proof）："))
                code { "lineside usage receipt " (self.session.session) " BUNDLE --format tlog-proof" }
            }
        }
    }
}

/// The code; in words, should it ever be too long for one.
fn picture(code: &str, language: Language) -> Markup {
    match qr::picture(
        code,
        language.pick("Code of this receipt", "本凭证的二维码"),
    ) {
        Ok(picture) => picture,
        Err(_) => html! { pre { (code) } },
    }
}
