use std::net::IpAddr;

use url::Url;

use super::{LOOPBACK, Origin, names, request};
use crate::{Client, Guard};

const ALL: Guard = Guard { loopback: true, private: true };
const NONE: Guard = Guard { loopback: false, private: false };

/// Addresses, and whether they may be reached when everything, and when nothing, is allowed.
const ADDRESSES: [(&str, bool, bool); 55] = [
    ("93.184.216.34", true, true),
    ("1.1.1.1", true, true),
    ("223.255.255.255", true, true),
    ("2606:2800:220:1::1", true, true),
    ("2a00:1450::1", true, true),
    ("::ffff:8.8.8.8", true, true),
    ("127.0.0.1", true, false),
    ("127.255.255.254", true, false),
    ("::1", true, false),
    ("::ffff:127.0.0.1", true, false),
    ("10.0.0.0", true, false),
    ("10.255.255.255", true, false),
    ("172.16.0.1", true, false),
    ("172.31.255.255", true, false),
    ("172.32.0.1", true, true),
    ("192.168.0.1", true, false),
    ("::ffff:192.168.0.1", true, false),
    ("100.64.0.1", true, false),
    ("100.127.255.255", true, false),
    ("100.128.0.1", true, true),
    ("fc00::1", true, false),
    ("fdff:ffff::1", true, false),
    ("0.0.0.0", false, false),
    ("0.1.2.3", false, false),
    ("::", false, false),
    ("::ffff:0.0.0.0", false, false),
    ("169.254.169.254", false, false),
    ("169.254.0.1", false, false),
    ("::ffff:169.254.169.254", false, false),
    ("100.100.100.200", false, false),
    ("168.63.129.16", false, false),
    ("fd00:ec2::254", false, false),
    ("fd20:ce::254", false, false),
    ("192.0.0.192", false, false),
    ("192.0.2.1", false, false),
    ("198.51.100.1", false, false),
    ("203.0.113.1", false, false),
    ("198.18.0.1", false, false),
    ("198.19.255.255", false, false),
    ("192.88.99.1", false, false),
    ("224.0.0.1", false, false),
    ("239.255.255.250", false, false),
    ("240.0.0.1", false, false),
    ("255.255.255.255", false, false),
    ("fe80::1", false, false),
    ("febf::1", false, false),
    ("fec0::1", false, false),
    ("ff02::1", false, false),
    ("64:ff9b::7f00:1", false, false),
    ("64:ff9b:1::a9fe:a9fe", false, false),
    ("2002:7f00:1::", false, false),
    ("2001:0:a9fe:a9fe::", false, false),
    ("2001:db8::1", false, false),
    ("::127.0.0.1", false, false),
    ("100::1", false, false),
];

#[test]
fn inner_networks_need_permission_and_metadata_services_never_get_it() {
    for (ip, by_all, by_none) in ADDRESSES {
        let ip: IpAddr = ip.parse().unwrap();
        assert_eq!((ALL.allows(ip), NONE.allows(ip)), (by_all, by_none), "{ip}");
    }
}

/// Ways to write an address that only loopback is behind, or that is never to be reached.
const LITERALS: [&str; 48] = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://127.0.0.1./",
    "http://127.0.0.1:80/",
    "http://127.0.0.1:65535/",
    "http://%31%32%37.0.0.1/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
    "http://127\u{3002}0\u{3002}0\u{3002}1/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "http://example.com%2f@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:/127.0.0.1/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.0.0.1\\@example.com/",
    "ht\ntp://127.0.0.1/",
    "http://127.0\t.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.16689662/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://10.0.0.1/",
    "http://3232235521/",
];

#[tokio::test]
async fn no_spelling_of_an_inner_address_is_reached() {
    let client = Client::new(NONE).unwrap();
    for url in LITERALS {
        let failure = client.fetch(&request("GET", url)).await.unwrap_err();
        assert!(matches!(failure.code, 11205 | 11100), "{url}: {failure:?}");
        let parsed = Url::parse(url);
        assert!(parsed.is_err() || !NONE.allows_host(&parsed.unwrap()), "{url}");
    }
}

#[tokio::test]
async fn a_name_with_one_forbidden_address_is_not_reached_at_all() {
    let lookup = names(&[
        ("inner.test", &["127.0.0.1"]),
        ("both.test", &["93.184.216.34", "10.0.0.1"]),
        ("mapped.test", &["::ffff:169.254.169.254"]),
        ("metadata.test", &["169.254.169.254"]),
        ("six.test", &["2606:2800:220:1::1", "fe80::1"]),
    ]);
    let client = Client::with_lookup(NONE, &lookup).unwrap();
    for (url, code) in [
        ("http://inner.test/", 11205),
        ("http://INNER.test:8080/x", 11205),
        ("http://both.test/", 11205),
        ("http://mapped.test/", 11205),
        ("http://metadata.test/", 11205),
        ("http://example.com@metadata.test/", 11205),
        ("http://six.test/", 11205),
        ("http://unknown.test/", 11210),
        ("https://inner.test/", 11205),
    ] {
        let failure = client.fetch(&request("POST", url)).await.unwrap_err();
        assert_eq!(failure.code, code, "{url}: {failure:?}");
    }
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    let origin = Origin::start().await;
    origin.says("/x", "200 OK", "", b"hi");
    let lookup = names(&[("origin.test", &["127.0.0.1"])]);
    let client = Client::with_lookup(LOOPBACK, &lookup).unwrap();
    let url = format!("http://origin.test:{}/x", origin.port);
    assert_eq!(client.fetch(&request("GET", &url)).await.unwrap().status, 200);
    assert!(origin.asked()[0].contains(&format!("host: origin.test:{}", origin.port)));
}

/// A name whose address changes after the first look must not get a second one.
#[tokio::test]
async fn a_name_is_resolved_once_for_each_connection() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let origin = Origin::start().await;
    origin.says("/x", "200 OK", "", b"");
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let lookup: crate::guard::Lookup = Arc::new(move |_| {
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        let ip: IpAddr = if first { "127.0.0.1" } else { "169.254.169.254" }.parse().unwrap();
        Box::pin(async move { Ok(vec![ip]) })
    });
    let client = Client::with_lookup(LOOPBACK, &lookup).unwrap();
    let url = format!("http://rebinding.test:{}/x", origin.port);
    assert_eq!(client.fetch(&request("GET", &url)).await.unwrap().status, 200);
    assert_eq!(looks.load(Ordering::Relaxed), 1);
    let redirect = format!("location: http://other.test:{}/x", origin.port);
    origin.says("/x", "302 Found", &redirect, b"");
    assert_eq!(client.fetch(&request("GET", &url)).await.unwrap_err().code, 11205);
}

#[tokio::test]
async fn a_redirect_is_checked_like_an_address() {
    let origin = Origin::start().await;
    let client = super::client();
    for (target, code) in [
        ("http://169.254.169.254/latest/", 11205),
        ("//169.254.169.254/", 11205),
        ("http://2852039166/", 11205),
        ("http://[::ffff:a9fe:a9fe]/", 11205),
        ("http://10.0.0.1/", 11205),
        ("ftp://127.0.0.1/", 11100),
        ("file:///etc/passwd", 11100),
        ("http://", 11100),
    ] {
        for status in ["301 A", "302 A", "303 A", "307 A", "308 A"] {
            let url = origin.says("/x", status, &format!("location: {target}"), b"");
            let failure = client.fetch(&request("POST", &url)).await.unwrap_err();
            assert_eq!(failure.code, code, "{status} {target}: {failure:?}");
        }
    }
}
