//! `[ledger]`: the signing key's place and the ledger's name.

use std::path::{Component, Path, PathBuf};

use super::super::fault::Fault;
use super::super::files::Files;
use super::super::model::Ledger;
use super::super::section::Section;
use super::super::source::Place;
use crate::text;

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
