//! Questions about the directory on a libp2p stream: one message each way, the whole stream.

use coinfuse_directory::sync::{Answer, Request};
use coinfuse_wire::{Decode, Encode};
use core::marker::PhantomData;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use std::io;

/// The protocol, as libp2p negotiates it.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/coinfuse/directory/1");

/// Reads and writes the messages of [`coinfuse_directory::sync`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DirectoryCodec(PhantomData<()>);

async fn read<T, S>(stream: &mut S, max: usize) -> io::Result<T>
where
    T: Decode,
    S: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::new();
    // One more, so that a message which is too long is seen to be.
    let mut bounded = stream.take(max as u64 + 1);
    bounded.read_to_end(&mut bytes).await?;
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    if bytes.len() > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    T::from_bytes(&bytes).map_err(invalid)
}

async fn write<S>(stream: &mut S, message: &(impl Encode + Sync)) -> io::Result<()>
where
    S: AsyncWrite + Unpin + Send,
{
    stream.write_all(&message.to_bytes()).await?;
    stream.close().await
}

impl Codec for DirectoryCodec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(stream, Request::MAX_LEN).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(stream, Answer::MAX_LEN).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(stream, &request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        answer: Answer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(stream, &answer).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use futures::io::Cursor;

    #[test]
    fn a_message_is_a_whole_stream() {
        let mut stream = Cursor::new(Vec::new());
        block_on(write(&mut stream, &Request::Summary)).unwrap();
        let bytes = stream.into_inner();
        let read_back = |bytes: &[u8]| {
            block_on(read::<Request, _>(&mut Cursor::new(bytes), 2)).map_err(|error| error.kind())
        };
        assert_eq!(read_back(&bytes), Ok(Request::Summary));
        assert_eq!(read_back(&bytes[..1]), Err(io::ErrorKind::InvalidData));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(read_back(&longer), Err(io::ErrorKind::FileTooLarge));
    }
}
