//! Answers that a service has in JSON already. One that keeps what it has encoded finds
//! [`JsonWanted`] among the extensions of a request that it may do so for, and puts [`Encoded`] into
//! those of its response; methods that know nothing of it answer with a message, as ever.

use bytes::Bytes;

/// The reply is going to be written as JSON, and all of it.
#[derive(Clone, Copy, Debug)]
pub struct JsonWanted;

/// The reply in JSON, which is sent in place of the message: whoever puts it there vouches for it
/// being the same.
#[derive(Clone, Debug)]
pub struct Encoded(pub Bytes);
