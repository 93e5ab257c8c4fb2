//! What happens on one connection, from the first byte to the last?
//!
//! Requests are read one after the other and answered in order. Dropping the future drops the
//! socket; nothing is left behind.

use std::{io, sync::Arc};

use tokio::net::TcpStream;

use crate::{
    answer::Answer,
    body::{self, Received},
    deliver::{After, Asked, deliver},
    request::{self, ReadError, RequestHead},
    route::Chosen,
    state::State,
    wire::Wire,
};

/// Serves `stream` until one side ends it.
pub(crate) async fn serve(state: Arc<State>, stream: TcpStream) {
    let _open = state.stats.open();
    let mut wire = Wire::new(stream);
    loop {
        match exchange(&state, &mut wire).await {
            Ok(After::Keep) => {}
            Ok(After::Close) => return wire.close().await,
            Ok(After::Reset) => return wire.reset(),
            // The client is gone, or the answer cannot be completed: a cut is all there is to say.
            Err(_) => return,
        }
    }
}

/// Reads one request and answers it.
async fn exchange(state: &State, wire: &mut Wire) -> io::Result<After> {
    match request::read_head(wire).await {
        Ok(Some(head)) => respond(state, wire, &head).await,
        Ok(None) => Ok(After::Close),
        Err(error) => refuse(wire, error).await,
    }
}

async fn respond(state: &State, wire: &mut Wire, head: &RequestHead) -> io::Result<After> {
    let chosen = Chosen::by(state, head);
    let mut received = Received::new(chosen.echoes());
    if chosen.is_before_body() {
        state.stats.record(head, &received);
        let answer = chosen.answer(state, head, received).await;
        // What follows is the body nobody read: no request may be taken from it.
        let asked = Asked { keep_alive: false, ..Asked::by(head) };
        return deliver(wire, answer, asked).await;
    }
    if head.expects_continue {
        wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        wire.flush().await?;
    }
    let read = body::read_body(wire, head.framing, &mut received).await;
    if chosen.is_counted() {
        state.stats.record(head, &received);
    }
    if let Err(error) = read {
        return refuse(wire, error).await;
    }
    let answer = chosen.answer(state, head, received).await;
    deliver(wire, answer, Asked::by(head)).await
}

async fn refuse(wire: &mut Wire, error: ReadError) -> io::Result<After> {
    match error {
        ReadError::Io(error) => Err(error),
        ReadError::Refused(refused) => {
            deliver(wire, Answer::refusal(&refused), Asked::unread()).await
        }
    }
}
