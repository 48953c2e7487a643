//! What stays when settings change, and the gateway that settings make on top of it.

use std::sync::Arc;

use tokio::sync::watch;

use super::gateway::{Gateway, Limits};
use super::run::{Error, span};
use super::{Monitor, Observer, Readiness, gateway};
use crate::auth::{AuthLayer, Tokens};
use crate::config::Settings;
use crate::lease::{self, Name};
use crate::load::{Bounds, Load};
use crate::service::{Clients, LabelRules};
use crate::store::Store;
use crate::transcode;

/// The client that everybody is where nobody is authenticated.
pub const ANYBODY: &str = "demo";

/// What every gateway of this process stands on.
pub struct Foundation {
    pub store: Store,
    /// None where nobody is authenticated.
    pub tokens: Option<Arc<Tokens>>,
    pub load: Load,
    pub readiness: Readiness,
    /// Set when everybody who waits or watches is to be sent away.
    pub stopping: watch::Sender<bool>,
    pub observer: Observer,
    /// None where the API's address does not serve metrics.
    pub monitor: Option<Monitor>,
}

impl Foundation {
    /// The gateway that these settings make.
    ///
    /// # Errors
    /// The routes cannot be built.
    pub fn gateway(&self, settings: &Settings) -> Result<Gateway, Error> {
        let labels = LabelRules {
            hidden: settings.hidden_labels.clone(),
            deprecated: settings.deprecated_labels.clone(),
        };
        let clients = Clients::new(self.store.clone(), self.tokens.clone(), labels)
            .with_longest_wait(settings.longest_wait)
            .with_load(self.load.clone())
            .stopped_by(self.stopping.clone());
        let limits = Limits {
            url: settings.limits.max_url_bytes,
            query: settings.limits.max_query_bytes,
            headers: settings.limits.max_headers,
            call: transcode::Limits {
                body: settings.max_body_bytes,
                longest_call: settings.longest_call,
            },
        };
        let (auth, readiness) = (self.authentication(settings), self.readiness.clone());
        let origins = &settings.cors_origins;
        gateway(
            Arc::new(clients),
            &auth,
            limits,
            readiness,
            origins,
            &self.observer,
            self.monitor.clone(),
        )
        .map_err(|error| Error::new(format!("the routes cannot be built: {error}")))
    }

    /// Has the store go by these settings.
    pub fn tune_store(&self, settings: &Settings) {
        self.store.remember(settings.watch_history);
        self.store.configure(lease_settings(settings));
    }

    fn authentication(&self, settings: &Settings) -> AuthLayer {
        let Some(tokens) = &self.tokens else {
            return AuthLayer::open(ANYBODY).with_load(self.load.clone());
        };
        let admins = settings.security.admins.iter();
        let admins = admins.filter_map(|admin| admin.split_once('/'));
        let admins = admins
            .map(|(namespace, name)| Name::new(namespace, name))
            .collect();
        AuthLayer::tokens(tokens.clone(), self.store.clone(), admins)
            .with_failure_limit(settings.security.failed_tokens)
            .with_load(self.load.clone())
    }
}

/// What the domain has to go by.
pub fn lease_settings(settings: &Settings) -> lease::Settings {
    lease::Settings {
        minimum_duration: settings.minimum_duration.map(span),
        maximum_duration: settings.maximum_duration.map(span),
        offline_after: span(settings.offline_after),
        retention: span(settings.lease_retention),
        max_tags: settings.max_tags,
    }
}

/// How much may be under way.
pub fn bounds(settings: &Settings) -> Bounds {
    let limits = &settings.limits;
    Bounds {
        requests: limits.max_requests,
        waits: limits.max_waits,
        waits_per_client: limits.max_waits_per_client,
        requests_per_second: limits.max_requests_per_second,
        body_time: limits.body_timeout,
    }
}
