//! How much of what axum can do is left when the gateway answers: `cargo bench --bench http`.
//!
//! Two servers run in this process, each on a thread of its own: the gateway, and a floor that
//! gives the same answers from memory. The load comes from a third thread. They are measured in
//! turns, so that whatever else the machine does meets both. BENCHMARKS.md tells what came out.
//!
//! `cargo bench --bench http -- list` measures the cases with `list` in their titles.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it measures nothing where it fails, and prints a table"
)]

mod support;

use std::io::Write as _;
use std::time::Duration;

use jumpstarter_gateway::store::Memory;
use support::load::{self, Position, Requests};
use support::server::Server;
use tokio::runtime::Builder;

/// How many connections send at the same time.
const CONNECTIONS: usize = 16;
const LEASES: usize = 100;
/// Exporters of the lab: one for each lease of the list, one for each connection that creates.
const EXPORTERS: usize = LEASES + CONNECTIONS;
/// Odd, so that there is a median.
const ROUNDS: usize = 15;

/// One kind of request.
struct Case {
    title: &'static str,
    /// Requests over one connection in one round.
    each: usize,
    requests: Requests,
}

const CASES: [Case; 4] = [
    Case {
        title: "GET /healthz",
        each: 2_000,
        requests: |_, buffer| bare("GET", "/healthz", buffer),
    },
    Case {
        title: "GET a lease",
        each: 2_000,
        requests: |_, buffer| bare("GET", "/v1/namespaces/default/leases/listed-7", buffer),
    },
    Case {
        title: "GET a list of 100 leases",
        each: 100,
        requests: |_, buffer| bare("GET", "/v1/namespaces/default/leases?pageSize=100", buffer),
    },
    Case {
        title: "POST a lease, then DELETE it",
        each: 1_000,
        requests: |Position {
                       round,
                       connection,
                       index,
                   },
                   buffer| {
            // Later names come later, as those do that the server makes up.
            let lease = format!("made-{round:02}-{:04}-{connection}", index / 2);
            if index % 2 == 0 {
                post(&lease, LEASES + connection, buffer);
            } else {
                bare(
                    "DELETE",
                    &format!("/v1/namespaces/default/leases/{lease}"),
                    buffer,
                );
            }
        },
    },
];

fn main() {
    let gateway = Server::gateway(Builder::new_current_thread(), Memory::default(), EXPORTERS);
    for number in 0..LEASES {
        load::once(gateway.address, |buffer| {
            post(&format!("listed-{number}"), number, buffer)
        });
    }
    println!(
        "{CONNECTIONS} connections, {ROUNDS} rounds in turns; median, and the middle half around it\n"
    );
    println!(
        "{:30}{:>24}{:>24}{:>8}{:>22}",
        "requests/s", "floor", "gateway", "ratio", "processor, each"
    );
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    for case in CASES.iter().filter(|case| case.title.contains(&wanted)) {
        // Round 0 warms up, and shows what the floor has to answer to each method.
        let answer = |index| {
            let position = Position {
                round: 0,
                connection: 0,
                index,
            };
            let request = |buffer: &mut Vec<u8>| (case.requests)(position, buffer);
            load::once(gateway.address, request)
        };
        let floor = Server::floor(answer(0), answer(1));
        load::run(floor.address, CONNECTIONS, 1, case.each / 4, case.requests);
        load::run(
            gateway.address,
            CONNECTIONS,
            1,
            case.each / 4,
            case.requests,
        );
        let (mut below, mut above) = (Rounds::default(), Rounds::default());
        for round in 2..2 + ROUNDS {
            below.measure(&floor, case, round);
            above.measure(&gateway, case, round);
        }
        let mut ratios: Vec<f64> = above
            .rates
            .iter()
            .zip(&below.rates)
            .map(|(gateway, floor)| gateway / floor)
            .collect();
        println!(
            "{:30}{:>24}{:>24}{:>8.2}{:>22}",
            case.title,
            spread(&mut below.rates),
            spread(&mut above.rates),
            median(&mut ratios),
            format!(
                "{:.1} µs, {:.1} µs",
                median(&mut below.processor),
                median(&mut above.processor)
            ),
        );
    }
}

/// What was measured of one server.
#[derive(Default)]
struct Rounds {
    /// Requests a second.
    rates: Vec<f64>,
    /// What a request took of the server's thread, in microseconds.
    processor: Vec<f64>,
}

impl Rounds {
    fn measure(&mut self, server: &Server, case: &Case, round: usize) {
        let before = server.processor_time();
        let took = load::run(server.address, CONNECTIONS, round, case.each, case.requests);
        let worked: Duration = server.processor_time() - before;
        let requests = (case.each * CONNECTIONS) as f64;
        self.rates.push(requests / took.as_secs_f64());
        self.processor.push(worked.as_secs_f64() * 1e6 / requests);
    }
}

fn bare(method: &str, path: &str, buffer: &mut Vec<u8>) {
    write!(buffer, "{method} {path} HTTP/1.1\r\nhost: gateway\r\n\r\n").unwrap();
}

/// Asks for one exporter by its name, so that every lease is granted at once.
fn post(lease: &str, exporter: usize, buffer: &mut Vec<u8>) {
    let body = format!(
        r#"{{"exporterName":"board-{exporter}","selector":"board=rpi4","duration":"1800s"}}"#
    );
    write!(
        buffer,
        "POST /v1/namespaces/default/leases?leaseId={lease} HTTP/1.1\r\nhost: gateway\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// The median, and how far from it the middle half of the numbers lies.
fn spread(numbers: &mut [f64]) -> String {
    let middle = median(numbers);
    let quarter = numbers.len() / 4;
    let (low, high) = (numbers[quarter], numbers[numbers.len() - 1 - quarter]);
    format!(
        "{middle:.0} (-{:.0} % +{:.0} %)",
        (middle / low - 1.0) * 100.0,
        (high / middle - 1.0) * 100.0
    )
}
