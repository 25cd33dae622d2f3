//! Questions to gateways, and who waits for their answers.

use std::time::Duration;

use lineside_proto::Topics;
use serde_json::Value;

use super::desk::Asked;
use crate::evidence::informant::Trouble;
use crate::evidence::questions::{Patience, Questions};
use crate::uplink::mqtt::answers::Answers;
use crate::uplink::mqtt::subscriber::Message;

const PATIENCE: Patience = Patience {
    // A gateway works for half a minute at most.
    part: Duration::from_secs(40),
    // Two megabytes over a line of 56 kbit/s.
    whole: Duration::from_secs(300),
    // Two copies of one gateway may run: that is what an archive must see.
    refusal: Duration::from_secs(2),
    others: Duration::ZERO,
    expected: None,
    silence: SILENCE,
};

/// What it is called that a gateway does not answer.
pub(super) const SILENCE: &str = "the gateway does not answer";

/// Who asks.
#[derive(Debug)]
pub(super) struct Asker {
    prefix: String,
    answers: Answers,
    questions: Questions,
}

impl Asker {
    pub(super) fn new(prefix: &str, name: &str, answers: Answers) -> Self {
        Self {
            prefix: prefix.to_owned(),
            answers,
            questions: Questions::new(name.to_owned()),
        }
    }

    /// The filter under which answers come.
    pub(super) fn filter(prefix: &str, name: &str) -> String {
        format!("{prefix}/+/+/response/{name}")
    }

    /// Asks, and waits for all parts of the answer.
    pub(super) async fn ask(&self, asked: &Asked) -> Result<Vec<Value>, Trouble> {
        let topics = Topics::new(&self.prefix, &asked.place.site, &asked.place.gateway);
        let patience = Patience {
            part: asked.patience,
            ..PATIENCE
        };
        let answered = self
            .questions
            .ask(&self.answers, &topics, asked.call(), patience);
        answered.await
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
