//! Where log lines go, and in which form.

use std::error::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::model::Log;

/// What is logged unless `LINESIDE_LOG` says otherwise: our own lines, and only trouble of others.
/// The OPC UA crates call every step of a failing connection an error; the link says it once.
const FILTER: &str = "warn,lineside=info,tokio_modbus=off,rumqttd=off,\
    opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_types=off,opcua_server=off";

/// Starts logging for the life of the process.
///
/// # Errors
///
/// The journal can't be reached, or logging was already started.
pub fn start(form: Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("LINESIDE_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    let registry = tracing_subscriber::registry().with(filter);
    match form {
        Log::Human => {
            let lines = tracing_subscriber::fmt::layer()
                .with_target(false)
                .with_ansi(rustix::termios::isatty(std::io::stderr()))
                .with_writer(std::io::stderr);
            registry.with(lines).try_init()?;
        }
        Log::Json => {
            let lines = tracing_subscriber::fmt::layer()
                .json()
                .with_writer(std::io::stderr);
            registry.with(lines).try_init()?;
        }
        Log::Journald => registry.with(tracing_journald::layer()?).try_init()?,
    }
    Ok(())
}

/// An error with everything behind it: logged once, where it is handled.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        // Some say their cause themselves.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    enum Fault {
        #[error("no room")]
        Full,
        #[error("the file")]
        Plain(#[source] Box<Fault>),
        #[error("the file: {0}")]
        Twice(#[source] Box<Fault>),
    }

    #[test]
    fn no_reason_is_said_twice() {
        for (fault, expected) in [
            (Fault::Full, "no room"),
            (Fault::Plain(Fault::Full.into()), "the file: no room"),
            (Fault::Twice(Fault::Full.into()), "the file: no room"),
            (
                Fault::Plain(Fault::Twice(Fault::Full.into()).into()),
                "the file: the file: no room",
            ),
        ] {
            assert_eq!(chain(&fault), expected, "{fault:?}");
        }
    }
}
