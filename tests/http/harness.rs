//! A gateway on a real socket, and requests that read as sentences.

use std::sync::Arc;
use std::time::Duration;

use jumpstarter_gateway::auth::{AuthLayer, Tokens};
use jumpstarter_gateway::config;
use jumpstarter_gateway::lab;
use jumpstarter_gateway::lease::{Name, Settings, Timestamp};
use jumpstarter_gateway::load::Load;
use jumpstarter_gateway::server::{self, Limits, Monitor, Observer, Readiness};
use jumpstarter_gateway::service::{Clients, LabelRules};
use jumpstarter_gateway::store::{Memory, Store};
use jumpstarter_gateway::transcode;
use serde_json::Value;
use tokio::net::TcpListener;

/// How many bad tokens may come from one address in a minute.
pub const FAILURES: usize = 30;

/// Where a gateway listens, and how to reach it.
#[derive(Clone)]
pub struct Gateway {
    pub address: std::net::SocketAddr,
    pub store: Store,
    client: reqwest::Client,
    token: Option<String>,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Gateway {
    /// The demonstration lab, where everybody is the client `demo`.
    pub async fn demo() -> Self {
        Self::start(lab::demo().unwrap(), None, &[], Load::default()).await
    }

    /// The same, where so much may be under way.
    pub async fn bounded(load: &Load) -> Self {
        Self::start(lab::demo().unwrap(), None, &[], load.clone()).await
    }

    /// The same, open to web pages of these origins.
    pub async fn open_to(origins: &[&str]) -> Self {
        Self::start(lab::demo().unwrap(), None, origins, Load::default()).await
    }

    /// A lab of this YAML whose clients show tokens.
    pub async fn with_tokens(lab: lab::Lab, tokens: Tokens) -> Self {
        Self::start(lab, Some(Arc::new(tokens)), &[], Load::default()).await
    }

    async fn start(
        lab: lab::Lab,
        tokens: Option<Arc<Tokens>>,
        origins: &[&str],
        load: Load,
    ) -> Self {
        let now = || {
            let since = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            Timestamp::new(since.as_secs() as i64, since.subsec_nanos() as i32)
        };
        let observer = Observer::default();
        let observed = Arc::new(observer.clone());
        let store = Store::open_observed(
            Memory::default(),
            Settings::default(),
            Arc::new(now),
            observed,
        )
        .await
        .unwrap();
        store.submit(lab.into_command()).await.unwrap();
        let stopping = tokio::sync::watch::Sender::new(false);
        let clients = Clients::new(store.clone(), tokens.clone(), LabelRules::default());
        let clients = Arc::new(clients.with_load(load).stopped_by(stopping.clone()));
        let auth = match tokens {
            None => AuthLayer::open("demo"),
            Some(tokens) => {
                let admins = [Name::new("ops", "root")].into();
                AuthLayer::tokens(tokens, store.clone(), admins).with_failure_limit(FAILURES as u32)
            }
        };
        let readiness = Readiness::default();
        readiness.set(true).await;
        let limits = Limits {
            call: transcode::Limits {
                body: 64 * 1024,
                ..transcode::Limits::default()
            },
            ..Limits::default()
        };
        let monitor = Monitor::new(
            observer.metrics().clone(),
            store.clone(),
            stopping.clone(),
            readiness.clone(),
            None,
            None,
        );
        let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
        let gateway = server::gateway(
            clients,
            &auth,
            limits,
            readiness,
            &origins,
            &observer,
            Some(monitor),
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let limits = config::Limits::default();
            let (forever, grace) = (std::future::pending(), Duration::from_secs(1));
            server::serve(listener, gateway, None, &limits, forever, grace).await;
        });
        Self {
            address,
            store,
            client: client(),
            token: None,
        }
    }

    /// The same gateway, seen by whoever holds this token.
    pub fn as_holder_of(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method.parse().unwrap(), self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, method: &str, path: &str) -> Answer {
        answer(self.request(method, path)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path).await
    }

    /// Sends a JSON body.
    pub async fn json(&self, method: &str, path: &str, body: impl Into<String>) -> Answer {
        let request = self
            .request(method, path)
            .header("content-type", "application/json");
        answer(request.body(body.into())).await
    }

    /// Creates a lease and returns it.
    pub async fn lease(&self, body: &str) -> Value {
        let answer = self
            .json("POST", "/v1/namespaces/default/leases", body)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.value()
    }
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

impl Answer {
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// All lines of a header as one list.
    pub fn list(&self, name: &str) -> String {
        let lines = self.headers.get_all(name).iter();
        let lines: Vec<&str> = lines.map(|line| line.to_str().unwrap()).collect();
        lines.join(", ")
    }

    /// Asserts an error in the one shape, with this HTTP status, code and reason, whose message
    /// holds `message`. Returns it.
    #[track_caller]
    pub fn refused(&self, status: u16, code: i64, reason: &str, message: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        let error = self.value();
        assert_eq!(error["code"], code, "{error}");
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{error}"
        );
        let info = &error["details"][0];
        assert_eq!(
            info["@type"], "type.googleapis.com/google.rpc.ErrorInfo",
            "{error}"
        );
        assert_eq!(info["domain"], "jumpstarter.dev", "{error}");
        assert_eq!(info["reason"], reason, "{error}");
        error
    }
}

/// The condition of a lease by its type.
pub fn condition<'a>(lease: &'a Value, kind: &str) -> Option<&'a Value> {
    lease["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Asserts that a condition has this status and reason.
#[track_caller]
pub fn is(lease: &Value, kind: &str, status: &str, reason: &str) {
    let condition =
        condition(lease, kind).unwrap_or_else(|| panic!("no condition {kind} in {lease}"));
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&status.into(), &reason.into()),
        "{lease}"
    );
}
