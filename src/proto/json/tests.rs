//! Generated messages through the reader and the writer, as the gateway uses them.

use super::{MAXIMUM_DEPTH, Options, from_slice, to_vec};
use crate::proto::google::rpc::{ErrorInfo, RetryInfo, Status};
use crate::proto::jumpstarter::client::v1::{
    Exporter, Lease, ListLeasesRequest, ListLeasesResponse,
};
use crate::proto::jumpstarter::v1::ExporterStatus;
use crate::proto::wkt;

fn written<T: serde::Serialize>(message: &T) -> String {
    String::from_utf8(to_vec(message).unwrap()).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, String> {
    from_slice(json.as_bytes(), Options::default()).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_written_where_a_field_has_no_presence() {
    assert_eq!(
        written(&ListLeasesResponse::default()),
        "{\"leases\":[],\"nextPageToken\":\"\"}"
    );
    let lease = written(&Lease::default());
    assert!(lease.contains("\"allowDisabled\":false"), "{lease}");
    assert!(lease.contains("\"tags\":{}"), "{lease}");
    let exporter = written(&Exporter::default());
    assert!(
        exporter.contains("\"status\":\"EXPORTER_STATUS_UNSPECIFIED\""),
        "{exporter}"
    );
}

#[test]
fn a_field_with_presence_is_written_when_it_is_set() {
    let lease = written(&Lease::default());
    for name in [
        "duration",
        "beginTime",
        "effectiveEndTime",
        "client",
        "exporterName",
    ] {
        assert!(!lease.contains(&format!("\"{name}\"")), "{name} in {lease}");
    }
    assert!(!lease.contains("null"), "{lease}");
    let set = Lease {
        client: Some(String::new()),
        duration: Some(wkt::Duration {
            seconds: 0,
            nanos: 0,
        }),
        ..Lease::default()
    };
    let lease = written(&set);
    assert!(lease.contains("\"client\":\"\""), "{lease}");
    assert!(lease.contains("\"duration\":\"0s\""), "{lease}");
    assert_eq!(read(&lease), Ok(set));
}

#[test]
fn null_leaves_a_field_unset() {
    let json = "{\"name\":null,\"duration\":null,\"client\":null,\"conditions\":null,\
        \"tags\":null,\"allowDisabled\":null}";
    assert_eq!(read(json), Ok(Lease::default()));
    assert!(read::<Lease>("null").is_err());
    assert!(read::<Option<Lease>>("null").is_ok_and(|lease| lease.is_none()));
}

#[test]
fn a_field_comes_once_whatever_its_spelling_and_value() {
    for json in [
        "{\"pageSize\":1,\"pageSize\":1}",
        "{\"pageSize\":1,\"page_size\":1}",
        "{\"page_size\":null,\"pageSize\":1}",
        "{\"onlyActive\":true,\"onlyActive\":null}",
    ] {
        let error = read::<ListLeasesRequest>(json).unwrap_err();
        assert!(error.starts_with("duplicate field `"), "{json}: {error}");
    }
    let request: ListLeasesRequest = read("{\"page_size\":10,\"onlyActive\":false}").unwrap();
    assert_eq!((request.page_size, request.only_active), (10, Some(false)));
}

#[test]
fn an_error_says_where_it_is() {
    let error = read::<ListLeasesRequest>("{\n  \"pageSize\": 1.5\n}").unwrap_err();
    let expected = "invalid value: number `1.5`, expected a 32-bit integer at line 2 column 17";
    assert_eq!(error, expected);
    for json in [
        "",
        "{",
        "{} x",
        "{}{}",
        "{\"pageSize\":1,}",
        "// a\n{}",
        "\u{feff}{}",
        "[]",
    ] {
        assert!(read::<ListLeasesRequest>(json).is_err(), "{json:?}");
    }
    assert!(from_slice::<ListLeasesRequest>(b"{\"parent\":\"\xff\"}", Options::default()).is_err());
}

#[test]
fn unknown_fields_are_refused_or_on_request_passed_over() {
    let json = "{\"bogus\":{\"a\":[null]},\"pageSize\":7,\"Filter\":[]}";
    let error = read::<ListLeasesRequest>(json).unwrap_err();
    assert!(
        error.starts_with("unknown field `bogus`, expected one of `parent`"),
        "{error}"
    );
    let options = Options {
        ignore_unknown: true,
    };
    let request: ListLeasesRequest = from_slice(json.as_bytes(), options).unwrap();
    assert_eq!(
        request,
        ListLeasesRequest {
            page_size: 7,
            ..ListLeasesRequest::default()
        }
    );
    // Known fields are read as strictly as ever, also inside messages that are known.
    for json in [
        "{\"pageSize\":\"x\"}",
        "{\"pageSize\":1,\"page_size\":1}",
        "{\"bogus\":}",
    ] {
        assert!(
            from_slice::<ListLeasesRequest>(json.as_bytes(), options).is_err(),
            "{json}"
        );
    }
    let json = "{\"leases\":[{\"bogus\":1,\"client\":\"a\"}]}";
    let response: ListLeasesResponse = from_slice(json.as_bytes(), options).unwrap();
    assert_eq!(
        response
            .leases
            .first()
            .and_then(|lease| lease.client.as_deref()),
        Some("a")
    );
}

#[test]
fn an_unknown_enum_number_does_not_spoil_the_answer() {
    let mut exporter = Exporter {
        status: 4711,
        ..Exporter::default()
    };
    assert!(written(&exporter).contains("\"status\":4711"));
    assert_eq!(read(&written(&exporter)), Ok(exporter.clone()));
    exporter.set_status(ExporterStatus::Available);
    assert!(written(&exporter).contains("\"status\":\"EXPORTER_STATUS_AVAILABLE\""));
    assert_eq!(read(&written(&exporter)), Ok(exporter));
}

#[test]
fn error_details_are_shown_as_what_they_are() {
    super::register::<ErrorInfo>();
    super::register::<RetryInfo>();
    let error_info = ErrorInfo {
        reason: "NO_MATCH".to_owned(),
        domain: "jumpstarter.dev".to_owned(),
        metadata: [("selector".to_owned(), "a=b".to_owned())].into(),
    };
    let retry = RetryInfo {
        retry_delay: Some(wkt::Duration {
            seconds: 1,
            nanos: 500_000_000,
        }),
    };
    let unknown = wkt::Any {
        type_url: "type.googleapis.com/a.B".to_owned(),
        value: vec![8, 1],
    };
    let status = Status {
        code: 9,
        message: "no".to_owned(),
        details: vec![wkt::Any::of(&error_info), wkt::Any::of(&retry), unknown],
    };
    assert_eq!(
        written(&status),
        "{\"code\":9,\"message\":\"no\",\"details\":[\
         {\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\
         \"reason\":\"NO_MATCH\",\"domain\":\"jumpstarter.dev\",\
         \"metadata\":{\"selector\":\"a=b\"}},\
         {\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"1.500s\"},\
         {\"@type\":\"type.googleapis.com/a.B\",\"value\":\"CAE=\"}]}"
    );
}

/// On a thread with a stack of 2 MiB, whatever stack the tests run with.
fn on_a_small_stack(test: fn()) {
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(test)
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn nesting_has_a_limit_and_fits_the_stack() {
    on_a_small_stack(|| {
        for (open, inside, close) in [
            ("[", "", "]"),
            ("{\"a\":", "1", "}"),
            ("[{\"a\":", "[]", "}]"),
        ] {
            let levels = open.matches(['[', '{']).count();
            let nested = |count: usize| open.repeat(count) + inside + &close.repeat(count);
            let most = (MAXIMUM_DEPTH - inside.matches('[').count()) / levels;
            assert!(
                read::<wkt::Value>(&nested(most)).is_ok(),
                "{open} {most} times"
            );
            for count in [most + 1, 200, 200_000] {
                let error = read::<wkt::Value>(&nested(count)).unwrap_err();
                assert!(
                    error.starts_with("nested more than 100 levels deep"),
                    "{open} {count} times: {error}"
                );
            }
        }
        let ignored = format!(
            "{{\"bogus\":{}{}}}",
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        let options = Options {
            ignore_unknown: true,
        };
        assert!(from_slice::<Lease>(ignored.as_bytes(), options).is_ok());
    });
}

#[test]
fn an_any_inside_many_fits_the_stack() {
    on_a_small_stack(|| {
        let open = "{\"@type\":\"/google.protobuf.Any\",\"value\":";
        let nested = |count: usize| open.repeat(count) + "{}" + &"}".repeat(count);
        let any: wkt::Any = read(&nested(MAXIMUM_DEPTH - 1)).unwrap();
        assert_eq!(written(&any), nested(MAXIMUM_DEPTH - 1));
        assert!(read::<wkt::Any>(&nested(MAXIMUM_DEPTH)).is_err());
    });
}
