"""A warm transfer: an agent asks a second one in while the customer holds, and leaves the two of them."""

import os

from flask import Flask, Response, request
from twilio.rest import Client
from twilio.twiml.voice_response import Dial, VoiceResponse

LINE = "+14155550100"
FIRST = "+14155550002"
SECOND = "+14155550003"

app = Flask(__name__)
client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])
state = {}


def call_in(label, number):
    """Calls an agent into the customer's room, which begins with that where there is none."""
    participant = client.conferences(state["room"]).participants.create(
        from_=LINE,
        to=number,
        label=label,
        beep="false",
        conference_status_callback=f"{request.url_root}events",
        conference_status_callback_event="start end join leave",
    )
    state["conference"] = participant.conference_sid


def update(label, **changes):
    client.conferences(state["conference"]).participants(label).update(**changes)


@app.post("/voice")
def voice():
    state["room"] = f"room-{request.form['CallSid']}"
    response = VoiceResponse()
    dial = Dial()
    dial.conference(
        state["room"],
        participant_label="customer",
        beep=False,
        end_conference_on_exit=True,
    )
    response.append(dial)
    call_in("first", FIRST)
    return Response(str(response), mimetype="text/xml")


@app.post("/events")
def events():
    app.logger.warning("%s", request.form["StatusCallbackEvent"])
    return ""


@app.post("/consult")
def consult():
    """The first agent's button: the customer holds, the second agent is called."""
    update("customer", hold=True, hold_url=f"{request.url_root}hold")
    call_in("second", SECOND)
    return {"consulting": True}


@app.get("/hold")
def hold():
    response = VoiceResponse()
    response.say("I am asking a colleague.")
    response.pause(length=60)
    return Response(str(response), mimetype="text/xml")


@app.post("/complete")
def complete():
    """The first agent's other button: the customer is back, and the first agent goes."""
    update("customer", hold=False)
    client.conferences(state["conference"]).participants("first").delete()
    return {"transferred": True}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
