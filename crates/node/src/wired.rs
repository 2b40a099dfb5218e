//! A call's names on both sides, and its sound as it was agreed on.

use std::net::SocketAddr;

use exchange::Room;
use media::{LegId, LegOptions};
use model::CallSid;
use sip::CallId;

use crate::core::{Core, Wired};

impl Core {
    /// Opens a call's ports and notes its names.
    pub(crate) fn open(&mut self, call: CallSid, sip: CallId) -> bool {
        self.last += 1;
        let leg = LegId(self.last);
        let Some(port) = self.ports.open(leg) else { return false };
        let media = SocketAddr::new(self.settings.sip.ip(), port);
        self.calls.insert(call, Wired { sip, leg, media, added: false, kept: false });
        self.by_sip.insert(sip, call);
        self.by_leg.insert(leg, call);
        true
    }

    /// Connects a call's sound as it was agreed on.
    pub(crate) fn wire(&mut self, call: CallSid, session: &sip::Session) {
        let Some(wired) = self.calls.get_mut(&call) else { return };
        let codec = |codec| match codec {
            sip::Codec::Pcmu => media::Codec::Pcmu,
            sip::Codec::Pcma => media::Codec::Pcma,
        };
        let audio = &session.audio;
        let Some(&(payload_type, first)) = audio.codecs.first() else { return };
        let options = Box::new(LegOptions {
            codec: codec(first),
            payload_type,
            also: audio.codecs[1..].iter().map(|&(number, other)| (number, codec(other))).collect(),
            telephone_event: audio.telephone_event,
            ptime_ms: audio.ptime_ms,
            remote: audio.address,
            remote_rtcp: audio.rtcp,
            sends: audio.receives,
            receives: audio.sends,
            bounds: media::Bounds::default(),
        });
        let added = std::mem::replace(&mut wired.added, true);
        let leg = wired.leg;
        self.media(if added {
            media::Command::UpdateLeg(leg, options)
        } else {
            media::Command::AddLeg(leg, options)
        });
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
