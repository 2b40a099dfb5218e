"""Decodes with a decoder of ffmpeg what lies in each file of a list.

A line of the list: a decoder, the rate in Hz, the file of the payloads, and the file that is written; the one
holds payloads after their lengths of 16 bits, big-endian, the other samples of 16 bits in one channel.
"""

import struct
import sys

import av
import numpy


def payloads(name):
    octets = open(name, "rb").read()
    at = 0
    while at < len(octets):
        (length,) = struct.unpack_from(">H", octets, at)
        yield octets[at + 2 : at + 2 + length]
        at += 2 + length


def samples(frame):
    sound = frame.to_ndarray()[0]
    if sound.dtype == numpy.float32:
        sound = numpy.clip(numpy.rint(sound * 32768), -32768, 32767)
    return sound.astype("<i2").tobytes()


for line in open(sys.argv[1], encoding="utf-8"):
    name, rate, encoded, decoded = line.split()
    decoder = av.CodecContext.create(name, "r")
    decoder.sample_rate = int(rate)
    decoder.layout = "mono"
    with open(decoded, "wb") as file:
        # After the last packet comes what the decoder kept back.
        for packet in [*map(av.Packet, payloads(encoded)), None]:
            for frame in decoder.decode(packet):
                assert (frame.sample_rate, frame.layout.name) == (int(rate), "mono"), frame
                file.write(samples(frame))
