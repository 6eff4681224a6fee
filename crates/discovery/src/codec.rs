//! Questions about the directory on a libp2p stream: one message each way, the whole stream.

use coinfuse_directory::sync::{Answer, Request};
use coinfuse_wire::{Decode, Encode};
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;
use std::io;
use std::sync::Arc;

/// The protocol, as libp2p negotiates it.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/coinfuse/directory/1");

/// Questions longer than this, which only publish descriptors, are read as far as there is room for
/// them: the others are at most 8.2 KB long.
const SHORT: usize = 9 << 10;

/// Reads and writes the messages of [`coinfuse_directory::sync`].
#[derive(Debug, Clone)]
pub(crate) struct DirectoryCodec {
    room: Room,
}

impl DirectoryCodec {
    /// `room` is for how many bytes of long questions there is memory at once, on all connections.
    pub(crate) fn new(room: usize) -> Self {
        Self {
            room: Room(Arc::new(AtomicUsize::new(room))),
        }
    }
}

/// Bytes that may still be held.
#[derive(Debug, Clone)]
struct Room(Arc<AtomicUsize>);

/// Some of them, for as long as this lives.
#[derive(Debug)]
struct Taken {
    room: Room,
    len: usize,
}

impl Room {
    fn take(&self, len: usize) -> Option<Taken> {
        let less = |left: usize| left.checked_sub(len);
        let room = self.clone();
        let enough = self.0.fetch_update(Relaxed, Relaxed, less).is_ok();
        enough.then(|| Taken { room, len })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.0.fetch_add(self.len, Relaxed);
    }
}

/// Reads to the end, at most one byte more than `max`, so that what is too long is seen to be.
async fn read_on<S>(stream: &mut S, bytes: &mut Vec<u8>, max: usize) -> io::Result<()>
where
    S: AsyncRead + Unpin + Send,
{
    let left = (max + 1).saturating_sub(bytes.len());
    stream.take(left as u64).read_to_end(bytes).await.map(drop)
}

fn decode<T: Decode>(bytes: &[u8], max: usize) -> io::Result<T> {
    if bytes.len() > max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    T::from_bytes(bytes).map_err(invalid)
}

async fn read_question<S>(stream: &mut S, room: &Room) -> io::Result<Request>
where
    S: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::new();
    read_on(stream, &mut bytes, SHORT).await?;
    let mut _taken = None;
    if bytes.len() > SHORT {
        let full = io::ErrorKind::QuotaExceeded;
        _taken = Some(room.take(Request::MAX_LEN).ok_or(full)?);
        read_on(stream, &mut bytes, Request::MAX_LEN).await?;
    }
    decode(&bytes, Request::MAX_LEN)
}

async fn read_answer<S>(stream: &mut S) -> io::Result<Answer>
where
    S: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::new();
    read_on(stream, &mut bytes, Answer::MAX_LEN).await?;
    decode(&bytes, Answer::MAX_LEN)
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
        read_question(stream, &self.room).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_answer(stream).await
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
    use core::pin::pin;
    use futures::executor::block_on;
    use futures::io::Cursor;
    use futures::stream::{self, TryStreamExt};
    use futures::{FutureExt, StreamExt};

    fn room(len: usize) -> Room {
        DirectoryCodec::new(len).room
    }

    #[test]
    fn a_message_is_a_whole_stream() {
        let mut stream = Cursor::new(Vec::new());
        block_on(write(&mut stream, &Request::Summary)).unwrap();
        let bytes = stream.into_inner();
        let read_back = |bytes: &[u8]| {
            let (mut stream, room) = (Cursor::new(bytes), room(Request::MAX_LEN));
            let read = read_question(&mut stream, &room).now_or_never();
            read.unwrap().map_err(|error| error.kind())
        };
        assert_eq!(read_back(&bytes), Ok(Request::Summary));
        assert_eq!(read_back(&bytes[..1]), Err(io::ErrorKind::InvalidData));
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(read_back(&longer), Err(io::ErrorKind::InvalidData));
        let endless = vec![1; 2 * Request::MAX_LEN];
        assert_eq!(read_back(&endless), Err(io::ErrorKind::FileTooLarge));
    }

    /// A stream that brings this and then nothing, without an end.
    fn dripping(len: usize) -> impl AsyncRead + Unpin {
        let begun = stream::iter([Ok::<_, io::Error>(vec![1; len])]);
        begun.chain(stream::pending()).into_async_read()
    }

    #[test]
    fn long_questions_wait_in_a_bounded_room_and_short_ones_pass() {
        let room = room(2 * Request::MAX_LEN);
        let (mut one, mut two, mut three) =
            (dripping(SHORT), dripping(SHORT + 1), dripping(99_999));
        let mut four = dripping(SHORT + 1);
        let mut short = pin!(read_question(&mut one, &room));
        assert!(short.as_mut().now_or_never().is_none());
        {
            let mut long = pin!(read_question(&mut two, &room));
            let mut longer = pin!(read_question(&mut three, &room));
            assert!(long.as_mut().now_or_never().is_none());
            assert!(longer.as_mut().now_or_never().is_none());
            let refused = read_question(&mut four, &room).now_or_never();
            let error = refused.expect("it is refused at once").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
            let mut summary = Cursor::new(Request::Summary.to_bytes());
            let read = read_question(&mut summary, &room).now_or_never();
            assert_eq!(read.unwrap().unwrap(), Request::Summary);
        }
        // Those that were given up leave their room to others.
        let mut five = dripping(SHORT + 1);
        assert!(read_question(&mut five, &room).now_or_never().is_none());
        assert_eq!(room.0.load(Relaxed), 2 * Request::MAX_LEN);
    }
}
