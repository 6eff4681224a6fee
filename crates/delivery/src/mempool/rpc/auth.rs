//! How a node knows who asks.

use super::RpcError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use core::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A cookie has some 75 characters.
const MAX_COOKIE: u64 = 1024;

/// What a node wants to see before it listens. Prints nothing of it.
#[derive(Clone)]
pub struct RpcAuth(Kind);

#[derive(Clone)]
enum Kind {
    Cookie(PathBuf),
    /// `user:password`.
    Password(Arc<Zeroizing<String>>),
}

impl RpcAuth {
    /// The file `.cookie` in the node's data directory. It is read again for each request, since a
    /// node writes a new one whenever it starts.
    pub fn cookie(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Cookie(path.into()))
    }

    /// A user, without a colon in the name, and a password.
    pub fn password(user: &str, password: &str) -> Self {
        let both = Zeroizing::new(format!("{user}:{password}"));
        Self(Kind::Password(Arc::new(both)))
    }

    /// The value of the header.
    pub(super) async fn header(&self) -> Result<Zeroizing<String>, RpcError> {
        let encode = |both: &str| {
            let encoded = Zeroizing::new(BASE64_STANDARD.encode(both));
            Zeroizing::new(format!("Basic {}", *encoded))
        };
        match &self.0 {
            Kind::Password(both) => Ok(encode(both)),
            Kind::Cookie(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_cookie(path)).await;
                let cookie = read.map_err(|_| RpcError::Cookie)??;
                Ok(encode(cookie.trim()))
            }
        }
    }
}

fn read_cookie(path: PathBuf) -> Result<Zeroizing<String>, RpcError> {
    let mut cookie = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|_| RpcError::Cookie)?;
    let read = file.take(MAX_COOKIE).read_to_string(&mut cookie);
    read.map_err(|_| RpcError::Cookie)?;
    Ok(cookie)
}

impl fmt::Debug for RpcAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RpcAuth([scrubbed])")
    }
}
