//! What `lineside status` says of the city's witnesses.

use std::time::Duration;

use lineside_proto::Time;

use crate::live::{LedgerFigures, WitnessFigures};
use crate::text;
use crate::text::Text;

/// What a witness has cosigned, that it has fallen silent, and that it contradicts the ledger.
pub(super) fn witnessed(
    witness: &WitnessFigures,
    ledger: &LedgerFigures,
    is_connected: bool,
    now: Time,
) -> Text {
    let WitnessFigures {
        name,
        size,
        at,
        owed_since,
        silent,
        contradicts,
        ..
    } = witness;
    let mut said = match at {
        Some(at) => text!(
            "witness {name}: {size} leaves, last at {at}",
            "见证方 {name}：{size} 条，最近一次 {at}"
        ),
        None => text!(
            "witness {name}: has cosigned nothing yet",
            "见证方 {name}：尚未会签"
        ),
    };
    if let (true, Some(since)) = (silent, owed_since) {
        let seconds = now.as_millis().saturating_sub(since.as_millis()) / 1000;
        let minutes = u64::try_from(seconds).unwrap_or(0) / 60;
        let long = humantime::format_duration(Duration::from_secs(minutes * 60));
        let why = unwitnessed(ledger, is_connected);
        said.en += &format!(
            "\n    NOT COSIGNED FOR {long}: {}; nothing is lost, all of it stays here",
            why.en
        );
        said.zh += &format!(
            "\n    已有 {long} 未获会签：{}；数据不会丢失，全部保留在本机",
            why.zh
        );
    }
    if let Some(head) = contradicts {
        said.en += &format!(
            "\n    CONTRADICTS THIS LEDGER: it has cosigned {head}, which this ledger never was"
        );
        said.zh += &format!("\n    与本台账矛盾：它会签了并非本台账的内容（{head}）");
        // Where the ledger stands still, enough of them may say so, and what to do is said below.
        if ledger.suspended.is_none() {
            said.en += "; ask who runs that witness. Too few witnesses say so to stop anything";
            said.zh += "；请询问该见证方的运行者。持此说法的见证方不足，不影响签名和发布";
        }
    }
    said
}

/// Why a witness may have cosigned nothing for long: what is wrong here goes before what may be wrong there.
fn unwitnessed(ledger: &LedgerFigures, is_connected: bool) -> Text {
    if ledger.suspended.is_some() {
        text!(
            "this ledger is not published, as is said below",
            "本台账已停止发布，原因见下"
        )
    } else if !is_connected {
        text!(
            "there is no connection to the broker, see its line above",
            "与消息服务器没有连接，见上方“服务器”一行"
        )
    } else if ledger.acknowledged < ledger.signed {
        // No checkpoint is sent before all of its leaves are.
        text!(
            "what was signed was not all sent yet, see the broker's line above",
            "已签名的内容尚未全部发出，见上方“服务器”一行"
        )
    } else {
        text!(
            "ask the city whether its archive runs",
            "请询问城市平台的存证库是否运行"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_figures;
    use super::witnessed;
    use crate::live::{LedgerFigures, WitnessFigures};
    use lineside_proto::Time;

    fn now() -> Time {
        Time::from_millis(1_795_420_800_000)
    }

    fn ledger() -> LedgerFigures {
        LedgerFigures {
            origin: "lineside/s/g".to_owned(),
            size: 12,
            signed: 12,
            acknowledged: 12,
            ..LedgerFigures::default()
        }
    }

    fn witness() -> WitnessFigures {
        WitnessFigures {
            name: "archive.example".to_owned(),
            ..WitnessFigures::default()
        }
    }

    #[test]
    fn a_witness_that_fell_silent_is_named() {
        let (mut ledger, mut witness) = (ledger(), witness());
        let plain = in_figures(&ledger);
        assert!(plain.en.ends_with("12 acknowledged"), "{plain}");
        ledger.cosigned = Some(9);
        ledger.quorum = 1;
        ledger.witnesses = vec![witness.clone(); 2];
        let said = in_figures(&ledger);
        assert!(said.en.ends_with(", 9 cosigned (1 of 2 wanted)"), "{said}");
        assert!(
            said.zh.ends_with("，已会签 9 条（2 个见证方，至少 1 个）"),
            "{}",
            said.zh
        );
        let said = witnessed(&witness, &ledger, true, now());
        assert_eq!(said.en, "witness archive.example: has cosigned nothing yet");
        (witness.size, witness.at) = (9, Some(now().plus_millis(-7_300_000)));
        let said = witnessed(&witness, &ledger, true, now());
        assert_eq!(
            said.zh,
            "见证方 archive.example：9 条，最近一次 2026-11-23T05:58:20.000Z"
        );
        witness.owed_since = Some(now().plus_millis(-7_290_000));
        let said = witnessed(&witness, &ledger, true, now());
        assert!(!said.en.contains("NOT"), "{said}");
        witness.silent = true;
        let said = witnessed(&witness, &ledger, true, now());
        let asked = "NOT COSIGNED FOR 2h 1m: ask the city";
        assert!(said.en.contains(asked), "{said}");
        assert!(
            said.zh.contains("已有 2h 1m 未获会签：请询问"),
            "{}",
            said.zh
        );
    }

    /// Nobody is sent to the city for what is wrong here.
    #[test]
    fn what_is_wrong_here_is_not_asked_of_the_city() {
        let witness = WitnessFigures {
            size: 9,
            owed_since: Some(now().plus_millis(-7_290_000)),
            silent: true,
            ..witness()
        };
        let sent = ledger();
        let behind = |acknowledged: u64| LedgerFigures {
            acknowledged,
            ..ledger()
        };
        let suspended = LedgerFigures {
            suspended: Some("why".to_owned()),
            ..behind(9)
        };
        for (of, is_connected, en, zh) in [
            (&behind(9), true, "not all sent yet", "尚未全部发出"),
            (&behind(11), true, "not all sent yet", "尚未全部发出"),
            (&sent, false, "no connection to the broker", "没有连接"),
            (&behind(9), false, "no connection to the broker", "没有连接"),
            (
                &suspended,
                true,
                "not published, as is said below",
                "已停止发布",
            ),
            (
                &suspended,
                false,
                "not published, as is said below",
                "已停止发布",
            ),
        ] {
            let said = witnessed(&witness, of, is_connected, now());
            assert!(said.en.contains("NOT COSIGNED FOR 2h 1m: "), "{said}");
            assert!(said.en.contains(en), "{said}");
            assert!(said.zh.contains(zh), "{}", said.zh);
            assert!(!said.en.contains("ask the city"), "{said}");
            assert!(!said.zh.contains("请询问"), "{}", said.zh);
        }
    }

    #[test]
    fn whether_what_a_witness_contradicts_stops_the_ledger_is_said_as_it_is() {
        let witness = WitnessFigures {
            contradicts: Some("7 leaves of x".to_owned()),
            ..witness()
        };
        let told = "CONTRADICTS THIS LEDGER: it has cosigned 7 leaves of x,";
        let mut ledger = ledger();
        let alone = witnessed(&witness, &ledger, true, now());
        assert!(alone.en.contains(told), "{alone}");
        assert!(alone.en.ends_with("to stop anything"), "{alone}");
        assert!(alone.zh.ends_with("不影响签名和发布"), "{}", alone.zh);
        ledger.suspended = Some("a quorum says so".to_owned());
        let enough = witnessed(&witness, &ledger, true, now());
        assert!(enough.en.contains(told), "{enough}");
        assert!(!enough.en.contains("Too few"), "{enough}");
        assert!(enough.zh.contains("与本台账矛盾"), "{}", enough.zh);
        assert!(!enough.zh.contains("不足"), "{}", enough.zh);
    }
}
