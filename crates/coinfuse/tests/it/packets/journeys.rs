//! Questions over three relays, and their answers over three more.

use super::courier::Courier;
use super::mint::PocketMint;
use super::office::{Office, OfficePlan, paid};
use super::packets_that_are_refused::{MAILBOX, seed};
use crate::network::until;
use coinfuse::relay::MempoolService;
use coinfuse_delivery::mempool::{
    Answer, Broadcaster, Mempool, Network, PeerConfig, Rejection, Way,
};
use coinfuse_directory::Descriptor;
use coinfuse_onion::{
    Destination, LARGE, NextHop, Packet, Question, Reply, ReplyPath, ReplyTicket, SMALL,
    ServiceRefusal, Via,
};
use coinfuse_testkit::LogWatch;
use coinfuse_wire::{Decode, Encode, Msat, ServiceCode};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

/// Five relays: 0 has the client's mailbox, 2 has the service.
struct Country {
    mint: PocketMint,
    offices: Vec<Office>,
    courier: Courier,
}

impl Country {
    async fn new(mempool: Option<MempoolService>) -> Self {
        let mint = PocketMint::new(1);
        let start = |index: u8| {
            let mempool = mempool.clone().filter(|_| index == 2);
            let plan = OfficePlan {
                mempool,
                ..OfficePlan::default()
            };
            Office::start(index, &[&mint], plan)
        };
        let offices: Vec<_> = (0..5).map(start).collect();
        let descriptors: Vec<Descriptor> = offices.iter().map(Office::descriptor).collect();
        for office in &offices {
            office.knows(descriptors.iter().cloned());
        }
        let courier = Courier::with_mailbox(&offices[0], MAILBOX).await;
        Self {
            mint,
            offices,
            courier,
        }
    }

    fn via(&self, at: usize, next: NextHop, units: u64) -> Via {
        self.offices[at].via(&self.mint, units, next)
    }

    fn relay(&self, index: usize) -> NextHop {
        NextHop::Relay(self.offices[index].id())
    }

    /// A service of 2.
    fn destination(&self, service: ServiceCode, instruction: &[u8], units: u64) -> Destination {
        Destination {
            key: self.offices[2].key(),
            service,
            instruction: instruction.to_vec(),
            terms: paid(&self.mint.sell(&self.offices[2].till(), units)),
        }
    }

    /// Over 3, 4 and 0, home.
    fn way_back(&self, units: u64) -> (ReplyPath, ReplyTicket) {
        let via = [
            self.via(3, self.relay(4), units),
            self.via(4, self.relay(0), units),
            self.via(0, NextHop::Mailbox(MAILBOX), units),
        ];
        ReplyPath::new(&seed(), self.offices[3].id(), &via).unwrap()
    }

    /// Over 0 and 1 to 2, and back.
    async fn ask<const N: usize>(
        &mut self,
        service: ServiceCode,
        instruction: &[u8],
        message: &[u8],
        units: u64,
    ) -> Reply {
        let (reply, ticket) = self.way_back(units);
        let via = [
            self.via(0, self.relay(1), units),
            self.via(1, self.relay(2), units),
        ];
        let to = self.destination(service, instruction, 2 * units);
        let question = Question {
            via: &via,
            to: &to,
            message,
            reply: Some(reply),
        };
        let packet: Packet<N> = question.build(&seed()).unwrap();
        self.courier.bring(packet.to_bytes()).await;
        let answer = self.courier.receive().await;
        assert_eq!(answer.len(), packet.to_bytes().len());
        let answer = Packet::<N>::from_bytes(&answer).unwrap();
        Reply::from_bytes(&ticket.open(answer).unwrap()).unwrap()
    }

    fn fees(&self) -> Vec<u64> {
        let each = self.offices.iter().map(|office| office.paid().fees);
        each.map(Msat::get).collect()
    }
}

/// Delivery to no node at all, which refuses nonsense as any does.
fn mempool() -> MempoolService {
    let nobody = Broadcaster::new(Network::Regtest, PeerConfig::new(vec![]));
    MempoolService {
        mempool: Mempool::new(Way::Peers(nobody), 4),
        mean_delay: Duration::ZERO,
    }
}

#[tokio::test]
async fn a_question_is_answered_and_every_relay_is_paid() {
    let mut country = Country::new(Some(mempool())).await;
    let reply = country
        .ask::<SMALL>(ServiceCode::MEMPOOL, b"", b"nonsense", 2)
        .await;
    let refused = Answer::from(Rejection::Malformed);
    assert_eq!(reply, Reply::Served(refused.to_bytes()));
    // Relay 0 is on both ways; at 2 it is a packet and a question.
    assert_eq!(country.fees(), [4, 2, 4, 2, 2]);
    let [first, served] = [0, 2].map(|at: usize| country.offices[at].stats());
    assert_eq!(
        (first.received, first.forwarded, first.delivered),
        (2, 1, 1)
    );
    assert_eq!(
        (served.served, served.answered, served.forwarded),
        (1, 1, 1)
    );

    let reply = country
        .ask::<LARGE>(ServiceCode::MEMPOOL, b"", &[7; 20_000], 4)
        .await;
    assert_eq!(reply, Reply::Served(refused.to_bytes()));
}

#[tokio::test]
async fn who_asks_for_what_there_is_not_is_told_so() {
    let mut country = Country::new(Some(mempool())).await;
    let not_offered = Reply::Refused(ServiceRefusal::NotOffered);
    let reply = country.ask::<SMALL>(ServiceCode::EXIT, b"", b"hi", 2).await;
    assert_eq!(reply, not_offered);
    let reply = country
        .ask::<SMALL>(ServiceCode::MEMPOOL, b"faster", b"hi", 2)
        .await;
    assert_eq!(reply, Reply::Refused(ServiceRefusal::Instruction));
    assert_eq!(country.offices[2].stats().served, 0);

    let mut country = Country::new(None).await;
    let reply = country
        .ask::<SMALL>(ServiceCode::MEMPOOL, b"", b"hi", 2)
        .await;
    assert_eq!(reply, not_offered);
}

#[tokio::test]
async fn a_question_without_a_way_back_is_asked_all_the_same() {
    let mut country = Country::new(Some(mempool())).await;
    let via = [country.via(0, country.relay(2), 2)];
    let to = country.destination(ServiceCode::MEMPOOL, b"", 4);
    let question = Question {
        via: &via,
        to: &to,
        message: b"nonsense",
        reply: None,
    };
    let packet: Packet<SMALL> = question.build(&seed()).unwrap();
    country.courier.bring(packet.to_bytes()).await;
    until("the question", || country.offices[2].stats().served == 1).await;
    assert_eq!(country.offices[2].stats().answered, 0);
}

/// The ways in which bytes get into a log.
fn spellings(bytes: &[u8]) -> [String; 2] {
    let list = format!("{:?}", &bytes[8..16]);
    [
        hex::encode(&bytes[8..16]),
        list.trim_matches(['[', ']']).to_owned(),
    ]
}

#[tokio::test]
async fn nothing_of_a_packet_is_in_the_log() {
    let log = LogWatch::new();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(log.clone());
    let filter = coinfuse::logging::filter(LevelFilter::TRACE, "it");
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(lines).with(filter));
    tracing::info!("the log is on");
    let mut country = Country::new(Some(mempool())).await;
    let message = *b"a message that nobody may read!!";
    country
        .ask::<SMALL>(ServiceCode::MEMPOOL, b"", &message, 2)
        .await;
    // And one that is refused, and one that is dropped.
    country.courier.bring(vec![0; 4096]).await;
    let lost = [country.via(0, NextHop::Mailbox([0x3c; 32]), 2)];
    let to = country.destination(ServiceCode::MEMPOOL, b"", 4);
    let question = Question {
        via: &lost,
        to: &to,
        message: &message,
        reply: None,
    };
    let packet: Packet<SMALL> = question.build(&seed()).unwrap();
    country.courier.bring(packet.to_bytes()).await;
    until("the drop", || country.offices[0].stats().no_mailbox == 1).await;

    let payment = lost[0].terms.payment.as_ref().unwrap();
    let mut secrets = vec!["127.0.0.1".to_owned(), "nobody may read".to_owned()];
    secrets.extend(spellings(payment.as_bytes()));
    secrets.extend(spellings(&MAILBOX));
    secrets.extend(spellings(&[0x3c; 32]));
    secrets.extend(spellings(&packet.to_bytes()[100..]));
    assert!(log.text().contains("the log is on"));
    assert_eq!(log.leaks(secrets), []);
}
