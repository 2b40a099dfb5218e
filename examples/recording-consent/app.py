"""A hot line that records only those who agree."""

import os

from flask import Flask, Response, request
from twilio.rest import Client
from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

AGENT = "+14155550009"
LINE = "+14155550100"
SUPERVISOR = "+14155550010"

app = Flask(__name__)
client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])


def twiml(response):
    return Response(str(response), mimetype="text/xml")


@app.post("/voice")
def voice():
    response = VoiceResponse()
    gather = Gather(num_digits=1, timeout=4, action="/consent")
    gather.say("Press 1 if we may record this call.")
    response.append(gather)
    response.redirect("/consent")
    return twiml(response)


@app.post("/consent")
def consent():
    agreed = request.form.get("Digits") == "1"
    response = VoiceResponse()
    response.say("This call is recorded." if agreed else "This call is not recorded.")
    recorded = {"record": "record-from-answer", "recording_status_callback": "/recorded"}
    dial = Dial(caller_id=LINE, **(recorded if agreed else {}))
    dial.number(AGENT)
    response.append(dial)
    return twiml(response)


@app.post("/recorded")
def recorded():
    seconds = request.form["RecordingDuration"]
    client.messages.create(
        to=SUPERVISOR, from_=LINE, body=f"A recording of {seconds} seconds is ready."
    )
    return ""


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
