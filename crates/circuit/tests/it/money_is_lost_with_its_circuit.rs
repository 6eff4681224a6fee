use crate::net::{Net, Setup, WORTHLESS, coins, hop, text};
use crate::the_wire_format_is_not_as_specified::lying_relay;
use coinfuse_circuit::{
    ClientCircuitError, ClientEvent, MAX_BODY, PayResult, PaymentNumber, RefusedItem, ToClient,
};
use coinfuse_wire::{Encode, Msat};

fn broke() -> Setup {
    Setup {
        balance: 0,
        upstream: 1000,
        ..Setup::default()
    }
}

fn results(net: &Net) -> Vec<&PayResult> {
    net.events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Paid { result, .. } => Some(result),
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_left_on_the_account_starts_the_next_circuit() {
    let setup = Setup::default();
    let mut net = setup.build();
    net.send_up(&text(50_000), MAX_BODY);
    net.send_down(&text(50_000), MAX_BODY);
    net.run();
    let left: Vec<_> = (0..3)
        .map(|at| net.client.credit(hop(at)).unwrap().left())
        .collect();
    net.relays.iter_mut().for_each(|relay| relay.hang_up());

    let mut again = setup.start(net.relays, |_| {});
    again.run();
    for (at, left) in left.into_iter().enumerate() {
        assert!(left < Msat::new(2_000_000));
        assert_eq!(again.client.credit(hop(at)).unwrap().left(), left);
    }
    again.assert_same_books();
}

#[test]
fn a_first_payment_is_served_before_its_result() {
    let mut setup = broke();
    setup.offer = Some(coins(&[50_000]));
    setup.upstream = 20_000;
    let mut relays = setup.relays();
    relays
        .iter_mut()
        .for_each(|relay| relay.disk_is_stuck = true);
    let mut net = setup.start(relays, |_| {});
    net.run();
    let credit = *net.client.credit(hop(0)).unwrap();
    assert_eq!(credit.up.paid(), Msat::new(20_000));
    assert_eq!(credit.down.paid(), Msat::new(30_000));
    assert!(results(&net).is_empty());

    net.relays
        .iter_mut()
        .for_each(|relay| relay.disk_is_stuck = false);
    net.run();
    assert_eq!(results(&net).len(), 3);
    net.assert_same_books();
    assert_eq!(
        net.client.credit(hop(0)).unwrap().paid(),
        Msat::new(50_000),
        "once"
    );
}

#[test]
fn a_first_payment_that_was_not_served_ahead_is_credited_with_its_result() {
    let mut setup = broke();
    setup.offer = Some(coins(&[50_000]));
    let mut relays = setup.relays();
    relays
        .iter_mut()
        .for_each(|relay| relay.serves_ahead = false);
    let mut net = setup.start(relays, |_| {});
    net.run();
    net.assert_same_books();
    assert_eq!(net.client.credit(hop(1)).unwrap().paid(), Msat::new(50_000));
}

#[test]
fn a_payment_is_credited_once_and_split_as_wanted() {
    let mut net = broke().build();
    let number = net.pay(1, 300, 700);
    net.run();
    let credit = *net.client.credit(hop(1)).unwrap();
    assert_eq!(credit.up.paid(), Msat::new(300));
    assert_eq!(credit.down.paid(), Msat::new(700));
    assert_eq!(results(&net)[0].number, number);
    net.assert_same_books();
}

#[test]
fn refused_items_are_named_and_the_rest_is_credited() {
    let mut net = broke().build();
    net.client
        .pay(net.now, hop(2), coins(&[500, 0, 40]), Msat::new(100), None);
    net.run();
    let item = RefusedItem {
        index: 1,
        reason: WORTHLESS,
    };
    let expected = PayResult {
        number: PaymentNumber(1),
        credited: Msat::new(540),
        refused: vec![item],
    };
    assert_eq!(results(&net), [&expected]);
    net.assert_same_books();
}

#[test]
fn refused_items_of_a_first_payment_are_in_the_welcome() {
    let mut setup = broke();
    setup.offer = Some(coins(&[0, 8]));
    let net = setup.build();
    let refused = net.events.iter().find_map(|event| match event {
        ClientEvent::HopReady { welcome, .. } => welcome.result.as_ref(),
        _ => None,
    });
    assert_eq!(refused.unwrap().refused.len(), 1);
}

#[test]
fn several_payments_under_way_are_told_apart() {
    let mut net = broke().build();
    let numbers: Vec<_> = (1..=4).map(|n| net.pay(0, 10 * n, 100 * n)).collect();
    net.run();
    let answered: Vec<_> = results(&net).iter().map(|result| result.number).collect();
    assert_eq!(answered, numbers);
    let credit = net.client.credit(hop(0)).unwrap();
    assert_eq!(
        (credit.up.paid(), credit.down.paid()),
        (Msat::new(100), Msat::new(1000))
    );
    net.assert_same_books();
}

#[test]
fn a_result_of_a_payment_that_nobody_made_is_not_believed() {
    for number in [0, 1, 7] {
        let (mut client, mut relay) = lying_relay();
        let result = PayResult {
            number: PaymentNumber(number),
            credited: Msat::new(1),
            refused: vec![],
        };
        let lie = relay.message(&ToClient::PayResult(result).to_bytes());
        let error = client.control(&lie).unwrap_err();
        assert!(matches!(error, ClientCircuitError::Message { .. }));
    }
}
