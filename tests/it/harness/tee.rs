//! A TCP relay that records what the server sent, so that a test knows the
//! credentials that AWS issued.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A relay to one address.
#[derive(Clone)]
pub(crate) struct Tee {
    url: String,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Tee {
    /// Relays to `target` (`host:port`) until the test ends.
    pub(crate) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let this = Self { url, said: Arc::default() };
        let (said, target) = (Arc::clone(&this.said), target.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                tokio::spawn(relay(client, server, Arc::clone(&said)));
            }
        });
        this
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every text between `before` and `after` in what the server sent.
    pub(crate) fn all_between(&self, before: &str, after: &str) -> Vec<String> {
        let said = String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned();
        let parts = said.split(before).skip(1);
        parts.filter_map(|part| part.split_once(after)).map(|(text, _)| text.to_owned()).collect()
    }
}

/// An end or an error on either side ends both.
async fn relay(client: TcpStream, server: TcpStream, said: Arc<Mutex<Vec<u8>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let down = async {
        let mut piece = [0; 8192];
        loop {
            match from_server.read(&mut piece).await? {
                0 => return Ok(()),
                length => {
                    said.lock().unwrap().extend_from_slice(&piece[..length]);
                    to_client.write_all(&piece[..length]).await?;
                }
            }
        }
    };
    // Both connections close here, whatever ended the relay.
    let _: std::io::Result<()> = tokio::select! { ended = up => ended, ended = down => ended };
}
