//! What the service manager is told: that the daemon takes calls, and that it stops (sd_notify(3)). The protocol is one
//! datagram to a socket that the environment names; without that nobody is told.

use std::io;
use std::os::unix::net::UnixDatagram;

/// The socket's name, or its abstract one with an `@` before it.
const SOCKET: &str = "NOTIFY_SOCKET";

/// It takes calls.
pub(super) const READY: &str = "READY=1";

/// It stops.
pub(super) const STOPPING: &str = "STOPPING=1";

/// Tells the service manager, where there is one.
pub(super) fn tell(state: &str) {
    let Some(socket) = std::env::var_os(SOCKET).and_then(|socket| socket.into_string().ok()) else { return };
    if let Err(error) = send(&socket, state) {
        tracing::warn!(%error, state, "the service manager cannot be told");
    }
}

fn send(socket: &str, state: &str) -> io::Result<()> {
    let own = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return own.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    own.send_to(state.as_bytes(), socket).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_told_by_its_path_or_its_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        send(&path.display().to_string(), READY).unwrap();
        let mut buffer = [0; 32];
        let length = by_path.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], READY.as_bytes());
        assert!(send(&folder.path().join("nobody").display().to_string(), READY).is_err());
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt;
            let name = format!("followupd-test-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
            let by_name = UnixDatagram::bind_addr(&address).unwrap();
            send(&format!("@{name}"), STOPPING).unwrap();
            let length = by_name.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], STOPPING.as_bytes());
        }
    }
}
