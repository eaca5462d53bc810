//! prost's codec with an exact buffer. A buffer that grows during encoding would be up
//! to twice as large as the response.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstCodec;

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub(crate) struct ExactCodec<T, U>(ProstCodec<T, U>);

/// Encodes `T`.
#[derive(Debug)]
pub(crate) struct ExactEncoder<T>(PhantomData<T>);

impl<T, U> Default for ExactCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    fn default() -> Self {
        Self(ProstCodec::default())
    }
}

impl<T, U> Codec for ExactCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ExactEncoder<T>;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        ExactEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        self.0.decoder()
    }
}

impl<T: Message> Encoder for ExactEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        item.encode(buffer).map_err(|_| Status::internal("cannot encode the response"))
    }
}
