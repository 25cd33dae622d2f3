//! Who waits for what is read: nobody is read for any longer.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::super::model::Select;
use super::super::sql::Sql;
use super::super::{Index, IndexError, Wanted};
use super::embedded;
use super::laid::Laid;

/// Longer than any test.
const EVER: Duration = Duration::from_secs(3_600);

/// Less than an answer may take, whoever waits for it.
const SOON: Duration = Duration::from_secs(15);

const ENDLESS: &str =
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n";

/// Reading that would go on for ever ends soon after nobody waits for it, or its time is over.
fn check(index: &Index, act: fn(&mut dyn Sql) -> Result<(), IndexError>) {
    for is_gone in [true, false] {
        let until = Instant::now()
            + if is_gone {
                EVER
            } else {
                Duration::from_millis(50)
            };
        let (wanted, waits) = Wanted::until(until);
        let (begun, begins) = sync_channel(1);
        let since = Instant::now();
        let result = thread::scope(|scope| {
            let reading = scope.spawn(|| {
                index.store.read(Some(&wanted), &mut |sql| {
                    begun.send(()).unwrap();
                    act(sql)
                })
            });
            begins.recv().unwrap();
            let _waits = Some(waits).filter(|_| !is_gone);
            reading.join().unwrap()
        });
        assert!(matches!(result, Err(IndexError::Slow)), "{result:?}");
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    }
}

#[test]
fn nobody_is_read_for_any_longer() {
    let laid = Laid::new();
    let index = embedded(&laid);
    check(&index, |sql| sql.ask(ENDLESS, &[]).map(drop));
    check(&index, |sql| {
        loop {
            sql.ask("SELECT 1", &[])?;
        }
    });
}

#[test]
fn an_index_is_asked_only_while_somebody_waits() {
    let laid = Laid::new();
    let index = embedded(&laid);
    let (wanted, waits) = Wanted::until(Instant::now() + EVER);
    let asked = index.wanted(&wanted);
    assert!(asked.machines(&Select::default()).is_ok());
    drop(waits);
    let refused = asked.machines(&Select::default()).map(drop);
    assert!(matches!(refused, Err(IndexError::Slow)), "{refused:?}");
    // Whoever else asks is not concerned.
    assert!(index.machines(&Select::default()).is_ok());
}
