//! What a test asks of a sender and of a receiver. Messages are the JSON of the protocol's
//! reference transport, whoever made them.

use crate::world::World;

/// What a channel is opened with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The value of the plain coins that are swapped into the funding, in units.
    pub(crate) coins: u64,
    /// The largest denomination that the channel uses; 0 for any.
    pub(crate) maximum_amount: u64,
    /// Seconds until the sender may take everything back.
    pub(crate) lifetime: u64,
}

/// A channel's paying side.
pub(crate) trait Sender: Sized {
    /// Buys coins and funds a channel to the receiver that published `offer`
    /// (the answer to `GET /channel/params`).
    async fn open(world: &World, offer: &str, terms: Terms) -> Self;

    /// The channel's id, 64 hex digits.
    fn channel_id(&self) -> &str;

    /// The most that can be paid through the channel.
    fn capacity(&self) -> u64;

    /// When the sender may take everything back, in Unix seconds.
    fn expiry(&self) -> u64;

    /// The body of `POST /channel/register`: parameters, funding, a signature for nothing.
    fn register(&mut self) -> String;

    /// The same with a payment: a signature for `balance`.
    fn pay_first(&mut self, balance: u64) -> String;

    /// An update to the cumulative `balance`.
    fn pay(&mut self, balance: u64) -> String;

    /// The body of `POST /channel/{id}/close` at `balance`.
    fn ask_to_close(&mut self, balance: u64) -> String;

    /// Swaps the remainder that came with `answer` into plain coins; how much that was.
    async fn collect(&mut self, world: &World, answer: &str) -> u64;

    /// Finds the remainder at the mint after a settlement of which the receiver told nothing, and
    /// swaps it into plain coins; how much that was.
    async fn restore(&mut self, world: &World) -> u64;

    /// Takes the whole funding back, or gives the mint's refusal.
    async fn refund(&mut self, world: &World) -> Result<u64, String>;
}

/// A channel's paid side.
pub(crate) trait Receiver: Sized {
    /// Reads the mint's keys and has no channel yet. Accepts channels that live at least
    /// `min_lifetime` more seconds.
    async fn start(world: &World, min_lifetime: u64) -> Self;

    /// The answer to `GET /channel/params`.
    fn offer(&self) -> String;

    /// Verifies and keeps a channel; the answer, or why not.
    fn register(&mut self, message: &str) -> Result<String, String>;

    /// Verifies and keeps an update; the answer, or why not. May be a channel's first message.
    fn accept(&mut self, message: &str) -> Result<String, String>;

    /// Counts only `amount` as earned in a channel, whatever was paid.
    fn forgive(&mut self, channel_id: &str, amount: u64);

    /// The mint makes the receiver's next swap, but its answer gets lost.
    fn lose_next_answer(&mut self);

    /// Settles as the sender asked; the answer with the sender's coins.
    async fn close(&mut self, message: &str) -> Result<String, String>;

    /// Settles at the highest balance that was paid, without asking.
    async fn close_alone(&mut self, channel_id: &str) -> Result<(), String>;

    /// Swaps all that was earned into plain coins; how much that was.
    async fn collect(&mut self, world: &World) -> u64;
}
