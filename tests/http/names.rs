//! Services whose names Rust spells otherwise, served all the same; and masks of a PATCH beside what the
//! path binds.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use jumpstarter_gateway::proto::wkt::FieldMask;
use jumpstarter_gateway::transcode::{Limits, Transcoder};
use serde_json::{Value, json};
use tonic::{Request as Asked, Response, Status};
use tower::ServiceExt;

use crate::generated::gateway::names::v1 as pb;
use pb::http_odd_service_server::HttpOddService;
use pb::shelf_service_server::ShelfService;
use pb::{http_odd_service_http, shelf_service_http};

/// Answers what it was asked.
struct Echo;

fn kept(text: String, mask: Option<FieldMask>) -> Result<Response<pb::Kept>, Status> {
    Ok(Response::new(pb::Kept { text, mask }))
}

#[tonic::async_trait]
impl HttpOddService for Echo {
    async fn r#move(&self, request: Asked<pb::IpAddress>) -> Result<Response<pb::Kept>, Status> {
        kept(request.into_inner().name, None)
    }

    async fn self_(&self, request: Asked<pb::IpAddress>) -> Result<Response<pb::Kept>, Status> {
        kept(request.into_inner().name, None)
    }

    async fn r#gen(&self, request: Asked<pb::KeptItem>) -> Result<Response<pb::Kept>, Status> {
        kept(request.into_inner().name, None)
    }

    async fn get_http_item(
        &self,
        request: Asked<pb::kept::Item>,
    ) -> Result<Response<pb::Kept>, Status> {
        let pb::kept::Item { name, count } = request.into_inner();
        kept(format!("{count} {name}"), None)
    }

    async fn update_thing(
        &self,
        request: Asked<pb::UpdateThingRequest>,
    ) -> Result<Response<pb::Kept>, Status> {
        let request = request.into_inner();
        kept(request.parent.unwrap_or_default().name, request.update_mask)
    }

    async fn patch_cover(
        &self,
        request: Asked<pb::PatchCoverRequest>,
    ) -> Result<Response<pb::Kept>, Status> {
        let request = request.into_inner();
        let cover = request.cover.unwrap_or_default();
        kept(format!("{:?}", cover.data), request.update_mask)
    }
}

#[tonic::async_trait]
impl ShelfService for Echo {
    async fn r#type(&self, request: Asked<pb::IpAddress>) -> Result<Response<pb::Kept>, Status> {
        kept(request.into_inner().name, None)
    }
}

async fn send(method: &str, path: &str, body: &str) -> Value {
    let service = Arc::new(Echo);
    let mut routes = http_odd_service_http::routes(service.clone());
    routes.extend(shelf_service_http::routes(service));
    let transcoder = Transcoder::new(routes, Limits::default()).unwrap();
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = transcoder.oneshot(request).await.unwrap();
    let status = response.status();
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(status, StatusCode::OK, "{method} {path}: {answer:?}");
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test]
async fn every_name_answers() {
    for (path, text) in [
        ("/v1/move/a", "a"),
        ("/v1/self/a", "a"),
        ("/v1/gen/a", "a"),
        ("/v1/items/a?count=2", "2 a"),
        ("/v1/type/a", "a"),
    ] {
        assert_eq!(send("GET", path, "").await, json!({"text": text}), "{path}");
    }
}

#[tokio::test]
async fn a_capture_beside_the_body_hides_none_of_its_fields() {
    for (body, mask) in [
        (r#"{"title": "x"}"#, "title"),
        (r#"{"topic": "", "title": null}"#, "topic,title"),
    ] {
        let patched = send("PATCH", "/v1/parents/a/thing", body).await;
        assert_eq!(patched, json!({"text": "parents/a", "mask": mask}));
    }
}

#[tokio::test]
async fn a_mask_beside_a_body_of_bytes_is_a_field_like_others() {
    let path = "/v1/parents/a/cover?updateMask=data";
    let patched = send("PATCH", path, "{").await;
    assert_eq!(patched, json!({"text": "[123]", "mask": "data"}));
}
