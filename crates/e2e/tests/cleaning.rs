//! Levelling and noise suppression, from outside: what is asked, what is said of it, and what is heard.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use e2e::{Origin, Server, spoken, until};
use serde_json::Value;
use sim::{Phone, Voice, tone};

/// Frames that are fainter than this have not come.
const NOTHING: f64 = 20.0;

/// Two in a conference, of whom one speaks as told and the other listens.
struct Pair {
    server: Server,
    path: String,
    listener: Phone,
    _speaker: Phone,
}

impl Pair {
    async fn open(voice: Voice) -> Self {
        let origin = Origin::start().await;
        let server = Server::start(&["--voice-url", &origin.url("/voice")]).await;
        let silence: Voice = tone(440).iter().map(|_| 0).collect();
        let mut path = String::new();
        let mut call = async |label: &str, says: Voice| {
            let noun =
                format!("<Conference beep='false' participantLabel='{label}'>room</Conference>");
            origin.answers(label, &format!("<Dial>{noun}</Dial>"));
            let phone = Phone::call(server.sip(), label, says).unwrap();
            until(label, async || {
                let all = server.get("/Conferences.json?FriendlyName=room").await.body;
                let sid = all["conferences"][0]["sid"].as_str().unwrap_or("CF0").to_owned();
                path = format!("/sidetone/v1/Conferences/{sid}/Participants");
                let path = format!("/Conferences/{sid}/Participants/{label}.json");
                server.get(&path).await.body["status"] == "connected"
            })
            .await;
            phone
        };
        let listener = call("ben", silence).await;
        let speaker = call("ann", voice).await;
        Self { server, path: format!("{path}/ann"), listener, _speaker: speaker }
    }

    /// Posts, and checks that both flags are then as they should be.
    async fn set(&self, form: &str, levelling: bool, suppression: bool) {
        let kind = "application/x-www-form-urlencoded";
        let request = self.server.request("POST", &self.path).header("content-type", kind);
        let answer = request.body(form.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{form}");
        let said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(said, self.server.get_from_root(&self.path).await.body);
        assert_eq!(
            (&said["levelling"], &said["noise_suppression"]),
            (&levelling.into(), &suppression.into())
        );
        let audibility = format!("{}/Audibility", self.path.split_once("/Participants").unwrap().0);
        until(&format!("the mixer does {form}"), async || {
            let seen = self.server.get_from_root(&audibility).await.body;
            let mut levels = seen["levels"].as_array().unwrap().iter();
            levels.len() == 2
                && levels.all(|one| {
                    let is_it = one["call_sid"] == said["call_sid"];
                    one["levelling"] == (is_it && levelling)
                        && one["noise_suppression"] == (is_it && suppression)
                })
        })
        .await;
    }

    /// Waits until the listener's softer frames, the pauses, and the louder ones, speech, are as loud as that.
    async fn hears(&self, what: &str, pauses: std::ops::Range<f64>, speech: std::ops::Range<f64>) {
        until(what, async || {
            self.listener.forget();
            tokio::time::sleep(Duration::from_millis(1_900)).await;
            let heard = self.listener.heard();
            let mut frames: Vec<f64> = heard.chunks_exact(160).map(loudness).collect();
            frames.retain(|frame| *frame > NOTHING);
            frames.sort_by(f64::total_cmp);
            let at = |part: f64| frames.get((frames.len() as f64 * part) as usize).copied();
            let (soft, loud) = (at(0.15).unwrap_or_default(), at(0.7).unwrap_or_default());
            pauses.contains(&soft) && speech.contains(&loud)
        })
        .await;
    }
}

fn loudness(frame: &[i16]) -> f64 {
    let power: f64 = frame.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    (power / frame.len() as f64).sqrt()
}

/// Words, of that loudness, between pauses, over noise of another.
fn voice(loud: f64, noise: f64) -> Voice {
    let word = spoken(1_200);
    let part = loud / loudness(&word);
    let mut random = 1_u32;
    let mut hiss = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(random >> 8) / f64::from(1 << 23) - 1.0) * noise * 3_f64.sqrt()
    };
    let said = word.iter().map(|&sample| f64::from(sample) * part);
    let said = said.chain(std::iter::repeat_n(0.0, 600 * 8));
    // Noise that came back with each word would have a pitch.
    let words: Vec<f64> = said.collect();
    words.iter().cycle().take(words.len() * 10).map(|sample| (sample + hiss()) as i16).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_voice_is_heard_louder_while_it_is_levelled() {
    let pair = Pair::open(voice(350.0, 30.0)).await;
    let as_it_is = (0.0..65.0, 250.0..500.0);
    pair.hears("a quiet voice", as_it_is.0.clone(), as_it_is.1.clone()).await;
    pair.set("Levelling=true", true, false).await;
    pair.hears("a louder voice", 0.0..250.0, 700.0..1_700.0).await;
    pair.set("Levelling=false", false, false).await;
    pair.hears("a quiet voice again", as_it_is.0, as_it_is.1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_voice_is_heard_with_less_noise_while_that_is_suppressed() {
    let pair = Pair::open(voice(1_500.0, 300.0)).await;
    let as_it_is = (200.0..450.0, 1_200.0..1_900.0);
    pair.hears("a noisy voice", as_it_is.0.clone(), as_it_is.1.clone()).await;
    pair.set("NoiseSuppression=true", false, true).await;
    pair.hears("a clear voice", 0.0..150.0, 1_000.0..1_900.0).await;
    pair.set("NoiseSuppression=false&Levelling=false", false, false).await;
    pair.hears("a noisy voice again", as_it_is.0, as_it_is.1).await;
}
