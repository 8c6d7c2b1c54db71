//! A look at the WebSocket frames that come in, before they reach the WebSocket library.
//!
//! The library begins a task for every message, however many wait and whatever is in them, and reads a message that is
//! too long to its end. So length and number of what comes in are checked here first.

use crate::calls::Calls;
use std::{net::IpAddr, sync::Arc};

/// Follows the frames of one connection.
pub(crate) struct Frames {
    calls: Arc<Calls>,
    address: IpAddr,
    head: [u8; 14],
    have: usize,
    /// Bytes of the present frame's payload that are still to come.
    left: u64,
    /// Whether the present frame is the last of its message.
    last: bool,
    /// Bytes of the present message.
    message: u64,
}

impl Frames {
    pub(crate) fn new(calls: Arc<Calls>, address: IpAddr) -> Self {
        Self {
            calls,
            address,
            head: [0; 14],
            have: 0,
            left: 0,
            last: false,
            message: 0,
        }
    }

    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    /// Why the connection must end, before any of these bytes is passed on.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left = self.left.saturating_sub(taken as u64);
                bytes = bytes.get(taken..).unwrap_or_default();
                if self.left == 0 {
                    self.end();
                }
                continue;
            }
            if let Some(byte) = self.head.get_mut(self.have) {
                *byte = *first;
            }
            self.have = self.have.saturating_add(1);
            bytes = rest;
            if self.have >= self.head_length() {
                self.begin()?;
            }
        }
        Ok(())
    }

    /// Length of the head as far as it is known.
    fn head_length(&self) -> usize {
        let [_, second, ..] = self.head;
        if self.have < 2 {
            return 2;
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        // The mask's four bytes are always there: `begin` refuses frames without.
        2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
    }

    /// A head is whole.
    fn begin(&mut self) -> Result<(), &'static str> {
        let [first, second, a, b, c, d, e, f, g, h, ..] = self.head;
        self.have = 0;
        if second & 0x80 == 0 {
            return Err("a client's frame is not masked");
        }
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([a, b])),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            n => n.into(),
        };
        let control = first & 0x08 != 0;
        self.last = first & 0x80 != 0 && !control;
        if control && (length > 125 || first & 0x80 == 0) {
            return Err("a control frame is too long or in pieces");
        }
        self.calls
            .frame_rates
            .check(self.address)
            .map_err(|_| "there are too many frames")?;
        if !control {
            self.message = self.message.saturating_add(length);
            if self.message > self.calls.config.limits.message_bytes as u64 {
                return Err("a message is too long");
            }
        }
        self.left = length;
        if length == 0 {
            self.end();
        }
        Ok(())
    }

    /// A frame is whole.
    fn end(&mut self) {
        if self.last {
            self.message = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Gateway, GatewayConfig, GatewayError, InferRequest, InferResponse, ModelInfo, ProgressInfo,
        QuoteInfo, QuoteRequest, RouteInfo, RoutesRequest, StatusInfo,
    };
    use proptest::prelude::*;
    use tokio::sync::mpsc;

    /// Is never asked for anything.
    struct Nobody;

    #[async_trait::async_trait]
    impl Gateway for Nobody {
        async fn models(&self) -> Result<Vec<ModelInfo>, GatewayError> {
            unreachable!()
        }
        async fn model(&self, _: &str, _: Option<&str>) -> Result<ModelInfo, GatewayError> {
            unreachable!()
        }
        async fn quote(&self, _: QuoteRequest) -> Result<QuoteInfo, GatewayError> {
            unreachable!()
        }
        async fn infer(
            &self,
            _: InferRequest,
            _: Option<mpsc::Sender<ProgressInfo>>,
        ) -> Result<InferResponse, GatewayError> {
            unreachable!()
        }
        async fn forward(&self, _: Vec<u8>, _: Vec<u8>) -> Result<Vec<u8>, GatewayError> {
            unreachable!()
        }
        async fn routes(&self, _: RoutesRequest) -> Result<Vec<RouteInfo>, GatewayError> {
            unreachable!()
        }
        async fn status(&self) -> Result<StatusInfo, GatewayError> {
            unreachable!()
        }
        fn ready(&self) -> bool {
            false
        }
    }

    fn frames(change: impl FnOnce(&mut crate::Limits)) -> Frames {
        let mut config = GatewayConfig::default();
        change(&mut config.limits);
        let calls = Arc::new(Calls::new(Arc::new(Nobody), config));
        Frames::new(calls, [127, 0, 0, 1].into())
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            n @ 0..126 => bytes.push(0x80 | n as u8),
            n @ 126..65536 => {
                bytes.push(0xfe);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(0xff);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(payload);
        bytes
    }

    proptest! {
        /// However the bytes are cut, the frames are the same ones: a too long message at the end is seen exactly there.
        #[test]
        fn cuts_do_not_matter(
            sizes in prop::collection::vec((0usize..1000, any::<bool>()), 0..20),
            large in 70_000usize..80_000,
            piece in 1usize..5000,
        ) {
            let mut frames = frames(|l| l.message_bytes = 90_000);
            let mut bytes = Vec::new();
            for (size, fin) in &sizes {
                bytes.extend(frame(if *fin { 0x81 } else { 0x01 }, &vec![0xff; *size]));
                bytes.extend(frame(0x89, &[0xff; 5]));
            }
            bytes.extend(frame(0x80, &vec![0; large]));
            for piece in bytes.chunks(piece) {
                prop_assert!(frames.take(piece).is_ok());
            }
            prop_assert_eq!(frames.take(&frame(0x81, &[])).and_then(|()| frames.take(&frame(0x81, &vec![0; 90_001])[..14])),
                Err("a message is too long"));
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = frames(|_| ()).take(&bytes);
        }
    }

    #[test]
    fn the_parts_of_a_message_count_together() {
        let mut frames = frames(|l| l.message_bytes = 60);
        for _ in 0..3 {
            frames.take(&frame(0x81, &[0; 60])).unwrap();
            frames.take(&frame(0x01, &[0; 40])).unwrap();
            frames.take(&frame(0x89, &[0; 40])).unwrap();
            frames.take(&frame(0x80, &[0; 20])).unwrap();
        }
        frames.take(&frame(0x01, &[0; 40])).unwrap();
        // Known from the head alone.
        assert_eq!(
            frames.take(&frame(0x80, &[0; 21])[..6]),
            Err("a message is too long")
        );
    }

    #[test]
    fn what_no_client_sends_is_refused() {
        for (bytes, why) in [
            (vec![0x81, 0x01, 0x00], "a client's frame is not masked"),
            (frame(0x09, &[]), "a control frame is too long or in pieces"),
            (frame(0x89, &[0; 126]), "a control frame is too long or in pieces"),
            (
                [&[0x82, 0xff][..], &[0xff; 8], &[0; 4]].concat(),
                "a message is too long",
            ),
        ] {
            assert_eq!(frames(|_| ()).take(&bytes), Err(why));
        }
        let mut many = frames(|l| {
            l.requests_per_second = 1;
            l.burst = 2;
        });
        let pings = frame(0x89, &[]).repeat(100);
        assert_eq!(many.take(&pings), Err("there are too many frames"));
    }
}
