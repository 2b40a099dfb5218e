//! Committed callbacks go out: in order for each conference, and nobody waits for another's
//! receiver.

use std::collections::BTreeMap;

use model::{Account, Callback, CallbackState, Change};
use store::Store;
use tokio::sync::mpsc;
use webhook::{Client, Request};

/// How much of an answer is read; nobody looks at it.
const ANSWER_MAX: usize = 64 * 1024;
/// Connection failures that are tried again.
const TRIES: u32 = 2;

/// Delivers what comes by `callbacks`. Rows are safe before they come here, so the queues hold
/// only what is owed anyway.
pub async fn run(
    mut callbacks: mpsc::UnboundedReceiver<Callback>,
    client: Client,
    account: Account,
    store: Store,
) {
    let mut queues: BTreeMap<String, mpsc::UnboundedSender<Callback>> = BTreeMap::new();
    while let Some(callback) = callbacks.recv().await {
        queues.retain(|_, queue| !queue.is_closed());
        let key = callback
            .conference
            .map(|sid| sid.to_string())
            .or(callback.call.map(|sid| sid.to_string()))
            .unwrap_or_default();
        let unsent = match queues.get(&key) {
            Some(queue) => queue.send(callback).err().map(|refused| refused.0),
            None => Some(callback),
        };
        if let Some(callback) = unsent {
            let (queue, waiting) = mpsc::unbounded_channel();
            let _ = queue.send(callback);
            queues.insert(key, queue);
            tokio::spawn(deliver_all(waiting, client.clone(), account.clone(), store.clone()));
        }
    }
}

async fn deliver_all(
    mut waiting: mpsc::UnboundedReceiver<Callback>,
    client: Client,
    account: Account,
    store: Store,
) {
    const IDLE: std::time::Duration = std::time::Duration::from_secs(60);
    while let Ok(Some(callback)) = tokio::time::timeout(IDLE, waiting.recv()).await {
        let done = deliver(callback, &client, &account).await;
        if store.apply(vec![Change::Callback(Box::new(done))]).is_err() {
            tracing::warn!("a delivered callback could not be marked; it will be sent again");
        }
    }
    // What came between the last wait and the end is delivered too.
    waiting.close();
    while let Some(callback) = waiting.recv().await {
        let done = deliver(callback, &client, &account).await;
        let _ = store.apply(vec![Change::Callback(Box::new(done))]);
    }
}

async fn deliver(mut callback: Callback, client: &Client, account: &Account) -> Callback {
    let request = Request {
        url: callback.url.clone(),
        method: if callback.method.is_empty() {
            "POST".to_owned()
        } else {
            callback.method.clone()
        },
        params: callback.params.clone(),
        auth_token: account.auth_token.clone(),
        idempotency_token: Some(callback.sid.to_string()),
        body_max: ANSWER_MAX,
    };
    callback.state = CallbackState::Failed;
    for _ in 0..TRIES {
        callback.attempts += 1;
        match client.send(&request).await {
            Ok(response) => {
                callback.state = CallbackState::Delivered;
                let refused = response.status >= 400;
                callback.last_error =
                    refused.then(|| format!("11200: answered {}", response.status));
                break;
            }
            Err(failure) => callback.last_error = Some(format!("{}: {failure}", failure.code)),
        }
    }
    callback
}
