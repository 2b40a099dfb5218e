use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Origin, client, fetch, request};
use crate::{REDIRECTS_MAX, Stage};

#[tokio::test]
async fn an_answer_is_read_with_its_type() {
    let origin = Origin::start().await;
    let url = origin.says("/x", "200 OK", "content-type: Text/XML; charset=\"UTF-8\"", b"hi");
    let response = fetch("POST", &url).await.unwrap();
    assert_eq!((&*response.content_type, &**response.body), ("text/xml", &b"hi"[..]));
    assert_eq!((response.charset.as_deref(), response.url), (Some("utf-8"), url));
}

#[tokio::test]
async fn a_redirect_turns_a_post_into_a_get_unless_it_says_otherwise() {
    let origin = Origin::start().await;
    origin.says("/to", "200 OK", "", b"there");
    for (status, asked) in [
        ("301 A", "GET /to HTTP/1.1"),
        ("302 A", "GET /to HTTP/1.1"),
        ("303 A", "GET /to HTTP/1.1"),
        ("307 A", "POST /to HTTP/1.1"),
        ("308 A", "POST /to HTTP/1.1"),
    ] {
        let url = origin.says("/from", status, "location: to", b"gone");
        let response = fetch("POST", &url).await.unwrap();
        assert_eq!((&**response.body, &*response.url), (&b"there"[..], &*origin.url("/to")));
        let last = origin.asked().pop().unwrap();
        assert!(last.starts_with(asked), "{status}: {last}");
        assert_eq!(last.ends_with("B=c+d&A=%2B1"), asked.starts_with("POST"), "{status}: {last}");
        fetch("GET", &url).await.unwrap();
        assert!(origin.asked().pop().unwrap().starts_with("GET /to HTTP/1.1"), "{status}");
    }
}

#[tokio::test]
async fn ten_redirects_are_followed_and_no_more() {
    let origin = Origin::start().await;
    origin.says("/0", "200 OK", "", b"there");
    for number in 1..=REDIRECTS_MAX + 1 {
        let to = format!("location: /{}", number - 1);
        origin.says(&format!("/{number}"), "302 Found", &to, b"");
    }
    let url = |number: usize| origin.url(&format!("/{number}"));
    assert_eq!(fetch("POST", &url(REDIRECTS_MAX)).await.unwrap().status, 200);
    assert_eq!(fetch("POST", &url(REDIRECTS_MAX + 1)).await.unwrap_err().code, 11215);
    let around = origin.says("/loop", "302 Found", "location: /loop", b"");
    assert_eq!(fetch("GET", &around).await.unwrap_err().code, 11215);
}

#[tokio::test]
async fn a_calls_cookies_go_back_and_those_of_another_call_do_not() {
    let origin = Origin::start().await;
    let url = origin.says("/x", "200 OK", "set-cookie: a=1; Path=/|set-cookie: b=2", b"");
    let client = client();
    let mut request = request("POST", &url);
    for expected in [false, true] {
        client.fetch(&request).await.unwrap();
        let sent = origin.asked().pop().unwrap().contains("cookie: a=1; b=2");
        assert_eq!(sent, expected);
    }
    request.jar = Some("CA2".to_owned());
    client.fetch(&request).await.unwrap();
    assert!(!origin.asked().pop().unwrap().contains("cookie"));
}

#[tokio::test]
async fn a_cookie_is_set_on_the_way_through_a_redirect() {
    let origin = Origin::start().await;
    let url = origin.says("/x", "302 Found", "location: /y|set-cookie: a=1", b"");
    origin.says("/y", "200 OK", "", b"");
    fetch("GET", &url).await.unwrap();
    assert!(origin.asked().pop().unwrap().contains("cookie: a=1"));
}

#[tokio::test]
async fn a_fresh_answer_is_not_asked_for_again_and_a_stale_one_is_confirmed() {
    let origin = Origin::start().await;
    let client = client();
    let mut request =
        request("GET", &origin.says("/f", "200 OK", "cache-control: max-age=60", b"a"));
    for _ in 0..3 {
        assert_eq!(**client.fetch(&request).await.unwrap().body, *b"a");
    }
    assert_eq!(origin.asked().len(), 1);
    request.url = origin.says("/s", "200 OK", "etag: \"v1\"|content-type: text/xml", b"b");
    client.fetch(&request).await.unwrap();
    origin.raw("/s", "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncontent-length: 0\r\n\r\n");
    let confirmed = client.fetch(&request).await.unwrap();
    assert_eq!((&**confirmed.body, &*confirmed.content_type), (&b"b"[..], "text/xml"));
    assert!(origin.asked().pop().unwrap().contains("if-none-match: \"v1\""));
    origin.says("/s", "200 OK", "etag: \"v2\"", b"c");
    assert_eq!(**client.fetch(&request).await.unwrap().body, *b"c");
    request.method = "POST".to_owned();
    client.fetch(&request).await.unwrap();
    assert!(!origin.asked().pop().unwrap().contains("if-none-match"));
}

#[tokio::test]
async fn retries_are_as_the_fragment_says() {
    let origin = Origin::start().await;
    origin.says("/500", "500 A", "", b"");
    origin.says("/404", "404 A", "", b"");
    origin.raw("/closed", "");
    for (path, tries) in [
        ("/500", 1),
        ("/500#rp=5xx", 2),
        ("/500#rc=0&rp=5xx", 1),
        ("/500#rc=5&rp=5xx", 6),
        ("/500#rc=3&rp=4xx", 1),
        ("/404#rc=3&rp=4xx,rt", 4),
        ("/404#rc=2&rp=all", 3),
        ("/closed", 1),
        ("/closed#rp=all", 2),
    ] {
        let before = origin.asked().len();
        let result = fetch("POST", &origin.url(path)).await;
        assert_eq!(origin.asked().len() - before, tries, "{path}: {result:?}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_fails_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            super::read_request(&mut stream).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            // The second request on this connection is read, and answered by nothing.
            tokio::spawn(async move { super::read_request(&mut stream).await });
        }
    });
    let client = client();
    for _ in 0..5 {
        assert_eq!(client.fetch(&request("POST", &url)).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn what_cannot_be_connected_to_has_its_code() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let origin = Origin::start().await;
    origin.raw("/junk", "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    origin.raw("/length", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n");
    let no_tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = format!("https://{}/", no_tls.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = no_tls.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    for (url, code, stage) in [
        (format!("http://{closed}/"), 11205, Stage::Connect),
        (format!("https://{closed}/"), 11205, Stage::Connect),
        (tls.clone(), 11220, Stage::Connect),
        (format!("{tls}#sni=n"), 11220, Stage::Connect),
        (origin.url("/junk"), 11206, Stage::Other),
        (origin.url("/length"), 11206, Stage::Other),
        ("http://no-such-host.invalid/".to_owned(), 11210, Stage::Connect),
        ("ftp://127.0.0.1/".to_owned(), 11100, Stage::Other),
    ] {
        let failure = fetch("POST", &url).await.unwrap_err();
        assert_eq!((failure.code, failure.stage), (code, stage), "{url}: {failure:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_counts_as_soon_as_its_head_is_there() {
    let origin = Origin::start().await;
    origin.raw("/x", "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\nx");
    let mut request = request("POST", &origin.url("/x#rt=5000"));
    request.judge = None;
    let response = client().fetch(&request).await.unwrap();
    assert_eq!((response.status, response.body), (200, Arc::default()));
}
