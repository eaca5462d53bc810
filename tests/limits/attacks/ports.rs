//! The probes' port, which every pod of the cluster can reach.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{play::Case, siege::Siege};

const CONNECTIONS: usize = 1000;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("idle-connections", "1,000 connections that say nothing", |siege| {
            Box::pin(connections(siege, Habit::Silent))
        })
        .driver_writes(),
        Case::new("slow-connections", "1,000 connections that send a byte a second", |siege| {
            Box::pin(connections(siege, Habit::Slow))
        })
        .driver_writes(),
        Case::new("half-open-connections", "1,000 connections that have stopped sending", |siege| {
            Box::pin(connections(siege, Habit::HalfOpen))
        })
        .driver_writes(),
        Case::new("unread-connections", "1,000 connections that send requests and read no answer", |siege| {
            Box::pin(connections(siege, Habit::Unread))
        })
        .driver_writes(),
        Case::new(
            "many-connections",
            "new connections as fast as they come, each with a large header",
            |siege| Box::pin(connections(siege, Habit::Brief)),
        )
        .driver_writes(),
    ]
}

#[derive(Clone, Copy)]
enum Habit {
    Silent,
    Slow,
    HalfOpen,
    Unread,
    Brief,
}

async fn connections(siege: Siege, habit: Habit) {
    let mut all = JoinSet::new();
    for _ in 0..CONNECTIONS {
        all.spawn(connect_for_ever(siege.node.http, habit));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    siege.begin();
    while all.join_next().await.is_some() {}
}

/// A connection that is closed is opened again.
async fn connect_for_ever(address: SocketAddr, habit: Habit) {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            // How it ends does not matter.
            let _ = hold(stream, habit).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn hold(mut stream: TcpStream, habit: Habit) -> std::io::Result<()> {
    let mut nothing = [0; 16];
    match habit {
        Habit::Silent => {
            let _ = stream.read(&mut nothing).await?;
        }
        Habit::Slow => {
            for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ".iter().chain(std::iter::repeat(&b'x'))
            {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Habit::HalfOpen => {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await?;
            stream.shutdown().await?;
            let _ = stream.read(&mut nothing).await?;
        }
        Habit::Unread => {
            for _ in 0..10_000 {
                stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await?;
            }
            std::future::pending::<()>().await;
        }
        Habit::Brief => {
            let header =
                format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(60_000));
            stream.write_all(header.as_bytes()).await?;
        }
    }
    Ok(())
}
