//! A POST that can be sent more than once.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;
use url::{Position, Url};

/// A body that is JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body that is a form.
pub(crate) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("followupd/", env!("CARGO_PKG_VERSION")));

/// A request that can be sent more than once.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Post {
    /// One to `url`; nothing where its host cannot stand in a header.
    pub(crate) fn to(url: &Url, kind: HeaderValue, body: Vec<u8>) -> Option<Post> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]).ok()?);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(CONTENT_TYPE, kind);
        let path = url[Position::BeforePath..Position::AfterQuery].to_owned();
        Some(Post { path, headers, body: Bytes::from(body) })
    }

    /// With one header more.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Post {
        self.headers.insert(name, value);
        self
    }

    /// It, ready to leave.
    pub(crate) fn request(&self) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::post(&self.path).body(Full::new(self.body.clone()))?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}
