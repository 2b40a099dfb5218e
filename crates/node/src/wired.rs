//! A call's names on both sides, and its sound as it was agreed on.

use std::net::SocketAddr;
use std::time::Duration;

use exchange::Room;
use media::{LegId, LegOptions};
use model::CallSid;
use sip::{CallId, Codec, SrtpPolicy, Terms};

use crate::core::{Core, Wired};

/// The codecs that are spoken, by the names that a setting has for them, best first.
pub const CODECS: &[&str] = &["opus", "g722", "pcmu", "pcma"];

/// Makes terms of a setting's words.
///
/// # Errors
/// One line that names the word that is none, or says that nothing is left.
pub fn terms(codecs: &[String], srtp: &str) -> Result<Terms, String> {
    let mut spoken: Vec<Codec> = Vec::new();
    for name in codecs {
        let codec = Codec::named(name).filter(|_| CODECS.contains(&name.as_str()));
        let codec =
            codec.ok_or_else(|| format!("codecs: {name:?} is not one of {}", CODECS.join(", ")))?;
        if !spoken.contains(&codec) {
            spoken.push(codec);
        }
    }
    if spoken.is_empty() {
        return Err(format!("codecs: name at least one of {}", CODECS.join(", ")));
    }
    let srtp = srtp_policy(srtp).unwrap_or_default();
    Ok(Terms { codecs: spoken.into(), srtp, ..Terms::telephone() })
}

/// Returns the policy of that name.
pub fn srtp_policy(name: &str) -> Option<SrtpPolicy> {
    match name {
        "off" => Some(SrtpPolicy::Off),
        "optional" => Some(SrtpPolicy::Optional),
        "mandatory" => Some(SrtpPolicy::Mandatory),
        _ => None,
    }
}

/// Returns how much delay a jitter buffer may add whose size Twilio's word gives.
///
/// Source: Twilio, `jitterBufferSize`; the figures are ours.
pub(crate) fn jitter_bounds(size: &str) -> media::Bounds {
    let delay_max = match size {
        "off" => Duration::ZERO,
        "small" => Duration::from_millis(60),
        "medium" => Duration::from_millis(120),
        _ => media::DELAY_MAX,
    };
    media::Bounds { delay_max }
}

/// Returns what protects a leg as it was agreed on.
pub fn protection(agreed: &sip::Protection) -> Option<media::Protection> {
    let key = |keys: &sip::Keys| {
        let suite = match keys.suite() {
            sip::Suite::AesCm128HmacSha1_80 => media::Suite::AesCm128HmacSha1_80,
            sip::Suite::AesCm128HmacSha1_32 => media::Suite::AesCm128HmacSha1_32,
            sip::Suite::AeadAes128Gcm => media::Suite::AeadAes128Gcm,
            sip::Suite::AeadAes256Gcm => media::Suite::AeadAes256Gcm,
        };
        media::MasterKey::new(suite, keys.key(), keys.salt())
    };
    Some(media::Protection { ours: key(&agreed.ours)?, theirs: key(&agreed.theirs)? })
}

/// Returns the codec of a description as the mixer has it.
pub fn mixed(codec: Codec) -> media::Codec {
    match codec {
        Codec::Pcmu => media::Codec::Pcmu,
        Codec::Pcma => media::Codec::Pcma,
        Codec::G722 => media::Codec::G722,
        Codec::Opus(parameters) => {
            let ours = media::OpusOptions::default();
            media::Codec::Opus(media::OpusOptions {
                bitrate: parameters.average_bitrate.unwrap_or(ours.bitrate),
                fec: parameters.fec,
                dtx: parameters.dtx,
                playback_rate: parameters.playback_rate,
                ..ours
            })
        }
    }
}

impl Core {
    /// Opens a call's ports and notes its names.
    pub(crate) fn open(&mut self, call: CallSid, sip: CallId) -> bool {
        self.last += 1;
        let leg = LegId(self.last);
        let Some(port) = self.ports.open(leg) else {
            self.refused.ports += 1;
            return false;
        };
        let media = SocketAddr::new(self.settings.sip.ip(), port);
        let bounds = media::Bounds::default();
        self.calls.insert(
            call,
            Wired { sip, leg, media, added: false, codec: None, bounds, kept: false },
        );
        self.by_sip.insert(sip, call);
        self.by_leg.insert(leg, call);
        true
    }

    /// Connects a call's sound as it was agreed on.
    pub(crate) fn wire(&mut self, call: CallSid, session: &sip::Session) {
        let Some(wired) = self.calls.get_mut(&call) else { return };
        let audio = &session.audio;
        let signals_from = self.agent.signals_from(wired.sip);
        wired.codec = audio.codecs.first().map(|&(_, codec)| codec);
        let mut codecs = audio.codecs.iter().map(|&(number, codec)| (number, mixed(codec)));
        let Some((payload_type, codec)) = codecs.next() else { return };
        let options = Box::new(LegOptions {
            codec,
            payload_type,
            also: codecs.collect(),
            telephone_event: audio.telephone_event,
            ptime_ms: audio.ptime_ms,
            remote: audio.address,
            signals_from,
            remote_rtcp: audio.rtcp,
            sends: audio.receives,
            receives: audio.sends,
            bounds: wired.bounds,
            protection: audio.protection.as_ref().and_then(protection),
            audio_level: audio
                .audio_level
                .map(|sip::AudioLevel { id, vad }| media::AudioLevel { id, vad }),
        });
        let added = std::mem::replace(&mut wired.added, true);
        let leg = wired.leg;
        self.media(if added {
            media::Command::UpdateLeg(leg, options)
        } else {
            media::Command::AddLeg(leg, options)
        });
    }

    /// Returns our media as it is offered to a phone: what is spoken with whom it is to talk comes first, so that
    /// nothing needs to be coded in another way.
    pub(crate) fn offered_media(
        &self,
        call: CallSid,
        parent: Option<CallSid>,
        srtp: Option<SrtpPolicy>,
    ) -> sip::Offered {
        let spoken = parent.and_then(|parent| self.calls.get(&parent)?.codec);
        let codecs = spoken.map_or(sip::Offers::All, sip::Offers::First);
        sip::Offered { media: self.calls[&call].media, srtp, codecs }
    }

    /// Takes a call's names and its leg away.
    pub(crate) fn unplug(&mut self, call: CallSid) -> Option<Wired> {
        self.rooms.remove(&Room::Bridge(call));
        self.trunks.release(call);
        let wired = self.calls.remove(&call)?;
        self.by_sip.remove(&wired.sip);
        self.by_leg.remove(&wired.leg);
        self.media(media::Command::RemoveLeg(wired.leg));
        Some(wired)
    }
}

#[cfg(test)]
mod tests {
    use exchange::Effect;
    use media::Command;

    use super::*;
    use crate::core::Output;
    use crate::testing::{core, now};

    /// What a phone says of its sound.
    const SOUND: &[u8] = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n\
        t=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

    #[test]
    fn the_size_of_a_jitter_buffer_bounds_it_at_once_and_after_each_description_of_its_phone() {
        for (size, delay_ms_max) in [("off", 0), ("small", 60), ("medium", 120), ("large", 300)] {
            let (now, call) = (now(), CallSid::new([1; 16]));
            let mut core = core(now);
            let id = core.agent.new_call();
            assert!(core.open(call, id));
            let effect = Effect::JitterBuffer { call, size: size.to_owned() };
            core.carry_out(vec![effect], None, now);
            let session = sip::Session::parse(SOUND, &Terms::telephone()).unwrap();
            core.wire(call, &session);
            core.wire(call, &session);
            let bounds =
                std::iter::from_fn(|| core.poll_output()).filter_map(|output| match output {
                    Output::Media(Command::BoundJitter(_, bounds)) => Some(bounds),
                    Output::Media(Command::AddLeg(_, options) | Command::UpdateLeg(_, options)) => {
                        Some(options.bounds)
                    }
                    _ => None,
                });
            let told: Vec<u128> = bounds.map(|bounds| bounds.delay_max.as_millis()).collect();
            assert_eq!(told, [delay_ms_max; 3], "{size}");
        }
    }
}
