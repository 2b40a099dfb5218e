"""A conference into which an expert is called a little later, by a timer of the program's own."""

import os
import threading

from flask import Flask, Response
from twilio.rest import Client
from twilio.twiml.voice_response import Dial, VoiceResponse

LINE = "+14155550100"
EXPERT = "+14155550009"

app = Flask(__name__)
client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])


def call_expert():
    client.conferences("advice").participants.create(from_=LINE, to=EXPERT, beep="false")


@app.post("/voice")
def voice():
    threading.Timer(0.5, call_expert).start()
    response = VoiceResponse()
    dial = Dial()
    dial.conference("advice", beep=False)
    response.append(dial)
    return Response(str(response), mimetype="text/xml")


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
