//! The way to a daemon: typed clients over one connection, and what their errors mean for who asked.

use connectrpc::client::ClientConfig;
use connectrpc::{ConnectError, ErrorCode, Protocol};

use crate::cli::transport::{TlsFiles, Transport};
use crate::exit::{Code, Failure};
use crate::limits;
use followupd_proto::v1;

/// A daemon at an address.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    url: String,
    transport: Transport,
    config: ClientConfig,
}

impl Server {
    /// The daemon at `url`, asked with this access key; over TLS with these files. Nothing is connected yet.
    ///
    /// # Errors
    /// The address, the key or a file makes no sense.
    pub(crate) fn at(url: &str, key: &str, files: &TlsFiles) -> Result<Server, Failure> {
        let wrong =
            || Failure::input(format!("{url:?} is no address of a daemon: write http://127.0.0.1:7400"));
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        if uri.authority().is_none() {
            return Err(wrong());
        }
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Failure::input("the access key is written like none: it begins with fup_"));
        }
        let authorization = format!("Bearer {key}");
        let transport = match (uri.scheme_str(), files.first()) {
            (Some("https"), _) => Transport::tls(&uri, files)?,
            (Some("http"), None) => Transport::plain(),
            (Some("http"), Some((option, variable))) => {
                return Err(Failure::input(format!(
                    "{option} (or the variable {variable}) is about TLS: write https:// for the server, or leave it \
                     out"
                )));
            }
            (Some(_) | None, _) => return Err(wrong()),
        };
        let config = ClientConfig::new(uri)
            .with_protocol(Protocol::Grpc)
            .with_default_max_message_size(limits::ANSWER_BYTES)
            .with_default_header("authorization", authorization);
        Ok(Server { url: url.to_owned(), transport, config })
    }

    fn single(&self) -> ClientConfig {
        self.config.clone().with_default_timeout(limits::CLI_CALL)
    }

    /// Tenants, channels and holds.
    pub(crate) fn tenants(&self) -> v1::TenantServiceClient<Transport> {
        v1::TenantServiceClient::new(self.transport.clone(), self.single())
    }

    /// Access keys.
    pub(crate) fn access(&self) -> v1::AccessServiceClient<Transport> {
        v1::AccessServiceClient::new(self.transport.clone(), self.single())
    }

    /// Sequences.
    pub(crate) fn sequences(&self) -> v1::SequenceServiceClient<Transport> {
        v1::SequenceServiceClient::new(self.transport.clone(), self.single())
    }

    /// Settings against what they are to be.
    pub(crate) fn settings(&self) -> v1::SettingsServiceClient<Transport> {
        v1::SettingsServiceClient::new(self.transport.clone(), self.single())
    }

    /// Enrollments.
    pub(crate) fn enrollments(&self) -> v1::EnrollmentServiceClient<Transport> {
        v1::EnrollmentServiceClient::new(self.transport.clone(), self.single())
    }

    /// Enrollments, for streams that last as long as they last.
    pub(crate) fn enrollment_streams(&self) -> v1::EnrollmentServiceClient<Transport> {
        v1::EnrollmentServiceClient::new(self.transport.clone(), self.config.clone())
    }

    /// Contacts.
    pub(crate) fn contacts(&self) -> v1::ContactServiceClient<Transport> {
        v1::ContactServiceClient::new(self.transport.clone(), self.single())
    }

    /// Events.
    pub(crate) fn events(&self) -> v1::EventServiceClient<Transport> {
        v1::EventServiceClient::new(self.transport.clone(), self.single())
    }

    /// The store, for streams that last as long as they last.
    pub(crate) fn store(&self) -> v1::StoreServiceClient<Transport> {
        v1::StoreServiceClient::new(self.transport.clone(), self.config.clone())
    }

    /// What an error of a call means: the daemon's own errors say why (`ErrorInfo`), others are the connection's.
    pub(crate) fn failure(&self, error: &ConnectError) -> Failure {
        let says = error.message.clone().unwrap_or_else(|| error.code.as_str().to_owned());
        if error.details.iter().any(|detail| detail.type_url.ends_with("google.rpc.ErrorInfo")) {
            return Failure::new(Code::Refused, says.replace("; ", "\n           "));
        }
        let broken = [ErrorCode::Unavailable, ErrorCode::DeadlineExceeded, ErrorCode::Canceled];
        if !broken.contains(&error.code) {
            return Failure::new(Code::Refused, says);
        }
        let url = &self.url;
        let tls = match &self.transport {
            Transport::Plain(_) => "",
            Transport::Tls(_) => "; and does its certificate name this address, and is --ca its authority's?",
        };
        let says = format!("no answer from {url} ({says}): is it running? `followupd serve` starts one{tls}");
        Failure::new(Code::Unreachable, says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_makes_no_sense_says_what_would() {
        for bad in ["", "127.0.0.1:7400", "localhost", "ftp://x", "http://"] {
            let failure = Server::at(bad, "fup_0", &TlsFiles::default()).unwrap_err();
            assert_eq!(failure.code, Code::Input);
            assert!(failure.says.contains("http://127.0.0.1:7400"), "{failure}");
        }
        let missing = || TlsFiles { ca: Some("not-there.pem".into()), ..TlsFiles::default() };
        let failure = Server::at("https://x", "fup_0", &missing()).unwrap_err();
        assert!(failure.says.contains("--ca: not-there.pem"), "{failure}");
        let failure = Server::at("http://x", "fup_0", &missing()).unwrap_err();
        assert!(failure.says.contains("--ca (or the variable FOLLOWUPD_CA)"), "{failure}");
    }

    #[tokio::test]
    async fn a_daemon_that_is_not_there_is_unreachable() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Server::at(&format!("http://127.0.0.1:{port}"), "fup_0", &TlsFiles::default()).unwrap();
        let error = server.tenants().release(v1::ReleaseRequest::default()).await.err().unwrap();
        assert_eq!(server.failure(&error).code, Code::Unreachable);
    }
}
