//! Questions to gateways over the archive's own connection.

use std::time::Duration;

use lineside_proto::Topics;
use serde_json::Value;

use super::desk::Asked;
use crate::evidence::informant::Trouble;
use crate::evidence::questions::{Patience, Posed, Questions};
use crate::uplink::mqtt::intake::{Outlet, Post};
use crate::uplink::mqtt::subscriber::Message;

const PATIENCE: Patience = Patience {
    // A gateway works for half a minute at most.
    part: Duration::from_secs(40),
    // Two copies of one gateway may run: that is what an archive must see.
    refusal: Duration::from_secs(2),
    silence: "the gateway does not answer",
};

/// Who asks.
#[derive(Debug)]
pub(super) struct Asker {
    prefix: String,
    outlet: Outlet,
    questions: Questions,
}

impl Asker {
    pub(super) fn new(prefix: &str, name: &str, outlet: Outlet) -> Self {
        Self {
            prefix: prefix.to_owned(),
            outlet,
            questions: Questions::new(name.to_owned(), PATIENCE),
        }
    }

    /// The filter under which answers come.
    pub(super) fn filter(prefix: &str, name: &str) -> String {
        format!("{prefix}/+/+/response/{name}")
    }

    /// Asks, and waits for all parts of the answer.
    pub(super) async fn ask(&self, asked: &Asked) -> Result<Vec<Value>, Trouble> {
        let topics = Topics::new(&self.prefix, &asked.place.site, &asked.place.gateway);
        let (method, params) = asked.question.call();
        let (posed, pending) = self.questions.pose(&topics, method, params)?;
        let Posed {
            topic,
            response_topic,
            correlation,
            payload,
        } = posed;
        let post = Post {
            topic,
            payload,
            retained: false,
            response_topic: Some(response_topic),
            correlation: Some(correlation),
        };
        if !self.outlet.post(post).await {
            return Err(Trouble::Lost("the connection is closed".to_owned()));
        }
        pending.answer().await
    }

    /// Takes in what came under the filter.
    pub(super) fn take(&self, message: &Message) {
        if let Some(correlation) = &message.correlation {
            self.questions
                .take(&message.topic, correlation, &message.payload);
        }
    }

    /// The connection is no more: everybody who waits is told.
    pub(super) fn lost(&self, why: &str) {
        self.questions.end(&Trouble::Lost(why.to_owned()));
    }
}
