//! `lineside usage receipt`: one session on one page, with its proof, for the renter and the invoice.

use lineside_proto::Identifier;
use lineside_proto::evidence::{
    self, Bundle, Entry, PART_LEAVES, SessionProofs, SessionTotals, Status, Totals, Trust, Verdict,
    Verification,
};
use lineside_proto::ledger::Hash;
use lineside_proto::ledger::proof::LeafProof;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::{Context, Failure, Outcome, write_json};
use crate::logs::chain;
use crate::report::receipt::{RECEIPT_KIND, Receipt, code};
use crate::text;
use crate::text::Language;

/// Sessions that are named where a prefix means several.
const NAMED_MAX: usize = 5;
/// Bytes of a trust file at most, and one more to see that it is longer.
const TRUST_BYTES_READ: u64 = evidence::TRUST_BYTES_MAX as u64 + 1;

/// Arguments of `lineside usage receipt`.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "Example:
  lineside usage receipt 01KBQ4S8 january.zip --trust trust.toml
  lineside usage receipt 01KBQ4S8 january.zip --trust trust.toml --format tlog-proof -o session.tlog-proof")]
pub(super) struct Args {
    /// The session, or the beginning of its name as far as no other session begins so
    session: String,
    /// The evidence bundle that it is in
    bundle: PathBuf,
    /// The keys, witnesses and maps that are trusted
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Where to write it; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// `html`: a page; `tlog-proof`: the proof alone, as other verifiers read it
    #[arg(long, value_enum, hide_possible_values = true, default_value = "html")]
    format: Format,
    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// What a receipt is written as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Format {
    // A page that prints on A4.
    Html,
    // C2SP tlog-proof.
    TlogProof,
}

/// Runs the command. The bundle is verified first; what does not verify gives no receipt.
///
/// # Errors
///
/// A file that can't be read or written, a bundle that fails, a session that is not in it or not the only one.
pub(super) fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let language = context.language;
    let receipt = receipt(args, language)?;
    let text = if args.json {
        let mut line = Vec::new();
        write_json(&mut line, &receipt)?;
        line
    } else {
        match args.format {
            Format::Html => receipt.page(language).into_bytes(),
            Format::TlogProof => receipt.proof().to_string().into_bytes(),
        }
    };
    write(args, &receipt, &text, language)?;
    if receipt.verdict == Verdict::Verified {
        return Ok(Outcome::Done);
    }
    let doubt = text!(
        "nobody trusted signed this bundle: the receipt is marked. Name the gateway's key by --trust",
        "存证包的签名者未知：凭证已加标记。请用 --trust 指明网关公钥"
    );
    writeln!(io::stderr(), "{}", doubt.say(language))?;
    Ok(Outcome::Negative)
}

/// Writes it where it is wanted: a page into a file unless it is said otherwise, the rest to standard output.
fn write(args: &Args, receipt: &Receipt, text: &[u8], language: Language) -> Result<(), Failure> {
    let is_page = !args.json && args.format == Format::Html;
    let named = || {
        is_page.then(|| {
            PathBuf::from(format!(
                "receipt-{}.html",
                file_name(&receipt.session.session)
            ))
        })
    };
    let path = args
        .output
        .clone()
        .or_else(named)
        .filter(|path| path.as_os_str() != "-");
    let Some(path) = path else {
        return Ok(io::stdout().lock().write_all(text)?);
    };
    fs::write(&path, text).map_err(|error| at(&path, &error))?;
    let path = path.display();
    let done = text!("wrote {path}", "已写入 {path}");
    Ok(writeln!(io::stderr(), "{}", done.say(language))?)
}

/// A session's name as a file's: names come from the bundle, whoever wrote that.
fn file_name(session: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let name = session.chars().take(64);
    name.map(|letter| if plain(letter) { letter } else { '_' })
        .collect()
}

fn receipt(args: &Args, language: Language) -> Result<Receipt, Failure> {
    let trust = args.trust.as_deref().map(trust).transpose()?;
    let file = File::open(&args.bundle).map_err(|error| at(&args.bundle, &error))?;
    let verification = evidence::verify(&file, trust.as_ref(), language);
    let totals = match &verification {
        Verification {
            verdict: Verdict::Failed,
            ..
        }
        | Verification { totals: None, .. } => {
            return Err(failed(&args.bundle, &verification));
        }
        Verification {
            totals: Some(totals),
            ..
        } => totals,
    };
    let (machine, session) = find(totals, &args.session)?;
    let mut bundle = Bundle::open(&file).map_err(|error| changed(&args.bundle, &chain(&error)))?;
    let proof = proof(&mut bundle, session).map_err(|why| changed(&args.bundle, &why))?;
    let leaf = proof.extra.as_deref().unwrap_or_default();
    let leaf_hash = Hash::of_leaf(leaf);
    // The verifier has done the same with the same bytes; a file that was exchanged in between does not come through.
    let head = proof
        .check(leaf_hash)
        .map_err(|error| changed(&args.bundle, &chain(&error)))?;
    if (head.size, head.root.to_string()) != (totals.size, totals.root.clone()) {
        return Err(changed(&args.bundle, "checkpoint/end"));
    }
    let begins_inside = session.from.is_some_and(|from| from >= totals.from);
    let ends_inside = session.close.is_some() && session.to.is_some_and(|to| to <= totals.to);
    Ok(Receipt {
        v: 1,
        kind: RECEIPT_KIND.to_owned(),
        by: format!("lineside {}", env!("CARGO_PKG_VERSION")),
        verdict: verification.verdict,
        cosigned: verification.cosigned,
        site: totals.site.clone(),
        gateway: totals.gateway.clone(),
        machine: machine.clone(),
        from: totals.from,
        to: totals.to,
        is_partial: !(begins_inside && ends_inside),
        session: session.clone(),
        index: proof.index,
        leaf: String::from_utf8_lossy(leaf).into_owned(),
        leaf_hash: leaf_hash.to_string(),
        hashes: proof.hashes.iter().map(Hash::to_string).collect(),
        size: head.size,
        root: head.root.to_string(),
        code: code(proof.index, leaf_hash, &head.origin, head.size, head.root),
        origin: head.origin,
        checkpoint: proof.checkpoint,
    })
}

/// The session of this name, or of the only name that begins so.
fn find<'a>(
    totals: &'a Totals,
    wanted: &str,
) -> Result<(&'a Identifier, &'a SessionTotals), Failure> {
    let all = totals.machines.iter().flat_map(|machine| {
        machine
            .sessions
            .iter()
            .map(|session| (&machine.machine, session))
    });
    let found: Vec<_> = all
        .filter(|(_, session)| session.session.starts_with(wanted))
        .collect();
    let exact = found.iter().find(|(_, session)| session.session == wanted);
    match (exact, found.as_slice()) {
        (Some(found), _) | (None, [found]) => Ok(*found),
        (None, []) => Err(Failure::Negative(text!(
            "no session in this bundle begins with `{wanted}`; `lineside usage report BUNDLE --format json` names them all",
            "存证包中没有以 `{wanted}` 开头的上机记录；`lineside usage report BUNDLE --format json` 会列出全部"
        ))),
        (None, several) => {
            let names: Vec<String> = several
                .iter()
                .take(NAMED_MAX)
                .map(|(_, session)| file_name(&session.session))
                .collect();
            let (names, count) = (names.join(", "), several.len());
            Err(Failure::Usage(text!(
                "{count} sessions begin with `{wanted}`: {names}; give more of the name",
                "有 {count} 条上机记录以 `{wanted}` 开头：{names}；请给出更长的名称"
            )))
        }
    }
}

/// The proof of a session's leaf, the leaf in it, or what of the bundle is not as it should be.
fn proof(bundle: &mut Bundle<&File>, session: &SessionTotals) -> Result<LeafProof, String> {
    let path = Entry::Sessions.to_string();
    let proofs = read(bundle, &path)?;
    let proofs: SessionProofs =
        serde_json::from_slice(&proofs).map_err(|error| format!("{path}: {error}"))?;
    let found = proofs
        .proofs
        .into_iter()
        .find(|proof| proof.session == session.session);
    let found = found.ok_or_else(|| format!("{path}: {}", session.session))?;
    let hashes: Option<Vec<Hash>> = found
        .hashes
        .iter()
        .map(|hash| Hash::from_base64(hash))
        .collect();
    let checkpoint = read(bundle, &Entry::End.to_string())?;
    Ok(LeafProof {
        extra: Some(leaf(bundle, found.index)?),
        index: found.index,
        hashes: hashes.ok_or(path)?,
        checkpoint: String::from_utf8_lossy(&checkpoint).into_owned(),
    })
}

/// A leaf's exact bytes.
fn leaf(bundle: &mut Bundle<&File>, index: u64) -> Result<Vec<u8>, String> {
    let part = bundle.manifest().first.max(index - index % PART_LEAVES);
    let path = Entry::Leaves(part).to_string();
    let leaves = read(bundle, &path)?;
    let place = usize::try_from(index.saturating_sub(part)).unwrap_or(usize::MAX);
    let leaf = leaves.split(|&byte| byte == b'\n').nth(place);
    leaf.map(<[u8]>::to_vec)
        .ok_or_else(|| format!("{path}: {index}"))
}

fn read(bundle: &mut Bundle<&File>, path: &str) -> Result<Vec<u8>, String> {
    bundle.read(path).map_err(|error| chain(&error))
}

fn trust(path: &Path) -> Result<Trust, Failure> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| at(path, &error))?;
    let mut file = io::Read::take(file, TRUST_BYTES_READ);
    io::Read::read_to_string(&mut file, &mut text).map_err(|error| at(path, &error))?;
    Trust::parse(&text).map_err(|error| {
        let (path, said) = (path.display(), chain(&error));
        Failure::Usage(text!("{path}: {said}", "{path}：{said}"))
    })
}

fn at(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::Other(anyhow::anyhow!("{path}: {error}"))
}

/// A bundle that verifies no longer when it is read again.
fn changed(path: &Path, why: &str) -> Failure {
    let path = path.display();
    Failure::Negative(text!(
        "{path} is not what was verified: {why}",
        "{path} 与已核验的内容不符：{why}"
    ))
}

/// What the verifier found wrong, the first of it.
fn failed(path: &Path, verification: &Verification) -> Failure {
    let failed = verification
        .checks
        .iter()
        .filter(|check| check.status == Status::Failed);
    let said = failed.flat_map(|check| &check.said).next();
    let (path, said) = (path.display(), said.map_or("", String::as_str));
    Failure::Negative(text!(
        "{path} does not verify, and gives no receipt: {said}\n`lineside usage verify` says all of it",
        "{path} 未通过核验，不能出具凭证：{said}\n`lineside usage verify` 可查看全部"
    ))
}

#[cfg(test)]
mod tests;
