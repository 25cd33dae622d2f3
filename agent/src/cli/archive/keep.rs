//! `lineside archive --broker URL --dir D`: keeps the copy.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lineside_proto::Topics;
use lineside_proto::ledger::note::VerifierKey;
use rustix::fs::statfs;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::witness_key::witness_failure;
use crate::archive::desk::DeskError;
use crate::archive::members::JoinError;
use crate::archive::run::{self, ArchiveError, Settings};
use crate::archive::witness::{ForeignLogs, ListError, Target, Witness};
use crate::cli::usage::sources;
use crate::cli::{Context, Failure, Outcome, runtime};
use crate::config::model::Log;
use crate::logs::{self, chain};
use crate::text;

/// Arguments of `lineside archive` itself.
#[derive(clap::Args, Clone, Debug)]
#[group(id = "keep")]
pub(super) struct Args {
    /// The city's broker, mqtt://HOST:PORT
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// The archive's directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Folder with a card for each gateway, as `lineside keys show --json` prints it; else `gateways` in the directory
    #[arg(long, value_name = "DIR")]
    gateways: Option<PathBuf>,
    /// Cosign what is verified, with the key of `lineside archive witness-key`
    #[arg(long, value_name = "FILE")]
    witness_key: Option<PathBuf>,
    /// Seconds from one cosignature of a gateway to the next at least: a trial can't wait for a minute
    #[arg(long, value_name = "S", default_value_t = 60, hide = true)]
    cosign_every: u32,
    /// Share the directory with other processes that are given the same name
    #[arg(long, value_name = "GROUP")]
    share: Option<String>,
    /// User name at the broker
    #[arg(long)]
    user: Option<String>,
    /// File with the password of the broker's user
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Topic prefix
    #[arg(long, default_value = Topics::PREFIX)]
    prefix: String,
    /// Where the API listens, such as 127.0.0.1:8610; nowhere unless it is told
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Keep the index in PostgreSQL instead of the directory's own
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// File with other people's logs that the witness cosigns when they are shown to it: a verifier key a line
    #[arg(long, value_name = "FILE", requires = "witness_key")]
    witness_logs: Option<PathBuf>,
    /// File with other people's witnesses that our logs are shown to: an address and a verifier key a line
    #[arg(long, value_name = "FILE")]
    submit: Option<PathBuf>,
    /// How the log is written: human or json to standard error, or journald
    #[arg(long, value_enum, default_value_t = Form::Human, hide_possible_values = true)]
    log: Form,
}

/// The forms of the log.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Human,
    Json,
    Journald,
}

/// Keeps an archive until SIGTERM or SIGINT.
///
/// # Errors
///
/// See [`Failure`].
pub(super) fn run(args: &Args, _context: &Context) -> Result<Outcome, Failure> {
    let (Some(broker), Some(dir)) = (&args.broker, &args.dir) else {
        return Err(Failure::Usage(text!(
            "an archive needs --broker URL and --dir DIR, or one of its commands: `lineside archive --help`",
            "存证库需要 --broker URL 和 --dir 目录，或其子命令：`lineside archive --help`"
        )));
    };
    fits(args, dir)?;
    let peer = sources::broker(broker, args.user.as_deref(), args.password_file.as_ref())?;
    let witness = args.witness_key.as_deref().map(Witness::open).transpose();
    let witness = witness.map_err(|error| witness_failure(&error))?;
    let listed = |error: ListError| {
        let why = chain(&error);
        Failure::Usage(text!("{why}", "列表文件有误：{why}"))
    };
    let foreign_logs = args.witness_logs.as_deref().map(ForeignLogs::load);
    let foreign_logs = foreign_logs.transpose().map_err(listed)?;
    let submit = args.submit.as_deref().map(Target::load);
    let submit = submit.transpose().map_err(listed)?;
    let submit = submit.unwrap_or_default();
    let own = witness.as_ref().map(Witness::key);
    apart(own.into_iter().chain(submit.iter().map(Target::key)))?;
    let form = match args.log {
        Form::Human => Log::Human,
        Form::Json => Log::Json,
        Form::Journald => Log::Journald,
    };
    logs::start(form)?;
    let settings = Settings {
        broker: peer,
        prefix: args.prefix.clone(),
        cards: args
            .gateways
            .clone()
            .unwrap_or_else(|| dir.join("gateways")),
        dir: dir.clone(),
        witness,
        cosign_every: Duration::from_secs(args.cosign_every.into()),
        share: args.share.clone(),
        listen: args.listen,
        postgres: args.postgres.clone(),
        foreign_logs: foreign_logs.unwrap_or_default(),
        submit,
    };
    runtime()?.block_on(async {
        let cancel = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = cancel.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.cancel();
        });
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "the archive runs");
        run::run(settings, cancel).await.map_err(failure)?;
        tracing::info!("stopped");
        Ok(Outcome::Done)
    })
}

/// Whether a directory, or where it would be made, lies on a file system that other machines write, too.
fn is_remote(dir: &Path) -> bool {
    let mut there = dir.ancestors().filter(|path| path.is_dir());
    let there = there.next().unwrap_or(Path::new("."));
    let kind = statfs(there).map(|about| i128::from(about.f_type));
    kind.is_ok_and(is_of_network)
}

/// Whether the kernel's number of a file system is that of one over a network.
fn is_of_network(kind: i128) -> bool {
    // NFS, SMB, CIFS, SMB2, Ceph, AFS, 9P, OCFS2, GFS2.
    let network = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x00c3_6400,
        0x5346_414f,
        0x0102_1997,
        0x7461_636f,
        0x0116_1970,
    ];
    // Where the number has 32 bits, the highest is its sign.
    network.contains(&(kind & 0xffff_ffff))
}

/// For a person. Only what may be otherwise the next time ends with another code than 3, after which the service is
/// not started again.
fn failure(error: ArchiveError) -> Failure {
    let why = chain(&error);
    match error {
        ArchiveError::Listen { address, source } => {
            let why = source.to_string();
            Failure::Correct(text!(
                "{address} can't be listened on: {why}; --listen takes an address of this machine that is free",
                "无法监听 {address}：{why}；--listen 须为本机上未被占用的地址"
            ))
        }
        ArchiveError::Join(JoinError::Held(_) | JoinError::Full(_)) => Failure::Correct(text!(
            "{why}",
            "已有其他程序使用此目录：请让它们使用相同名称的 --share，或改用另一个 --dir（{why}）"
        )),
        ArchiveError::Join(JoinError::Differs { .. }) => Failure::Correct(text!(
            "{why}",
            "已有其他程序使用此目录，且 --share 或 --witness-key 不同：请让它们使用相同的值，或改用另一个 --dir（{why}）"
        )),
        ArchiveError::Index(error) => super::index::failure(error),
        ArchiveError::Join(JoinError::Disk { path, source })
        | ArchiveError::Desk(DeskError { path, source })
        | ArchiveError::Disk { path, source } => unusable(&path, &source),
        ArchiveError::Ended | ArchiveError::Stalled => {
            Failure::Store(text!("{why}", "存证程序意外结束：原因见日志"))
        }
    }
}

/// What the directory's file system said at the start. A path or rights that are wrong stay so until a person corrects them;
/// whatever else a disk says may be otherwise the next time.
fn unusable(path: &Path, error: &io::Error) -> Failure {
    let (path, why) = (path.display(), error.to_string());
    let is_lasting = matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::NotFound
    );
    if is_lasting {
        return Failure::Correct(text!(
            "the archive's directory can't be used: {path}: {why}; --dir takes a folder that is there or can be made, and all in it must belong to the archive's account and be writable for it: `chown -R ACCOUNT DIR`",
            "无法使用存证库目录：{path}（系统报告：{why}）；--dir 须为已有或可新建的文件夹，其中所有内容须属于存证库账户且可写：`chown -R 账户 目录`"
        ));
    }
    Failure::Store(text!("{path}: {why}", "磁盘拒绝写入或读取：{path}：{why}"))
}

/// Whether all witnesses have topics of their own: these are named by the hashes of their keys, four bytes each, and one who
/// looks for it long enough finds a name with the hash of another's.
fn apart<'a>(keys: impl Iterator<Item = &'a VerifierKey>) -> Result<(), Failure> {
    let mut known: BTreeMap<[u8; 4], &str> = BTreeMap::new();
    for key in keys {
        if let Some(other) = known.insert(key.hash(), key.name()) {
            let name = key.name();
            return Err(Failure::Correct(text!(
                "the witnesses {other} and {name} have keys of one hash, so that one would publish in the other's place: leave one of them out",
                "见证方 {other} 与 {name} 的密钥哈希相同，其中一个会覆盖另一个发布的内容：请去掉其中一个"
            )));
        }
    }
    Ok(())
}

/// Whether the arguments can be meant together.
fn fits(args: &Args, dir: &Path) -> Result<(), Failure> {
    let is_plain = |group: &String| !group.is_empty() && !group.contains(['/', '+', '#']);
    if args.share.as_ref().is_some_and(|group| !is_plain(group)) {
        return Err(Failure::Usage(text!(
            "--share is a name without / + #",
            "--share 的名称不能含 / + #"
        )));
    }
    if args.share.is_some() && args.postgres.is_none() && is_remote(dir) {
        let dir = dir.display();
        return Err(Failure::Correct(text!(
            "{dir} lies on a network file system, where the index of several processes can't: give --postgres, or leave --share out",
            "{dir} 位于网络文件系统上，多个进程不能在其中共用索引：请指定 --postgres，或去掉 --share"
        )));
    }
    sources::prefix(&args.prefix)
}

#[cfg(test)]
mod tests {
    use super::{
        ArchiveError, DeskError, ForeignLogs, JoinError, Settings, apart, failure, is_of_network,
        is_remote, run, sources,
    };
    use crate::archive::index::IndexError;
    use crate::archive::witness::{Witness, WitnessError};
    use crate::cli::Failure;
    use crate::cli::archive::witness_key::witness_failure;
    use crate::ledger::KeyError;
    use crate::text;
    use lineside_proto::ledger::note::{KeyKind, SignerKey};
    use std::fs;
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    fn check(failure: &Failure, code: u8) {
        let found = match failure {
            Failure::Correct(_) => 3,
            Failure::Store(_) => 4,
            Failure::Unreachable(_) => 5,
            Failure::Usage(_)
            | Failure::Configuration(_)
            | Failure::Negative(_)
            | Failure::Other(_) => 0,
        };
        assert_eq!(found, code, "{failure:?}");
    }

    #[test]
    fn two_witnesses_of_one_hash_are_refused() {
        let key = |name: &str| {
            let key = SignerKey::new(name, KeyKind::Cosignature, &[7; 32]).unwrap();
            key.public().clone()
        };
        let (one, other) = (key("one.example"), key("other.example"));
        assert!(apart([&one, &other].into_iter()).is_ok());
        check(&apart([&one, &other, &one].into_iter()).unwrap_err(), 3);
    }

    #[test]
    fn an_index_of_several_processes_is_for_one_machine() {
        for (kind, expected) in [
            (0x6969, true),
            (0xff53_4d42, true),
            (-0x00ac_b2be, true),
            (0xef53, false),
            (0x0102_1994, false),
            (0x9123_683e, false),
        ] {
            assert_eq!(is_of_network(kind), expected, "{kind:x}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(is_remote(&dir.path().join("a/b")), is_remote(dir.path()));
    }

    /// Whoever mistyped the path is not sent to the rights of a folder first.
    #[test]
    fn a_key_that_is_not_there_is_missed_before_anything_else() {
        let dir = tempfile::tempdir().unwrap();
        let rights = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path(), rights).unwrap();
        let key = dir.path().join("nokey");
        let failure = witness_failure(&Witness::open(&key).unwrap_err());
        let Failure::Correct(text) = failure else {
            panic!("{failure:?}");
        };
        assert!(text.en.contains("there is no key"), "{text}");
        assert!(text.zh.contains("没有密钥"), "{}", text.zh);
        let key = key.display();
        let makes = format!("`lineside archive witness-key {key} --name NAME`");
        for text in [text.en, text.zh] {
            assert!(text.contains(&makes), "{text}");
        }
    }

    /// A service that is started again for ever finds the same place each time.
    #[tokio::test]
    async fn a_directory_that_can_t_be_one_is_for_a_person_to_correct() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        for (place, dir) in [(&path, path.clone()), (&path, path.join("below"))] {
            let settings = Settings {
                broker: sources::broker("mqtt://127.0.0.1:1", None, None).unwrap(),
                prefix: "p".to_owned(),
                cards: dir.join("gateways"),
                dir,
                witness: None,
                cosign_every: Duration::from_secs(60),
                share: None,
                listen: None,
                postgres: None,
                foreign_logs: ForeignLogs::default(),
                submit: Vec::new(),
            };
            let error = run::run(settings, CancellationToken::new()).await;
            let failure = failure(error.unwrap_err());
            check(&failure, 3);
            let Failure::Correct(text) = failure else {
                panic!("{failure:?}");
            };
            for text in [text.en, text.zh] {
                let place = place.display().to_string();
                assert!(text.contains(&place) && text.contains("--dir"), "{text}");
            }
        }
    }

    #[test]
    fn only_what_a_person_must_correct_ends_the_service_for_good() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let taken = ArchiveError::Listen {
            address: "127.0.0.1:1".parse().unwrap(),
            source: io::Error::from(io::ErrorKind::AddrInUse),
        };
        let disk = ArchiveError::Disk {
            path: "x".into(),
            source: full(),
        };
        let joined = JoinError::Disk {
            path: "x".into(),
            source: full(),
        };
        let differs = JoinError::Differs {
            dir: "x".into(),
            what: "--share",
            mine: "city".to_owned(),
            theirs: "other".to_owned(),
        };
        for (error, code) in [
            (taken, 3),
            (JoinError::Held("x".into()).into(), 3),
            (differs.into(), 3),
            (IndexError::Address(text!("a", "b")).into(), 3),
            (IndexError::Foreign("x".to_owned()).into(), 3),
            (IndexError::Away("x".to_owned()).into(), 5),
            (disk, 4),
            (joined.into(), 4),
        ] {
            check(&failure(error), code);
        }
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let desk = |source| {
            ArchiveError::Desk(DeskError {
                path: "x".into(),
                source,
            })
        };
        check(&failure(desk(denied())), 3);
        check(&failure(desk(full())), 4);
        let key = |error: KeyError| witness_failure(&WitnessError::Key(error));
        let path = || "x".into();
        check(&key(KeyError::Missing(path())), 3);
        check(&key(KeyError::Open { path: path() }), 3);
        check(&key(KeyError::OpenDirectory { dir: path() }), 3);
        check(&key(KeyError::Form(path())), 3);
        check(&witness_failure(&WitnessError::Unnamed(path())), 3);
        check(&witness_failure(&WitnessError::Forgotten(path())), 3);
        let (path, source) = (path(), full());
        check(&key(KeyError::Disk { path, source }), 4);
    }
}
