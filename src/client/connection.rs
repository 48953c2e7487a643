//! Where the gateway is, who asks, and one call of its REST API. Knows nothing of what is asked.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, Url};
use serde::Deserialize;
use serde_json::Value;

use super::exit::Exit;
use super::problem::Problem;
use crate::proto::json;
use crate::proto::jumpstarter::client::v1::client_service_http::BINDINGS;

/// Where the gateway is, and who asks.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionOptions {
    /// Address of the gateway.
    #[arg(
        long,
        global = true,
        env = "JUMPSTARTER_GATEWAY_URL",
        value_name = "URL",
        value_parser = server_url,
        default_value = "http://127.0.0.1:8082"
    )]
    server: Url,

    /// Your token. Other people on this machine can see command lines: rather use the environment
    /// variable, or --token-file.
    #[arg(
        long,
        global = true,
        env = "JUMPSTARTER_GATEWAY_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<String>,

    /// File that holds your token. It is read where no token is given otherwise.
    #[arg(
        long,
        global = true,
        env = "JUMPSTARTER_GATEWAY_TOKEN_FILE",
        value_name = "PATH"
    )]
    token_file: Option<PathBuf>,

    /// The namespace that your client belongs to.
    #[arg(
        long,
        global = true,
        env = "JUMPSTARTER_GATEWAY_NAMESPACE",
        value_name = "NAME",
        default_value = "default"
    )]
    pub namespace: String,

    /// File with certificates (PEM) to trust, beside those that the system trusts.
    #[arg(
        long,
        global = true,
        env = "JUMPSTARTER_GATEWAY_CACERT",
        value_name = "PATH"
    )]
    cacert: Option<PathBuf>,
}

impl ConnectionOptions {
    /// Where the gateway is, without a slash at the end.
    pub fn address(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }
}

/// A gateway that can be asked.
pub struct Connection {
    client: Client,
    server: String,
    token: Option<String>,
    namespace: String,
}

/// One call: an rpc by its name, on a resource.
#[derive(Clone)]
pub struct Call<'a> {
    rpc: &'static str,
    resource: String,
    query: Vec<(&'static str, &'a str)>,
    headers: Vec<(&'static str, String)>,
    body: Option<&'a Value>,
    patience: Duration,
}

/// What the server answered, where nothing was wrong.
pub struct Answer {
    pub text: String,
    pub headers: HeaderMap,
}

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// How long an answer may take, beyond the time that the server was asked to wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a segment of a path may hold as it is: RFC 3986, unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl<'a> Call<'a> {
    /// A call of the method `rpc` of the service on a resource, whose name stands in the path.
    pub fn new(rpc: &'static str, resource: String) -> Self {
        Self {
            rpc,
            resource,
            query: vec![],
            headers: vec![],
            body: None,
            patience: Duration::ZERO,
        }
    }

    /// With a query parameter, unless it is empty.
    pub fn query(mut self, name: &'static str, value: &'a str) -> Self {
        if !value.is_empty() {
            self.query.push((name, value));
        }
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Asks the server to wait for so many seconds before it answers.
    pub fn wait(mut self, seconds: u64, or_release: bool) -> Self {
        self.patience = Duration::from_secs(seconds);
        let release = if or_release {
            ", on-timeout=release"
        } else {
            ""
        };
        self.header("prefer", format!("wait={seconds}{release}"))
    }
}

impl Connection {
    /// A connection with these options. Nothing is sent yet.
    ///
    /// # Errors
    /// The file of the token or of the certificates cannot be read.
    pub fn new(options: &ConnectionOptions) -> Result<Self, Problem> {
        let builder = Client::builder()
            .user_agent(concat!("jumpstarter-gateway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT);
        let builder = match &options.cacert {
            None => builder,
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| unreadable("--cacert", path, error);
                let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
                let trusted = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
                if trusted.is_empty() {
                    return Err(wrong(&"there is no certificate in PEM form in it"));
                }
                builder.tls_certs_merge(trusted)
            }
        };
        let client = builder.build().map_err(|error| {
            Problem::new(Exit::Failed, format!("no connection can be made: {error}"))
        })?;
        // A pipeline's secret that is not set is an empty variable.
        let given = options.token.as_deref().filter(|token| !token.is_empty());
        let token = match (given, &options.token_file) {
            (Some(token), _) => Some(token.trim().to_owned()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| unreadable("--token-file", path, &error))?;
                Some(text.trim().to_owned())
            }
            (None, None) => None,
        };
        Ok(Self {
            client,
            server: options.address().to_owned(),
            token,
            namespace: options.namespace.clone(),
        })
    }

    /// The resource name of the namespace.
    pub fn parent(&self) -> String {
        format!("namespaces/{}", self.namespace)
    }

    /// The short name of the client that the token belongs to, where the token says it: one that is a
    /// JWT does, in its subject `client:NAMESPACE:NAME:UID`. It is the server who verifies it.
    pub fn client_name(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Claims {
            sub: String,
        }
        let claims = self.token.as_deref()?.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let Claims { sub } = serde_json::from_slice(&claims).ok()?;
        match sub.split(':').collect::<Vec<_>>()[..] {
            ["client", _, name, _] => Some(name.to_owned()),
            _ => None,
        }
    }

    /// The resource name of a lease that is named in short or in full.
    pub fn lease(&self, name: &str) -> String {
        match name.contains('/') {
            true => name.to_owned(),
            false => format!("{}/leases/{name}", self.parent()),
        }
    }

    /// Makes one call.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, Problem> {
        let (method, path) = route(call.rpc, &call.resource)?;
        let url = format!("{}{path}", self.server);
        let unreachable = |error: reqwest::Error| Problem::of_transport(&self.server, &error);
        let mut url: Url = url
            .parse()
            .map_err(|error| Problem::new(Exit::Rejected, format!("{url}: {error}")))?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self
            .client
            .request(method, url)
            .timeout(call.patience + PATIENCE);
        request = request.header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        if let Some(body) = call.body {
            let request_body = body.to_string();
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(request_body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(Answer { text, headers });
        }
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.parse().ok());
        Err(Problem::of_answer(status.as_u16(), retry_after, &text))
    }
}

impl Answer {
    /// The message in the answer. Fields that this build does not know are passed over.
    ///
    /// # Errors
    /// It is not such a message.
    pub fn read<M: serde::de::DeserializeOwned>(&self) -> Result<M, Problem> {
        read(&self.text)
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A message in JSON text. Fields that this build does not know are passed over.
///
/// # Errors
/// It is not such a message.
pub fn read<M: serde::de::DeserializeOwned>(text: &str) -> Result<M, Problem> {
    let options = json::Options {
        ignore_unknown: true,
    };
    json::from_slice(text.as_bytes(), options)
        .map_err(|error| Problem::new(Exit::Broken, format!("the answer cannot be read: {error}")))
}

/// The method and path of an rpc on a resource: as the server's own table of routes has it.
fn route(rpc: &'static str, resource: &str) -> Result<(Method, String), Problem> {
    let binding = BINDINGS
        .iter()
        .find(|binding| binding.rpc.rsplit('/').next() == Some(rpc));
    let parts = binding.and_then(|binding| {
        let (before, rest) = binding.template.split_once('{')?;
        let (_, after) = rest.split_once('}')?;
        Some((binding.method.parse().ok()?, before, after))
    });
    let Some((method, before, after)) = parts else {
        let message = format!("the API has no {rpc} on one resource");
        return Err(Problem::new(Exit::Failed, message));
    };
    let segments = resource.split('/');
    let segments: Vec<_> = segments
        .map(|segment| utf8_percent_encode(segment, SEGMENT).to_string())
        .collect();
    Ok((method, format!("{before}{}{after}", segments.join("/"))))
}

/// Where a server is: a URL of `http` or `https` with a host.
///
/// # Errors
/// It is something else; with examples of what would do.
pub fn server_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(url),
        _ => Err("an address is like http://127.0.0.1:8082 or https://lab.example.com".to_owned()),
    }
}

fn unreadable(flag: &str, path: &std::path::Path, error: &dyn std::fmt::Display) -> Problem {
    let message = format!("{flag} {}: {error}", path.display());
    Problem::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_come_from_the_table() {
        let (method, path) = route("CreateLease", "namespaces/default").unwrap();
        assert_eq!(method, Method::POST);
        assert!(path.ends_with("/namespaces/default/leases"), "{path}");
        let (method, path) = route("UpdateLease", "namespaces/default/leases/a b%2F").unwrap();
        assert_eq!(method, Method::PATCH);
        assert!(
            path.ends_with("/namespaces/default/leases/a%20b%252F"),
            "{path}"
        );
        assert_eq!(route("NoSuch", "x").unwrap_err().exit, Exit::Failed);
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        assert!(server_url("https://lab.example.com/gateway").is_ok());
        for wrong in ["127.0.0.1:8082", "lab", "ftp://lab", "http://"] {
            assert!(server_url(wrong).is_err(), "{wrong}");
        }
    }
}
