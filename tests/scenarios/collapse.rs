//! Many requests for one key, one request upstream.

use weir_tests::{Request, Shape, soon};

/// Two hundred clients over three edges ask for one cold key while the origin holds the body half
/// sent: one origin request, all bodies equal, and every client has its first bytes before the
/// origin sends its last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_over_three_edges_cost_one_origin_request_and_stream() {
    let stack = Shape::tiers(3, 2).start().await;
    let body = vec![7_u8; 200_000];
    let script = stack.origin.script("/film").ok().header("cache-control", "max-age=60");
    let hold = script.body(body.clone()).send(50_000).hold().set();

    let mut clients = Vec::new();
    for index in 0..200 {
        let to = stack.edges[index % 3].addr();
        clients.push(tokio::spawn(async move {
            let mut transfer = Request::get("/film").start(to).await;
            let early = transfer.read_at_least(1).await;
            (early, transfer)
        }));
    }
    hold.reached().await;
    let mut reading = Vec::new();
    for client in clients {
        reading.push(soon("a client's first bytes", client).await.unwrap());
    }
    assert_eq!(stack.origin.hits("/film"), 1, "the origin still holds the rest");
    hold.release();

    for (early, transfer) in reading {
        assert!(!early.is_empty());
        let rest = transfer.finish().await;
        assert!(!rest.cut);
        assert_eq!([early.as_slice(), &rest.body].concat(), body);
    }
    assert_eq!(stack.origin.hits("/film"), 1);
    let hit = stack.edge().get("/film").await;
    assert_eq!((hit.x_cache().as_str(), hit.body.len()), ("HIT", body.len()));
}
