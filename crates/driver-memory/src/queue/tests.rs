//! Tests of what the behaviour suites can't see: accounting of bytes, and waiting without polling.

use super::*;
use crate::{MemorySettings, backend::LIMITS};
use prism_call::{
    Context,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, DequeueRequest, DequeueWithTimeoutRequest, EnqueueDelayedRequest, EnqueueRequest, QueueBasic,
        QueueDeadLetter, QueueDelayed, QueueVisibility, RedriveRequest, ReleaseRequest, enqueue_delayed_request::Schedule,
    },
};

fn queues() -> (Arc<Queues>, Arc<SharedState>, Context) {
    let shared = Arc::new(SharedState::new(MemorySettings::default()));
    (Arc::new(Queues::new(shared.clone(), LIMITS)), shared, Context::internal("test"))
}

fn put(queue: &str) -> EnqueueRequest {
    EnqueueRequest { queue: queue.into(), payload: "p".into(), ..Default::default() }
}

fn take(queue: &str, wait: Duration) -> DequeueRequest {
    DequeueRequest { queue: queue.into(), wait: wait.try_into().ok(), limit: 10 }
}

#[tokio::test]
async fn waits_until_a_message_arrives_or_is_due() {
    let (queues, shared, context) = queues();
    let waiting = {
        let (queues, context) = (queues.clone(), context.clone());
        tokio::spawn(async move { queues.dequeue(&context, take("q", Duration::from_secs(5))).await })
    };
    tokio::time::sleep(Duration::from_millis(10)).await;
    queues.sweep();
    queues.enqueue(&context, put("q")).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().messages.len(), 1);

    let delay = Duration::from_millis(30);
    let later = EnqueueDelayedRequest { queue: "q".into(), schedule: delay.try_into().ok().map(Schedule::Delay), ..Default::default() };
    let began = Instant::now();
    queues.enqueue_delayed(&context, later).await.unwrap();
    assert_eq!(queues.dequeue(&context, take("q", Duration::from_secs(5))).await.unwrap().messages.len(), 1);
    assert!((delay..Duration::from_secs(1)).contains(&began.elapsed()));

    assert!(queues.dequeue(&context, take("none", delay)).await.unwrap().messages.is_empty());
    queues.sweep();
    assert_eq!(shared.used_bytes(), 0);
    assert!(lock(&queues.state).queues.is_empty());
}

#[tokio::test]
async fn bytes_move_with_messages() {
    let (queues, shared, context) = queues();
    let configure =
        |target: &str| ConfigureDeadLetterRequest { queue: "q".into(), dead_letter_queue: target.into(), max_delivery_attempts: 1 };
    queues.configure_dead_letter(&context, configure("dead")).await.unwrap();
    queues.enqueue(&context, put("q")).await.unwrap();
    let before = shared.used_bytes();
    let leased =
        queues.dequeue_with_timeout(&context, DequeueWithTimeoutRequest { queue: "q".into(), ..Default::default() }).await.unwrap();
    let lease = leased.messages[0].lease.clone();
    queues.release(&context, ReleaseRequest { lease, delay: None }).await.unwrap();
    assert!(shared.used_bytes() > before);
    assert_eq!(queues.redrive(&context, RedriveRequest { queue: "q".into(), limit: 0 }).await.unwrap().moved, 1);
    queues.sweep();
    assert_eq!(shared.used_bytes(), before);
    assert_eq!(queues.dequeue(&context, take("q", Duration::ZERO)).await.unwrap().messages[0].delivery_attempt, 1);
    queues.configure_dead_letter(&context, configure("")).await.unwrap();
    queues.sweep();
    assert_eq!(shared.used_bytes(), 0);
    queues.enqueue(&context, put("q")).await.unwrap();
    drop(queues);
    assert_eq!(shared.used_bytes(), 0);
}
