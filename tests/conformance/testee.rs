//! The program that protobuf's conformance test runner talks to: requests on standard input,
//! answers on standard output, each a message after its length in four bytes, lowest first. It
//! reads and writes JSON with the same functions as the gateway, and knows nothing else of it.
//!
//! `tests/conformance/run.sh` builds it and runs the tests.

use std::io::{self, Read, Write};
use std::thread;

use jumpstarter_gateway::proto::json::{self, Options};
use prost::Message;

/// Generated from the proto files that come with the runner.
#[allow(
    clippy::all,
    clippy::pedantic,
    dead_code,
    missing_docs,
    reason = "generated code, of which little is used"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/conformance/mod.rs"));
}

use generated::conformance::conformance_request::Payload;
use generated::conformance::conformance_response::Result as Answer;
use generated::conformance::{ConformanceRequest, ConformanceResponse, TestCategory, WireFormat};
use generated::protobuf_test_messages::proto3::TestAllTypesProto3;

fn main() -> io::Result<()> {
    json::register::<TestAllTypesProto3>();
    // The message of the tests has 150 fields and contains itself: unoptimised code takes far more
    // stack for a level of it than for a level of any message that the gateway serves.
    let conversation = thread::Builder::new()
        .stack_size(64 << 20)
        .spawn(converse)?;
    conversation
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("panicked while answering")))
}

fn converse() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut length = [0; 4];
    // The runner says nothing more when it has no more tests.
    while input.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut request)?;
        let request = ConformanceRequest::decode(request.as_slice()).map_err(io::Error::other)?;
        let response = ConformanceResponse {
            result: Some(answer(request)),
        }
        .encode_to_vec();
        output.write_all(&(response.len() as u32).to_le_bytes())?;
        output.write_all(&response)?;
        output.flush()?;
    }
    Ok(())
}

fn answer(request: ConformanceRequest) -> Answer {
    let output = request.requested_output_format();
    let ignore_unknown = request.test_category() == TestCategory::JsonIgnoreUnknownParsingTest;
    match request.message_type.as_str() {
        "protobuf_test_messages.proto3.TestAllTypesProto3" => {}
        // The first question: which tests are expected to fail? The runner has a list of its own.
        "conformance.FailureSet" => return Answer::ProtobufPayload(Vec::new()),
        other => return Answer::Skipped(format!("{other} is not proto3")),
    }
    let message = match request.payload {
        Some(Payload::ProtobufPayload(bytes)) => {
            TestAllTypesProto3::decode(bytes.as_slice()).map_err(|error| error.to_string())
        }
        Some(Payload::JsonPayload(text)) => {
            json::from_slice(text.as_bytes(), Options { ignore_unknown })
                .map_err(|error| error.to_string())
        }
        _ => return Answer::Skipped("neither binary nor JSON".to_owned()),
    };
    match (message, output) {
        (Err(error), _) => Answer::ParseError(error),
        (Ok(message), WireFormat::Protobuf) => Answer::ProtobufPayload(message.encode_to_vec()),
        (Ok(message), WireFormat::Json) => match json::to_vec(&message) {
            Ok(text) => Answer::JsonPayload(String::from_utf8_lossy(&text).into_owned()),
            Err(error) => Answer::SerializeError(error.to_string()),
        },
        (Ok(_), _) => Answer::Skipped("neither binary nor JSON".to_owned()),
    }
}
