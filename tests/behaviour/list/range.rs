//! `list_range`

use bytes::Bytes;
use prism::proto::models::list::v1::{GetRangeRequest, GetRangeResponse, PushRightRequest, TrimRequest};

use crate::{
    subject::Subject,
    suite::suite,
    support::{all, invalid, next, stream_refusal},
};

suite! { "list_range":
    reads_ranges;
    empty_ranges_have_no_elements;
    a_limit_ends_the_stream;
    a_long_list_comes_in_order;
    a_stream_can_be_continued_by_index;
    large_values_are_read_in_parts;
    a_list_that_shrinks_ends_the_stream;
    keeps_a_range;
    an_empty_range_removes_the_list;
    keeps_the_newest;
    bad_requests_are_refused;
}

fn request(key: &str, start: i64, stop: Option<i64>, limit: u32) -> GetRangeRequest {
    GetRangeRequest { key: key.to_owned().into(), start, stop, limit }
}

impl Subject {
    async fn range(&self, request: GetRangeRequest) -> Vec<GetRangeResponse> {
        all(self.list_range().get_range(&self.context, request).await.unwrap()).await
    }

    /// A range as `index:value`.
    async fn range_text(&self, start: i64, stop: Option<i64>, limit: u32) -> String {
        let elements = self.range(request("list", start, stop, limit)).await;
        let texts = elements.iter().map(|element| format!("{}:{}", element.index, String::from_utf8_lossy(&element.value)));
        texts.collect::<Vec<_>>().join(" ")
    }

    async fn trim(&self, start: i64, stop: Option<i64>) -> (u64, u64) {
        let answer = self.list_range().trim(&self.context, TrimRequest { key: "list".into(), start, stop }).await.unwrap();
        (answer.removed, answer.length)
    }

    async fn push_numbers(&self, numbers: std::ops::Range<u32>) {
        for start in numbers.clone().step_by(1000) {
            let values = (start..numbers.end.min(start + 1000)).map(|number| Bytes::from(number.to_string())).collect();
            let request = PushRightRequest { key: "list".into(), values, only_if_exists: false };
            self.list_basic().push_right(&self.context, request).await.unwrap();
        }
    }
}

async fn reads_ranges(s: Subject) {
    s.push_right("list", &["a", "b", "c", "d"]).await;
    assert_eq!(s.range_text(0, None, 0).await, "0:a 1:b 2:c 3:d");
    assert_eq!(s.range_text(1, Some(2), 0).await, "1:b 2:c");
    assert_eq!(s.range_text(-2, None, 0).await, "2:c 3:d");
    assert_eq!(s.range_text(-3, Some(-2), 0).await, "1:b 2:c");
    assert_eq!(s.range_text(-100, Some(100), 0).await, "0:a 1:b 2:c 3:d");
    assert_eq!(s.range_text(i64::MIN, Some(i64::MAX), 0).await, "0:a 1:b 2:c 3:d");
    assert_eq!(s.range_text(3, Some(3), 0).await, "3:d");
}

async fn empty_ranges_have_no_elements(s: Subject) {
    assert_eq!(s.range_text(0, None, 0).await, "");
    assert_eq!(s.range_text(-5, Some(-1), 0).await, "");
    s.push_right("list", &["a", "b"]).await;
    for (start, stop) in [(2, None), (1, Some(0)), (-1, Some(-2)), (0, Some(-3)), (i64::MAX, None), (i64::MAX, Some(i64::MIN))] {
        assert_eq!(s.range_text(start, stop, 0).await, "", "{start} {stop:?}");
    }
}

async fn a_limit_ends_the_stream(s: Subject) {
    s.push_right("list", &["a", "b", "c"]).await;
    assert_eq!(s.range_text(0, None, 2).await, "0:a 1:b");
    assert_eq!(s.range_text(-2, None, 1).await, "1:b");
    assert_eq!(s.range_text(0, None, 3).await, "0:a 1:b 2:c");
    assert_eq!(s.range_text(0, None, u32::MAX).await, "0:a 1:b 2:c");
}

async fn a_long_list_comes_in_order(s: Subject) {
    s.push_numbers(0..3500).await;
    for (start, stop, limit, expected) in [(0, None, 0, 0..3500), (-3000, Some(-1), 0, 500..3500), (10, Some(2500), 1500, 10..1510)] {
        let elements = s.range(request("list", start, stop, limit)).await;
        assert_eq!(elements.len(), expected.clone().count());
        for (number, element) in expected.zip(elements) {
            assert_eq!((element.index, element.value), (number, Bytes::from(number.to_string())));
        }
    }
}

async fn a_stream_can_be_continued_by_index(s: Subject) {
    s.push_numbers(0..50).await;
    let mut stream = s.list_range().get_range(&s.context, request("list", 0, None, 0)).await.unwrap();
    let mut last = 0;
    for _ in 0..20 {
        last = next(&mut stream).await.index;
    }
    drop(stream);
    let rest = s.range(request("list", i64::try_from(last).unwrap() + 1, None, 0)).await;
    assert!(rest.iter().map(|element| element.index).eq(20..50));
}

async fn large_values_are_read_in_parts(s: Subject) {
    for number in 0..12_u8 {
        let values = vec![Bytes::from(vec![number; 1 << 20])];
        s.list_basic().push_right(&s.context, PushRightRequest { key: "list".into(), values, only_if_exists: false }).await.unwrap();
    }
    let elements = s.range(request("list", 0, None, 0)).await;
    assert_eq!(elements.len(), 12);
    for (number, element) in (0..12_u8).zip(elements) {
        assert!(element.index == u64::from(number) && element.value == vec![number; 1 << 20], "{number}");
    }
}

async fn a_list_that_shrinks_ends_the_stream(s: Subject) {
    s.push_numbers(0..3000).await;
    let mut stream = s.list_range().get_range(&s.context, request("list", 0, None, 0)).await.unwrap();
    assert_eq!(next(&mut stream).await.index, 0);
    s.trim(0, Some(1499)).await;
    let rest = all(stream).await;
    assert!(rest.iter().map(|element| element.index).eq(1..1500), "{} more", rest.len());
}

async fn keeps_a_range(s: Subject) {
    s.push_right("list", &["a", "b", "c", "d", "e"]).await;
    assert_eq!(s.trim(0, None).await, (0, 5));
    assert_eq!(s.trim(1, None).await, (1, 4));
    assert_eq!(s.trim(-100, Some(-2)).await, (1, 3));
    assert_eq!(s.trim(1, Some(1)).await, (2, 1));
    assert_eq!(s.take_list("list").await, "c");
}

async fn an_empty_range_removes_the_list(s: Subject) {
    assert_eq!(s.trim(0, None).await, (0, 0));
    for (start, stop) in [(2, Some(1)), (5, None), (0, Some(-4)), (i64::MAX, Some(i64::MIN))] {
        s.push_right("list", &["a", "b", "c"]).await;
        assert_eq!(s.trim(start, stop).await, (3, 0), "{start} {stop:?}");
        assert!(s.pop_left("list", 1).await.is_empty());
    }
}

async fn keeps_the_newest(s: Subject) {
    for number in 0..10 {
        s.push_left("list", &[&number.to_string()]).await;
        s.trim(0, Some(2)).await;
    }
    assert_eq!(s.take_list("list").await, "9 8 7");
}

async fn bad_requests_are_refused(s: Subject) {
    let lists = s.list_range();
    let long = "k".repeat(usize::try_from(s.limits().max_key_bytes).unwrap() + 1);
    for key in ["", &long] {
        invalid(stream_refusal(lists.get_range(&s.context, request(key, 0, None, 0)).await).await, "INVALID_KEY", "key");
        let trim = TrimRequest { key: key.to_owned().into(), start: 0, stop: None };
        invalid(lists.trim(&s.context, trim).await, "INVALID_KEY", "key");
    }
}
