//! The examples of the client.

use super::start;

#[path = "../../../clients/rust/examples/keyvalue.rs"]
#[allow(dead_code)]
mod keyvalue;
#[path = "../../../clients/rust/examples/messages.rs"]
#[allow(dead_code)]
mod messages;

#[tokio::test]
async fn examples_print_what_they_should() {
    let gateway = start().await;
    let lines = keyvalue::run(&gateway.url(), "default").await.unwrap();
    let wanted = [
        "watches: true",
        "apple: green",
        "fruit/apple: green",
        "fruit/pear: yellow",
        "there is fruit/apple",
        "there is fruit/pear",
        "stored fruit/plum",
    ];
    assert_eq!(lines, wanted);
    let lines = messages::run(&gateway.url(), "orders", "billing").await.unwrap();
    assert_eq!(lines, ["received order 1", "received order 2", "received order 3"]);
}
