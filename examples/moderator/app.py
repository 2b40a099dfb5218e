"""A moderated conference: it begins when the moderator comes and ends when the moderator goes."""

import os

from flask import Flask, Response, request
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Dial, VoiceResponse

MODERATOR = "+14155550001"

app = Flask(__name__)
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])


@app.before_request
def signed():
    signature = request.headers.get("X-Twilio-Signature", "")
    if not validator.validate(request.url, request.form, signature):
        return "this request is not signed", 403
    return None


@app.post("/voice")
def voice():
    moderates = request.form["From"] == MODERATOR
    response = VoiceResponse()
    dial = Dial()
    dial.conference(
        "weekly",
        start_conference_on_enter=moderates,
        end_conference_on_exit=moderates,
        status_callback="/events",
        status_callback_event="start end join leave",
    )
    response.append(dial)
    response.say("The meeting is over.")
    response.hangup()
    return Response(str(response), mimetype="text/xml")


@app.post("/events")
def events():
    return ""


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
