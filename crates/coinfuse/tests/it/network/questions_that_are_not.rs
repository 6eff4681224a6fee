//! Questions without an answer, and what is said about it.

use super::questions::{
    PRICE, SHORT, accepted, books_agree, broadcast, forwarder, make_it_drop, plan, stats,
    transaction,
};
use super::station::RelayPlan;
use super::town::PLENTY;
use super::traffic::until;
use coinfuse::client::{AskError, ServiceRequest};
use coinfuse_directory::SelectError;
use coinfuse_onion::ServiceRefusal;
use coinfuse_testkit::BitcoinPeer;
use coinfuse_voucher::{Purse, PurseConfig};
use coinfuse_wire::{Msat, ServiceCode};
use std::time::Duration;

#[tokio::test]
async fn without_a_path_nothing_is_bought() {
    let peer = BitcoinPeer::start().unwrap();
    let town = plan(&peer, 2).build().await;
    // Nobody offers it.
    town.choose_among(&[1, 2]);
    let error = broadcast(&town, 1).await.unwrap_err();
    assert!(
        matches!(error, AskError::NoPath(SelectError::NoLastHop(_))),
        "{error}"
    );
    // Nobody comes before it.
    town.choose_among(&[0]);
    let error = broadcast(&town, 1).await.unwrap_err();
    assert!(
        matches!(error, AskError::NoPath(SelectError::NotEnoughRelays(_))),
        "{error}"
    );
    assert_eq!(town.client.spent(), Msat::ZERO);
    assert_eq!(town.purse.locked().await, Msat::ZERO);
}

#[tokio::test]
async fn a_relay_that_is_too_dear_is_not_chosen() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.ceiling = PRICE;
    plan.client.packets.ceiling.service = Msat::new(5);
    let town = plan.build().await;
    let error = broadcast(&town, 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no relay for the last hop: 1 needed, 0 found, 1 above the price ceiling"
    );
}

#[tokio::test]
async fn an_empty_purse_says_so() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.funds = SHORT;
    let town = plan.build().await;
    accepted(&town, &peer, 1).await;
    let error = broadcast(&town, 2).await.unwrap_err();
    assert!(matches!(error, AskError::OutOfMoney), "{error}");
    books_agree(&town, SHORT).await;
}

#[tokio::test]
async fn the_cap_is_kept_and_what_is_bought_ahead_counts() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 4;
    // Two journeys and a half; all that is bought together would be five.
    plan.client.spending_cap = Msat::new(30);
    let town = plan.build().await;
    accepted(&town, &peer, 1).await;
    assert_eq!(town.client.packets().journeys, 0);
    accepted(&town, &peer, 2).await;
    let error = broadcast(&town, 3).await.unwrap_err();
    assert!(matches!(error, AskError::CapReached), "{error}");
    assert_eq!(town.client.spent(), Msat::new(24));
    assert_eq!(town.purse.locked().await, Msat::ZERO);
}

#[tokio::test]
async fn a_message_that_fits_no_packet_is_refused_before_it_is_paid_for() {
    let peer = BitcoinPeer::start().unwrap();
    let town = plan(&peer, 1).build().await;
    let request = |len| ServiceRequest {
        service: ServiceCode::MEMPOOL,
        instruction: vec![],
        message: vec![0; len],
    };
    let error = town.client.ask(request(33_000)).await.unwrap_err();
    let AskError::TooLong { max } = error else {
        panic!("{error}");
    };
    assert_eq!(town.client.spent(), Msat::ZERO);
    // The longest one is answered: it is no transaction.
    let answer = town.client.ask(request(max)).await.unwrap();
    assert_eq!(answer, [1]);
    let error = town.client.ask(request(max + 1)).await.unwrap_err();
    assert!(matches!(error, AskError::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn a_service_that_was_not_asked_is_told_of_by_its_relay() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.relays.push(RelayPlan {
        packets: forwarder().packets,
        ..RelayPlan::exit()
    });
    let town = plan.build().await;
    let request = |service, instruction: &[u8]| ServiceRequest {
        service,
        instruction: instruction.to_vec(),
        message: transaction(1, 1).encode(),
    };
    // Exits are there for circuits.
    let not_offered = town.client.ask(request(ServiceCode::EXIT, b"")).await;
    assert!(
        matches!(
            not_offered,
            Err(AskError::Refused(ServiceRefusal::NotOffered))
        ),
        "{not_offered:?}"
    );
    let unknown = town.client.ask(request(ServiceCode::MEMPOOL, b"?")).await;
    assert!(
        matches!(unknown, Err(AskError::Refused(ServiceRefusal::Instruction))),
        "{unknown:?}"
    );
    // They were paid all the same.
    assert_eq!(town.client.spent(), Msat::new(2 * SHORT.get()));
    books_agree(&town, PLENTY).await;
}

#[tokio::test]
async fn a_packet_that_is_lost_is_told_of_in_time_and_its_vouchers_are_not_used_again() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.answer_timeout = Duration::from_secs(1);
    let town = plan.build().await;
    make_it_drop(&town, 1);
    let error = broadcast(&town, 1).await.unwrap_err();
    assert!(matches!(error, AskError::NoAnswer), "{error}");
    assert_eq!(stats(&town, 1).no_route, 1);
    assert!(town.purse.unsettled(None).await.is_empty());
    // What nobody took waits for its locktime.
    assert_eq!(town.purse.locked().await, SHORT);
    assert_eq!(town.client.spent(), SHORT);
    assert_eq!(town.earned().await, Msat::new(2));
}

#[tokio::test]
async fn when_a_packet_is_out_its_vouchers_are_given_away_on_disk() {
    let peer = BitcoinPeer::start().unwrap();
    let mut plan = plan(&peer, 1);
    plan.client.packets.stock = 1;
    let town = plan.build().await;
    make_it_drop(&town, 1);
    let client = town.client.clone();
    let asking = tokio::spawn(async move { client.broadcast(&transaction(1, 1)).await });
    until("the packet at its first relay", || {
        stats(&town, 1).received == 1
    })
    .await;
    // The power goes.
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(town.purse_folder()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    asking.abort();
    let mint = super::town::mint_id(&town.mint);
    let config = PurseConfig::new(copy.path(), vec![mint], [8; 32]);
    let purse = Purse::open(&config).await.unwrap();
    let left = purse.unsettled(None).await;
    let left: Msat = left.iter().map(|voucher| voucher.value).sum();
    assert_eq!(left, SHORT, "the journey that was bought ahead");
    assert_eq!(purse.locked().await, Msat::new(2 * SHORT.get()));
}

#[tokio::test]
async fn a_client_that_is_shut_down_asks_nobody() {
    let peer = BitcoinPeer::start().unwrap();
    let town = plan(&peer, 1).build().await;
    make_it_drop(&town, 1);
    let client = town.client.clone();
    let asking = tokio::spawn(async move { client.broadcast(&transaction(1, 1)).await });
    until("the packet at its first relay", || {
        stats(&town, 1).received == 1
    })
    .await;
    town.client.shutdown().await;
    let error = asking.await.unwrap().unwrap_err();
    assert!(matches!(error, AskError::LinkLost), "{error}");
    let error = broadcast(&town, 2).await.unwrap_err();
    assert!(matches!(error, AskError::Stopped), "{error}");
}
