"""A conference line: whoever knows the PIN of a room comes in."""

import os

from flask import Flask, Response, request
from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

ROOMS = {"4711": "staff", "2222": "partners"}
TRIES = 3

app = Flask(__name__)


def twiml(response):
    return Response(str(response), mimetype="text/xml")


@app.post("/voice")
def voice():
    tries = int(request.args.get("tries", 0))
    response = VoiceResponse()
    if tries == TRIES:
        response.say("Goodbye.")
        response.hangup()
        return twiml(response)
    gather = Gather(num_digits=4, timeout=5, action=f"/pin?tries={tries}")
    gather.say("Please enter your PIN.")
    response.append(gather)
    response.redirect(f"/voice?tries={tries + 1}")
    return twiml(response)


@app.post("/pin")
def pin():
    room = ROOMS.get(request.form.get("Digits", ""))
    response = VoiceResponse()
    if room is None:
        tries = int(request.args.get("tries", 0))
        response.say("This PIN is not known.")
        response.redirect(f"/voice?tries={tries + 1}")
        return twiml(response)
    dial = Dial()
    dial.conference(
        room,
        status_callback="/events",
        status_callback_event="join leave",
        participant_label=request.form["From"],
    )
    response.append(dial)
    return twiml(response)


@app.post("/events")
def events():
    event, who = request.form["StatusCallbackEvent"], request.form.get("ParticipantLabel")
    app.logger.warning("%s: %s", event, who)
    return ""


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
