//! The console: what the local API tells, whom it keeps out, and a port that is taken.

use anyhow::{Context, Result, ensure};
use lineside::live::Live;
use lineside_tests::agent::Agent;
use lineside_tests::http::{get, post, send};
use lineside_tests::said::Said;
use lineside_tests::site::Site;
use lineside_tests::stand::QUICK;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;

#[test]
fn the_local_api_tells_what_status_tells() -> Result<()> {
    let site = Site::new(1)?.with(QUICK)?;
    site.machine("mill", Site::NOWHERE)?;
    let mut agent = Agent::start(&site.config())?;
    let console = agent.console()?;
    ensure!(get(console, "/healthz")?.body == "ok\n");
    ensure!(get(console, "/readyz")?.status == 200);
    let status = get(console, "/api/v1/status")?;
    ensure!(status.status == 200, "{status:?}");
    let told: Live = serde_json::from_str(&status.body)?;
    let asked = Said::on(&site, &["status", "--json"])?.live();
    let asked = asked.context("no status")?;
    let names = |live: &Live| -> Vec<String> {
        let machines = live.machines.iter();
        machines.map(|live| live.machine.to_string()).collect()
    };
    ensure!(names(&told) == ["mill"] && names(&asked) == ["mill"]);
    ensure!((told.started, told.gateway) == (asked.started, asked.gateway));
    let sessions = get(console, "/api/v1/machines/mill/sessions")?;
    let sessions: Value = serde_json::from_str(&sessions.body)?;
    ensure!(sessions.get("open") == Some(&Value::Null), "{sessions}");
    ensure!(get(console, "/api/v1/machines/press")?.status == 404);
    let page = get(console, "/")?.body;
    ensure!(
        page.contains("/api/v1/status") && page.contains("site/gw"),
        "{page}"
    );
    let described = get(console, "/api/v1/openapi.json")?.body;
    let printed = Said::on(&site, &["schema", "openapi"])?.json()?;
    ensure!(serde_json::from_str::<Value>(&described)? == printed);

    let path = "/api/v1/machines/mill/session/start";
    ensure!(post(console, path, "{\"class\":\"EXT\"}")?.status == 400);
    ensure!(post(console, path, "no")?.status == 400);
    let foreign = format!(
        "GET /api/v1/status HTTP/1.1\r\nHost: evil.example:{}\r\n",
        console.port()
    );
    ensure!(send(console, &foreign, "")?.status == 421);
    let salt = get(console, "/ledger/../salt")?;
    ensure!(salt.status == 404, "{salt:?}");
    agent.stop()
}

#[test]
fn a_password_is_wanted_where_one_is_set() -> Result<()> {
    let site = Site::new(1)?;
    fs::write(site.path().join("console.password"), "open sesame\n")?;
    let site =
        site.with("[console]\nlisten = \"127.0.0.1:0\"\npassword-file = \"console.password\"\n")?;
    let mut agent = Agent::start(&site.config())?;
    let console = agent.console()?;
    ensure!(get(console, "/healthz")?.status == 200);
    let locked = get(console, "/api/v1/status")?;
    ensure!(
        locked.status == 401
            && locked
                .head
                .to_lowercase()
                .contains("www-authenticate: basic")
    );
    let head = format!("GET /api/v1/status HTTP/1.1\r\nHost: {console}\r\n");
    // printf 'li:open sesame' | base64
    let right = format!("{head}Authorization: Basic bGk6b3BlbiBzZXNhbWU=\r\n");
    ensure!(send(console, &right, "")?.status == 200);
    ensure!(
        !agent.log().contains("sesame"),
        "the password is in the log"
    );
    agent.stop()
}

#[test]
fn a_port_that_is_taken_is_told_and_the_agent_runs_on() -> Result<()> {
    let other = TcpListener::bind("127.0.0.1:0")?;
    let taken = other.local_addr()?;
    let site = Site::new(1)?.with(&format!("[console]\nlisten = \"{taken}\"\n"))?;
    site.machine("mill", Site::NOWHERE)?;
    let mut agent = Agent::start(&site.config())?;
    let limit = lineside_tests::stand::LIMIT;
    agent
        .process()
        .wait_for_error_line(0, "lineside runs", limit)?;
    let log = agent.log();
    ensure!(
        log.contains("no console") && log.contains(&taken.to_string()),
        "{log}"
    );
    Said::on(&site, &["status"])?.done()?;
    agent.stop()
}
