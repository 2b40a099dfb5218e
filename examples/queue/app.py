"""A call queue: callers wait with music, and agents who call in take the one who waits longest."""

import os

from flask import Flask, Response, request
from twilio.twiml.voice_response import Dial, VoiceResponse

MUSIC = "https://com.twilio.sounds.music.s3.amazonaws.com/MARKOVICHAMP-Borghestral.mp3"

app = Flask(__name__)


def twiml(response):
    return Response(str(response), mimetype="text/xml")


@app.post("/voice")
def voice():
    response = VoiceResponse()
    response.enqueue("support", wait_url="/wait", action="/left")
    return twiml(response)


@app.post("/wait")
def wait():
    response = VoiceResponse()
    response.say(f"You are number {request.form['QueuePosition']} in line.")
    response.play(MUSIC)
    return twiml(response)


@app.post("/left")
def left():
    app.logger.warning("%s left the queue: %s", request.form["From"], request.form["QueueResult"])
    response = VoiceResponse()
    response.hangup()
    return twiml(response)


@app.post("/agent")
def agent():
    response = VoiceResponse()
    dial = Dial(timeout=30, action="/next")
    dial.queue("support", url="/connecting")
    response.append(dial)
    return twiml(response)


@app.post("/connecting")
def connecting():
    response = VoiceResponse()
    response.say("An agent is here.")
    return twiml(response)


@app.post("/next")
def following():
    """The agent stays on the line and takes the next one."""
    response = VoiceResponse()
    response.redirect("/agent")
    return twiml(response)


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", 5000)))
