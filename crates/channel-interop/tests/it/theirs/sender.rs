//! `cdk-spilman` as the paying side.
//!
//! `SpilmanClientBridge` opens a channel from a token and signs; finding the remainder is
//! `SpilmanChannelSender`'s. For a refund the crate has the key and nothing more.

use cashu_of_theirs::nuts::{BlindedMessage, SecretKey, SwapRequest};
use cdk_spilman::{
    ChannelParameters, ConfigurableClientHost, EstablishedChannel, MemoryClientStorage, Payment,
    SpilmanChannelSender, SpilmanClientBridge, build_cashu_b_token, construct_proofs,
    create_plain_blinded_messages,
};
use serde_json::Value;

use super::SENDER_KEY;
use super::mint::{Keyset, TheirMint};
use crate::http;
use crate::roles::{Sender, Terms};
use crate::world::{UNIT, World};

type Bridge = SpilmanClientBridge<ConfigurableClientHost<MemoryClientStorage>, TheirMint>;

/// A sender with [`SENDER_KEY`] and one channel.
pub(crate) struct TheirSender {
    bridge: Bridge,
    mint: TheirMint,
    keyset: Keyset,
    channel_id: String,
    capacity: u64,
    expiry: u64,
}

impl Sender for TheirSender {
    async fn open(world: &World, offer: &str, terms: Terms) -> Self {
        let mint = TheirMint::at(world.url()).await;
        let keyset = mint.active();
        let coins = buy(world, &keyset, terms.coins).await;
        let token = build_cashu_b_token(world.url(), UNIT, &coins).expect("a token");

        let mut host = ConfigurableClientHost::new_in_memory();
        let sender = host.add_key_from_hex(SENDER_KEY).expect("a key");
        let bridge = SpilmanClientBridge::new(host, mint.clone());
        let receiver = http::json(offer)["receiver_pubkey"].take();
        let expiry = world.now() + terms.lifetime;
        let opening = bridge.open_channel_from_token_async(
            &token,
            receiver.as_str().expect("a key"),
            &sender,
            expiry,
            &keyset.json,
            terms.maximum_amount,
            &mint,
        );
        let opened = opening.await.expect("a channel");
        Self {
            mint,
            keyset,
            expiry,
            bridge,
            channel_id: opened.channel_id,
            capacity: opened.capacity,
        }
    }

    fn channel_id(&self) -> &str {
        &self.channel_id
    }

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn expiry(&self) -> u64 {
        self.expiry
    }

    fn register(&mut self) -> String {
        self.pay_first(0)
    }

    fn pay_first(&mut self, balance: u64) -> String {
        serde_json::to_string(&self.first(balance)).expect("JSON")
    }

    fn pay(&mut self, balance: u64) -> String {
        let payment = self.bridge.create_payment(&self.channel_id, balance);
        serde_json::to_string(&payment.expect("signed")).expect("JSON")
    }

    /// The signature is a bundle of two, the second one for old Nutshell mints.
    fn ask_to_close(&mut self, balance: u64) -> String {
        let asking = self
            .bridge
            .create_cooperative_close_request(&self.channel_id, balance);
        serde_json::to_string(&asking.expect("signed")).expect("JSON")
    }

    async fn collect(&mut self, world: &World, answer: &str) -> u64 {
        let done = self.bridge.process_cooperative_close_response(answer);
        done.expect("a good answer");
        let coins = http::json(answer)["sender_proofs"].take();
        world.spend(&coins.to_string(), Some(SENDER_KEY)).await
    }

    async fn restore(&mut self, world: &World) -> u64 {
        let (params, first) = self.parameters();
        let proofs = first.funding_proofs.expect("funding");
        let channel = EstablishedChannel::new(params, proofs).expect("a channel");
        let state = channel.check_funding_token_state(&self.mint).await;
        assert_eq!(state.expect("a state").state.to_string(), "SPENT");

        self.mint.refresh().await;
        let sender = SpilmanChannelSender::new(secret_key(), channel);
        let mut sum = 0;
        for keyset in self.mint.keysets() {
            let coins = restored_under(&sender, &self.mint, &keyset).await;
            sum += world.spend(&coins, Some(SENDER_KEY)).await;
        }
        sum
    }

    async fn refund(&mut self, world: &World) -> Result<u64, String> {
        let (params, first) = self.parameters();
        let value = params.get_value_after_stage1().expect("a value");
        let blanks = Blanks::new(&self.keyset, value);
        let outputs: Vec<BlindedMessage> =
            serde_json::from_value(blanks.outputs.clone()).expect("blinded messages");
        let mut swap = SwapRequest::new(first.funding_proofs.expect("funding"), outputs);
        let key = params.get_sender_blinded_secret_key_for_stage1_refund(&secret_key());
        swap.sign_sig_all(key.expect("a key")).expect("signed");
        let request = serde_json::to_string(&swap).expect("JSON");
        let mut answer = http::json(&self.mint.swap(&request).await?);
        let coins = blanks.unblind(answer["signatures"].take());
        Ok(world.spend(&coins, None).await)
    }
}

impl TheirSender {
    /// The message that carries the funding; the only way out of the bridge for it.
    fn first(&self, balance: u64) -> Payment {
        let payment = self
            .bridge
            .create_payment_with_funding(&self.channel_id, balance);
        payment.expect("an open channel")
    }

    fn parameters(&self) -> (ChannelParameters, Payment) {
        let first = self.first(0);
        let params = first.params.as_ref().expect("parameters").to_string();
        let keyset = self.keyset.parsed();
        let params = ChannelParameters::from_json_with_secret_key(&params, keyset, &secret_key());
        (params.expect("good parameters"), first)
    }
}

/// Outputs of plain coins that wait for the mint's signatures.
struct Blanks<'a> {
    keyset: &'a Keyset,
    outputs: Value,
    secrets: Value,
}

impl<'a> Blanks<'a> {
    fn new(keyset: &'a Keyset, value: u64) -> Self {
        let made = create_plain_blinded_messages(value, &keyset.json).expect("outputs");
        let mut made = http::json(&made);
        Self {
            keyset,
            outputs: made["blinded_messages"].take(),
            secrets: made["secrets_with_blinding"].take(),
        }
    }

    /// The coins, an array of proofs.
    fn unblind(&self, signatures: Value) -> String {
        let (signatures, secrets) = (signatures.to_string(), self.secrets.to_string());
        construct_proofs(&signatures, &secrets, &self.keyset.json).expect("coins")
    }
}

/// Plain coins of the fewest denominations that make up `value`.
async fn buy(world: &World, keyset: &Keyset, value: u64) -> String {
    let blanks = Blanks::new(keyset, value);
    let signatures = world.sign(&blanks.outputs).await;
    blanks.unblind(signatures)
}

/// The remainder, if the receiver settled under `keyset`; an array of proofs.
///
/// A mint finds signatures by the blinded secret alone and answers under whichever keyset is asked
/// for; theirs unblinds the answer with the keys that it asked for. Those that were not of that
/// keyset are dropped here.
async fn restored_under(
    sender: &SpilmanChannelSender,
    mint: &TheirMint,
    keyset: &Keyset,
) -> String {
    let keys = keyset.parsed();
    let coins = sender.restore_sender_proofs_with_keyset(mint, &keys);
    let mut coins = coins.await.expect("an answer");
    coins.retain(|coin| coin.keyset_id == keyset.id);
    serde_json::to_string(&coins).expect("JSON")
}

fn secret_key() -> SecretKey {
    SecretKey::from_hex(SENDER_KEY).expect("a key")
}
