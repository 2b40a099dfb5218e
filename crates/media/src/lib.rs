//! Audio: RTP, jitter buffers, codecs, players, the mix.
