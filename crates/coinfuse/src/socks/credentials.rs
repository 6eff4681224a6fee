//! The two ways to say who one is: not at all, or with a name and password that are only a label.

use crate::connect::Isolation;
use fast_socks5::server::{AuthMethod, AuthMethodSuccessState};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// Methods in the order of our preference: whoever can give credentials wants to be isolated.
pub(super) const METHODS: [Method; 2] = [Method::Password, Method::None];

/// A method of RFC 1928, section 3.
#[derive(Clone, Copy)]
pub(super) enum Method {
    None,
    Password,
}

/// A method that both sides chose, with the connection.
pub(super) struct Chosen<T> {
    method: Method,
    inner: T,
}

impl<T> AuthMethod<T> for Method {
    type StartingState = Chosen<T>;

    fn method_id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Password => 2,
        }
    }

    fn new(self, inner: T) -> Chosen<T> {
        Chosen {
            method: self,
            inner,
        }
    }
}

impl<T> AuthMethodSuccessState<T> for Chosen<T> {
    fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Chosen<T> {
    /// Reads the credentials, if any, and accepts them.
    ///
    /// Ours rather than the parser's: they need not be text, may be empty, and are not logged.
    pub(super) async fn isolation(&mut self) -> io::Result<Isolation> {
        match self.method {
            Method::None => Ok(Isolation::NONE),
            Method::Password => read_credentials(&mut self.inner).await,
        }
    }
}

/// RFC 1929, section 2: version 1, length and name, length and password.
async fn read_credentials<T: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut T,
) -> io::Result<Isolation> {
    const VERSION: u8 = 1;
    const SUCCESS: u8 = 0;
    if stream.read_u8().await? != VERSION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let user = read_field(stream).await?;
    let password = read_field(stream).await?;
    stream.write_all(&[VERSION, SUCCESS]).await?;
    Ok(Isolation::from_credentials(&user, &password))
}

async fn read_field<T: AsyncRead + Unpin>(stream: &mut T) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = stream.read_u8().await?;
    let mut field = Zeroizing::new(vec![0; length.into()]);
    stream.read_exact(&mut field).await?;
    Ok(field)
}
