//! The documentation of the API: the OpenAPI document as JSON and as YAML, and Swagger UI. All of it
//! is constant, comes from this server alone, and needs no token.
//!
//! Whatever leads from one page to another is relative, so that it also works behind a path prefix.
//! This room knows nothing of what the document says.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa_swagger_ui::Config;

use crate::transcode::{Condition, Rejection, accept};

/// The OpenAPI document.
pub const OPENAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/jumpstarter/openapi.json"));

/// The same as YAML.
pub const OPENAPI_YAML: &str = include_str!(concat!(env!("OUT_DIR"), "/jumpstarter/openapi.yaml"));

/// What `/` has: the index, and Swagger UI for those who like that better.
const TEXT: &str = "text/plain";
const HTML: &str = "text/html";

/// What `/` answers to programs; a browser is led to Swagger UI.
const INDEX: &str = "\
Jumpstarter Gateway

swagger-ui/    try the API in a browser
openapi.json   what the API offers, as an OpenAPI 3.1 document
openapi.yaml   the same as YAML
";

/// The files of Swagger UI that its page needs.
const SWAGGER_UI: [&str; 8] = [
    "favicon-16x16.png",
    "favicon-32x32.png",
    "index.css",
    "index.html",
    "swagger-initializer.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
];

static PAGES: LazyLock<Vec<Page>> = LazyLock::new(pages);

/// The routes of this room. Everything else it leaves to others.
pub fn router() -> Router {
    let router = Router::new()
        .route("/", get(index))
        .route("/swagger-ui", get(async || Redirect::to("swagger-ui/")));
    PAGES.iter().fold(router, |router, page| {
        router.route(
            &page.path,
            get(async |headers: HeaderMap| page.respond(&headers)),
        )
    })
}

async fn index(headers: HeaderMap) -> Response {
    let is_browser = accept(&headers, &[TEXT, HTML]).is_ok_and(|kind| kind == HTML);
    let vary = [(header::VARY, "Accept")];
    match is_browser {
        true => (vary, Redirect::to("swagger-ui/")).into_response(),
        // Also to those who accept neither: it is better than nothing (RFC 9110, section 12.5.1).
        false => (vary, INDEX).into_response(),
    }
}

/// Something constant under a path of its own.
struct Page {
    path: String,
    content_type: String,
    body: Cow<'static, [u8]>,
    /// Made of the body (RFC 9110, section 8.8.3).
    etag: HeaderValue,
}

impl Page {
    fn new(
        path: String,
        content_type: impl Into<String>,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        let body = body.into();
        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        let etag = format!("\"{:016x}\"", hasher.finish());
        Self {
            path,
            content_type: content_type.into(),
            etag: HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")),
            body,
        }
    }

    /// The page, or 304 where the client has it. Clients ask every time, so that a new version of
    /// the gateway is seen at once.
    ///
    /// # Errors
    /// 400 where a precondition cannot be read, and 412 where one does not hold.
    fn respond(&'static self, headers: &HeaderMap) -> Result<Response, Rejection> {
        let validators = [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        if let Some(condition) = Condition::of(headers)?
            && condition.is_known(Some(&self.etag))?
        {
            return Ok((StatusCode::NOT_MODIFIED, validators).into_response());
        }
        let content_type = [(header::CONTENT_TYPE, self.content_type.as_str())];
        Ok((validators, content_type, self.body.as_ref()).into_response())
    }
}

fn pages() -> Vec<Page> {
    let documents = [
        Page::new(
            "/openapi.json".to_owned(),
            "application/json",
            OPENAPI_JSON.as_bytes(),
        ),
        // RFC 9512.
        Page::new(
            "/openapi.yaml".to_owned(),
            "application/yaml",
            OPENAPI_YAML.as_bytes(),
        ),
    ];
    let config = Arc::new(config());
    let files = SWAGGER_UI.iter().filter_map(|file| {
        let served = utoipa_swagger_ui::serve(file, config.clone()).ok()??;
        let name = if *file == "index.html" { "" } else { file };
        Some(Page::new(
            format!("/swagger-ui/{name}"),
            served.content_type,
            served.bytes,
        ))
    });
    documents.into_iter().chain(files).collect()
}

/// How Swagger UI behaves. Without `validator_url` it sends the document's address to an online
/// validator.
fn config() -> Config<'static> {
    Config::from("../openapi.json")
        .use_base_layout()
        .validator_url("none")
        .persist_authorization(true)
        .try_it_out_enabled(true)
        .deep_linking(true)
        .filter(true)
        .display_request_duration(true)
        .default_models_expand_depth(0)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn request(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status,
            parts.headers,
            String::from_utf8_lossy(&body).into_owned(),
        )
    }

    #[tokio::test]
    async fn documents_are_served_as_what_they_are() {
        for (path, content_type, text) in [
            ("/openapi.json", "application/json", OPENAPI_JSON),
            ("/openapi.yaml", "application/yaml", OPENAPI_YAML),
        ] {
            let (status, headers, body) = request(path, &[]).await;
            assert_eq!(
                (status, headers[header::CONTENT_TYPE].to_str().unwrap()),
                (StatusCode::OK, content_type)
            );
            assert!(body == text, "{path} does not answer the document");
        }
    }

    #[tokio::test]
    async fn a_page_that_the_client_has_is_not_sent_again() {
        let (_, headers, _) = request("/openapi.json", &[]).await;
        let etag = headers[header::ETAG].to_str().unwrap();
        for tags in [
            etag.to_owned(),
            format!("W/{etag}"),
            format!("\"x\", {etag}"),
            "*".to_owned(),
        ] {
            let (status, headers, body) =
                request("/openapi.json", &[("If-None-Match", &tags)]).await;
            assert_eq!(
                (status, body.as_str()),
                (StatusCode::NOT_MODIFIED, ""),
                "If-None-Match: {tags}"
            );
            assert_eq!(headers[header::ETAG].to_str().unwrap(), etag);
        }
        for (header, tag, expected) in [
            ("If-None-Match", "\"x\"", StatusCode::OK),
            ("If-None-Match", "x", StatusCode::BAD_REQUEST),
            ("If-Match", etag, StatusCode::OK),
            ("If-Match", "\"x\"", StatusCode::PRECONDITION_FAILED),
        ] {
            let (status, ..) = request("/openapi.json", &[(header, tag)]).await;
            assert_eq!(status, expected, "{header}: {tag}");
        }
    }

    #[tokio::test]
    async fn the_root_leads_people_to_swagger_ui_and_tells_programs_what_there_is() {
        for browser in [
            "text/html,*/*;q=0.8",
            "Text/HTML",
            "text/plain;q=0.5, text/*",
        ] {
            let (status, headers, _) = request("/", &[("Accept", browser)]).await;
            assert_eq!(status, StatusCode::SEE_OTHER, "{browser}");
            assert_eq!(headers[header::LOCATION], "swagger-ui/", "{browser}");
        }
        for program in [
            "*/*",
            "text/html;q=0",
            "text/html;q=0, */*",
            "text/htmlx",
            "image/png",
        ] {
            let (status, headers, body) = request("/", &[("Accept", program)]).await;
            assert_eq!(status, StatusCode::OK, "{program}");
            let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
            assert!(kind.starts_with("text/plain"), "{program}: {kind}");
            assert!(body.contains("\nopenapi.json "), "{body}");
        }
    }

    #[tokio::test]
    async fn swagger_ui_needs_nothing_that_is_not_served_here() {
        let (status, headers, _) = request("/swagger-ui", &[]).await;
        assert_eq!(
            (status, headers[header::LOCATION].to_str().unwrap()),
            (StatusCode::SEE_OTHER, "swagger-ui/")
        );
        let (status, _, page) = request("/swagger-ui/", &[]).await;
        assert_eq!(status, StatusCode::OK);
        let links = page.split("src=\"").chain(page.split("href=\"")).skip(1);
        let links: Vec<&str> = links
            .filter_map(|rest| rest.split('"').next())
            .filter(|link| !link.contains('<'))
            .collect();
        assert!(links.len() >= 7, "too few links in {page}");
        for link in links {
            let (status, _, _) = request(
                &format!("/swagger-ui/{}", link.trim_start_matches("./")),
                &[],
            )
            .await;
            assert_eq!(status, StatusCode::OK, "{link} of the page is not served");
        }
    }

    #[tokio::test]
    async fn swagger_ui_asks_nobody_else_and_keeps_the_token() {
        let (_, _, script) = request("/swagger-ui/swagger-initializer.js", &[]).await;
        for setting in [
            "\"url\": \"../openapi.json\"",
            "\"validatorUrl\": \"none\"",
            "\"persistAuthorization\": true",
            "\"tryItOutEnabled\": true",
            "\"deepLinking\": true",
            "\"filter\": true",
            "\"displayRequestDuration\": true",
        ] {
            assert!(
                script.contains(setting),
                "{setting} is missing in:\n{script}"
            );
        }
    }
}
