//! Connections that change to another protocol pass through as tunnels (RFC 9110 §7.8).

use std::time::Duration;

use weir_node::config::NodeConfig;
use weir_tests::{EchoOrigin, Raw, Shape, Stack, TestNode, soon, upstream};

const ASK: &str = "GET /socket HTTP/1.1\r\nHost: www.test\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";

async fn stack(shape: Shape, echo: &EchoOrigin, node: fn(&mut NodeConfig)) -> Stack {
    let origin = echo.addr();
    let shape = shape.site(move |site| site.origins = vec![upstream(origin).into()]);
    shape.node(node).start().await
}

fn plain(_: &mut NodeConfig) {}

/// A tunnel that the client has its 101 of.
async fn tunnel(node: &TestNode) -> Raw {
    let mut client = Raw::connect(node.addr()).await;
    client.write(ASK).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

async fn echoes(client: &mut Raw, text: &str) {
    client.write(text).await;
    assert_eq!(client.exactly(text.len()).await, text.as_bytes());
}

/// No tunnel is left anywhere, nor a connection that one held.
async fn all_ended(stack: &Stack, reason: &str) {
    let label = format!("reason=\"{reason}\"");
    for node in stack.nodes() {
        node.metrics_reach(|metrics| {
            metrics.get("weir_tunnels_active") == 0.0
                && metrics.sum("weir_tunnels_total", &[&label]) >= 1.0
                && metrics.sum("weir_upstream_outstanding", &[]) == 0.0
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_sent_either_way_comes_through_all_tiers() {
    for shape in [Shape::single(), Shape::tiers(1, 1)] {
        let echo = EchoOrigin::start().await;
        let stack = stack(shape, &echo, plain).await;
        let mut client = Raw::connect(stack.edge().addr()).await;
        // What follows the head at once belongs to the tunnel.
        client.write(format!("{ASK}early")).await;
        let head = format!("{}\r\n", client.head().await.to_ascii_lowercase());
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        for field in [
            "upgrade: websocket\r\n",
            "connection: upgrade\r\n",
            "sec-websocket-accept: as-the-origin-says\r\n",
            "x-origin: yes\r\n",
            "via: ",
        ] {
            assert!(head.contains(field), "{field} {head}");
        }
        assert!(!head.contains("\r\nweir-") && !head.contains("content-length"), "{head}");
        assert_eq!(client.exactly(5).await, b"early");
        for size in [1, 1_000, 100_000] {
            echoes(&mut client, &"x".repeat(size)).await;
        }
        for node in stack.nodes() {
            assert_eq!(node.metrics().await.get("weir_tunnels_active"), 1.0);
            assert_eq!(node.metrics().await.get("weir_store_keys"), 0.0);
        }
        // The end of one direction leaves the other open.
        client.end().await;
        assert_eq!(client.rest().await, b"<end>");
        all_ended(&stack, "closed").await;
        echo.has(0).await;
        let bytes = stack.edge().metrics().await;
        assert_eq!(bytes.sum("weir_tunnel_bytes_total", &["way=\"up\""]), 101_006.0);
        assert_eq!(bytes.sum("weir_tunnel_bytes_total", &["way=\"down\""]), 101_011.0);
    }
}

#[tokio::test]
async fn when_one_side_leaves_the_other_learns_it() {
    let echo = EchoOrigin::start().await;
    let stack = stack(Shape::tiers(1, 1), &echo, plain).await;
    let client = tunnel(stack.edge()).await;
    echo.has(1).await;
    drop(client);
    echo.has(0).await;
    all_ended(&stack, "closed").await;

    let mut client = tunnel(stack.edge()).await;
    client.write("<leave>").await;
    assert_eq!(client.rest().await, b"");
    client.end().await;
    all_ended(&stack, "closed").await;
}

/// Only a request that asks for it, and only what is not HTTP again.
#[tokio::test]
async fn a_request_that_asks_for_no_such_thing_is_a_request() {
    let echo = EchoOrigin::start().await;
    let stack = stack(Shape::tiers(1, 1), &echo, plain).await;
    for fields in [
        "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Connection: upgrade\r\nUpgrade: something-else\r\n",
    ] {
        let mut client = Raw::connect(stack.edge().addr()).await;
        client
            .write(format!("GET /{} HTTP/1.1\r\nHost: www.test\r\n{fields}\r\n", fields.len()))
            .await;
        let reply = client.response().await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"plain"[..]), "{fields}");
    }
    for node in stack.nodes() {
        assert_eq!(node.metrics().await.sum("weir_tunnels_total", &[]), 0.0);
    }
}

/// A change to a protocol that nobody named is no answer (RFC 9110 §7.8), and no tunnel.
#[tokio::test]
async fn a_change_to_another_protocol_than_asked_is_refused() {
    let stack = Shape::single().start().await;
    for chosen in ["Upgrade: other\r\n", "Upgrade: websocket, other\r\n", ""] {
        let raw =
            format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n{chosen}\r\n");
        stack.origin.script("/socket").raw(raw).set();
        let mut client = Raw::connect(stack.edge().addr()).await;
        client.write(ASK).await;
        assert_eq!(client.response().await.status, 502, "{chosen}");
    }
    assert_eq!(stack.edge().metrics().await.sum("weir_tunnels_total", &[]), 0.0);
}

/// Data either way keeps it open; silence closes both sides.
#[tokio::test]
async fn a_tunnel_that_is_silent_is_closed() {
    let echo = EchoOrigin::start().await;
    let stack = stack(Shape::tiers(1, 1), &echo, |node| {
        node.limits.tunnel_idle_timeout = Duration::from_millis(800);
    })
    .await;
    let mut client = tunnel(stack.edge()).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        echoes(&mut client, "still here").await;
    }
    assert_eq!(client.rest().await, b"", "closed");
    echo.has(0).await;
    stack.edge().metrics_reach(|metrics| metrics.get("weir_tunnels_active") == 0.0).await;
}

#[tokio::test]
async fn a_hundred_tunnels_at_once_do_not_mix() {
    let echo = EchoOrigin::start().await;
    let stack = stack(Shape::tiers(1, 1), &echo, plain).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(tunnel(stack.edge()).await);
    }
    echo.has(100).await;
    for round in 0..3 {
        let mut echoing = Vec::new();
        for (number, mut client) in clients.drain(..).enumerate() {
            echoing.push(tokio::spawn(async move {
                echoes(&mut client, &format!("{number} in round {round}")).await;
                client
            }));
        }
        for client in echoing {
            clients.push(client.await.unwrap());
        }
    }
    let tunnels = stack.edge().metrics().await;
    assert_eq!(tunnels.get("weir_tunnels_active"), 100.0);
    drop(clients);
    all_ended(&stack, "closed").await;
    echo.has(0).await;
}

#[tokio::test]
async fn there_is_an_end_to_tunnels() {
    let echo = EchoOrigin::start().await;
    let stack = stack(Shape::single(), &echo, |node| node.limits.tunnels_max = 1).await;
    let first = tunnel(stack.edge()).await;
    let mut second = Raw::connect(stack.edge().addr()).await;
    second.write(ASK).await;
    let refused = second.response().await;
    assert_eq!((refused.status, refused.field("retry-after")), (503, "1"));
    echo.has(1).await;
    drop(first);
    stack.edge().metrics_reach(|metrics| metrics.get("weir_tunnels_active") == 0.0).await;
    tunnel(stack.edge()).await;
}

/// A node that stops lets tunnels end by themselves, and ends right after the last one.
#[tokio::test]
async fn a_node_that_stops_waits_for_its_tunnels() {
    let echo = EchoOrigin::start().await;
    let mut stack = stack(Shape::tiers(1, 0), &echo, |node| {
        node.drain_grace = Duration::from_secs(15);
    })
    .await;
    let mut client = tunnel(stack.edge()).await;
    let edge = stack.edges.remove(0);
    let admin = edge.admin_addr();
    let address = edge.addr();
    let mut waiting = Raw::connect(address).await;
    let stopping = tokio::spawn(edge.shutdown());
    soon("the drain", async {
        while weir_tests::Request::get("/readyz").send(admin).await.status == 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    echoes(&mut client, "still here").await;
    // A connection that is idle is closed, or its request for a tunnel refused.
    let asked = waiting.try_write(ASK).await;
    assert_ne!(if asked { waiting.status().await } else { None }, Some(101));
    echoes(&mut client, "and here").await;
    assert!(!stopping.is_finished());
    client.end().await;
    assert_eq!(client.rest().await, b"<end>");
    soon("the end of the node", stopping).await.unwrap();
}

/// At the end of the grace time those that are left are cut.
#[tokio::test]
async fn a_tunnel_does_not_keep_a_node_for_ever() {
    let echo = EchoOrigin::start().await;
    let mut stack = stack(Shape::single(), &echo, |node| {
        node.drain_grace = Duration::from_millis(200);
    })
    .await;
    let mut client = tunnel(stack.edge()).await;
    stack.edges.remove(0).shutdown().await;
    assert_eq!(client.rest().await, b"");
    echo.has(0).await;
}
