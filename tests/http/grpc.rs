//! The same service as native gRPC, on the same port.

use jumpstarter_gateway::fault;
use jumpstarter_gateway::proto::jumpstarter::client::v1::client_service_client::ClientServiceClient;
use jumpstarter_gateway::proto::jumpstarter::client::v1::{
    CreateLeaseRequest, DeleteLeaseRequest, GetLeaseRequest, Lease, ListExportersRequest,
};
use jumpstarter_gateway::proto::wkt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::harness::{Gateway, answer};

async fn channel(gateway: &Gateway) -> Channel {
    Endpoint::new(gateway.url(""))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_call_ends_in_time_and_says_which_it_was() {
    let gateway = Gateway::demo().await;
    let mut client = ClientServiceClient::new(channel(&gateway).await);
    let mut request = Request::new(CreateLeaseRequest {
        parent: "namespaces/default".to_owned(),
        lease_id: String::new(),
        lease: Some(Lease {
            selector: "board=rpi4".into(),
            // In another year.
            begin_time: Some(wkt::Timestamp {
                seconds: 4_000_000_000,
                nanos: 0,
            }),
            duration: Some(wkt::Duration {
                seconds: 60,
                nanos: 0,
            }),
            ..Default::default()
        }),
    });
    let metadata = request.metadata_mut();
    metadata.insert("prefer", "wait=600".parse().unwrap());
    // tonic's client would look at `grpc-timeout`, too.
    metadata.insert("x-request-timeout", "0.05".parse().unwrap());
    let late = client.create_lease(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    let mut request = Request::new(GetLeaseRequest {
        name: "namespaces/default/leases/none".to_owned(),
    });
    let metadata = request.metadata_mut();
    metadata.insert("x-request-id", "eighth".parse().unwrap());
    let missing = client.get_lease(request).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let details = String::from_utf8_lossy(missing.details()).into_owned();
    assert!(
        details.contains("google.rpc.RequestInfo") && details.contains("eighth"),
        "{details}"
    );
}

/// What tonic refuses by itself has the shape of all errors, too, and none is longer than headers may be.
#[tokio::test]
async fn every_error_has_a_reason_and_the_id_of_its_request() {
    const GET: &str = "/jumpstarter.client.v1.ClientService/GetLease";
    let gateway = Gateway::demo().await;
    let frame = |message: &[u8]| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], &length[..], message].concat()
    };
    let named = |name: String| {
        let request = GetLeaseRequest { name };
        frame(&prost::Message::encode_to_vec(&request))
    };
    let unknown = HealthCheckRequest {
        service: "none".to_owned(),
    };
    let unknown = frame(&prost::Message::encode_to_vec(&unknown));
    let health = "/grpc.health.v1.Health/Check";
    let query = format!("{GET}?{}", "x".repeat(9_000));
    for (path, body, encoding, code, reason) in [
        (GET, vec![0; 3], "", 13, "INTERNAL"),
        (GET, frame(&[0xff]), "", 13, "INTERNAL"),
        (GET, named(String::new()), "gzip", 12, "UNIMPLEMENTED"),
        (GET, frame(&[0; 200_000]), "", 8, "BODY_TOO_LARGE"),
        (
            GET,
            named("x".repeat(60_000)),
            "",
            3,
            "INVALID_RESOURCE_NAME",
        ),
        (health, unknown, "", 5, "NOT_FOUND"),
        (&query, named(String::new()), "", 3, "URL_TOO_LONG"),
    ] {
        let request = gateway.request("POST", path).body(body);
        let request = request.header("content-type", "application/grpc");
        let request = request.header("x-request-id", "ninth");
        let request = match encoding {
            "" => request,
            encoding => request.header("grpc-encoding", encoding),
        };
        let answer = answer(request).await;
        let status = tonic::Status::from_header_map(&answer.headers).unwrap();
        assert_eq!(status.code() as i32, code, "{path}: {status:?}");
        let told = fault::reason(status.details());
        assert_eq!(told.as_deref(), Some(reason), "{path}: {status:?}");
        let details = String::from_utf8_lossy(status.details()).into_owned();
        assert_eq!(details.matches("ninth").count(), 1, "{path}: {details}");
        let size: usize = answer.headers.values().map(|value| value.len()).sum();
        assert!(size < 8_000, "{path}: {size} bytes of headers");
    }
}

#[tokio::test]
async fn an_rpc_that_there_is_not_is_told_of() {
    let gateway = Gateway::demo().await;
    for service in [
        "jumpstarter.client.v1.ClientService",
        "grpc.health.v1.Health",
        "jumpstarter.client.v1.NoService",
    ] {
        let path = format!("/{service}/Nope");
        let request = gateway.request("POST", &path).body(vec![0; 5]);
        let answer = answer(request.header("content-type", "application/grpc")).await;
        let status = tonic::Status::from_header_map(&answer.headers).unwrap();
        assert_eq!(
            (status.code(), status.message()),
            (
                Code::Unimplemented,
                format!("there is no rpc {path}").as_str()
            )
        );
        let details = String::from_utf8_lossy(status.details()).into_owned();
        for part in ["UNKNOWN_RPC", answer.header("x-request-id")] {
            assert!(details.contains(part), "{part} is not in {details}");
        }
    }
}

#[tokio::test]
async fn a_grpc_client_leases_what_rest_sees() {
    let gateway = Gateway::demo().await;
    let mut client = ClientServiceClient::new(channel(&gateway).await);
    let parent = "namespaces/default".to_owned();
    let request = ListExportersRequest {
        parent: parent.clone(),
        filter: "board=rpi4".into(),
        ..Default::default()
    };
    let exporters = client
        .list_exporters(request)
        .await
        .unwrap()
        .into_inner()
        .exporters;
    assert_eq!(exporters.len(), 1);
    let lease = Lease {
        selector: "board=rpi4".into(),
        duration: Some(wkt::Duration {
            seconds: 60,
            nanos: 0,
        }),
        // Upstream's command line sends it so.
        exporter_name: Some(String::new()),
        ..Default::default()
    };
    let request = CreateLeaseRequest {
        parent,
        lease_id: String::new(),
        lease: Some(lease),
    };
    let lease = client.create_lease(request).await.unwrap().into_inner();
    let last = lease.conditions.last().unwrap();
    assert_eq!(
        (last.r#type(), last.status()),
        ("Ready", "True"),
        "{lease:?}"
    );
    let seen = gateway.get(&format!("/v1/{}", lease.name)).await.value();
    assert_eq!(seen["exporter"], lease.exporter.unwrap());
    client
        .delete_lease(DeleteLeaseRequest {
            name: lease.name.clone(),
        })
        .await
        .unwrap();
    let again = client
        .delete_lease(DeleteLeaseRequest { name: lease.name })
        .await
        .unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);
    assert!(!again.details().is_empty(), "{again:?}");
}

#[tokio::test]
async fn what_json_cannot_hold_is_refused_over_grpc_too() {
    let mut client = ClientServiceClient::new(channel(&Gateway::demo().await).await);
    let lease = Lease {
        selector: "board=rpi4".into(),
        duration: Some(wkt::Duration {
            seconds: i64::MIN,
            nanos: i32::MIN,
        }),
        ..Default::default()
    };
    let request = CreateLeaseRequest {
        parent: "namespaces/default".into(),
        lease_id: String::new(),
        lease: Some(lease),
    };
    assert_eq!(
        client.create_lease(request).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let nothing = CreateLeaseRequest {
        parent: "namespaces/default".into(),
        ..Default::default()
    };
    assert_eq!(
        client.create_lease(nothing).await.unwrap_err().message(),
        "lease is required"
    );
    let missing = GetLeaseRequest {
        name: "namespaces/default/leases/none".into(),
    };
    assert_eq!(
        client.get_lease(missing).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let channel = channel(&Gateway::demo().await).await;
    let service = "jumpstarter.client.v1.ClientService".to_owned();
    let request = HealthCheckRequest {
        service: service.clone(),
    };
    let health = HealthClient::new(channel.clone())
        .check(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(health.status, 1);
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request,
    };
    let requests = futures_util::stream::iter([request]);
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(Request::new(requests))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    assert!(
        list.service.iter().any(|known| known.name == service),
        "{list:?}"
    );
}

#[tokio::test]
async fn an_unknown_rpc_is_unimplemented() {
    let channel = channel(&Gateway::demo().await).await;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/jumpstarter.client.v1.ClientService/Nothing");
    let codec = tonic_prost::ProstCodec::<GetLeaseRequest, Lease>::default();
    let status = client
        .unary(Request::new(GetLeaseRequest::default()), path, codec)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
}

#[tokio::test]
async fn only_grpc_gets_through_a_path_of_grpc() {
    let gateway = Gateway::demo().await;
    let lease = gateway
        .lease(r#"{"selector": "board=rpi4", "duration": "60s"}"#)
        .await;
    let name = lease["name"].as_str().unwrap();
    // A frame that releases the lease, as a form of any web page could send it.
    let mut frame = vec![0, 0, 0, 0, name.len() as u8 + 2, 0x0a, name.len() as u8];
    frame.extend(name.as_bytes());
    for path in [
        "/jumpstarter.client.v1.ClientService/DeleteLease",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        for kind in ["text/plain", "application/json", ""] {
            let mut request = gateway.request("POST", path).body(frame.clone());
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            answer(request)
                .await
                .refused(415, 3, "UNSUPPORTED_MEDIA_TYPE", "application/grpc");
        }
        for method in ["GET", "PUT", "DELETE"] {
            let request = gateway.request(method, path);
            let request = request.header("content-type", "application/grpc");
            let wrong = answer(request.body(frame.clone())).await;
            wrong.refused(405, 12, "METHOD_NOT_ALLOWED", "OPTIONS, POST");
            assert_eq!(wrong.header("allow"), "OPTIONS, POST");
        }
        assert_eq!(gateway.send("HEAD", path).await.status, 405);
        let options = gateway.send("OPTIONS", path).await;
        assert_eq!(
            (options.status, options.header("allow")),
            (204, "OPTIONS, POST")
        );
    }
    let still = gateway.get(&format!("/v1/{name}")).await.value();
    assert!(still.get("effectiveEndTime").is_none(), "{still}");
}
