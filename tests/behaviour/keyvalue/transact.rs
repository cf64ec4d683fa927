//! `keyvalue_transactional`: a transaction in one call.

use prism::{
    call::{Code, Error},
    proto::models::keyvalue::v1::{
        Comparison, Condition, DeleteOperation, GetOperation, Operation, SetOperation, TransactRequest, TransactResponse,
        comparison::{Fact, Operator},
        condition::Predicate,
        operation::Action,
        operation_result::Outcome,
    },
};

use super::copy;
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis, refused, sleep},
};

suite! { "keyvalue_transactional":
    transact_without_conditions_runs_all_operations;
    transact_conditions_of_each_kind;
    transact_compares_facts_with_numbers;
    transact_needs_all_conditions;
    transact_runs_else_operations;
    transact_operations_see_earlier_operations;
    transact_stores_under_one_revision;
    transact_with_an_expired_key needs "keyvalue_ttl";
    concurrent_transacts_lose_no_update;
    transact_refuses_bad_requests;
}

pub(super) fn set(key: &[u8], value: &[u8]) -> Operation {
    Operation { action: Some(Action::Set(SetOperation { key: copy(key), value: copy(value), ttl: None, flags: 0 })) }
}

pub(super) fn get(key: &[u8]) -> Operation {
    Operation { action: Some(Action::Get(GetOperation { key: copy(key) })) }
}

pub(super) fn delete(key: &[u8]) -> Operation {
    Operation { action: Some(Action::Delete(DeleteOperation { key: copy(key) })) }
}

pub(super) fn when(key: &[u8], predicate: Predicate) -> Condition {
    Condition { key: copy(key), predicate: Some(predicate) }
}

impl Subject {
    async fn try_transact(&self, conditions: &[Condition], then: &[Operation], otherwise: &[Operation]) -> Result<TransactResponse, Error> {
        let request =
            TransactRequest { conditions: conditions.to_vec(), then_operations: then.to_vec(), else_operations: otherwise.to_vec() };
        self.keyvalue_transactional().transact(&self.context, request).await
    }

    pub(super) async fn transact(&self, conditions: &[Condition], then: &[Operation], otherwise: &[Operation]) -> TransactResponse {
        self.try_transact(conditions, then, otherwise).await.unwrap()
    }
}

fn outcomes(answer: &TransactResponse) -> Vec<&Outcome> {
    answer.results.iter().map(|result| result.outcome.as_ref().expect("each result has an outcome")).collect()
}

async fn transact_without_conditions_runs_all_operations(s: Subject) {
    let old = s.set(b"old", b"1").await;
    let answer = s.transact(&[], &[set(b"a", b""), delete(b"old"), delete(b"nothing"), get(b"nothing")], &[set(b"b", b"never")]).await;
    assert!(answer.succeeded && answer.revision > old);
    match outcomes(&answer)[..] {
        [Outcome::Set(set), Outcome::Delete(done), Outcome::Delete(not), Outcome::Get(got)] => {
            assert_eq!(set.revision, answer.revision);
            assert_eq!((done.deleted, done.previous_revision), (true, Some(old)));
            assert_eq!((not.deleted, not.previous_revision), (false, None));
            assert_eq!(got.entry, None);
        }
        ref other => panic!("{other:?}"),
    }
    assert_eq!(s.value(b"a").await.as_deref(), Some(""));
    assert!(!s.exists(b"old").await && !s.exists(b"b").await);
    let nothing = s.transact(&[], &[], &[]).await;
    assert_eq!((nothing.succeeded, nothing.results.len(), nothing.revision), (true, 0, 0));
    let only_read = s.transact(&[], &[get(b"a"), delete(b"nothing")], &[]).await;
    assert_eq!(only_read.revision, 0);
}

async fn transact_conditions_of_each_kind(s: Subject) {
    let revision = s.set(b"key", b"value").await;
    s.set(b"empty", b"").await;
    let value = |text: &str| Predicate::ValueEquals(copy(text.as_bytes()));
    for (key, predicate, holds) in [
        ("key", Predicate::Exists(true), true),
        ("key", Predicate::Exists(false), false),
        ("nothing", Predicate::Exists(true), false),
        ("nothing", Predicate::Exists(false), true),
        ("key", Predicate::RevisionEquals(revision), true),
        ("key", Predicate::RevisionEquals(revision + 1), false),
        ("key", Predicate::RevisionEquals(0), false),
        ("nothing", Predicate::RevisionEquals(0), true),
        ("nothing", Predicate::RevisionEquals(revision), false),
        ("key", Predicate::RevisionNotEquals(revision), false),
        ("key", Predicate::RevisionNotEquals(revision + 1), true),
        ("key", Predicate::RevisionNotEquals(0), true),
        ("nothing", Predicate::RevisionNotEquals(0), false),
        ("nothing", Predicate::RevisionNotEquals(revision), true),
        ("key", Predicate::RevisionLessThan(revision), false),
        ("key", Predicate::RevisionLessThan(revision + 1), true),
        ("key", Predicate::RevisionLessThan(u64::MAX), true),
        ("nothing", Predicate::RevisionLessThan(1), true),
        ("nothing", Predicate::RevisionLessThan(0), false),
        ("key", Predicate::RevisionGreaterThan(revision), false),
        ("key", Predicate::RevisionGreaterThan(revision - 1), true),
        ("key", Predicate::RevisionGreaterThan(0), true),
        ("key", Predicate::RevisionGreaterThan(u64::MAX), false),
        ("nothing", Predicate::RevisionGreaterThan(0), false),
        ("key", value("value"), true),
        ("key", value("valu"), false),
        ("key", value(""), false),
        ("empty", value(""), true),
        ("nothing", value(""), false),
    ] {
        let answer = s.transact(&[when(key.as_bytes(), predicate.clone())], &[get(b"key")], &[]).await;
        assert_eq!(answer.succeeded, holds, "{key}: {predicate:?}");
        assert_eq!(answer.results.len(), usize::from(holds));
    }
}

async fn transact_compares_facts_with_numbers(s: Subject) {
    let created = s.set(b"key", b"1").await;
    s.set(b"key", b"2").await;
    let revision = s.set(b"key", b"3").await;
    for (fact, number) in [(Fact::Unspecified, revision), (Fact::Revision, revision), (Fact::CreateRevision, created), (Fact::Version, 3)] {
        for (operator, holds, nothing) in [
            (Operator::Unspecified, [false, true, false], [true, false]),
            (Operator::Equal, [false, true, false], [true, false]),
            (Operator::NotEqual, [true, false, true], [false, true]),
            (Operator::Less, [false, false, true], [false, true]),
            (Operator::Greater, [true, false, false], [false, false]),
        ] {
            let compare = |number| Predicate::Compare(Comparison { fact: fact.into(), operator: operator.into(), number });
            for (number, holds) in [number - 1, number, number + 1].into_iter().zip(holds) {
                let answer = s.transact(&[when(b"key", compare(number))], &[], &[]).await;
                assert_eq!(answer.succeeded, holds, "{fact:?} {operator:?} {number}");
            }
            for (number, holds) in [0, u64::MAX].into_iter().zip(nothing) {
                let answer = s.transact(&[when(b"nothing", compare(number))], &[], &[]).await;
                assert_eq!(answer.succeeded, holds, "{fact:?} {operator:?} {number} of nothing");
            }
        }
    }
    for (fact, operator, field) in [(9, 0, "conditions[0].compare.fact"), (0, 9, "conditions[0].compare.operator")] {
        let unknown = [when(b"key", Predicate::Compare(Comparison { fact, operator, number: 0 }))];
        invalid(s.try_transact(&unknown, &[set(b"key", b"never")], &[]).await, "INVALID_FIELD", field);
    }
}

async fn transact_needs_all_conditions(s: Subject) {
    s.set(b"a", b"1").await;
    let (good, bad) = (when(b"a", Predicate::Exists(true)), when(b"b", Predicate::Exists(true)));
    for (conditions, holds) in [
        (vec![good.clone(), good.clone()], true),
        (vec![good.clone(), bad.clone()], false),
        (vec![bad.clone(), good.clone()], false),
        (vec![when(b"a", Predicate::ValueEquals(copy(b"1"))), good, when(b"b", Predicate::RevisionEquals(0))], true),
    ] {
        assert_eq!(s.transact(&conditions, &[], &[]).await.succeeded, holds, "{conditions:?}");
    }
}

async fn transact_runs_else_operations(s: Subject) {
    s.set(b"key", b"old").await;
    let never = [when(b"key", Predicate::Exists(false))];
    let answer = s.transact(&never, &[set(b"then", b"1")], &[get(b"key"), set(b"else", b"1")]).await;
    assert!(!answer.succeeded && answer.revision > 0);
    match outcomes(&answer)[..] {
        [Outcome::Get(got), Outcome::Set(set)] => {
            assert_eq!(&got.entry.as_ref().unwrap().value[..], b"old");
            assert_eq!(set.revision, answer.revision);
        }
        ref other => panic!("{other:?}"),
    }
    assert!(s.exists(b"else").await && !s.exists(b"then").await);
    let nothing = s.transact(&never, &[set(b"then", b"1")], &[]).await;
    assert_eq!((nothing.succeeded, nothing.results.len(), nothing.revision), (false, 0, 0));
}

async fn transact_operations_see_earlier_operations(s: Subject) {
    let old = s.set(b"b", b"old").await;
    let operations = [get(b"a"), set(b"a", b"1"), get(b"a"), get(b"b"), delete(b"b"), get(b"b"), get(b"a")];
    let answer = s.transact(&[when(b"a", Predicate::Exists(false))], &operations, &[]).await;
    let read: Vec<_> = outcomes(&answer)
        .into_iter()
        .filter_map(|outcome| match outcome {
            Outcome::Get(got) => Some(got.entry.as_ref().map(|entry| (String::from_utf8(entry.value.to_vec()).unwrap(), entry.revision))),
            _ => None,
        })
        .collect();
    let new = Some(("1".to_owned(), answer.revision));
    assert_eq!(read, [None, new.clone(), Some(("old".to_owned(), old)), None, new]);
}

async fn transact_stores_under_one_revision(s: Subject) {
    let before = s.set(b"a", b"0").await;
    let answer = s.transact(&[], &[set(b"a", b"1"), set(b"b", b"2"), set(b"c", b"3")], &[]).await;
    for key in [b"a", b"b", b"c"] {
        assert_eq!(s.entry(key).await.unwrap().revision, answer.revision);
    }
    assert!(answer.revision > before && s.set(b"a", b"4").await > answer.revision);
}

async fn transact_with_an_expired_key(s: Subject) {
    let revision = s.set_with(b"key", b"value", Some(millis(50))).await;
    sleep(80).await;
    for predicate in [Predicate::Exists(true), Predicate::RevisionEquals(revision), Predicate::ValueEquals(copy(b"value"))] {
        assert!(!s.transact(&[when(b"key", predicate.clone())], &[], &[]).await.succeeded, "{predicate:?}");
    }
    let absent = [when(b"key", Predicate::Exists(false))];
    let answer = s.transact(&absent, &[get(b"key"), delete(b"key")], &[]).await;
    assert!(answer.succeeded && answer.revision == 0);
    match outcomes(&answer)[..] {
        [Outcome::Get(got), Outcome::Delete(deleted)] => assert!(got.entry.is_none() && !deleted.deleted),
        ref other => panic!("{other:?}"),
    }
    assert!(s.transact(&absent, &[set(b"key", b"new")], &[]).await.succeeded);
    assert_eq!(s.entry(b"key").await.unwrap().expire_time, None);
    let with_ttl = SetOperation { key: copy(b"key"), value: copy(b"v"), ttl: Some(millis(50)), flags: 0 };
    s.transact(&[], &[Operation { action: Some(Action::Set(with_ttl)) }], &[]).await;
    sleep(80).await;
    assert!(!s.exists(b"key").await);
}

async fn concurrent_transacts_lose_no_update(s: Subject) {
    s.set(b"number", b"0").await;
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut won = 0_u64;
                while won < 10 {
                    let text = s.value(b"number").await.unwrap();
                    let next = text.parse::<u64>().unwrap() + 1;
                    let unchanged = [when(b"number", Predicate::ValueEquals(copy(text.as_bytes())))];
                    match s.try_transact(&unchanged, &[set(b"number", next.to_string().as_bytes())], &[]).await {
                        Ok(answer) => won += u64::from(answer.succeeded),
                        Err(error) => assert_eq!(error.reason(), "TRANSACTION_CONFLICT", "{error:?}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(s.value(b"number").await.as_deref(), Some("60"));
}

async fn transact_refuses_bad_requests(s: Subject) {
    let good = set(b"good", b"never");
    let many_gets: Vec<Operation> = (0..129).map(|_| get(b"a")).collect();
    let many_conditions: Vec<Condition> = (0..129).map(|_| when(b"a", Predicate::Exists(false))).collect();
    let empty = Operation { action: None };
    let no_predicate = Condition { key: copy(b"a"), predicate: None };
    let refuse = async |conditions: &[Condition], then: &[Operation], otherwise: &[Operation], reason: &str, field: &str| {
        let then = [then, std::slice::from_ref(&good)].concat();
        invalid(s.try_transact(conditions, &then, otherwise).await, reason, field);
    };
    refuse(&[when(b"", Predicate::Exists(true))], &[], &[], "INVALID_KEY", "conditions[0].key").await;
    refuse(&[], &[set(b"", b"")], &[], "INVALID_KEY", "then_operations[0].set.key").await;
    refuse(&[], &[], &[get(b"a"), get(b"")], "INVALID_KEY", "else_operations[1].get.key").await;
    refuse(&[], &[delete(b"")], &[], "INVALID_KEY", "then_operations[0].delete.key").await;
    refuse(&[], &[set(b"a", b""), delete(b"a")], &[], "DUPLICATE_KEY", "then_operations[1].delete.key").await;
    refuse(&[], &[], &[set(b"a", b""), get(b"a"), set(b"a", b"")], "DUPLICATE_KEY", "else_operations[2].set.key").await;
    refuse(&[], &many_gets, &[], "BATCH_SIZE", "then_operations").await;
    refuse(&[], &[], &many_gets, "BATCH_SIZE", "else_operations").await;
    refuse(&many_conditions, &[], &[], "BATCH_SIZE", "conditions").await;
    for (answer, field) in [
        (s.try_transact(&[no_predicate], std::slice::from_ref(&good), &[]).await, "conditions[0]"),
        (s.try_transact(&[], &[good.clone(), empty.clone()], &[]).await, "then_operations[1]"),
        (s.try_transact(&[], std::slice::from_ref(&good), &[empty]).await, "else_operations[0]"),
    ] {
        let error = refused(answer, Code::InvalidArgument, "INVALID_FIELD");
        assert!(error.violations()[0].field.starts_with(field), "{error:?}");
    }
    if s.slot.interfaces.keyvalue_ttl.is_some() {
        let bad = SetOperation { key: copy(b"a"), value: copy(b""), ttl: Some(millis(-1)), flags: 0 };
        refuse(&[], &[Operation { action: Some(Action::Set(bad)) }], &[], "INVALID_TTL", "then_operations[0].set.ttl").await;
    }
    assert_eq!(s.entry(b"good").await, None, "a refused request wrote something");
}
