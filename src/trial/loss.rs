//! What was lost: whether it was gone, or still waited when the drain limit ended.

use super::delivery::{ConsumerRecording, DeliveryRecording};
use std::collections::BTreeMap;

impl ConsumerRecording {
    fn loss(&self, limit_s: f64) -> String {
        let lost = self.books.lost;
        let what =
            format!("{}: {lost} acknowledged and not delivered within the drain limit of {limit_s:.0} s", self.name);
        let given_up = match self.dead_lettered {
            Some(many) if many > 0 => format!(" ({many} messages were given up and are dead letters)"),
            _ => String::new(),
        };
        match self.queued {
            None => format!("{what}; whether they still waited, nobody told"),
            Some(0) => format!("{what}, and gone from its subscription{given_up}"),
            Some(held) if held < lost => {
                format!(
                    "{what}; its subscription still held {held}, so that at least {} are gone{given_up}",
                    lost - held
                )
            }
            Some(held) => format!(
                "{what}; its subscription still held {held} messages, so that none of them need be gone: the consumer is too slow or                  refuses them; give it more instances or a higher max concurrency, or see its log"
            ),
        }
    }
}

impl DeliveryRecording {
    /// How many of the lost may have been waiting in their subscriptions still when the drain limit ended; the others were gone.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.consumers.iter().map(|consumer| consumer.queued.unwrap_or(0).min(consumer.books.lost)).sum()
    }

    /// Enters how many messages the subscriptions of each consumer still held, by consumer.
    pub fn enter_queued(&mut self, queued: &BTreeMap<String, u64>) {
        for consumer in &mut self.consumers {
            consumer.queued = queued.get(&consumer.name).copied();
        }
    }

    /// What each consumer lost, and whether it was gone or still waited, each in a sentence without its end.
    #[must_use]
    pub fn losses(&self) -> Vec<String> {
        let losing = self.consumers.iter().filter(|consumer| consumer.books.lost > 0);
        losing.map(|consumer| consumer.loss(self.drain_limit_s)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::DeliveryBooks;
    use super::*;

    #[test]
    fn what_still_waits_is_not_said_to_be_gone() {
        let told = |queued: Option<u64>, dead_lettered: Option<u64>| {
            let books = DeliveryBooks { lost: 700, ..DeliveryBooks::default() };
            let consumer = ConsumerRecording {
                name: "email".to_owned(),
                books,
                queued,
                dead_lettered,
                ..ConsumerRecording::default()
            };
            let quick = ConsumerRecording { name: "sms".to_owned(), queued: Some(0), ..ConsumerRecording::default() };
            let consumers = vec![consumer, quick];
            let recording = DeliveryRecording { drain_limit_s: 130.0, consumers, ..DeliveryRecording::default() };
            let [loss] = recording.losses().try_into().unwrap();
            (recording.queued(), loss)
        };
        let what = "email: 700 acknowledged and not delivered within the drain limit of 130 s";
        let (queued, loss) = told(Some(702), None);
        assert!(
            queued == 700 && loss.starts_with(&format!("{what}; its subscription still held 702 messages")),
            "{loss}"
        );
        let (queued, loss) = told(Some(200), Some(0));
        assert!(queued == 200 && loss.ends_with("still held 200, so that at least 500 are gone"), "{loss}");
        let gone = format!("{what}, and gone from its subscription (700 messages were given up and are dead letters)");
        assert_eq!(told(Some(0), Some(700)), (0, gone));
        assert_eq!(told(None, None), (0, format!("{what}; whether they still waited, nobody told")));
    }
}
