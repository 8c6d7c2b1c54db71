//! Both transports against a node that speaks just enough JSON-RPC.

use codec::Encode;
use jsonrpsee::{
    RpcModule, SubscriptionMessage,
    server::{Server, ServerHandle},
    types::ErrorObjectOwned,
};
use llmesh_chain::{
    ChainApi, ChainError, ClientConfig, H256, HeadState, InMemoryRpc, NodeClient, RpcNodeClient, Signer,
    Wait, calls,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::{broadcast, mpsc};

const GENESIS: H256 = H256::repeat_byte(9);

fn header(number: u32) -> serde_json::Value {
    serde_json::json!({
        "parentHash": H256::zero(),
        "number": format!("{number:#x}"),
        "stateRoot": H256::zero(),
        "extrinsicsRoot": H256::zero(),
        "digest": {"logs": ["0x08000102"]},
    })
}

fn error(message: &str) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(4003, message, None::<()>)
}

/// A node that makes a block whenever it is told to.
#[derive(Clone)]
struct Node {
    module: RpcModule<()>,
    blocks: broadcast::Sender<u32>,
}

impl Node {
    fn new(genesis: H256) -> Self {
        let blocks = broadcast::channel(16).0;
        let mut module = RpcModule::new(());
        module
            .register_method("chain_getBlockHash", move |_, _, _| Some(genesis))
            .unwrap();
        module
            .register_method("chain_getHeader", |_, _, _| header(5))
            .unwrap();
        module
            .register_method("state_getStorage", |_, _, _| None::<String>)
            .unwrap();
        module.register_method("system_chain", |_, _, _| "Test").unwrap();
        module
            .register_method(
                "system_properties",
                |_, _, _| serde_json::json!({"tokenSymbol": ["MESH"], "tokenDecimals": 12}),
            )
            .unwrap();
        module
            .register_async_method("system_slow", |_, _, _| async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            })
            .unwrap();
        module
            .register_method("state_call", |params, _, _| {
                let (function, args, _): (String, String, Option<H256>) = params.parse()?;
                match function.as_str() {
                    "JobsApi_job" if args == "0x0700000000000000" => Ok("0x00".to_owned()),
                    "JobsApi_job" => Ok("0x99".to_owned()),
                    "StakingApi_pending_rewards" => Ok(format!("0x{}", hex::encode(17u128.encode()))),
                    _ => Err(error(
                        "Client error: Execution failed: Exported method JobsApi_work is not found",
                    )),
                }
            })
            .unwrap();
        let sender = blocks.clone();
        module
            .register_subscription(
                "chain_subscribeNewHeads",
                "chain_newHead",
                "chain_unsubscribeNewHeads",
                move |_, pending, _, _| {
                    let mut blocks = sender.subscribe();
                    async move {
                        let sink = pending.accept().await?;
                        let message = |n| SubscriptionMessage::from_json(&header(n));
                        sink.send(message(5)?).await?;
                        while let Ok(number) = blocks.recv().await {
                            sink.send(message(number)?).await?;
                        }
                        Ok(())
                    }
                },
            )
            .unwrap();
        Self { module, blocks }
    }

    /// Serves on this address, which may still be in use for a moment.
    async fn serve(&self, address: SocketAddr) -> (ServerHandle, SocketAddr) {
        for _ in 0..100 {
            if let Ok(server) = Server::builder().build(address).await {
                let address = server.local_addr().unwrap();
                return (server.start(self.module.clone()), address);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{address} stays in use");
    }
}

#[async_trait::async_trait]
impl InMemoryRpc for Node {
    async fn request(&self, json: String) -> Result<(String, mpsc::Receiver<String>), String> {
        self.module
            .raw_json_request(&json, 64)
            .await
            .map_err(|e| e.to_string())
    }
}

fn config() -> ClientConfig {
    ClientConfig {
        request_timeout: Duration::from_secs(2),
        ..ClientConfig::default()
    }
}

async fn wait_for(
    heads: &mut tokio::sync::watch::Receiver<HeadState>,
    what: &str,
    wanted: impl FnMut(&HeadState) -> bool,
) -> HeadState {
    match tokio::time::timeout(Duration::from_secs(20), heads.wait_for(wanted)).await {
        Ok(Ok(state)) => state.clone(),
        other => panic!("never {what}: {other:?}"),
    }
}

fn at(number: u32) -> impl Fn(&HeadState) -> bool {
    move |state| matches!(state, HeadState::At(head) if head.number == number)
}

async fn reads(client: &RpcNodeClient) {
    assert_eq!(client.genesis_hash().await.unwrap(), GENESIS);
    assert_eq!(client.best_head().await.unwrap().number, 5);
    let properties = client.properties().await.unwrap();
    assert_eq!(
        (properties.chain.as_str(), properties.token_symbol.as_str()),
        ("Test", "MESH")
    );
    let account = Signer::from_secret("//Alice").unwrap().account_id();
    assert_eq!(client.balance(&account).await.unwrap().free, 0);
    assert_eq!(client.pending_rewards(account, account).await.unwrap(), 17);
    assert_eq!(client.job(7).await.unwrap(), None);
    assert!(matches!(client.job(8).await, Err(ChainError::Decode { .. })));
    let error = client.work(account, 1, None).await.unwrap_err();
    assert!(
        matches!(&error, ChainError::MissingApi { function } if function == "JobsApi_work"),
        "{error}"
    );
}

#[tokio::test]
async fn in_process_reads_and_follows() {
    let node = Node::new(GENESIS);
    let client = RpcNodeClient::in_process(Arc::new(node.clone()), config());
    reads(&client).await;
    let mut heads = client.follow_best();
    let first = wait_for(&mut heads, "a head", at(5)).await;
    // The hash is the header's own.
    assert_eq!(first, HeadState::At(client.best_head().await.unwrap()));
    node.blocks.send(6).unwrap();
    wait_for(&mut heads, "the next head", at(6)).await;
}

#[tokio::test]
async fn websocket_survives_a_restart_of_the_node() {
    let node = Node::new(GENESIS);
    let (server, address) = node.serve(([127, 0, 0, 1], 0).into()).await;
    let client = RpcNodeClient::websocket(&format!("ws://{address}"), config());
    reads(&client).await;
    let mut heads = client.follow_best();
    wait_for(&mut heads, "a head", at(5)).await;

    server.stop().unwrap();
    server.stopped().await;
    wait_for(&mut heads, "lost", |s| {
        matches!(
            s,
            HeadState::Lost {
                wrong_chain: false,
                ..
            }
        )
    })
    .await;
    let error = client.best_head().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    let (_server, _) = node.serve(address).await;
    wait_for(&mut heads, "a head again", at(5)).await;
    assert_eq!(client.best_head().await.unwrap().number, 5);
}

#[tokio::test]
async fn another_chain_is_refused() {
    let expected = H256::repeat_byte(1);
    let client = RpcNodeClient::in_process(
        Node::new(GENESIS),
        ClientConfig {
            genesis: Some(expected),
            ..config()
        },
    );
    let error = client.genesis_hash().await.unwrap_err();
    assert!(
        matches!(error, ChainError::WrongChain { actual, .. } if actual == GENESIS),
        "{error}"
    );
    let mut heads = client.follow_best();
    wait_for(&mut heads, "wrong", |s| {
        matches!(
            s,
            HeadState::Lost {
                wrong_chain: true,
                ..
            }
        )
    })
    .await;
    // Nothing is signed for the wrong chain.
    let signer = Signer::from_secret("//Alice").unwrap();
    assert!(
        client
            .submit(&calls::resume(), &signer, Wait::InBlock)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_node_that_is_replaced_by_one_of_another_chain_is_refused() {
    let (server, address) = Node::new(GENESIS).serve(([127, 0, 0, 1], 0).into()).await;
    let client = RpcNodeClient::websocket(&format!("ws://{address}"), config());
    let mut heads = client.follow_best();
    wait_for(&mut heads, "a head", at(5)).await;
    server.stop().unwrap();
    server.stopped().await;
    let (_server, _) = Node::new(H256::repeat_byte(2)).serve(address).await;
    let lost = wait_for(&mut heads, "wrong", |s| {
        matches!(
            s,
            HeadState::Lost {
                wrong_chain: true,
                ..
            }
        )
    })
    .await;
    assert!(matches!(lost, HeadState::Lost { reason, .. } if reason.contains("wrong chain")));
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = RpcNodeClient::websocket(&format!("ws://127.0.0.1:{port}"), config());
    let error = client.genesis_hash().await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ChainError::Unreachable { .. }));
    assert!(
        text.contains(&port.to_string()) && text.contains("refused"),
        "{text}"
    );
}

#[tokio::test]
async fn tls_without_a_server_is_an_error_and_no_panic() {
    // The first step of TLS needs a cryptography provider, before anything is known of the other end.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        // Takes the connection, and hangs up.
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream);
        }
    });
    let client = RpcNodeClient::websocket(&format!("wss://{address}"), config());
    let error = client.genesis_hash().await.unwrap_err();
    assert!(matches!(error, ChainError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_node_does_not_hold_anyone_up() {
    // Takes connections and says nothing.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
        }
    });
    let config = ClientConfig {
        request_timeout: Duration::from_millis(300),
        ..ClientConfig::default()
    };
    let client = RpcNodeClient::websocket(&format!("ws://{address}"), config);
    let started = std::time::Instant::now();
    let error = client.genesis_hash().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
}
