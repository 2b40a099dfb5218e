use std::io::Write;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::{Origin, client, fetch, read_request, request};
use crate::{Failure, Stage};

/// Serves `head` and then `piece` again and again with a pause between; returns the address.
async fn endless(head: &'static str, piece: &'static [u8], pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                read_request(&mut stream).await;
                let mut sent = stream.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    tokio::time::sleep(pause).await;
                    sent = stream.write_all(piece).await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_body_at_its_limit_is_read_and_one_octet_more_is_not() {
    let origin = Origin::start().await;
    for (length, code) in [(999, None), (1_000, None), (1_001, Some(11750))] {
        let url = origin.says("/x", "200 OK", "", &vec![b'x'; length]);
        assert_eq!(fetch("GET", &url).await.err().map(|failure| failure.code), code, "{length}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n";
    let bare = "HTTP/1.0 200 OK\r\n\r\n";
    for (head, piece) in
        [(chunked, &b"5\r\nxxxxx\r\n"[..]), (long, &b"xxxxx"[..]), (bare, &b"xxxxx"[..])]
    {
        let url = endless(head, piece, Duration::ZERO).await;
        assert_eq!(fetch("GET", &url).await.unwrap_err().code, 11750, "{head}");
    }
}

#[tokio::test]
async fn silence_and_slowness_end_in_their_time() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n";
    let step = Duration::from_millis(20);
    let never = Duration::from_secs(3_600);
    for (url, fragment) in [
        (endless("", b"", never).await, "#rt=150"),
        (endless(answer, b"x", never).await, "#rt=150"),
        (endless(answer, b"x", step).await, "#tt=300"),
        (endless("HTTP/1.1 ", b"2", step).await, "#tt=300"),
        (endless("HTTP/1.1 200 OK\r\nx: ", b"y", step).await, "#tt=300"),
        (endless("HTTP/1.1 100 Continue\r\n\r\n", b"", never).await, "#rt=150"),
    ] {
        let begun = Instant::now();
        let failure = fetch("GET", &format!("{url}{fragment}")).await.unwrap_err();
        assert_eq!((failure.code, failure.stage), (11200, Stage::Read), "{fragment}: {failure:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{fragment} took {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_up_ends_in_its_time_and_is_tried_again() {
    // A full backlog: the kernel drops what comes further.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut full = Vec::new();
    for _ in 0..4 {
        let connected = tokio::net::TcpStream::connect(address);
        full.push(tokio::time::timeout(Duration::from_millis(200), connected).await);
    }
    let begun = Instant::now();
    let failure = fetch("GET", &format!("http://{address}/#ct=200")).await.unwrap_err();
    assert_eq!((failure.code, failure.stage), (11205, Stage::Connect), "{failure:?}");
    assert!(begun.elapsed() >= Duration::from_millis(400), "two tries, {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_compressed_body_is_read_and_a_bomb_is_cut_off() {
    let origin = Origin::start().await;
    for (coding, small, bomb) in [
        ("gzip", gzip(&[b'x'; 1_000]), gzip(&vec![0; 100 << 20])),
        ("deflate", zlib(&[b'x'; 1_000]), zlib(&vec![0; 100 << 20])),
    ] {
        let headers = format!("content-encoding: {coding}");
        let url = origin.says("/small", "200 OK", &headers, &small);
        assert_eq!(**fetch("GET", &url).await.unwrap().body, [b'x'; 1_000]);
        assert!(bomb.len() < 200_000);
        let mut request = request("GET", &origin.says("/bomb", "200 OK", &headers, &bomb));
        request.judge = Some(|_| Ok(200_000));
        let failure: Failure = client().fetch(&request).await.unwrap_err();
        assert_eq!(failure.code, 11750, "{coding}");
        origin.says("/torn", "200 OK", &headers, &small[..small.len() / 2]);
        assert_eq!(fetch("GET", &origin.url("/torn")).await.unwrap_err().code, 11200, "{coding}");
    }
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn zlib(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let url = endless(
        "HTTP/1.1 200 OK\r\n",
        b"x-long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        Duration::ZERO,
    )
    .await;
    let failure = fetch("GET", &url).await.unwrap_err();
    assert!(matches!(failure.code, 11200 | 11206), "{failure:?}");
}

#[tokio::test]
async fn a_type_is_judged_before_its_body_is_read() {
    let url =
        endless("HTTP/1.1 200 OK\r\ncontent-type: image/gif\r\n\r\n", b"GIF89a", Duration::ZERO)
            .await;
    let mut request = request("GET", &url);
    request.judge = Some(|head| Err(Failure::new(12300, head.content_type.clone())));
    let failure = client().fetch(&request).await.unwrap_err();
    assert_eq!((failure.code, &*failure.message), (12300, "image/gif"));
}
