//! What the HTTP benchmark is made of: servers with a thread to themselves, and a load for them.

pub mod load;
pub mod server;
