//! `coinfuse-channel` as the paying side.

use cdk::Amount;
use cdk::nuts::{BlindSignature, KeySet, Proofs, PublicKey, SecretKey, SwapRequest};
use coinfuse_channel::{
    ChannelId, Closing, Coin, Keyset, Params, PayError, Planned, Refund, Sender as Machine,
    SenderState,
};
use coinfuse_wire::UnixTime;
use serde_json::Value;

use super::mint::{Blanks, OurMint, Unswapped, buy, checked, read, write};
use super::store::Store;
use crate::http;
use crate::roles::{Sender, Terms};
use crate::theirs::SENDER_KEY;
use crate::world::{UNIT, World};

/// A sender with [`SENDER_KEY`] and one channel.
pub(crate) struct OurSender {
    store: Store,
    mint: OurMint,
    id: ChannelId,
    name: String,
    capacity: u64,
    expiry: u64,
}

impl Sender for OurSender {
    async fn open(world: &World, offer: &str, terms: Terms) -> Self {
        let mint = OurMint::at(world.url());
        Self::open_at(mint, world, &http::json(offer), terms).await
    }

    fn channel_id(&self) -> &str {
        &self.name
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn expiry(&self) -> u64 {
        self.expiry
    }

    fn register(&mut self) -> String {
        let opening = self.machine().open_with_claims();
        opening.to_json().expect("claims")
    }

    fn pay_first(&mut self, balance: u64) -> String {
        self.pay(balance);
        self.register()
    }

    fn pay(&mut self, balance: u64) -> String {
        let machine = self.machine();
        let paid = machine.balance().to_u64();
        let more = balance.checked_sub(paid).expect("not less than before");
        match machine.pay(now(), more.into()) {
            Ok(step) => self.store.save(step),
            // The word for that is there already.
            Err(unmoved) => assert_eq!(unmoved.error, PayError::NotMore { paid: balance }),
        }
        self.machine().update().to_json()
    }

    fn ask_to_close(&mut self, balance: u64) -> String {
        let asking = self.closing().update_at(balance.into());
        asking.expect("a balance").to_json()
    }

    /// What the receiver hands over is what can be found without it, and any wallet that knows the
    /// raw key can spend it.
    async fn collect(&mut self, world: &World, answer: &str) -> u64 {
        let handed = http::json(answer)["sender_proofs"].take();
        let handed: Proofs = read(&handed.to_string());
        let found = self.find().await;
        let found = found.iter().map(|coin| coin.locked().clone()).collect();
        assert_eq!(essence(&handed), essence(&found));
        let sum = world.spend(&write(&handed), Some(SENDER_KEY)).await;
        self.done();
        sum
    }

    async fn restore(&mut self, world: &World) -> u64 {
        let found = self.find().await;
        let coins: Proofs = found.iter().map(Coin::signed).collect();
        let sum = world.spend(&write(&coins), None).await;
        self.done();
        sum
    }

    /// Before the expiry our machine refuses, and so would the mint if a clock were wrong.
    async fn refund(&mut self, world: &World) -> Result<u64, String> {
        let closing = self.closing();
        let expired = UnixTime::from_secs(self.expiry + 1);
        let refund = match closing.refund(now()) {
            Ok(refund) => refund,
            Err(early) => {
                let refund = closing.refund(expired).expect("late enough");
                let keyset = self.mint.active().await;
                let refusal = self.take_back(&keyset, refund).await;
                refusal.expect_err("the mint's clock counts");
                return Err(early.to_string());
            }
        };
        let keyset = self.mint.active().await;
        let coins = self.take_back(&keyset, refund).await;
        let coins = coins.map_err(|error| format!("{error:?}"))?;
        self.done();
        Ok(world.spend(&write(&coins), None).await)
    }
}

impl OurSender {
    /// Opens a channel, but the mint's answer to the funding gets lost.
    pub(crate) async fn open_unanswered(world: &World, offer: &str, terms: Terms) -> Self {
        let mint = OurMint::at(world.url());
        mint.lose_next_answer();
        Self::open_at(mint, world, &http::json(offer), terms).await
    }

    async fn open_at(mint: OurMint, world: &World, offer: &Value, terms: Terms) -> Self {
        let published = mint.active().await;
        let taken = &offer["mints_units_keysets"][world.url()][UNIT];
        let taken = taken.as_array().expect("keysets");
        assert!(taken.contains(&published.id.to_string().into()));

        let coins = buy(world, &published, terms.coins).await;
        let keyset = checked(&published);
        let receiver: PublicKey = read(&offer["receiver_pubkey"].to_string());
        let params = params(world, &keyset, receiver, &coins, terms);
        let (capacity, expiry) = (params.capacity.to_u64(), params.expiry.secs());

        let store = Store::default();
        let step = Planned::new(params, &keyset, &secret_key()).expect("good terms");
        let id = step.row().channel;
        store.save(step);
        let sender = Self {
            store,
            mint,
            id,
            name: id.to_hex(),
            capacity,
            expiry,
        };
        sender.fund(coins).await;
        sender
    }

    /// Swaps `coins` into the funding.
    async fn fund(&self, coins: Proofs) {
        let SenderState::Planned(planned) = self.state() else {
            panic!("a plan");
        };
        let swap = SwapRequest::new(coins, planned.outputs());
        let signatures = match self.mint.swap(&swap).await {
            Ok(signatures) => signatures,
            Err(Unswapped::NoAnswer) => self.restore_funding(&planned).await,
            Err(refusal) => panic!("{refusal:?}"),
        };
        let step = planned.funded(&signatures).expect("good signatures");
        self.store.save(step);
    }

    async fn restore_funding(&self, planned: &Planned) -> Vec<BlindSignature> {
        let restored = self.mint.restore_swap(planned.outputs()).await;
        restored.expect("the mint has signed")
    }

    fn state(&self) -> SenderState {
        Machine::load(&self.store.rows(&self.id)).expect("good rows")
    }

    /// The machine while the channel is open.
    fn machine(&self) -> Machine {
        match self.state() {
            SenderState::Open(machine) => machine,
            other => panic!("{other:?}"),
        }
    }

    /// The machine of the end; ends the channel if it is open.
    fn closing(&self) -> Closing {
        match self.state() {
            SenderState::Closing(closing) => closing,
            SenderState::Open(machine) => {
                self.store.save(machine.close());
                self.closing()
            }
            other => panic!("{other:?}"),
        }
    }

    /// What the settlement left, under whatever keyset.
    async fn find(&self) -> Vec<Coin> {
        let closing = self.closing();
        let settled = closing.watch().expect("funding");
        assert!(self.mint.is_spent(settled).await);
        let keysets = self.mint.keysets().await;
        let keysets: Vec<_> = keysets.iter().map(checked).collect();
        let mut search = closing.search(&keysets);
        while let Some(question) = search.question().expect("outputs") {
            let answer = self.mint.restore(question).await;
            search.answer(&answer).expect("good signatures");
        }
        search.found()
    }

    /// Swaps the funding into plain coins.
    async fn take_back(&self, keyset: &KeySet, refund: Refund<'_>) -> Result<Proofs, Unswapped> {
        let inputs = refund.inputs().to_vec();
        let blanks = Blanks::new(keyset, worth(&checked(keyset), &inputs));
        let mut swap = SwapRequest::new(inputs, blanks.outputs());
        refund.sign(&mut swap);
        Ok(blanks.unblind(self.mint.swap(&swap).await?))
    }

    /// Everything is in safety.
    fn done(&self) {
        self.store.save(self.closing().done());
        assert!(matches!(self.state(), SenderState::Done(_)));
    }
}

/// The terms of a channel that takes all of `coins`.
fn params(
    world: &World,
    keyset: &Keyset,
    receiver: PublicKey,
    coins: &Proofs,
    terms: Terms,
) -> Params {
    let max_amount = terms.maximum_amount.into();
    let ladder = keyset.ladder(max_amount);
    let funding_amount = worth(keyset, coins);
    let value = ladder.after_fees(funding_amount).expect("a value");
    Params {
        mint: world.url().to_owned(),
        unit: keyset.unit().clone(),
        capacity: ladder.after_fees(value).expect("a value"),
        funding_amount,
        keyset_id: keyset.id(),
        input_fee_ppk: keyset.input_fee_ppk(),
        max_amount,
        setup: now(),
        expiry: UnixTime::from_secs(world.now() + terms.lifetime),
        sender: secret_key().public_key(),
        receiver,
    }
}

/// What is left of `coins` when they have been spent.
fn worth(keyset: &Keyset, coins: &Proofs) -> Amount {
    let sum: u64 = coins.iter().map(|coin| coin.amount.to_u64()).sum();
    let fee = (coins.len() as u64 * keyset.input_fee_ppk()).div_ceil(1_000);
    Amount::from(sum - fee)
}

/// What makes coins the same ones, in an order of its own: they may have come with proofs of the
/// mint's signature.
fn essence(coins: &Proofs) -> Vec<String> {
    let each = coins.iter().map(|coin| {
        let ephemeral = coin.p2pk_e.expect("a blinded key");
        let (secret, c) = (&coin.secret, coin.c);
        format!(
            "{} {} {secret} {c} {ephemeral}",
            coin.amount, coin.keyset_id
        )
    });
    let mut essence: Vec<_> = each.collect();
    essence.sort();
    essence
}

/// The clock of this program, which is the mint's.
pub(super) fn now() -> UnixTime {
    UnixTime::from_secs(cdk::util::unix_time())
}

fn secret_key() -> SecretKey {
    SecretKey::from_hex(SENDER_KEY).expect("a key")
}
