//! Who has how much: what was funded is somewhere, to the last msat.

use crate::process::{CLIENT, RELAY, json, until};
use crate::town::Town;
use serde_json::Value;

/// The sum of a field over a list.
pub(crate) fn sum(list: &Value, field: &str) -> u64 {
    let list = list.as_array().expect("a list").iter();
    list.map(|item| msat(item, field)).sum()
}

/// An amount in an answer.
pub(crate) fn msat(of: &Value, field: &str) -> u64 {
    let amount = of[field].as_u64();
    amount.unwrap_or_else(|| panic!("no amount {field} in {of}"))
}

impl Town {
    /// What `client channels --json` says.
    pub(crate) async fn client_channels(&self) -> Value {
        let mut answer = json(CLIENT, &self.client_dir(), &["channels", "--json"]).await;
        answer["channels"].take()
    }

    /// What `relay channels --json` says.
    pub(crate) async fn relay_channels(&self, number: usize) -> Value {
        json(RELAY, &self.relay_dir(number), &["channels", "--json"]).await
    }

    /// Every relay turns all that it was paid into coins; the sum of what the channels brought.
    pub(crate) async fn settle(&self) -> u64 {
        let mut received = 0;
        for number in 0..self.relays.len() {
            let dir = self.relay_dir(number);
            let done = json(RELAY, &dir, &["settle", "--all", "--json"]).await;
            assert_eq!((&done["waiting"], &done["lost"]), (&0.into(), &0.into()));
            received += msat(&done, "received_msat");
            let done = json(RELAY, &dir, &["redeem", "--json"]).await;
            assert_eq!(done["waiting"], 0, "{done}");
        }
        received
    }

    /// Waits until nothing is left in the client's channels; `client recover` asks the mint.
    pub(crate) async fn recover(&self) -> u64 {
        let mut back = 0;
        until("the rest of the channels", async || {
            let done = json(CLIENT, &self.client_dir(), &["recover", "--json"]).await;
            assert_eq!(done["unfinished"], 0, "{done}");
            back += msat(&done, "from_channels_msat");
            self.has_no_channels().await.then_some(back)
        })
        .await
    }

    /// Whether all the client's channels are finished.
    pub(crate) async fn has_no_channels(&self) -> bool {
        self.client_channels()
            .await
            .as_array()
            .is_some_and(Vec::is_empty)
    }

    /// Asserts that what was funded is with the client or with the relays, and that the mint, which
    /// takes no fees, owes as much.
    pub(crate) async fn balance_of_all_is(&self, funded: u64) {
        let client = json(CLIENT, &self.client_dir(), &["balance", "--json"]).await;
        let mut relays = 0;
        for number in 0..self.relays.len() {
            relays += sum(&self.earnings(number).await["coins"], "msat");
        }
        let has = msat(&client, "total_msat") + msat(&client, "in_channels_msat");
        let has = has + msat(&client, "locked_msat");
        assert_eq!(relays + has, funded, "the relays have {relays}, {client}");
        assert_eq!(self.mint.owes().await.get(), funded, "the mint's own books");
    }
}
