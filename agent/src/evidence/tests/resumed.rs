//! A pull that is cut off goes on where it ended.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::PullError;
use super::super::work::Work;
use super::teller::{Teller, Told};
use super::{days, pulled};

#[tokio::test]
async fn cut_at_each_request_in_turn_it_makes_the_very_same_file() {
    let told = Arc::new(Told::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.zip");
    let honest = Teller::honest(&told);
    pulled(&honest, &days(4, 6), &path, false).await.unwrap();
    let whole = fs::read(&path).unwrap();
    let requests = honest.asked.load(Ordering::SeqCst);
    assert!(requests > 20, "{requests}");
    let mut fewest = requests;
    for after in 0..requests {
        let path = dir.path().join(format!("{after}.zip"));
        let cut = pulled(&Teller::cut(&told, after), &days(4, 6), &path, false).await;
        assert!(
            matches!(cut, Err(PullError::Unreachable(_))),
            "{after}: {cut:?}"
        );
        assert!(!path.exists());
        let again = Teller::honest(&told);
        pulled(&again, &days(4, 6), &path, false).await.unwrap();
        assert!(fs::read(&path).unwrap() == whole, "cut after {after}");
        let asked = again.asked.load(Ordering::SeqCst);
        assert!(asked <= requests, "{after}: {asked} of {requests}");
        fewest = fewest.min(asked);
        assert!(!Work::beside(&path).exists());
    }
    assert!(fewest * 2 < requests, "{fewest} of {requests}");
}

#[tokio::test]
async fn what_was_kept_is_checked_again() {
    let told = Arc::new(Told::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    pulled(&Teller::honest(&told), &days(0, 8), &path, false)
        .await
        .unwrap();
    let whole = fs::read(&path).unwrap();
    let part = Work::beside(&path).join("leaves/0000000000.jsonl");
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 10),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| bytes[1000] = b'~',
        |bytes: &mut Vec<u8>| bytes.extend_from_slice(b"junk\njunk"),
        |bytes: &mut Vec<u8>| {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            bytes.drain(..=end);
        },
    ] {
        let cut = pulled(&Teller::cut_behind_leaves(&told), &days(0, 8), &path, true).await;
        assert!(cut.is_err());
        let mut bytes = fs::read(&part).unwrap();
        assert!(bytes.len() > 10_000, "{}", bytes.len());
        damage(&mut bytes);
        fs::write(&part, bytes).unwrap();
        pulled(&Teller::honest(&told), &days(0, 8), &path, false)
            .await
            .unwrap();
        assert!(fs::read(&path).unwrap() == whole);
    }
    // A leaf that is canonical and at its place, but another: the tree tells.
    let cut = pulled(&Teller::cut_behind_leaves(&told), &days(0, 8), &path, true).await;
    assert!(cut.is_err());
    let text = fs::read_to_string(&part).unwrap();
    fs::write(&part, text.replacen("\"good\":", "\"good\":1", 1)).unwrap();
    let made = pulled(&Teller::honest(&told), &days(0, 8), &path, false).await;
    assert!(matches!(made, Err(PullError::Lies(_))), "{made:?}");
    // Begun anew, it is not there any more.
    pulled(&Teller::honest(&told), &days(0, 8), &path, true)
        .await
        .unwrap();
    assert!(fs::read(&path).unwrap() == whole);
}

#[tokio::test]
async fn a_folder_of_another_pull_is_not_mixed_with_this_one() {
    let told = Arc::new(Told::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle.zip");
    assert!(
        pulled(&Teller::cut_behind_leaves(&told), &days(4, 6), &path, false)
            .await
            .is_err()
    );
    let made = pulled(&Teller::honest(&told), &days(4, 7), &path, false).await;
    assert!(matches!(made, Err(PullError::Other(_))), "{made:?}");
    pulled(&Teller::honest(&told), &days(4, 7), &path, true)
        .await
        .unwrap();
    // Two at once would write into each other's parts.
    let held = Work::open(&Work::beside(&path), false).unwrap();
    let made = pulled(&Teller::honest(&told), &days(4, 7), &path, false).await;
    assert!(matches!(made, Err(PullError::Held(_))), "{made:?}");
    drop(held);
}
