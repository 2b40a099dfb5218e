//! The programs of `examples/` as their customers run them: the real server, the proxy for programs that know Twilio
//! alone, and phones with sockets.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::{Proxy, Server, brought, hears, until};
use sim::{Phone, State};

const LIMIT: Duration = Duration::from_secs(60);
/// Whose voice is which tone.
const ANN: u32 = 500;
const BEN: u32 = 900;
const CLEO: u32 = 1_300;

/// A customer's program beside a server; it ends when this is dropped.
struct Customer {
    server: Server,
    url: String,
    program: Child,
    _proxy: Proxy,
}

impl Customer {
    /// Starts a program of `examples/` and gives the account these numbers, each asking a path of it.
    async fn start(example: &str, numbers: &[(&str, &str)]) -> Self {
        let python = brought("SIDETONE_TEST_PYTHON");
        brought("NODE_PATH");
        let server = Server::start(&[]).await;
        let proxy = Proxy::start(&server);
        let port = {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap().port()
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let folder = root.join("examples").join(example);
        let is_node = folder.join("app.js").exists();
        let mut command = if is_node { Command::new("node") } else { Command::new(python) };
        command
            .arg(if is_node { "app.js" } else { "app.py" })
            .current_dir(&folder)
            .envs(proxy.exports.iter().cloned())
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("TWILIO_REGION")
            .env_remove("TWILIO_EDGE")
            .env("PORT", port.to_string())
            .stdout(Stdio::null());
        let program = command.spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        until("the program", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
            .await;
        for (number, path) in numbers {
            let voice = format!("{url}{path}");
            let form = [("PhoneNumber", *number), ("VoiceUrl", &voice)];
            assert_eq!(server.post("/IncomingPhoneNumbers.json", &form).await.status, 201);
        }
        Self { server, url, program, _proxy: proxy }
    }

    /// Lets a phone call one of the numbers.
    fn calls(&self, from: &str, to: &str, hertz: u32) -> Phone {
        let phone = Phone::call_as(self.server.sip(), to, from, sim::tone(hertz)).unwrap();
        assert!(phone.wait_up(LIMIT), "{from} calls {to}: {:?}", phone.state());
        phone
    }

    /// Makes a phone that is reached by a number.
    fn reached(&self, number: &str, phone: Phone) -> Phone {
        assert!(phone.register(self.server.sip(), number, LIMIT), "{number} does not register");
        phone
    }

    fn answering(&self, number: &str, hertz: u32) -> Phone {
        let phone = Phone::listen(Ipv4Addr::LOCALHOST.into(), sim::tone(hertz)).unwrap();
        self.reached(number, phone)
    }

    fn ringing(&self, number: &str) -> Phone {
        let phone = Phone::ring(Ipv4Addr::LOCALHOST.into(), sim::tone(ANN)).unwrap();
        self.reached(number, phone)
    }

    /// Presses a button of the program's.
    async fn presses(&self, path: &str) {
        let answer = reqwest::Client::new().post(format!("{}{path}", self.url)).send().await;
        assert!(answer.unwrap().status().is_success(), "{path}");
    }

    /// Returns the texts of the messages that were sent, newest first.
    async fn messages(&self) -> Vec<String> {
        let listed = self.server.get("/Messages.json").await.body;
        let messages = listed["messages"].as_array().unwrap().iter();
        messages.map(|message| message["body"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Customer {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_line_lets_in_who_knows_the_pin() {
    const LINE: &str = "+14155550100";
    let customer = Customer::start("pin-line", &[(LINE, "/voice")]).await;
    let ann = customer.calls("+14155550001", LINE, ANN);
    let ben = customer.calls("+14155550002", LINE, BEN);
    // The question is over when its words are.
    hears_words(&ann).await;
    ann.press("4711");
    ben.press("0000");
    hears_words(&ben).await;
    // That the PIN is not known, and the question once more; then five seconds are left.
    tokio::time::sleep(Duration::from_secs(5)).await;
    until("ben's second try", async || {
        ben.press("4711");
        for _ in 0..20 {
            ben.forget();
            tokio::time::sleep(Duration::from_millis(400)).await;
            if e2e::level(&ben.heard(), ANN) > 500.0 {
                return true;
            }
        }
        false
    })
    .await;
    hears(&ann, BEN, true).await;
    let listed = customer.server.get("/Conferences.json?FriendlyName=staff").await.body;
    assert_eq!(listed["conferences"][0]["status"], "in-progress");
}

/// Waits until a phone hears anything at all.
async fn hears_words(phone: &Phone) {
    until("words", async || {
        phone.forget();
        tokio::time::sleep(Duration::from_millis(300)).await;
        e2e::Ear::new(&phone.heard()).loudness() > 100.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_transfer_leaves_the_customer_with_the_second_agent() {
    const LINE: &str = "+14155550100";
    let customer = Customer::start("warm-transfer", &[(LINE, "/voice")]).await;
    let first = customer.answering("+14155550002", BEN);
    let second = customer.answering("+14155550003", CLEO);
    let caller = customer.calls("+14155550001", LINE, ANN);
    hears(&caller, BEN, true).await;
    hears(&first, ANN, true).await;
    customer.presses("/consult").await;
    hears(&first, CLEO, true).await;
    hears(&second, BEN, true).await;
    hears(&caller, BEN, false).await;
    hears(&second, ANN, false).await;
    customer.presses("/complete").await;
    assert!(first.wait_over(LIMIT));
    hears(&caller, CLEO, true).await;
    hears(&second, ANN, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_whispers_and_barges_in() {
    const LINES: [(&str, &str); 2] = [("+14155550100", "/voice"), ("+14155550101", "/supervisor")];
    let customer = Customer::start("coaching", &LINES).await;
    let agent = customer.answering("+14155550002", BEN);
    let caller = customer.calls("+14155550001", LINES[0].0, ANN);
    hears(&caller, BEN, true).await;
    let supervisor = customer.calls("+14155550003", LINES[1].0, CLEO);
    hears(&agent, CLEO, true).await;
    hears(&supervisor, ANN, true).await;
    hears(&caller, CLEO, false).await;
    customer.presses("/barge").await;
    hears(&caller, CLEO, true).await;
    customer.presses("/whisper").await;
    hears(&caller, CLEO, false).await;
    hears(&agent, CLEO, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_one_caller_of_a_queue_after_the_other() {
    const LINES: [(&str, &str); 2] = [("+14155550100", "/voice"), ("+14155550101", "/agent")];
    let customer = Customer::start("queue", &LINES).await;
    let first = customer.calls("+14155550001", LINES[0].0, ANN);
    let size = async |wanted: u64| {
        let listed = customer.server.get("/Queues.json").await.body;
        listed["queues"][0]["current_size"] == wanted
    };
    until("one in line", async || size(1).await).await;
    let second = customer.calls("+14155550002", LINES[0].0, BEN);
    until("two in line", async || size(2).await).await;
    let agent = customer.calls("+14155550003", LINES[1].0, CLEO);
    hears(&first, CLEO, true).await;
    hears(&agent, ANN, true).await;
    hears(&second, CLEO, false).await;
    first.hang_up();
    hears(&second, CLEO, true).await;
    hears(&agent, BEN, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_call_says_who_is_safe() {
    let customer = Customer::start("roll-call", &[("+14155550100", "/ask")]).await;
    let ann = customer.answering("+14155550001", ANN);
    let ben = customer.ringing("+14155550002");
    let cleo = customer.ringing("+14155550003");
    let dan = customer.answering("+14155550004", BEN);
    customer.presses("/roll-call").await;
    until("ben rings", async || ben.state() == State::Ringing).await;
    ben.refuse(486);
    assert!(ann.wait_up(LIMIT) && dan.wait_up(LIMIT));
    hears_words(&ann).await;
    ann.press("1");
    assert!(ann.wait_over(LIMIT) && dan.wait_over(LIMIT) && cleo.wait_over(LIMIT));
    until("the message", async || !customer.messages().await.is_empty()).await;
    let expected = "ann: safe, ben: busy, cleo: no-answer, dan: completed";
    assert_eq!(customer.messages().await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_agrees_is_recorded() {
    const LINE: &str = "+14155550100";
    let customer = Customer::start("recording-consent", &[(LINE, "/voice")]).await;
    let agent = customer.answering("+14155550009", CLEO);
    for (key, hertz, recordings) in [("2", ANN, 0), ("1", BEN, 1)] {
        let caller = customer.calls("+14155550001", LINE, hertz);
        hears_words(&caller).await;
        caller.press(key);
        hears(&agent, hertz, true).await;
        hears(&caller, CLEO, true).await;
        caller.hang_up();
        assert!(agent.wait_over(LIMIT));
        until("the messages", async || customer.messages().await.len() == recordings).await;
        let listed = customer.server.get("/Recordings.json").await.body;
        assert_eq!(listed["recordings"].as_array().unwrap().len(), recordings);
    }
    assert!(customer.messages().await[0].starts_with("A recording of"));
}
