//! How the server ends: not ready first, then closed, within a bound, and at once when told twice.

use std::time::Instant;

use crate::program::{PATIENCE, Server, answer, client};

async fn ready(server: &Server) -> u16 {
    let request = client().get(format!("{}/readyz", server.url));
    answer(request).await.unwrap().0
}

#[tokio::test]
async fn a_balancer_sees_the_end_before_it_comes() {
    let mut server = Server::start(&["--demo", "--shutdown-delay=1h"]);
    assert_eq!(ready(&server).await, 200);
    server.signal("-TERM");
    server.logged("not ready any more").await;
    assert_eq!(ready(&server).await, 503, "on a new connection");
    let (status, lease) = server.lease(&client(), "rpi4").await;
    assert_eq!(status, 200, "work that comes all the same is done: {lease}");
}

#[tokio::test]
async fn after_the_delay_the_server_ends() {
    let mut server = Server::start(&["--demo", "--shutdown-delay=1ms"]);
    let told = Instant::now();
    server.signal("-TERM");
    server.logged("not ready any more").await;
    server.logged("no new connections").await;
    assert!(server.ended().success());
    assert!(told.elapsed() < PATIENCE);
}

#[tokio::test]
async fn grpc_health_says_the_same() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

    let mut server = Server::start(&["--demo", "--shutdown-delay=1h"]);
    let channel = tonic::transport::Endpoint::new(server.url.clone()).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let mut all = vec![];
    for stopping in [false, true] {
        if stopping {
            server.signal("-INT");
            server.logged("not ready any more").await;
        }
        for service in ["", "jumpstarter.client.v1.ClientService"] {
            let service = service.to_owned();
            let answer = health.check(HealthCheckRequest { service }).await.unwrap();
            all.push(answer.into_inner().status());
        }
    }
    use ServingStatus::{NotServing, Serving};
    assert_eq!(all, [Serving, Serving, NotServing, NotServing]);
}

// With more threads than the one that waits: the client has to answer the server's last question.
#[tokio::test(flavor = "multi_thread")]
async fn who_watches_health_is_in_nobodys_way() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let mut server = Server::start(&["--demo", "--shutdown-grace=1h"]);
    let channel = tonic::transport::Endpoint::new(server.url.clone()).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    let heard = async {
        assert_eq!(watch.message().await.unwrap().unwrap().status, 1);
        server.signal("-TERM");
        while let Ok(Some(status)) = watch.message().await {
            assert_eq!(status.status, 2, "not serving");
        }
    };
    let heard = tokio::time::timeout(PATIENCE, heard).await;
    heard.expect("the watch goes on");
    assert!(server.ended().success());
}

#[tokio::test]
async fn told_twice_the_server_ends_at_once() {
    for (name, status) in [("-TERM", 143), ("-INT", 130)] {
        let mut server = Server::start(&["--demo", "--shutdown-delay=1h"]);
        server.signal("-TERM");
        server.logged("not ready any more").await;
        server.signal(name);
        assert_eq!(server.ended().code(), Some(status));
        let log = server.whole_log().await;
        assert!(log.contains("ends at once"), "{log}");
    }
}
