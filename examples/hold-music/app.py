"""A help line: the agent's desk holds the caller, who hears music, and takes the call up again."""

import os
import time

from flask import Flask, Response, request
from twilio.rest import Client
from twilio.twiml.voice_response import Dial, VoiceResponse

ROOM = "desk"
AGENT = "+14155550002"
MUSIC = "https://com.twilio.sounds.music.s3.amazonaws.com/MARKOVICHAMP-Borghestral.mp3"

app = Flask(__name__)
client = Client(os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"])


@app.post("/voice")
def voice():
    label = "agent" if request.form["From"] == AGENT else "caller"
    response = VoiceResponse()
    dial = Dial()
    dial.conference(ROOM, participant_label=label, beep=False)
    response.append(dial)
    return Response(str(response), mimetype="text/xml")


@app.post("/music")
def music():
    response = VoiceResponse()
    response.say("Please hold the line.")
    response.play(MUSIC, loop=0)
    return Response(str(response), mimetype="text/xml")


def room():
    """Finds the room, which a list may show a little late."""
    for _ in range(5):
        rooms = client.conferences.list(friendly_name=ROOM, status="in-progress", limit=1)
        if rooms:
            return client.conferences(rooms[0].sid)
        time.sleep(0.1)
    raise LookupError(f"there is no room {ROOM}")


@app.post("/hold")
def hold():
    room().participants("caller").update(
        hold=True, hold_url=f"{request.url_root}music", hold_method="POST"
    )
    return {"held": True}


@app.post("/resume")
def resume():
    room().participants("caller").update(hold=False)
    return {"held": False}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
