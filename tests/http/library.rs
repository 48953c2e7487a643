//! An invented service, served by the same generic code: what `ClientService` has no use for.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jumpstarter_gateway::proto::google::api::HttpBody;
use jumpstarter_gateway::proto::wkt;
use jumpstarter_gateway::transcode::{Limits, Transcoder};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tonic::codegen::BoxStream;
use tonic::metadata::KeyAndValueRef;
use tonic::{Code, Request, Response, Status};

use crate::generated::library::v1 as pb;
use crate::generated::library::v1::library_service_http;
use crate::generated::library::v1::library_service_server::LibraryService;
use crate::harness::{Answer, answer, client};

/// A library that answers what it was asked, in the form of its answers.
#[derive(Default)]
pub struct Library {
    /// Told of calls that take long.
    pub calls: Option<UnboundedSender<&'static str>>,
}

/// A call under way.
struct Underway<'a>(&'a UnboundedSender<&'static str>);

impl<'a> Underway<'a> {
    fn new(calls: &'a UnboundedSender<&'static str>) -> Self {
        calls.send("begun").unwrap();
        Self(calls)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.send("over").unwrap();
    }
}

fn titled(name: String, title: String) -> Result<Response<pb::Book>, Status> {
    Ok(Response::new(pb::Book {
        name,
        title,
        ..Default::default()
    }))
}

#[tonic::async_trait]
impl LibraryService for Library {
    async fn create_shelf(
        &self,
        request: Request<pb::CreateShelfRequest>,
    ) -> Result<Response<pb::Shelf>, Status> {
        let pb::CreateShelfRequest {
            shelf_id, shelf, ..
        } = request.into_inner();
        Ok(Response::new(pb::Shelf {
            name: format!("shelves/{shelf_id}"),
            ..shelf.unwrap_or_default()
        }))
    }

    async fn list_shelves(
        &self,
        request: Request<pb::ListShelvesRequest>,
    ) -> Result<Response<pb::ListShelvesResponse>, Status> {
        let shelf = |genre| pb::Shelf {
            genre,
            ..Default::default()
        };
        let shelves = request.into_inner().genres.into_iter().map(shelf).collect();
        Ok(Response::new(pb::ListShelvesResponse {
            shelves,
            next_page_token: "next".to_owned(),
        }))
    }

    async fn get_slot(
        &self,
        request: Request<pb::GetSlotRequest>,
    ) -> Result<Response<pb::Slot>, Status> {
        let pb::GetSlotRequest { shelf, row, column } = request.into_inner();
        Ok(Response::new(pb::Slot {
            shelf,
            row,
            column,
            book: None,
        }))
    }

    async fn create_book(
        &self,
        request: Request<pb::CreateBookRequest>,
    ) -> Result<Response<pb::Book>, Status> {
        let pb::CreateBookRequest {
            parent,
            book_id,
            book,
        } = request.into_inner();
        titled(
            format!("{parent}/books/{book_id}"),
            book.unwrap_or_default().title,
        )
    }

    async fn list_books(
        &self,
        request: Request<pb::ListBooksRequest>,
    ) -> Result<Response<pb::ListBooksResponse>, Status> {
        let next_page_token = format!("{:?}", request.into_inner().parent);
        Ok(Response::new(pb::ListBooksResponse {
            books: vec![],
            next_page_token,
        }))
    }

    async fn update_book(
        &self,
        request: Request<pb::UpdateBookRequest>,
    ) -> Result<Response<pb::Book>, Status> {
        let pb::UpdateBookRequest {
            book, update_mask, ..
        } = request.into_inner();
        let summary = update_mask
            .map(|mask| mask.paths.join(","))
            .unwrap_or_default();
        Ok(Response::new(pb::Book {
            summary,
            ..book.unwrap_or_default()
        }))
    }

    async fn move_book(
        &self,
        request: Request<pb::MoveBookRequest>,
    ) -> Result<Response<pb::Book>, Status> {
        let request = request.into_inner();
        titled(request.name, request.other_shelf)
    }

    async fn archive_book(
        &self,
        request: Request<pb::ArchiveBookRequest>,
    ) -> Result<Response<pb::Book>, Status> {
        let request = request.into_inner();
        titled(request.name, request.reason)
    }

    async fn compare_books(
        &self,
        request: Request<pb::CompareBooksRequest>,
    ) -> Result<Response<pb::Comparison>, Status> {
        let pb::CompareBooksRequest { left, right } = request.into_inner();
        let same = left == right;
        let differences = (!same).then(|| wkt::FieldMask {
            paths: vec!["shelf_mark".to_owned()],
        });
        Ok(Response::new(pb::Comparison {
            differences,
            likeness: if same { f64::INFINITY } else { 0.5 },
        }))
    }

    async fn replace_tags(
        &self,
        request: Request<pb::ReplaceTagsRequest>,
    ) -> Result<Response<pb::Book>, Status> {
        Ok(Response::new(pb::Book {
            tags: request.into_inner().tags,
            ..Default::default()
        }))
    }

    async fn get_file(
        &self,
        request: Request<pb::GetFileRequest>,
    ) -> Result<Response<pb::File>, Status> {
        let pb::GetFileRequest { path, revision } = request.into_inner();
        Ok(Response::new(pb::File {
            path,
            revision,
            content: vec![0xff],
        }))
    }

    async fn echo(
        &self,
        request: Request<pb::GetFileRequest>,
    ) -> Result<Response<pb::File>, Status> {
        self.get_file(request).await
    }

    async fn list_loans(
        &self,
        request: Request<pb::ListLoansRequest>,
    ) -> Result<Response<pb::ListLoansResponse>, Status> {
        let pb::ListLoansRequest {
            genre,
            overdue,
            since,
            longer_than,
        } = request.into_inner();
        let loan = pb::Loan {
            name: format!("{genre} {overdue}"),
            since,
            length: longer_than,
        };
        Ok(Response::new(pb::ListLoansResponse { loans: vec![loan] }))
    }

    async fn get_shelf(
        &self,
        request: Request<pb::GetShelfRequest>,
    ) -> Result<Response<pb::Shelf>, Status> {
        // Whoever listens learns when the call begins, and when it is given up.
        let _call = self.calls.as_ref().map(Underway::new);
        match request.into_inner().name.as_str() {
            "shelves/never" => std::future::pending().await,
            name => Ok(Response::new(pb::Shelf {
                name: name.to_owned(),
                ..Default::default()
            })),
        }
    }

    async fn get_book(
        &self,
        request: Request<pb::GetBookRequest>,
    ) -> Result<Response<pb::Book>, Status> {
        let ascii = |entry| match entry {
            KeyAndValueRef::Ascii(key, value) => {
                format!("{key}: {}", value.to_str().unwrap_or("?"))
            }
            KeyAndValueRef::Binary(key, _) => key.to_string(),
        };
        let mut tags: Vec<String> = request.metadata().iter().map(ascii).collect();
        tags.sort();
        let name = request.into_inner().name;
        let mut response = Response::new(pb::Book {
            name,
            tags,
            ..Default::default()
        });
        for (key, value) in [
            ("etag", "\"7\""),
            ("x-shelf", "oak"),
            ("connection", "close"),
            ("content-length", "1"),
        ] {
            response.metadata_mut().insert(key, value.parse().unwrap());
        }
        Ok(response)
    }

    async fn get_cover(
        &self,
        request: Request<pb::GetBookRequest>,
    ) -> Result<Response<HttpBody>, Status> {
        let content_type = if request.into_inner().name.ends_with("/0") {
            ""
        } else {
            "image/png"
        };
        let cover = HttpBody {
            content_type: content_type.to_owned(),
            data: vec![0, 0xff],
            extensions: vec![],
        };
        let mut response = Response::new(cover);
        response
            .metadata_mut()
            .insert("etag", "\"cover\"".parse().unwrap());
        Ok(response)
    }

    async fn replace_cover(
        &self,
        request: Request<pb::ReplaceCoverRequest>,
    ) -> Result<Response<pb::Book>, Status> {
        let pb::ReplaceCoverRequest { name, cover } = request.into_inner();
        titled(
            name,
            cover
                .map(|cover| format!("{}: {:?}", cover.content_type, cover.data))
                .unwrap_or_default(),
        )
    }

    async fn download_file(
        &self,
        request: Request<pb::GetFileRequest>,
    ) -> Result<Response<BoxStream<HttpBody>>, Status> {
        let chunk = |content_type: &str, data: &str| {
            Ok(HttpBody {
                content_type: content_type.to_owned(),
                data: data.into(),
                extensions: vec![],
            })
        };
        let chunks = match request.into_inner().path.as_str() {
            "files/missing" => vec![Err(Status::not_found("no such file"))],
            "files/empty" => vec![],
            "files/endless" => {
                let begun = stream::iter([chunk("text/csv", "a,b\n")]);
                return Ok(Response::new(Box::pin(begun.chain(stream::pending()))));
            }
            _ => vec![
                chunk("text/csv", "a,b\n"),
                chunk("", "1,2\n"),
                chunk("", "3,4\n"),
            ],
        };
        Ok(Response::new(Box::pin(stream::iter(chunks))))
    }

    async fn watch_books(
        &self,
        request: Request<pb::WatchBooksRequest>,
    ) -> Result<Response<BoxStream<pb::BookEvent>>, Status> {
        let event = |title: &str| {
            let book = Some(pb::Book {
                title: title.to_owned(),
                ..Default::default()
            });
            Ok(pb::BookEvent { book, event: None })
        };
        let failure = || Err(Status::aborted("the shelf fell over"));
        let events = match request.into_inner().limit {
            -2 => return Ok(Response::new(Box::pin(stream::pending()))),
            -1 => {
                return Ok(Response::new(Box::pin(
                    stream::iter([event("one")]).chain(stream::pending()),
                )));
            }
            0 => vec![failure()],
            1 => vec![event("one")],
            _ => vec![event("one"), event("two"), failure(), event("never")],
        };
        Ok(Response::new(Box::pin(stream::iter(events))))
    }
}

/// The library's service as axum mounts it.
pub fn router(library: Library) -> axum::Router {
    let routes = library_service_http::routes(Arc::new(library));
    let limits = Limits {
        body: 64 * 1024,
        ..Limits::default()
    };
    axum::Router::new().fallback_service(Transcoder::new(routes, limits).unwrap())
}

async fn send(method: &str, path: &str, accept: Option<&str>, body: Option<&str>) -> Answer {
    let router = router(Library::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut request = client().request(method.parse().unwrap(), format!("http://{address}{path}"));
    if let Some(accept) = accept {
        request = request.header("accept", accept);
    }
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
    }
    answer(request).await
}

async fn get(path: &str) -> Value {
    let answer = send("GET", path, None, None).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.value()
}

async fn with(method: &str, path: &str, body: &str) -> Value {
    let answer = send(method, path, None, Some(body)).await;
    assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
    answer.value()
}

#[tokio::test]
async fn bodies_and_queries_meet_in_one_request() {
    let shelf = with(
        "POST",
        "/v1/shelves?shelfId=poems",
        r#"{"genre": "GENRE_POETRY"}"#,
    )
    .await;
    assert_eq!(
        shelf,
        json!({"name": "shelves/poems", "genre": "GENRE_POETRY"})
    );
    let unknown = with("POST", "/v1/shelves?shelf_id=new", r#"{"genre": 99}"#).await;
    assert_eq!(unknown, json!({"name": "shelves/new", "genre": 99}));
}

#[tokio::test]
async fn every_binding_of_an_rpc_answers() {
    let first = with(
        "POST",
        "/v1/shelves/1/books?bookId=b",
        r#"{"title": "Emma"}"#,
    )
    .await;
    assert_eq!(first, json!({"name": "shelves/1/books/b", "title": "Emma"}));
    let second = with(
        "POST",
        "/v1/publishers/p/books",
        r#"{"bookId": "b", "book": {"title": "Emma"}}"#,
    )
    .await;
    assert_eq!(
        second,
        json!({"name": "publishers/p/books/b", "title": "Emma"})
    );
    assert_eq!(
        get("/v1/books?parent=shelves%2F1").await["nextPageToken"],
        "\"shelves/1\""
    );
}

#[tokio::test]
async fn verbs_are_told_from_names() {
    let moved = with(
        "POST",
        "/v1/shelves/1/books/2:move",
        r#"{"otherShelf": "shelves/3"}"#,
    )
    .await;
    assert_eq!(
        moved,
        json!({"name": "shelves/1/books/2", "title": "shelves/3"})
    );
    let archived = send(
        "POST",
        "/v1/shelves/1/books/2:archive?reason=worn+out",
        None,
        None,
    )
    .await
    .value();
    assert_eq!(
        archived,
        json!({"name": "shelves/1/books/2", "title": "worn out"})
    );
    assert_eq!(
        send("POST", "/v1/shelves/1/books/2%3Aarchive", None, None)
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn path_text_becomes_typed_values() {
    let slot = get("/v1/shelves/a%2Fb/rows/-7/columns/4294967295").await;
    assert_eq!(
        slot,
        json!({"shelf": "a/b", "row": "-7", "column": 4_294_967_295_u32})
    );
    assert_eq!(
        send("GET", "/v1/shelves/a/rows/x/columns/1", None, None)
            .await
            .status,
        400
    );
    let loans =
        get("/v1/genres/GENRE_POETRY/overdue/true/since/2026-01-02T03:04:05Z/longer/1.5s/loans")
            .await;
    let loan = json!({"name": "7 true", "since": "2026-01-02T03:04:05Z", "length": "1.500s"});
    assert_eq!(loans["loans"][0], loan);
}

#[tokio::test]
async fn captures_take_as_many_segments_as_they_say() {
    assert_eq!(
        get("/v1/files/a/b%2Fc?revision=18446744073709551615").await,
        json!({
            "path": "files/a/b%2Fc", "revision": "18446744073709551615", "content": "/w=="
        })
    );
    assert_eq!(get("/v1/attic").await, json!({"content": "/w=="}));
    let compared = get("/v1/shelves/1/books/2/compare/shelves/1/books/3").await;
    assert_eq!(
        compared,
        json!({"differences": "shelfMark", "likeness": 0.5})
    );
    let same = get("/v1/shelves/1/books/2/compare/shelves/1/books/2").await;
    assert_eq!(same, json!({"likeness": "Infinity"}));
}

#[tokio::test]
async fn any_method_means_any() {
    for method in ["GET", "PUT", "PROPFIND"] {
        let echo = send(method, "/v1/echo/x", None, None).await;
        assert_eq!(echo.value()["path"], "x", "{method}: {echo:?}");
    }
}

#[tokio::test]
async fn a_field_can_be_the_whole_body() {
    assert_eq!(
        with("PUT", "/v1/shelves/1/books/2/tags", r#"["a", "b"]"#).await,
        json!(["a", "b"])
    );
    let shelves = get("/v1/shelves?genres=1&genres=GENRE_POETRY").await;
    assert_eq!(
        shelves,
        json!([{"genre": "GENRE_FICTION"}, {"genre": "GENRE_POETRY"}])
    );
}

#[tokio::test]
async fn a_patch_takes_its_mask_from_the_keys_of_its_body() {
    let path = "/v1/shelves/1/books/2";
    let body = r#"{"title": "", "author": {"displayName": "Ada", "address": null}, "properties": {"a": "b"}, "callNumber": "Z"}"#;
    let patched = with("PATCH", path, body).await;
    assert_eq!(
        patched["summary"],
        "title,author.display_name,author.address,properties,shelf_mark"
    );
    assert_eq!(patched["name"], "shelves/1/books/2");
    let given = with(
        "PATCH",
        &format!("{path}?updateMask=author.displayName"),
        body,
    )
    .await;
    assert_eq!(given["summary"], "author.display_name");
    assert_eq!(
        with("PUT", path, r#"{"title": "Emma"}"#).await,
        json!({"name": "shelves/1/books/2", "title": "Emma"})
    );
    let by_number = with("PATCH", "/v1/books/7", r#"{"name": "a", "title": "b"}"#).await;
    assert_eq!(by_number["summary"], "title");
}

#[tokio::test]
async fn a_stream_comes_in_the_form_that_is_asked_for() {
    let path = "/v1/shelves/1/books:watch?limit=1";
    let lines = send("GET", path, None, None).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(lines.text, "{\"book\":{\"title\":\"one\"}}\n");
    let array = send("GET", path, Some("application/json"), None).await;
    assert_eq!(array.value(), json!([{"book": {"title": "one"}}]));
    let events = send("GET", path, Some("text/event-stream"), None).await;
    assert_eq!(events.text, "data: {\"book\":{\"title\":\"one\"}}\n\n");
    let books = send("GET", "/v1/shelves/1/books:follow?limit=1", None, None).await;
    assert_eq!(books.text, "{\"title\":\"one\"}\n");
}

#[tokio::test]
async fn a_stream_that_fails_says_so() {
    let early = send("GET", "/v1/shelves/1/books:watch", None, None).await;
    assert_eq!(
        (early.status, early.value()["code"].clone()),
        (409, json!(Code::Aborted as i32)),
        "{early:?}"
    );
    let late = send("GET", "/v1/shelves/1/books:watch?limit=2", None, None).await;
    let lines: Vec<Value> = late
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{late:?}");
    assert_eq!(lines[2]["error"]["message"], "the shelf fell over");
    let array = send(
        "GET",
        "/v1/shelves/1/books:watch?limit=2",
        Some("application/json"),
        None,
    )
    .await
    .value();
    assert_eq!(array[2]["error"]["code"], Code::Aborted as i32, "{array}");
    let events = send(
        "GET",
        "/v1/shelves/1/books:watch?limit=2",
        Some("text/event-stream"),
        None,
    )
    .await;
    assert!(
        events
            .text
            .contains("event: error\ndata: {\"error\":{\"code\":10"),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_is_not_written_is_unimplemented() {
    let answer = send("GET", "/v1/loans/a/b", None, None).await;
    answer.refused(501, 12, "UNIMPLEMENTED", "");
}
