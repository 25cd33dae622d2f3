//! Whatever fails while a log is written: no leaf is in the index twice, and none is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::super::embedded::Embedded;
use super::super::sql::{Act, Row, Sql, Store, Table, Value};
use super::super::{FILE, Index, IndexError, Indexer, Wanted, rebuild};
use super::laid::{Laid, place};
use super::{PART_BYTES, embedded, equals, indexed};

/// A store that fails at a statement, counted over all transactions, or right after a transaction was written.
struct Failing {
    inner: Embedded,
    statements: Arc<AtomicI64>,
    commits: Arc<AtomicI64>,
}

fn fault() -> IndexError {
    IndexError::Away("failed on purpose".to_owned())
}

struct Counted<'a> {
    inner: &'a mut dyn Sql,
    left: &'a AtomicI64,
}

impl Counted<'_> {
    fn count(&self) -> Result<(), IndexError> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1 => Err(fault()),
            _ => Ok(()),
        }
    }
}

impl Sql for Counted<'_> {
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, IndexError> {
        self.count()?;
        self.inner.run(sql, values)
    }

    fn insert(
        &mut self,
        table: &Table,
        rows: &[Vec<Value>],
        replaces: bool,
    ) -> Result<(), IndexError> {
        self.count()?;
        self.inner.insert(table, rows, replaces)
    }

    fn find(&mut self, table: &Table, keys: &[Vec<Value>]) -> Result<Vec<Row>, IndexError> {
        self.count()?;
        self.inner.find(table, keys)
    }

    fn ask(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, IndexError> {
        self.count()?;
        self.inner.ask(sql, values)
    }
}

impl Store for Failing {
    fn read(&self, wanted: Option<&Wanted>, act: Act<'_>) -> Result<(), IndexError> {
        self.inner.read(wanted, act)
    }

    fn write(&self, act: Act<'_>) -> Result<(), IndexError> {
        let left = &self.statements;
        self.inner
            .write(&mut |inner| act(&mut Counted { inner, left }))?;
        match self.commits.fetch_sub(1, Ordering::SeqCst) {
            1 => Err(fault()),
            _ => Ok(()),
        }
    }

    fn renew(&self) -> Result<(), IndexError> {
        self.inner.renew()
    }
}

/// Fails once at each of these, and then goes on.
fn check(laid: &Laid, statement: i64, commit: i64) -> bool {
    let path = laid.dir().join(FILE);
    drop(std::fs::remove_file(&path));
    let failing = Failing {
        inner: Embedded::open(&path).unwrap(),
        statements: Arc::new(AtomicI64::new(statement)),
        commits: Arc::new(AtomicI64::new(commit)),
    };
    let index = Arc::new(Index::of(failing));
    let mut indexer = Indexer::new(laid.shelf(), Arc::clone(&index)).in_parts(PART_BYTES);
    let first = indexer.round(&mut || false);
    let has_failed = first.is_err();
    // The next process, which knows nothing of it.
    let after = embedded(laid);
    indexed(laid, &after);
    equals(laid, &after);
    has_failed
}

#[test]
fn a_failure_anywhere_between_two_batches_or_in_one_loses_and_doubles_nothing() {
    let (laid, _) = Laid::year(3);
    let mut failed = 0;
    for statement in (1..12).chain([20, 50, 51, 52, 53, 120, 300, 500]) {
        failed += u32::from(check(&laid, statement, 0));
    }
    for commit in [1, 2, 3, 7, 10] {
        failed += u32::from(check(&laid, 0, commit));
    }
    assert!(failed > 15, "{failed}");
}

#[test]
fn who_writes_beside_another_notices() {
    let (laid, _) = Laid::year(2);
    let (one, other) = (embedded(&laid), embedded(&laid));
    let cursors = other.cursors().unwrap();
    assert!(cursors.is_empty());
    let shelf = laid.shelf();
    let indexers = [one, other].map(|index| {
        let shelf = shelf.clone();
        thread::spawn(move || {
            let mut indexer = Indexer::new(shelf, index).in_parts(PART_BYTES);
            let end = Instant::now() + Duration::from_secs(60);
            // Who comes second finds that the log has moved, and looks anew.
            while let Err(error) = indexer.round(&mut || false) {
                assert!(matches!(error, IndexError::Moved), "{error}");
                assert!(Instant::now() < end);
            }
        })
    });
    for indexer in indexers {
        indexer.join().unwrap();
    }
    equals(&laid, &embedded(&laid));
}

/// A store that another process writes as soon as it is empty.
struct Shared {
    inner: Embedded,
    refill: Box<dyn Fn() + Send + Sync>,
}

impl Store for Shared {
    fn read(&self, wanted: Option<&Wanted>, act: Act<'_>) -> Result<(), IndexError> {
        self.inner.read(wanted, act)
    }

    fn write(&self, act: Act<'_>) -> Result<(), IndexError> {
        self.inner.write(act)
    }

    fn renew(&self) -> Result<(), IndexError> {
        self.inner.renew()?;
        (self.refill)();
        Ok(())
    }
}

#[test]
fn a_rebuild_tells_what_is_in_the_index_whoever_wrote_it() {
    let (laid, year) = Laid::year(2);
    let (other, shelf) = (embedded(&laid), laid.shelf());
    let index = Index::of(Shared {
        inner: Embedded::open(&laid.dir().join(FILE)).unwrap(),
        refill: Box::new(move || {
            let mut indexer = Indexer::new(shelf.clone(), Arc::clone(&other));
            assert!(indexer.round(&mut || false).unwrap().leaves > 0);
        }),
    });
    let round = rebuild(&laid.shelf(), &Arc::new(index)).unwrap();
    assert_eq!(round.leaves, year.leaves);
}

#[test]
fn a_thread_follows_the_logs_until_nobody_wakes_it() {
    let laid = Laid::new();
    let index = embedded(&laid);
    let (wake, wakes) = mpsc::sync_channel(1);
    let indexer = Indexer::new(laid.shelf(), Arc::clone(&index));
    let thread = thread::spawn(move || indexer.run(&wakes));
    let grown = laid.grown(place("gw-a", 1), "a");
    for round in 1..4 {
        grown.grow("boot", round, super::odd::corrections(10));
        laid.publish(&grown);
        wake.try_send(()).unwrap_or_default();
        let end = Instant::now() + Duration::from_secs(30);
        let reached = || index.cursors().unwrap().remove(&grown.place);
        while reached().map_or(0, |cursor| cursor.size) < 10 * round {
            assert!(Instant::now() < end);
            thread::park_timeout(Duration::from_millis(5));
        }
    }
    drop(wake);
    thread.join().unwrap();
    equals(&laid, &index);
}
