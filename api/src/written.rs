//! JSON that is written straight from what is answered. poem-openapi makes a tree of values first, with a string for
//! each name of each field, and writes that.

use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use model::{Error, Result};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_with::SerializeAs;

/// The JSON of a `T`, written once: a tag can name its bytes before they are sent.
#[derive(Debug)]
pub(crate) struct Written<T> {
    text: String,
    form: PhantomData<fn() -> T>,
}

impl<T: Serialize> Written<T> {
    /// This value.
    pub(crate) fn of(value: &T) -> Result<Self> {
        let text = serde_json::to_string(value).map_err(Error::internal)?;
        Ok(Self { text, form: PhantomData })
    }

    /// The JSON.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl<T: Type> Payload for Written<T> {
    const CONTENT_TYPE: &'static str = Json::<T>::CONTENT_TYPE;

    fn check_content_type(content_type: &str) -> bool {
        Json::<T>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ToJSON> ApiResponse for Written<T> {
    fn meta() -> MetaResponses {
        Json::<T>::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T> IntoResponse for Written<T> {
    fn into_response(self) -> Response {
        Response::builder().content_type("application/json; charset=utf-8").body(self.text)
    }
}

/// A time as poem-openapi writes it, in every other answer.
pub(crate) struct Rfc3339;

impl SerializeAs<DateTime<Utc>> for Rfc3339 {
    fn serialize_as<S: Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&time.to_rfc3339())
    }
}
