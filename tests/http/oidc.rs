//! Tokens of another issuer, which the test runs itself: it has discovery and keys, changes them,
//! is down, and is slow.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use jumpstarter_gateway::auth::{Pace, Sources, Tokens, Trust};
use jumpstarter_gateway::lab;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::{Answer, Gateway, answer};

const LAB: &str = "
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: ann, namespace: lab}
spec: {username: 'dex:Ann'}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: bob, namespace: lab}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: twin, namespace: lab}
spec: {username: 'dex:twin'}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Client
metadata: {name: twin, namespace: other}
spec: {username: 'dex:twin'}
---
apiVersion: jumpstarter.dev/v1alpha1
kind: Exporter
metadata: {name: board, namespace: lab, labels: {board: rpi4}}
";

const LEASES: &str = "/v1/namespaces/lab/leases";

/// An issuer on a real socket.
#[derive(Clone)]
struct Issuer {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    url: String,
    keys: Vec<Jwk>,
    mood: Mood,
    /// How often the configuration was asked for, and how often the keys.
    discovered: usize,
    asked: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Down,
    /// It never answers.
    Slow,
}

/// A key of the issuer.
struct Key {
    id: &'static str,
    algorithm: Algorithm,
    signing: EncodingKey,
}

impl Key {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let signing = match algorithm {
            Algorithm::RS256 => {
                let pair = rcgen::KeyPair::generate_rsa_for(
                    &rcgen::PKCS_RSA_SHA256,
                    rcgen::RsaKeySize::_2048,
                );
                // PKCS#1 is wanted, which PKCS#8 has behind 26 bytes at this length.
                EncodingKey::from_rsa_der(&pair.unwrap().serialized_der()[26..])
            }
            _ => {
                let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
                EncodingKey::from_ec_der(pair.serialized_der())
            }
        };
        Self {
            id,
            algorithm,
            signing,
        }
    }

    fn jwk(&self) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(&self.signing, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.to_owned());
        jwk.common.key_algorithm = Some(match self.algorithm {
            Algorithm::RS256 => KeyAlgorithm::RS256,
            _ => KeyAlgorithm::ES256,
        });
        jwk
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.id.to_owned()),
            ..Header::new(self.algorithm)
        };
        encode(&header, claims, &self.signing).unwrap()
    }
}

impl Issuer {
    async fn start(keys: &[&Key]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/dex", listener.local_addr().unwrap());
        let shared = Shared {
            url: url.clone(),
            keys: vec![],
            mood: Mood::Well,
            discovered: 0,
            asked: 0,
        };
        let issuer = Self {
            url,
            shared: Arc::new(Mutex::new(shared)),
        };
        issuer.publish(keys);
        let router = Router::new()
            .route("/dex/.well-known/openid-configuration", get(configuration))
            .route("/dex/keys", get(keys_of))
            .with_state(issuer.clone());
        tokio::spawn(async { axum_serve(listener, router).await });
        issuer
    }

    fn publish(&self, keys: &[&Key]) {
        self.shared.lock().unwrap().keys = keys.iter().map(|key| key.jwk()).collect();
    }

    fn is(&self, mood: Mood) {
        self.shared.lock().unwrap().mood = mood;
    }

    fn asked(&self) -> usize {
        self.shared.lock().unwrap().asked
    }

    fn discovered(&self) -> usize {
        self.shared.lock().unwrap().discovered
    }

    fn claims(&self, user: &str) -> Value {
        json!({"iss": self.url, "sub": user, "aud": ["jumpstarter", "else"], "exp": 4_000_000_000_u64})
    }

    async fn answer(&self, body: Value) -> Response {
        let mood = self.shared.lock().unwrap().mood;
        match mood {
            Mood::Well => axum_json(&body),
            Mood::Down => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Mood::Slow => std::future::pending().await,
        }
    }
}

async fn axum_serve(listener: TcpListener, router: Router) {
    let forever = std::future::pending();
    let limits = jumpstarter_gateway::config::Limits::default();
    jumpstarter_gateway::server::serve(listener, router, None, &limits, forever, Duration::ZERO)
        .await;
}

fn axum_json(body: &Value) -> Response {
    ([("content-type", "application/json")], body.to_string()).into_response()
}

async fn configuration(State(issuer): State<Issuer>) -> Response {
    let url = {
        let mut shared = issuer.shared.lock().unwrap();
        shared.discovered += 1;
        shared.url.clone()
    };
    issuer
        .answer(json!({"issuer": url, "jwks_uri": format!("{url}/keys")}))
        .await
}

async fn keys_of(State(issuer): State<Issuer>) -> Response {
    let keys = {
        let mut shared = issuer.shared.lock().unwrap();
        shared.asked += 1;
        json!({"keys": shared.keys})
    };
    issuer.answer(keys).await
}

/// How often the gateway asks for a key that is not there.
const PAUSE: Duration = Duration::from_millis(20);

async fn gateway(issuer: &Issuer, provision: bool) -> Gateway {
    let pace = Pace {
        pause: PAUSE,
        patience: Duration::from_millis(500),
        ..Pace::default()
    };
    gateway_with(issuer, provision, pace).await
}

async fn gateway_with(issuer: &Issuer, provision: bool, pace: Pace) -> Gateway {
    let trust = Trust {
        issuer: issuer.url.clone(),
        audience: "jumpstarter".to_owned(),
        username_claim: "sub".to_owned(),
        username_prefix: "dex:".to_owned(),
        provision,
        authorities: None,
    };
    let sources = Sources {
        trusted: vec![trust],
        pace,
        ..Sources::default()
    };
    let lab = lab::parse([("lab.yaml", LAB)]).unwrap();
    Gateway::with_tokens(lab, Tokens::open(sources).unwrap()).await
}

async fn shown(gateway: &Gateway, token: &str) -> Answer {
    gateway.as_holder_of(token).get(LEASES).await
}

/// Asks until the answer is another than this one: the gateway leaves an issuer alone for a while.
async fn until_not(gateway: &Gateway, token: &str, status: u16) -> Answer {
    loop {
        let answer = shown(gateway, token).await;
        if answer.status != status {
            return answer;
        }
        // Nothing new can be learned sooner, and bad tokens are counted.
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn a_user_is_the_client_with_that_username() {
    let (elliptic, rsa) = (
        Key::new("one", Algorithm::ES256),
        Key::new("two", Algorithm::RS256),
    );
    let issuer = Issuer::start(&[&elliptic, &rsa]).await;
    let gateway = gateway(&issuer, false).await;
    for key in [&elliptic, &rsa] {
        let ann = gateway.as_holder_of(&key.sign(&issuer.claims("Ann")));
        let body = r#"{"selector": "board=rpi4", "duration": "60s"}"#;
        let lease = ann.json("POST", LEASES, body).await;
        assert_eq!(
            lease.value()["client"],
            "namespaces/lab/clients/ann",
            "{lease:?}"
        );
    }
    assert_eq!(issuer.asked(), 1, "keys are kept");
    let nobody = shown(&gateway, &elliptic.sign(&issuer.claims("eve"))).await;
    nobody.refused(401, 16, "CLIENT_UNKNOWN", "no client has its user");
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said() {
    let (key, other) = (
        Key::new("one", Algorithm::ES256),
        Key::new("one", Algorithm::ES256),
    );
    let issuer = Issuer::start(&[&key]).await;
    let gateway = gateway(&issuer, false).await;
    let with = |name: &str, value: Value| {
        let mut claims = issuer.claims("Ann");
        claims[name] = value;
        key.sign(&claims)
    };
    let hmac = |alg: Algorithm| {
        let header = Header {
            kid: Some("one".to_owned()),
            ..Header::new(alg)
        };
        encode(
            &header,
            &issuer.claims("Ann"),
            &EncodingKey::from_secret(b"one"),
        )
        .unwrap()
    };
    for (token, reason) in [
        (other.sign(&issuer.claims("Ann")), "TOKEN_WRONG_SIGNATURE"),
        (hmac(Algorithm::HS256), "TOKEN_WRONG_ALGORITHM"),
        (with("aud", json!("else")), "TOKEN_WRONG_AUDIENCE"),
        (with("exp", json!(1_000_000_000)), "TOKEN_EXPIRED"),
        (with("nbf", json!(3_999_999_999_u64)), "TOKEN_NOT_YET_VALID"),
        (with("sub", json!("")), "USERNAME_MISSING"),
        (
            with("iss", json!("http://127.0.0.1/else")),
            "TOKEN_WRONG_ISSUER",
        ),
    ] {
        shown(&gateway, &token)
            .await
            .refused(401, 16, reason, "failed to authenticate token");
    }
    let rotated = gateway
        .as_holder_of(&key.sign(&issuer.claims("Ann")))
        .json("POST", "/v1/namespaces/lab/rotate-token", "{}")
        .await;
    rotated.refused(400, 9, "TOKEN_OF_ANOTHER_ISSUER", "have it replaced there");
}

#[tokio::test]
async fn new_keys_are_found_and_unknown_ones_are_not_asked_for_all_the_time() {
    let (first, second) = (
        Key::new("one", Algorithm::ES256),
        Key::new("two", Algorithm::ES256),
    );
    let issuer = Issuer::start(&[&first]).await;
    let gateway = gateway(&issuer, false).await;
    assert_eq!(
        shown(&gateway, &first.sign(&issuer.claims("Ann")))
            .await
            .status,
        200
    );
    let token = second.sign(&issuer.claims("Ann"));
    shown(&gateway, &token)
        .await
        .refused(401, 16, "TOKEN_UNKNOWN_KEY", "");
    issuer.publish(&[&first, &second]);
    assert_eq!(until_not(&gateway, &token, 401).await.status, 200);
    // A key that is gone takes what it has signed with it, also what was known.
    let known = first.sign(&issuer.claims("Ann"));
    assert_eq!(shown(&gateway, &known).await.status, 200);
    let third = Key::new("three", Algorithm::ES256);
    issuer.publish(&[&third]);
    let newest = third.sign(&issuer.claims("Ann"));
    assert_eq!(until_not(&gateway, &newest, 401).await.status, 200);
    shown(&gateway, &known)
        .await
        .refused(401, 16, "TOKEN_UNKNOWN_KEY", "");
}

#[tokio::test]
async fn an_issuer_that_fails_stops_only_those_it_has_not_spoken_for() {
    let key = Key::new("one", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let gateway = gateway(&issuer, false).await;
    for mood in [Mood::Down, Mood::Slow] {
        issuer.is(mood);
        let token = key.sign(&issuer.claims("Ann"));
        let refused = shown(&gateway, &token).await;
        refused.refused(
            503,
            14,
            "ISSUER_UNAVAILABLE",
            "cannot be asked for its keys",
        );
        assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
        assert_eq!(refused.header("www-authenticate"), "");
    }
    issuer.is(Mood::Well);
    let token = key.sign(&issuer.claims("Ann"));
    assert_eq!(until_not(&gateway, &token, 503).await.status, 200);
    issuer.is(Mood::Down);
    assert_eq!(shown(&gateway, &token).await.status, 200);
    let mut claims = issuer.claims("Ann");
    claims["jti"] = json!("another");
    assert_eq!(
        shown(&gateway, &key.sign(&claims)).await.status,
        200,
        "the key is known"
    );
}

/// Else whoever hangs up could have the issuer asked as often as it likes.
#[tokio::test]
async fn a_question_goes_on_without_those_who_asked_it() {
    let key = Key::new("one", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    issuer.is(Mood::Slow);
    let pace = Pace {
        pause: Duration::from_secs(3600),
        patience: Duration::from_millis(500),
        ..Pace::default()
    };
    let gateway = gateway_with(&issuer, false, pace).await;
    let ann = gateway.as_holder_of(&key.sign(&issuer.claims("Ann")));
    let impatient = tokio::spawn({
        let ann = ann.clone();
        async move { ann.get(LEASES).await }
    });
    while issuer.discovered() == 0 {
        tokio::task::yield_now().await;
    }
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    // The next one waits for the same answer, or finds that there was none.
    let refused = ann.get(LEASES).await;
    refused.refused(503, 14, "ISSUER_UNAVAILABLE", "cannot be asked");
    assert_eq!(issuer.discovered(), 1);
}

#[tokio::test]
async fn what_is_said_beside_the_token_chooses_among_the_users_clients() {
    let key = Key::new("one", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let gateway = gateway(&issuer, false).await;
    let as_user = |user: &str, said: &[(&str, &str)]| {
        let request = gateway
            .as_holder_of(&key.sign(&issuer.claims(user)))
            .request("GET", LEASES);
        let request = said.iter().fold(request, |request, (name, value)| {
            request.header(format!("jumpstarter-{name}"), *value)
        });
        answer(request)
    };
    as_user("twin", &[])
        .await
        .refused(401, 16, "CLIENT_AMBIGUOUS", "several clients");
    assert_eq!(as_user("twin", &[("namespace", "lab")]).await.status, 200);
    as_user("twin", &[("namespace", "other")])
        .await
        .refused(403, 7, "NAMESPACE_MISMATCH", "");
    assert_eq!(
        as_user(
            "Ann",
            &[("namespace", "lab"), ("name", "ann"), ("kind", "Client")]
        )
        .await
        .status,
        200
    );
    as_user("Ann", &[("kind", "Exporter")]).await.refused(
        400,
        3,
        "KIND_MISMATCH",
        "object kind mismatch",
    );
    as_user("Ann", &[("name", "bob")]).await.refused(
        400,
        3,
        "CLIENT_MISMATCH",
        "resource name mismatch: provided \"bob\" but expected \"ann\"",
    );
    as_user("bob", &[("namespace", "lab"), ("name", "bob")])
        .await
        .refused(
            403,
            7,
            "CLIENT_MISMATCH",
            "permission denied for client lab/bob",
        );
}

#[tokio::test]
async fn a_user_without_a_client_is_given_one_where_that_is_wanted() {
    let key = Key::new("one", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let gateway = gateway(&issuer, true).await;
    let grace = gateway.as_holder_of(&key.sign(&issuer.claims("Grace.Hopper")));
    grace
        .get(LEASES)
        .await
        .refused(401, 16, "CLIENT_UNKNOWN", "say in which namespace");
    // Nor is there one wherever somebody likes.
    for namespace in ["other", "", "anywhere"] {
        for header in [
            "jumpstarter-namespace",
            "grpc-metadata-jumpstarter-namespace",
        ] {
            let request = grace.request("GET", LEASES);
            let refused = answer(request.header(header, namespace)).await;
            refused.refused(401, 16, "CLIENT_UNKNOWN", "a namespace without exporters");
        }
    }
    let body = r#"{"selector": "board=rpi4", "duration": "60s"}"#;
    let create = grace
        .request("POST", LEASES)
        .header("jumpstarter-namespace", "lab");
    let create = create.header("content-type", "application/json").body(body);
    let lease = answer(create).await.value();
    assert_eq!(
        lease["client"], "namespaces/lab/clients/grace-hopper",
        "{lease}"
    );
    // From now on it is known, also when the lab file has been read again.
    assert_eq!(grace.get(LEASES).await.status, 200);
    let lab = lab_of(LAB);
    gateway.store.submit(lab.into_command()).await.unwrap();
    assert_eq!(grace.get(LEASES).await.status, 200);
    // Its name, and with it its lease, never becomes another's.
    let other = gateway.as_holder_of(&key.sign(&issuer.claims("grace_hopper")));
    let request = other.request("GET", LEASES);
    let refused = answer(request.header("jumpstarter-namespace", "lab")).await;
    refused.refused(403, 7, "CLIENT_MISMATCH", "lab/grace-hopper");
    // The lab file may give the user another client.
    let declared = format!(
        "{LAB}---\napiVersion: jumpstarter.dev/v1alpha1\nkind: Client\n\
         metadata: {{name: grace, namespace: lab}}\nspec: {{username: 'dex:Grace.Hopper'}}\n"
    );
    let lab = lab_of(&declared);
    gateway.store.submit(lab.into_command()).await.unwrap();
    let created = grace.json("POST", LEASES, body).await.value();
    assert_eq!(
        created["client"], "namespaces/lab/clients/grace",
        "{created}"
    );
}

fn lab_of(text: &str) -> lab::Lab {
    lab::parse([("lab.yaml", text)]).unwrap()
}
