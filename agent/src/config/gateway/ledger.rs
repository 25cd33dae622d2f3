//! `[ledger]`: the signing key's place, the ledger's name, and the city's witnesses.

use lineside_proto::ledger::note::{KeyKind, NoteError, VerifierKey};
use std::path::{Component, Path, PathBuf};

use super::super::fault::Fault;
use super::super::files::Files;
use super::super::model::{Ledger, WITNESSES_MAX, Witnesses};
use super::super::section::{Said, Section};
use super::super::source::Place;
use crate::text;
use crate::text::Text;

/// Characters of an origin at most: it stands in every checkpoint, and its hash in every signature line.
const ORIGIN_CHARS_MAX: usize = 200;

const KEY_DEFAULT: &str = "keys/ledger.key";

/// Reads the table; `state_dir` is where the agent's own files are, and where that is said.
pub(super) fn read(
    root: &Section<'_>,
    origin: String,
    state_dir: Option<&(PathBuf, &Place)>,
    files: &Files,
) -> Ledger {
    let mut ledger = Ledger {
        key: files.beside(root.at(), KEY_DEFAULT),
        origin,
        witnesses: Witnesses::default(),
    };
    let mut key_at = state_dir.map(|(_, at)| *at);
    let section = root.section("ledger");
    if let Some(section) = &section {
        if let Some(said) = section.short_text("key", 4096) {
            ledger.key = files.beside(said.at, said.value);
            key_at = Some(said.at);
        }
        if let Some(said) = section.short_text("origin", ORIGIN_CHARS_MAX) {
            ledger.origin = said.value.to_owned();
            if !is_origin(said.value) {
                let message = text!(
                    "an origin has no spaces, no + and only printable ASCII",
                    "origin 只能是可打印的 ASCII 字符，且不含空格和 +"
                );
                section.add(
                    Fault::error("bad-value", said.at, message).hint(text!(
                        "write it like a URL without its scheme, such as \"lineside/zs-polymer/gw-01\"; leave it as it is once checkpoints bear it",
                        "写成不带协议的 URL 形式，例如 \"lineside/zs-polymer/gw-01\"；一旦签名存证点用上就不要再改"
                    )),
                );
            }
        }
        ledger.witnesses = witnesses(section);
        section.finish();
    }
    let (Some((state_dir, _)), Some(key_at)) = (state_dir, key_at) else {
        return ledger;
    };
    if real(&ledger.key).starts_with(real(state_dir)) {
        let (key, state) = (ledger.key.display(), state_dir.display());
        let message = text!(
            "the ledger's key {key} lies in the state directory {state}",
            "台账密钥 {key} 位于状态目录 {state} 中"
        );
        root.add(Fault::error("key-in-state-dir", key_at, message).hint(text!(
            "a copy or a backup of the state directory would carry the key, and one that is put back could sign a second history; use a folder outside it",
            "状态目录的副本或备份会带走密钥，恢复旧备份还可能签出另一份历史；请放在其外的目录"
        )));
    }
    ledger
}

fn witnesses(section: &Section<'_>) -> Witnesses {
    let named = section.texts("witnesses").unwrap_or_default();
    if let Some(said) = named.get(WITNESSES_MAX) {
        let message = text!(
            "more than {WITNESSES_MAX} witnesses",
            "见证方超过 {WITNESSES_MAX} 个"
        );
        section.add(Fault::error("too-many", said.at, message).hint(text!(
            "name the city's own archives, which are two or three",
            "只写城市存证库的见证方，通常为两三个"
        )));
    }
    let mut keys: Vec<VerifierKey> = Vec::new();
    for said in named.iter().take(WITNESSES_MAX) {
        let Some(key) = witness(section, *said) else {
            continue;
        };
        let is_known = keys.iter().any(|known| known.key() == key.key());
        if is_known {
            let name = key.name();
            let message = text!(
                "the witness {name} is named twice: it would count as two",
                "见证方 {name} 重复：会被算作两个"
            );
            section.add(Fault::error("bad-witness", said.at, message).hint(text!(
                "leave one of them; each witness has a key of its own",
                "请只保留一个；每个见证方各有自己的密钥"
            )));
            continue;
        }
        keys.push(key);
    }
    let count = named.len().min(WITNESSES_MAX);
    let quorum = quorum(section, count);
    Witnesses { keys, quorum }
}

fn witness(section: &Section<'_>, said: Said<'_, &str>) -> Option<VerifierKey> {
    let wanted = || {
        text!(
            "write what `lineside archive witness-key` prints at the city: name+hash+key",
            "填写城市端 `lineside archive witness-key` 输出的内容：名称+散列+密钥"
        )
    };
    let refuse = |message: Text, hint: Text| {
        section.add(Fault::error("bad-witness", said.at, message).hint(hint));
        None
    };
    let key = match said.value.parse::<VerifierKey>() {
        Ok(key) => key,
        Err(NoteError::KeyHash(name)) => {
            let message = text!(
                "the hash in the key of {name} does not fit its name and key: a letter is wrong",
                "{name} 的密钥中的散列与名称和密钥不符：有字符写错"
            );
            return refuse(message, wanted());
        }
        Err(error) => {
            let message = text!(
                "this is no witness's key: {error}",
                "这不是见证方公钥：{error}"
            );
            return refuse(message, wanted());
        }
    };
    if key.kind() == KeyKind::Cosignature {
        return Some(key);
    }
    let name = key.name();
    let message = text!(
        "the key of {name} signs logs; a witness has one for cosignatures",
        "{name} 的密钥用于签名日志；见证方使用会签密钥"
    );
    refuse(message, wanted())
}

fn quorum(section: &Section<'_>, count: usize) -> usize {
    let Some(entry) = section.entry("quorum") else {
        return 1;
    };
    if count == 0 {
        let message = text!("a quorum of no witnesses", "没有见证方，quorum 无意义");
        section.add(
            Fault::error("out-of-range", &entry.node.at, message).hint(text!(
                "name the witnesses in `witnesses`, or leave `quorum` out",
                "请在 `witnesses` 中写明见证方，或删去 `quorum`"
            )),
        );
        return 1;
    }
    let most = i64::try_from(count).unwrap_or(i64::MAX);
    let said = section.integer::<usize>("quorum", 1..=most);
    said.map_or(1, |said| said.value)
}

fn is_origin(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'+')
}

/// The path without links, as far as it exists, and without `..`.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let exists = path.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some((real, path.strip_prefix(above).ok()?))
    });
    let Some((mut real, rest)) = exists else {
        return path;
    };
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(real.pop()),
            Component::Normal(name) => real.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    real
}
