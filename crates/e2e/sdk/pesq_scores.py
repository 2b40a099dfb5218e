"""Prints how good PESQ takes each sound of a list to be.

A line of the list: a number, the rate in Hz, the file of what was said, that of what was heard; both
hold samples of 16 bits. Its answer: the number, and the opinion, 1 to 4.6. Source: ITU-T P.862.1 for
8 kHz, P.862.2 for 16 kHz.
"""

import sys

import numpy
from pesq import pesq

MODES = {8000: "nb", 16000: "wb"}

for line in open(sys.argv[1], encoding="utf-8"):
    number, rate, said, heard = line.split()
    rate = int(rate)
    said, heard = (numpy.fromfile(name, dtype="<i2") for name in (said, heard))
    print(number, pesq(rate, said, heard, MODES[rate]))
