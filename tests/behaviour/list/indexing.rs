//! `list_indexing`

use bytes::Bytes;
use prism::{
    call::Error,
    proto::models::list::v1::{
        GetRequest, InsertPosition, InsertRequest, RemoveRequest, SetRequest, insert_request::Target as Beside,
        remove_request::Target as Removed,
    },
};

use crate::{subject::Subject, suite::suite, support::invalid};

suite! { "list_indexing":
    gets_by_index;
    sets_by_index;
    inserts_beside_an_index;
    inserts_beside_a_value;
    removes_an_index;
    removes_equal_values;
    removing_the_last_element_removes_the_list;
    an_absent_list_has_no_elements;
    indexes_out_of_every_range;
    empty_and_binary_values;
    agrees_with_a_model;
    bad_requests_are_refused;
}

impl Subject {
    async fn get_element(&self, key: &str, index: i64) -> Option<String> {
        let request = GetRequest { key: key.to_owned().into(), index };
        let value = self.list_indexing().get(&self.context, request).await.unwrap().value;
        value.map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    async fn set_element(&self, key: &str, index: i64, value: &str) -> bool {
        let request = SetRequest { key: key.to_owned().into(), index, value: value.to_owned().into() };
        self.list_indexing().set(&self.context, request).await.unwrap().replaced
    }

    async fn insert_element(&self, key: &str, target: Beside, position: InsertPosition, value: &str) -> (bool, u64) {
        let key = key.to_owned().into();
        let request = InsertRequest { key, target: Some(target), position: position.into(), value: value.to_owned().into() };
        let answer = self.list_indexing().insert(&self.context, request).await.unwrap();
        (answer.inserted, answer.length)
    }

    async fn remove_elements(&self, key: &str, target: Removed, limit: u32, from_right: bool) -> (u64, u64) {
        let request = RemoveRequest { key: key.to_owned().into(), target: Some(target), limit, from_right };
        let answer = self.list_indexing().remove(&self.context, request).await.unwrap();
        (answer.removed, answer.length)
    }
}

fn pivot(value: &str) -> Beside {
    Beside::Pivot(value.to_owned().into())
}

fn equal(value: &str) -> Removed {
    Removed::Value(value.to_owned().into())
}

async fn gets_by_index(s: Subject) {
    s.push_right("list", &["a", "b", "c"]).await;
    for (index, value) in [(0, "a"), (2, "c"), (-1, "c"), (-3, "a")] {
        assert_eq!(s.get_element("list", index).await.as_deref(), Some(value), "{index}");
    }
    for index in [3, -4] {
        assert_eq!(s.get_element("list", index).await, None, "{index}");
    }
}

async fn sets_by_index(s: Subject) {
    s.push_right("list", &["a", "b", "c"]).await;
    assert!(s.set_element("list", 0, "A").await);
    assert!(s.set_element("list", -1, "").await);
    assert!(!s.set_element("list", 3, "x").await);
    assert!(!s.set_element("list", -4, "x").await);
    assert_eq!(s.take_list("list").await, "A b ");
}

async fn inserts_beside_an_index(s: Subject) {
    s.push_right("list", &["a", "b", "c"]).await;
    let index = Beside::Index;
    assert_eq!(s.insert_element("list", index(0), InsertPosition::Unspecified, "0").await, (true, 4));
    assert_eq!(s.insert_element("list", index(1), InsertPosition::After, "1").await, (true, 5));
    assert_eq!(s.insert_element("list", index(-1), InsertPosition::Before, "2").await, (true, 6));
    assert_eq!(s.insert_element("list", index(-1), InsertPosition::After, "3").await, (true, 7));
    assert_eq!(s.insert_element("list", index(-7), InsertPosition::After, "4").await, (true, 8));
    assert_eq!(s.insert_element("list", index(8), InsertPosition::Before, "x").await, (false, 8));
    assert_eq!(s.insert_element("list", index(-9), InsertPosition::After, "x").await, (false, 8));
    assert_eq!(s.take_list("list").await, "0 4 a 1 b 2 c 3");
}

async fn inserts_beside_a_value(s: Subject) {
    s.push_right("list", &["a", "b", "b"]).await;
    assert_eq!(s.insert_element("list", pivot("b"), InsertPosition::Before, "1").await, (true, 4));
    assert_eq!(s.insert_element("list", pivot("b"), InsertPosition::After, "2").await, (true, 5));
    assert_eq!(s.insert_element("list", pivot("c"), InsertPosition::After, "x").await, (false, 5));
    assert_eq!(s.take_list("list").await, "a 1 b 2 b");
}

async fn removes_an_index(s: Subject) {
    s.push_right("list", &["a", "b", "a", "b"]).await;
    assert_eq!(s.remove_elements("list", Removed::Index(2), 0, false).await, (1, 3));
    assert_eq!(s.remove_elements("list", Removed::Index(-1), 0, false).await, (1, 2));
    assert_eq!(s.remove_elements("list", Removed::Index(2), 0, false).await, (0, 2));
    assert_eq!(s.remove_elements("list", Removed::Index(-3), 0, false).await, (0, 2));
    assert_eq!(s.take_list("list").await, "a b");
}

async fn removes_equal_values(s: Subject) {
    s.push_right("list", &["a", "b", "a", "c", "a", "b", "a"]).await;
    assert_eq!(s.remove_elements("list", equal("a"), 1, false).await, (1, 6));
    assert_eq!(s.remove_elements("list", equal("a"), 2, true).await, (2, 4));
    assert_eq!(s.remove_elements("list", equal("x"), 0, false).await, (0, 4));
    assert_eq!(s.remove_elements("list", equal("b"), 0, true).await, (2, 2));
    assert_eq!(s.remove_elements("list", equal("c"), u32::MAX, true).await, (1, 1));
    assert_eq!(s.take_list("list").await, "a");
}

async fn removing_the_last_element_removes_the_list(s: Subject) {
    s.push_right("list", &["a", "a"]).await;
    assert_eq!(s.remove_elements("list", equal("a"), 0, false).await, (2, 0));
    s.push_right("list", &["b"]).await;
    assert_eq!(s.remove_elements("list", Removed::Index(0), 0, false).await, (1, 0));
    assert_eq!(s.get_element("list", 0).await, None);
    assert_eq!(s.insert_element("list", Beside::Index(0), InsertPosition::Before, "x").await, (false, 0));
}

async fn an_absent_list_has_no_elements(s: Subject) {
    assert_eq!(s.get_element("none", 0).await, None);
    assert!(!s.set_element("none", 0, "x").await);
    assert_eq!(s.insert_element("none", pivot("x"), InsertPosition::Before, "y").await, (false, 0));
    assert_eq!(s.remove_elements("none", equal("x"), 0, false).await, (0, 0));
    assert_eq!(s.remove_elements("none", Removed::Index(-1), 0, false).await, (0, 0));
    assert_eq!(s.take_list("none").await, "");
}

async fn indexes_out_of_every_range(s: Subject) {
    s.push_right("list", &["a"]).await;
    for index in [i64::MAX, i64::MIN, i64::MIN + 1, 1 << 53] {
        assert_eq!(s.get_element("list", index).await, None, "{index}");
        assert!(!s.set_element("list", index, "x").await);
        assert_eq!(s.insert_element("list", Beside::Index(index), InsertPosition::After, "x").await, (false, 1));
        assert_eq!(s.remove_elements("list", Removed::Index(index), 0, false).await, (0, 1));
    }
    assert_eq!(s.take_list("list").await, "a");
}

async fn empty_and_binary_values(s: Subject) {
    let binary = Bytes::from_static(b"\0\xff\r\n{}");
    let key = Bytes::from_static(b"\xff:\0");
    let request = prism::proto::models::list::v1::PushRightRequest {
        key: key.clone(),
        values: vec![Bytes::new(), binary.clone(), Bytes::new()],
        only_if_exists: false,
    };
    s.list_basic().push_right(&s.context, request).await.unwrap();
    let lists = s.list_indexing();
    let get = |index| GetRequest { key: key.clone(), index };
    assert_eq!(lists.get(&s.context, get(0)).await.unwrap().value, Some(Bytes::new()));
    assert_eq!(lists.get(&s.context, get(1)).await.unwrap().value, Some(binary.clone()));
    let target = Some(Beside::Pivot(binary.clone()));
    let request = InsertRequest { key: key.clone(), target, position: 0, value: binary.clone() };
    assert!(lists.insert(&s.context, request).await.unwrap().inserted);
    let request = RemoveRequest { key, target: Some(Removed::Value(Bytes::new())), limit: 0, from_right: false };
    let answer = lists.remove(&s.context, request).await.unwrap();
    assert_eq!((answer.removed, answer.length), (2, 2));
}

/// The same changes to a list and to a vector, which must agree after each of them.
async fn agrees_with_a_model(s: Subject) {
    let mut model: Vec<String> = Vec::new();
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..150 {
        let value = random(4).to_string();
        let index = i64::try_from(random(12)).unwrap() - 6;
        let length = i64::try_from(model.len()).unwrap();
        let at = usize::try_from(if index < 0 { index + length } else { index }).ok().filter(|at| *at < model.len());
        match random(5) {
            0 => {
                model.push(value.clone());
                s.push_right("list", &[&value]).await;
            }
            1 => {
                assert_eq!(s.set_element("list", index, &value).await, at.is_some());
                if let Some(at) = at {
                    model[at] = value;
                }
            }
            2 => {
                let (position, offset) = if random(2) == 0 { (InsertPosition::Before, 0) } else { (InsertPosition::After, 1) };
                let (target, found) =
                    if random(2) == 0 { (Beside::Index(index), at) } else { (pivot("1"), model.iter().position(|element| element == "1")) };
                if let Some(found) = found {
                    model.insert(found + offset, value.clone());
                }
                assert_eq!(s.insert_element("list", target, position, &value).await, (found.is_some(), model.len() as u64));
            }
            3 => {
                if let Some(at) = at {
                    model.remove(at);
                }
                assert_eq!(s.remove_elements("list", Removed::Index(index), 0, false).await, (u64::from(at.is_some()), model.len() as u64));
            }
            _ => assert_eq!(s.get_element("list", index).await, at.map(|at| model[at].clone())),
        }
    }
    assert_eq!(s.take_list("list").await, model.join(" "));
}

async fn bad_requests_are_refused(s: Subject) {
    let lists = s.list_indexing();
    s.push_right("list", &["a"]).await;
    invalid(lists.get(&s.context, GetRequest::default()).await, "INVALID_KEY", "key");
    invalid(lists.set(&s.context, SetRequest::default()).await, "INVALID_KEY", "key");
    invalid(lists.insert(&s.context, InsertRequest::default()).await, "INVALID_KEY", "key");
    invalid(lists.remove(&s.context, RemoveRequest::default()).await, "INVALID_KEY", "key");
    let large = Bytes::from(vec![0; usize::try_from(s.limits().max_value_bytes).unwrap() + 1]);
    let request = SetRequest { key: "list".into(), index: 0, value: large.clone() };
    invalid(lists.set(&s.context, request).await, "VALUE_TOO_LARGE", "value");
    let request = InsertRequest { key: "list".into(), target: Some(Beside::Index(0)), position: 0, value: large };
    invalid(lists.insert(&s.context, request).await, "VALUE_TOO_LARGE", "value");
    let field = |answer: Result<(), Error>| answer.unwrap_err().reason().to_owned();
    let request = InsertRequest { key: "list".into(), ..Default::default() };
    assert_eq!(field(lists.insert(&s.context, request).await.map(drop)), "INVALID_FIELD");
    let request = RemoveRequest { key: "list".into(), ..Default::default() };
    assert_eq!(field(lists.remove(&s.context, request.clone()).await.map(drop)), "INVALID_FIELD");
    let index = RemoveRequest { target: Some(Removed::Index(0)), ..request };
    invalid(lists.remove(&s.context, RemoveRequest { limit: 1, ..index.clone() }).await, "INVALID_FIELD", "limit");
    invalid(lists.remove(&s.context, RemoveRequest { from_right: true, ..index }).await, "INVALID_FIELD", "from_right");
    assert_eq!(s.take_list("list").await, "a");
}
