//! A token that was lost: revoking it locks its proxy out of the control plane, and a new one lets it in again, while its
//! traffic goes on.

use crate::shop::{Shop, answers, read, route, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_its_stream_and_a_new_one_brings_the_proxy_back_without_a_restart() {
    let (shop, backend) = Shop::with_two_versions(113).await;
    shop.until_online(3).await;
    let (cp_log, dp_log) =
        (shop.folder.path().join("cp/kuma-cp.log"), shop.proxy_folder("web").join("kuma-dp.log"));
    let token_file = shop.proxy_folder("web").join("token");
    let lost = read(&token_file);

    shop.kumactl(&["revoke", "dataplane-token", "--token-file", token_file.to_str().unwrap()]).await;
    shop.until_online(2).await;

    // Envoy tries again and again, and both sides say why in vain.
    until("the control plane to refuse the token", async || {
        read(&cp_log)
            .lines()
            .any(|line| line.contains("refused a client") && line.contains("the token was revoked"))
    })
    .await;
    until("Envoy's word of it in kuma-dp's log", async || read(&dp_log).contains("the token was revoked"))
        .await;

    // The proxy serves with the configuration that it has; what changes goes past it.
    shop.control_plane.apply(&route(0, 100)).await.unwrap();
    let kept = answers(backend, 40).await;
    assert!(kept.iter().any(|it| it == "backend-v1") && kept.iter().any(|it| it == "backend-v2"), "{kept:?}");
    assert_eq!(shop.control_plane.online().await.unwrap(), 2);

    std::fs::write(&token_file, shop.control_plane.token("default", "web").await.unwrap()).unwrap();
    shop.until_online(3).await;
    until("the route to be in effect", async || {
        answers(backend, 10).await.iter().all(|it| it == "backend-v2")
    })
    .await;
    assert_eq!(read(&dp_log).matches("Envoy is started").count(), 1, "it was not restarted");
    assert!(!read(&cp_log).contains(&lost) && !read(&dp_log).contains(&lost), "a token is never logged");
}
