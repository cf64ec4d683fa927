use proptest::prelude::*;

use super::*;

fn router(routes: &[&'static str]) -> Router<&'static str> {
    let mut table = Router::default();
    for route in routes {
        let (method, template) = route.split_once(' ').unwrap();
        let method = (method != "*").then(|| method.parse().unwrap());
        table.insert(method, PathTemplate::parse(template).unwrap(), *route).unwrap();
    }
    table
}

const ROUTES: &[&str] = &[
    "GET /v1/keys",
    "GET /v1/keys/{key=**}",
    "PUT /v1/keys/{key=**}",
    "POST /v1/keys/{key=**}:touch",
    "POST /v1/batch:store",
    "POST /v1/batch:remove",
    "GET /v1/{kind}",
    "GET /v1/{kind}/all",
    "DELETE /v1/keys/special",
    "* /v1/anything",
    "PUT /v1/anything",
];

fn find<'a>(router: &Router<&'a str>, request: &str) -> Result<(&'a str, Vec<String>), NoRoute> {
    let (method, path) = request.split_once(' ').unwrap();
    let found = router.find(&method.parse().unwrap(), path)?;
    Ok((*found.value, found.captures().map(str::to_owned).collect()))
}

#[test]
fn the_most_literal_route_with_the_method_is_selected() {
    let router = router(ROUTES);
    for (request, route, captures) in [
        ("GET /v1/keys", "GET /v1/keys", vec![]),
        ("GET /v1/keys/", "GET /v1/keys/{key=**}", vec![""]),
        ("GET /v1/keys/a", "GET /v1/keys/{key=**}", vec!["a"]),
        ("GET /v1/keys//a//b/", "GET /v1/keys/{key=**}", vec!["/a//b/"]),
        ("GET /v1/keys/special", "GET /v1/keys/{key=**}", vec!["special"]),
        ("HEAD /v1/keys/a:b", "GET /v1/keys/{key=**}", vec!["a:b"]),
        ("GET /v1/keys/a:touch", "GET /v1/keys/{key=**}", vec!["a:touch"]),
        ("POST /v1/keys/a:b/c:touch", "POST /v1/keys/{key=**}:touch", vec!["a:b/c"]),
        ("GET /v1/%6beys/a%2Fb", "GET /v1/keys/{key=**}", vec!["a%2Fb"]),
        ("POST /v1/batch:store", "POST /v1/batch:store", vec![]),
        ("GET /v1/values", "GET /v1/{kind}", vec!["values"]),
        ("GET /v1/batch:store", "GET /v1/{kind}", vec!["batch:store"]),
        ("GET /v1/values/all", "GET /v1/{kind}/all", vec!["values"]),
        ("GET /v1/keys/all", "GET /v1/keys/{key=**}", vec!["all"]),
        ("PUT /v1/anything", "PUT /v1/anything", vec![]),
        ("DELETE /v1/anything", "* /v1/anything", vec![]),
    ] {
        assert_eq!(find(&router, request), Ok((route, captures.into_iter().map(str::to_owned).collect())), "{request}");
    }
}

#[test]
fn wrong_methods_and_unknown_paths_are_different_errors() {
    let router = router(ROUTES);
    let methods = |names: &[&str]| Err(NoRoute::Method(names.iter().map(|name| name.parse().unwrap()).collect()));
    assert_eq!(find(&router, "DELETE /v1/keys/a"), methods(&["GET", "HEAD", "OPTIONS", "PUT"]));
    assert_eq!(find(&router, "PATCH /v1/keys/special"), methods(&["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]));
    // No key is no empty key, where the path without one is a route of its own.
    assert_eq!(find(&router, "PUT /v1/keys"), methods(&["GET", "HEAD", "OPTIONS"]));
    assert_eq!(find(&router, "PUT /v1/batch:store"), methods(&["GET", "HEAD", "OPTIONS", "POST"]));
    for request in ["GET /", "GET /v2/keys", "GET /v1", "GET /v1/", "GET /v1//all", "GET /v1/values/none", "GET *", "GET /v1/%zz/none"] {
        assert_eq!(find(&router, request), Err(NoRoute::Path), "{request}");
    }
}

#[test]
fn routes_that_shadow_each_other_are_refused() {
    let mut router = router(ROUTES);
    let mut add =
        |method: Method, template: &str| router.insert(Some(method), PathTemplate::parse(template).unwrap(), "").map_err(|error| error.by);
    assert_eq!(add(Method::GET, "/v1/{other}"), Err("GET /v1/{kind}".to_owned()));
    assert_eq!(add(Method::GET, "/v1/%6beys/**"), Err("GET /v1/keys/{key=**}".to_owned()));
    assert_eq!(add(Method::POST, "/v1/batch:store"), Err("POST /v1/batch:store".to_owned()));
    assert_eq!(add(Method::POST, "/v1/keys/{key=**}"), Ok(()));
    assert_eq!(add(Method::GET, "/v1/{kind=keys/*}"), Ok(()));
    assert_eq!(add(Method::GET, "/v1/keys/{key}"), Err("GET /v1/{kind=keys/*}".to_owned()));
}

proptest! {
    #[test]
    fn arbitrary_paths_match_or_are_not_found(path in "[/v1keys:%2F.]{0,20}") {
        let router = router(ROUTES);
        if let Ok(found) = router.find(&Method::GET, &path) {
            prop_assert!(found.captures().all(|capture| path.contains(capture)));
        }
    }

    #[test]
    fn arbitrary_keys_match_their_route(key in "[a-zé/%: .]{1,12}") {
        let router = router(&["GET /v1/keys/{key=**}", "POST /v1/batch:store"]);
        let template = PathTemplate::parse("/v1/keys/{key=**}").unwrap();
        let path = template.path(&[key.as_str()]).unwrap();
        let found = router.find(&Method::GET, &path).unwrap();
        let raw = found.captures().next().unwrap();
        prop_assert_eq!(percent::decode(raw, Slash::Kept).unwrap(), key);
    }
}

#[test]
fn paths_of_openapi_documents_are_matched_literally() {
    let mut router = Router::default();
    for (index, path) in [
        "/",
        "/items/",
        "/items",
        "/a/{sid}.json",
        "/a/{sid}",
        "/a/{sid}:undo",
        "/a/{x}-{y}.json",
        "/c/{b}...{h}",
        "/files/*",
        "/p:q",
        "/e//f",
        "/é/{x}",
    ]
    .into_iter()
    .enumerate()
    {
        let (template, _) = PathTemplate::of_openapi(path).unwrap();
        router.insert(Some(Method::GET), template, index).unwrap();
    }
    for (path, wanted, captures) in [
        ("/", 0, vec![]),
        ("/items/", 1, vec![]),
        ("/items", 2, vec![]),
        ("/a/b.json", 3, vec!["b"]),
        ("/a/b", 4, vec!["b"]),
        ("/a/.json", 4, vec![".json"]),
        ("/a/b:undo", 5, vec!["b"]),
        ("/a/b-c.json", 6, vec!["b", "c"]),
        ("/c/main...a%2Fb", 7, vec!["main", "a%2Fb"]),
        ("/files/*", 8, vec![]),
        ("/p:q", 9, vec![]),
        ("/e//f", 10, vec![]),
        ("/%C3%A9/%C3%A9", 11, vec!["%C3%A9"]),
    ] {
        let found = router.find(&Method::GET, path).unwrap();
        assert_eq!((*found.value, found.captures().collect::<Vec<_>>()), (wanted, captures), "{path}");
    }
    for path in ["/files/a", "/c/main..topic", "/a/", "/items//", "/e/f"] {
        assert!(router.find(&Method::GET, path).is_err(), "{path}");
    }
    for path in ["items", "/a/{", "/a/{}", "/a/{x}{y}", "/a/}", "/a/{x}/{x}", "/a?b=1", "/a#b", "/%zz"] {
        assert!(PathTemplate::of_openapi(path).is_err(), "{path}");
    }
    let shown = |path: &str| PathTemplate::of_openapi(path).unwrap().0.to_string();
    assert_eq!([shown("/a/{sid}.json"), shown("/c/{b}...{h}"), shown("/items/")], ["/a/{p0}.json", "/c/{p0}...{p1}", "/items/"]);
    let built = PathTemplate::of_openapi("/c/{b}...{h}/{z}").unwrap().0.path(&["x", "a/b", "c"]);
    assert_eq!(built.as_deref(), Some("/c/x...a%2Fb/c"));
}
