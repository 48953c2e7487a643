//! The well-known types of `google.protobuf`, with the JSON forms that the ProtoJSON
//! specification gives them. Generated messages refer to these by `extern_path`.
//!
//! They know the reader and writer rules of [`json`](super::json), and no message of any API.

mod any;
mod duration;
mod field_mask;
mod structure;
mod text;
mod timestamp;
mod wrappers;

pub use any::Any;
pub use duration::Duration;
pub use field_mask::FieldMask;
pub use structure::{ListValue, NullValue, Struct, Value, value};
pub use timestamp::Timestamp;
pub use wrappers::{
    BoolValue, BytesValue, DoubleValue, Empty, FloatValue, Int32Value, Int64Value, StringValue,
    UInt32Value, UInt64Value,
};

/// Gives a message its full name and the type URL that an `Any` carries.
macro_rules! well_known_name {
    ($($message:ident)*) => { $(
        impl prost::Name for $message {
            const NAME: &'static str = stringify!($message);
            const PACKAGE: &'static str = "google.protobuf";

            fn type_url() -> String {
                format!("type.googleapis.com/{}", Self::full_name())
            }
        }
    )* };
}

well_known_name! {
    Any Duration Empty FieldMask ListValue Struct Timestamp Value
    BoolValue BytesValue DoubleValue FloatValue Int32Value Int64Value StringValue UInt32Value
    UInt64Value
}
