//! Takes over settings that were changed while the server runs, when SIGHUP asks for it. Those that
//! need a restart are named; a configuration with mistakes changes nothing.

use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::current::Current;
use super::foundation::Foundation;
use super::log::Log;
use super::supervisor;
use crate::config::{ServeArgs, Settings};

/// Everything that settings reach while the server runs.
pub struct Retuning {
    pub arguments: ServeArgs,
    pub log: Log,
    pub foundation: Arc<Foundation>,
    pub current: Current,
    /// What the server goes by.
    pub settings: watch::Sender<Settings>,
    /// What the supervisor is told when it is done.
    pub status: String,
}

impl Retuning {
    /// Does so at every SIGHUP, for as long as the server runs.
    pub async fn follow(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            supervisor::reloading().await;
            let arguments = self.arguments.clone();
            let Ok(read) = spawn_blocking(move || Settings::load(arguments)).await else {
                return;
            };
            let taken_over = read
                .map_err(|error| error.to_string())
                .and_then(|read| self.take_over(&read));
            if let Err(problems) = taken_over {
                for problem in problems.lines() {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration has errors; the server keeps the one it has");
            }
            supervisor::ready(&self.status).await;
        }
    }

    /// Puts into effect what can be. What can go wrong is done first.
    fn take_over(&self, read: &Settings) -> Result<(), String> {
        let present = self.settings.borrow().clone();
        let change = present
            .changed_to(read)
            .map_err(|error| error.to_string())?;
        for name in &change.postponed {
            tracing::warn!("{name} was changed; that takes effect when the server is started anew");
        }
        if change.taken_over.is_empty() {
            tracing::info!("the configuration was read again; nothing to take over");
            return Ok(());
        }
        let settings = change.settings;
        let gateway = self.foundation.gateway(&settings);
        let gateway = gateway.map_err(|error| error.to_string())?;
        self.log.filter(&settings.log)?;
        self.current.replace(gateway);
        self.foundation.tune_store(&settings);
        let changes = change.taken_over.join("; ");
        tracing::info!(changes, "the configuration was read again");
        self.settings.send_replace(settings);
        Ok(())
    }
}
