//! What people enter by commands: wrong words are refused before anybody is asked, and told in both languages.

use anyhow::{Result, ensure};
use lineside_tests::agent::Agent;
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::{LIMIT, QUICK};

const NOWHERE: &str = "[connection]\nprotocol = \"modbus-tcp\"\naddress = \"127.0.0.1:1\"\n\
    [groups]\nfast = \"1s\"\n[points]\na = { holding = 0, type = \"u16\", group = \"fast\" }\n\
    [[state.rules]]\nstate = \"IDLE\"\nwhen = \"a == 7\"\n";

#[test]
fn what_makes_no_sense_is_wrong_usage() -> Result<()> {
    let site = Site::new(1)?;
    site.machine("mill", NOWHERE)?;
    let long = "x".repeat(65);
    for (arguments, words) in [
        (
            &["session", "start", "mil"][..],
            &["no machine `mil`", "mill"][..],
        ),
        (&["session", "stop", "mil"], &["no machine `mil`", "mill"]),
        (&["session", "start"], &["<MACHINE>"]),
        (
            &["session", "start", "mill", "--class", "EXT"],
            &["OWN, TRN or MNT is wanted"],
        ),
        (
            &[
                "session",
                "start",
                "mill",
                "--class",
                "OWN",
                "--booking",
                "bk-1",
            ],
            &["cannot be used with"],
        ),
        (
            &["session", "start", "mill", "--booking", " "],
            &["a booking's id has"],
        ),
        (
            &["session", "start", "mill", "--by", &long],
            &["a name has 1 to 64"],
        ),
        (
            &["session", "stop", "mill", "--by", "a\nb"],
            &["a name has 1 to 64"],
        ),
        (&["correct", "7", "--reason", "wrong"], &["--by <NAME>"]),
        (&["correct", "7", "--by", "Li"], &["--reason <TEXT>"]),
        (
            &["correct", "-7", "--reason", "wrong", "--by", "Li"],
            &["-7"],
        ),
        (
            &["correct", "x", "--reason", "wrong", "--by", "Li"],
            &["invalid value 'x'"],
        ),
        (
            &["correct", "7", "--reason", "", "--by", "Li"],
            &["a reason has 1 to 2048 bytes"],
        ),
    ] {
        Said::on(&site, arguments)?.failed(2, words)?;
    }
    for (arguments, words) in [
        (
            &["session", "start", "mill", "--class", "EXT"][..],
            &["错误", "应为 OWN、TRN 或 MNT"][..],
        ),
        (
            &["session", "start", "mil"],
            &["错误", "没有配置设备 `mil`"],
        ),
        (
            &[
                "session",
                "start",
                "mill",
                "--class",
                "OWN",
                "--booking",
                "bk-1",
            ],
            &["错误", "不能与"],
        ),
        (
            &["correct", "7", "--reason", "", "--by", "Li"],
            &["原因应为 1 到 2048 字节"],
        ),
    ] {
        let arguments = [arguments, &["--lang", "zh-CN"]].concat();
        Said::on(&site, &arguments)?.failed(2, words)?;
    }
    Ok(())
}

#[test]
fn without_an_agent_nothing_is_entered() -> Result<()> {
    let site = Site::new(1)?;
    site.machine("mill", NOWHERE)?;
    for arguments in [
        &["session", "start", "mill"][..],
        &["session", "stop", "mill"],
        &["session", "list"],
        &["session", "list", "--json"],
        &["correct", "7", "--reason", "wrong", "--by", "Li"],
    ] {
        Said::on(&site, arguments)?.failed(5, &["no agent answers", "lineside run"])?;
        let chinese = [arguments, &["--lang", "zh-CN"]].concat();
        Said::on(&site, &chinese)?.failed(5, &["错误", "没有程序应答"])?;
    }
    ensure!(!site.state_dir().exists(), "something was written");
    Ok(())
}

#[test]
fn nothing_is_open_at_first_and_nothing_can_be_closed() -> Result<()> {
    let site = Site::new(1)?.with(QUICK)?;
    site.machine("mill", NOWHERE)?;
    let mut agent = Agent::start(&site.config())?;
    agent
        .process()
        .wait_for_error_line(0, "lineside runs", LIMIT)?;
    let said = Said::on(&site, &["session", "list"])?.done()?;
    ensure!(said.out == "no session is open\n", "{said:?}");
    let said = Said::on(&site, &["session", "list", "--lang", "zh-CN"])?.done()?;
    ensure!(said.out == "没有进行中的会话\n", "{said:?}");
    let open = Said::on(&site, &["session", "list", "--json"])?.json()?;
    ensure!(open == serde_json::json!([]), "{open}");
    Said::on(&site, &["session", "stop", "mill"])?.failed(1, &["error"])?;
    Said::on(&site, &["session", "stop", "mill", "--lang", "zh-CN"])?.failed(1, &["错误"])?;
    // An index that no ledger has yet.
    let far = ["correct", "123456789", "--reason", "wrong", "--by", "Li"];
    Said::on(&site, &far)?.failed(1, &["error"])?;
    agent.stop()
}
