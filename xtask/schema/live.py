"""Puts a room of two with a recording, a call with another, and a queue with somebody in it onto a running
server, and prints what names them as schemathesis wants it."""

import sys
import time

from twilio.rest import Client

account, token, api = sys.argv[1:]
client = Client(account, token)
client.api.base_url = api
FROM = "+15550100"
WAIT = "<Response><Pause length='3000'/></Response>"


def soon(what, condition):
    for _ in range(600):
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about")


place = client.conferences("live").participants
first, _ = [
    place.create(from_=FROM, to=f"+1555000100{number}", label=f"p{number}", conference_record="true")
    for number in (1, 2)
]
conference = first.conference_sid
room = client.conferences(conference)
soon("the room", lambda: room.fetch().status == "in-progress")
of_room = soon("its recording", lambda: room.recordings.list())[0]
call = client.calls.create(from_=FROM, to="+15550001003", twiml=WAIT)
soon("the call", lambda: client.calls(call.sid).fetch().status == "in-progress")
of_call = client.calls(call.sid).recordings.create()
queue = client.queues.create("live")
twiml = "<Response><Enqueue waitUrl=''>live</Enqueue></Response>"
waiting = client.calls.create(from_=FROM, to="+15550001004", twiml=twiml)
soon("the queue", lambda: client.queues(queue.sid).fetch().current_size == 1)

BASE = "/2010-04-01/Accounts/{AccountSid}"
NAMED = {
    "/Conferences/{Sid}.json": {"Sid": conference},
    "/Conferences/{ConferenceSid}/Participants.json": {"ConferenceSid": conference},
    "/Conferences/{ConferenceSid}/Participants/{CallSid}.json": {
        "ConferenceSid": conference,
        "CallSid": first.call_sid,
    },
    "/Conferences/{ConferenceSid}/Recordings.json": {"ConferenceSid": conference},
    "/Conferences/{ConferenceSid}/Recordings/{Sid}.json": {
        "ConferenceSid": conference,
        "Sid": of_room.sid,
    },
    "/Calls/{Sid}.json": {"Sid": call.sid},
    "/Calls/{CallSid}/Events.json": {"CallSid": call.sid},
    "/Calls/{CallSid}/Notifications.json": {"CallSid": call.sid},
    "/Calls/{CallSid}/Recordings.json": {"CallSid": call.sid},
    "/Calls/{CallSid}/Recordings/{Sid}.json": {"CallSid": call.sid, "Sid": of_call.sid},
    "/Recordings/{Sid}.json": {"Sid": of_call.sid},
    "/Queues/{Sid}.json": {"Sid": queue.sid},
    "/Queues/{QueueSid}/Members.json": {"QueueSid": queue.sid},
    "/Queues/{QueueSid}/Members/{CallSid}.json": {"QueueSid": queue.sid, "CallSid": waiting.sid},
}
print(f'[parameters]\nAccountSid = "{account}"\n')
for path, names in NAMED.items():
    listed = ", ".join(f'{name} = "{sid}"' for name, sid in names.items())
    print(f'[[operations]]\ninclude-path = "{BASE}{path}"\nparameters = {{ {listed} }}\n')

# What would end all that.
ENDING = ["/Conferences/{Sid}.json", "/Calls/{Sid}.json", "/Queues/{QueueSid}/Members/{CallSid}.json"]
for path in ENDING:
    print(f'[[operations]]\ninclude-name = "POST {BASE}{path}"\nenabled = false\n')
