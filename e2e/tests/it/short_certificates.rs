//! Certificates that live for seconds are replaced in time: no connection ever meets one that has ended.

use crate::secured::{Plain, Secured, VALIDITY, serial_number};

/// Each lives 20 seconds and is replaced at two thirds: two minutes in all.
const RENEWALS: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_fails_while_certificates_come_and_end() {
    let secured = Secured::of(Plain { settings: &[(VALIDITY, "20s")], ..Plain::of(169, &["web"]) }).await;
    secured.permit("web", &["web"], &["backend"]).await;
    secured.until_let_in("web").await;
    let mut seen = Vec::new();
    let mut connections = 0_u32;
    while seen.len() <= RENEWALS {
        // Whatever keeps certificates from being replaced makes connections fail: this loop ends.
        for _ in 0..50 {
            let answer = secured.ask("web").await;
            assert_eq!(answer.unwrap(), "backend", "connection {connections}, certificates {seen:?}");
            connections += 1;
        }
        let shown = serial_number(secured.proxy("web")).await.expect("it has a certificate");
        if seen.last() != Some(&shown) {
            seen.push(shown);
        }
    }
}
