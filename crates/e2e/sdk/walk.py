"""Every operation that Sidetone answers, through Twilio's own SDK for Python.

`walk.py` drives a running server; `walk.py signatures FILE` judges the callbacks that came of it.
"""

import json
import os
import sys
import time
from datetime import date, datetime

from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

SID, TOKEN = (os.environ[name] for name in ("WALK_SID", "WALK_TOKEN"))
# Unset: the program is not changed at all, and the environment leads it here.
API = os.environ.get("WALK_API")
ORIGIN = os.environ["WALK_ORIGIN"]
ALICE, BOB, CAROL = (os.environ[f"WALK_{name}"] for name in ("ALICE", "BOB", "CAROL"))
US = "sip:program@127.0.0.1"


def connect(token=TOKEN):
    client = Client(SID, token)
    if API:
        client.api.base_url = API
    return client


def equal(seen, wanted):
    assert seen == wanted, f"{seen!r}, not {wanted!r}"


def refused(status, code, operation):
    try:
        operation()
    except TwilioRestException as error:
        equal((error.status, error.code), (status, code))
        return error
    raise AssertionError(f"not refused by {status}")


def soon(what, condition):
    for _ in range(200):
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about within 10 s")


def seat(client, name):
    """Dials two phones into a conference and returns it with both participants."""
    place = client.conferences(name).participants
    alice = place.create(
        from_=US,
        to=ALICE,
        label="alice",
        beep="false",
        conference_status_callback=f"{ORIGIN}/callback/room",
        conference_status_callback_event=["start", "end", "join", "leave", "mute", "hold", "modify"],
        status_callback=f"{ORIGIN}/callback/call?of=alice",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
    )
    equal((alice.label, alice.account_sid), ("alice", SID))
    bob = place.create(from_=US, to=BOB, beep="false")
    room = soon("a conference", lambda: client.conferences.list(friendly_name=name))[0]

    def both():
        return len([p for p in room.participants.list() if p.status == "connected"]) == 2

    soon("two participants", both)
    return room, alice, bob


def participants(client):
    room, alice, bob = seat(client, "python")
    place = client.conferences(room.sid).participants
    equal({p.call_sid for p in place.list()}, {alice.call_sid, bob.call_sid})
    equal({p.call_sid for p in place.stream(page_size=1)}, {alice.call_sid, bob.call_sid})
    equal(len(place.list(muted=True)), 0)
    by_label, by_sid = place("alice").fetch(), place(alice.call_sid).fetch()
    equal((by_label.call_sid, by_label.uri), (by_sid.call_sid, by_sid.uri))
    assert isinstance(by_sid.date_created, datetime)
    changed = place("alice").update(
        muted=True,
        hold=True,
        hold_url=f"{ORIGIN}/hold",
        hold_method="GET",
        announce_url=f"{ORIGIN}/announce",
        announce_method="POST",
        wait_url=f"{ORIGIN}/wait",
        wait_method="POST",
        beep_on_exit=True,
        end_conference_on_exit=True,
        coaching=True,
        call_sid_to_coach=bob.call_sid,
    )
    seen = (changed.muted, changed.hold, changed.end_conference_on_exit, changed.coaching)
    equal(seen, (True, True, True, True))
    equal(changed.call_sid_to_coach, bob.call_sid)
    equal([p.call_sid for p in place.list(muted=True)], [alice.call_sid])
    equal([p.call_sid for p in place.list(hold=True, coaching=True)], [alice.call_sid])
    changed = place(alice.call_sid).update(
        muted=False, hold=False, coaching=False, call_sid_to_coach=bob.call_sid,
        end_conference_on_exit=False,
    )
    equal((changed.muted, changed.hold, changed.coaching), (False, False, False))
    refused(400, 20001, lambda: place("alice").update(coaching=True))
    refused(400, 16028, lambda: place("alice").update(call_sid_to_coach="CA" + "0" * 32))
    refused(404, 20404, lambda: place("nobody").fetch())
    equal(place(bob.call_sid).delete(), True)
    soon("the kick", lambda: len(place.list()) == 1)
    return room, alice


def conferences(client, room, alice):
    fetched = client.conferences(room.sid).fetch()
    equal((fetched.friendly_name, fetched.status), ("python", "in-progress"))
    today = date.today()
    for found in (
        client.conferences.list(status="in-progress"),
        client.conferences.list(friendly_name="python", date_created=today),
        client.conferences.list(date_created_after=today, page_size=1),
        client.conferences.list(date_updated_after=today),
    ):
        assert room.sid in [conference.sid for conference in found]
    announced = fetched.update(announce_url=f"{ORIGIN}/announce", announce_method="GET")
    equal(announced.sid, room.sid)
    ended = fetched.update(status="completed")
    equal((ended.status, ended.reason_conference_ended), ("completed", "conference-ended-via-api"))
    equal(ended.call_sid_ending_conference, None)
    equal(client.conferences(room.sid).participants.list(), [])
    refused(404, 20404, lambda: client.conferences("CF" + "0" * 32).fetch())
    soon("the call's end", lambda: client.calls(alice.call_sid).fetch().status == "completed")


def calls(client):
    talk = f"<Response><Play loop='0'>{ORIGIN}/tone.wav</Play></Response>"
    made = client.calls.create(to=CAROL, from_=US, twiml=talk)
    equal((made.status, made.direction, made.to), ("queued", "outbound-api", CAROL))
    one = client.calls(made.sid)
    soon("an answer", lambda: one.fetch().status == "in-progress")
    equal([call.sid for call in client.calls.list(to=CAROL, status="in-progress")], [made.sid])
    equal(one.update(twiml="<Response><Pause length='60'/></Response>").status, "in-progress")
    equal(one.update(url=f"{ORIGIN}/pause", method="GET").status, "in-progress")
    one.update(status="completed")
    over = soon("the end", lambda: one.fetch() if one.fetch().status == "completed" else None)
    assert isinstance(over.end_time, datetime) and int(over.duration) >= 0
    every = [call.sid for call in client.calls.stream(page_size=1)]
    equal(every, [call.sid for call in client.calls.list()])
    equal(len(every), 3)
    page = client.calls.page(page_size=2)
    equal((len(list(page)), len(list(page.next_page()))), (2, 1))
    equal(one.delete(), True)
    refused(404, 20404, one.fetch)
    refused(400, 21201, lambda: client.calls.create(to="", from_=US, twiml=talk))
    refused(400, 21214, lambda: client.calls.create(to="+15551234", from_=US, twiml=talk))


def accounts(client):
    own = client.api.accounts(SID).fetch()
    equal((own.sid, own.status), (SID, "active"))
    error = refused(401, 20003, lambda: connect("wrong").api.accounts(SID).fetch())
    assert "20003" in error.msg or error.code == 20003


def subaccounts(client):
    made = client.api.accounts.create(friendly_name="tenant")
    equal(made.owner_account_sid, SID)
    own = Client(made.sid, made.auth_token)
    if API:
        own.api.base_url = API
    equal([call.sid for call in own.calls.list()], [])
    refused(404, 20404, lambda: own.api.accounts(SID).fetch())
    equal(client.api.accounts(made.sid).update(status="suspended").status, "suspended")
    refused(403, 20005, lambda: own.api.accounts(made.sid).fetch())
    equal(client.api.accounts(made.sid).update(status="closed").status, "closed")
    equal([one.sid for one in client.api.accounts.list(status="closed")], [made.sid])


def numbers(client):
    application = client.applications.create(friendly_name="one", voice_url=f"{ORIGIN}/pause")
    equal(client.applications(application.sid).update(voice_method="GET").voice_method, "GET")
    found = client.available_phone_numbers("US").local.list(area_code=415, limit=2)
    equal(found[0].locality, "San Francisco")
    equal([one.country_code for one in client.available_phone_numbers.list()][0], "US")
    number = client.incoming_phone_numbers.create(
        phone_number=found[0].phone_number, voice_application_sid=application.sid
    )
    equal(number.capabilities["voice"], True)
    again = lambda: client.incoming_phone_numbers.create(phone_number=found[0].phone_number)
    refused(400, 21422, again)
    equal([one.sid for one in client.incoming_phone_numbers.local.list()], [number.sid])
    request = client.validation_requests.create(number.phone_number, friendly_name="desk")
    equal(len(request.validation_code), 6)
    caller = client.outgoing_caller_ids.list(phone_number=number.phone_number)[0]
    equal(client.outgoing_caller_ids(caller.sid).update(friendly_name="hall").friendly_name, "hall")
    assert client.outgoing_caller_ids(caller.sid).delete()
    changed = client.incoming_phone_numbers(number.sid).update(voice_url=f"{ORIGIN}/pause")
    equal(changed.voice_url, f"{ORIGIN}/pause")
    assert client.incoming_phone_numbers(number.sid).delete()
    assert client.applications(application.sid).delete()


def beside(client):
    message = client.messages.create(to="+14155550199", from_="+14155550198", body="hello")
    equal((message.status, message.date_sent), ("accepted", None))
    equal(client.messages(message.sid).update(body="").body, "")
    equal(client.messages(message.sid).media.list(), [])
    equal([one.sid for one in client.messages.list(to="+14155550199")], [message.sid])
    assert client.messages(message.sid).delete()
    key = client.new_signing_keys.create(friendly_name="one")
    assert key.secret
    assert client.signing_keys(key.sid).delete()
    equal(client.balance.fetch().balance, "0")
    records = client.usage.records.this_month.list(category="calls")
    equal([(one.category, one.price) for one in records], [("calls", None)])
    assert client.usage.records.daily.list(category="conferences", limit=1)


def domains(client):
    domain = client.sip.domains.create("walk.example", voice_url=f"{ORIGIN}/pause")
    credentials = client.sip.credential_lists.create("phones")
    phone = client.sip.credential_lists(credentials.sid).credentials
    equal(phone.create(username="alice", password="Walk-Password-1").username, "alice")
    networks = client.sip.ip_access_control_lists.create("office")
    office = client.sip.ip_access_control_lists(networks.sid).ip_addresses
    equal(office.create("here", "192.0.2.1").cidr_prefix_length, 32)
    calls = client.sip.domains(domain.sid).auth.calls
    calls.credential_list_mappings.create(credentials.sid)
    calls.ip_access_control_list_mappings.create(networks.sid)
    registrations = client.sip.domains(domain.sid).auth.registrations
    registrations.credential_list_mappings.create(credentials.sid)
    old = client.sip.domains(domain.sid).credential_list_mappings.list()
    equal([one.sid for one in old], [credentials.sid])
    equal(client.sip.domains(domain.sid).fetch().auth_type, "IP_ACL,CREDENTIAL_LIST")
    refused(409, 20409, lambda: client.sip.credential_lists(credentials.sid).delete())
    assert client.sip.domains(domain.sid).delete()
    assert client.sip.credential_lists(credentials.sid).delete()
    assert client.sip.ip_access_control_lists(networks.sid).delete()


def signatures(file):
    validator = RequestValidator(TOKEN)
    with open(file, encoding="utf-8") as opened:
        callbacks = json.load(opened)
    for callback in callbacks:
        params = {name: value for name, value in callback["params"]}
        assert validator.validate(callback["url"], params, callback["signature"]), callback
        assert not validator.validate(callback["url"] + "x", params, callback["signature"])
    print(len(callbacks), "signatures")


if sys.argv[1:2] == ["signatures"]:
    signatures(sys.argv[2])
else:
    sidetone = connect()
    accounts(sidetone)
    conferences(sidetone, *participants(sidetone))
    calls(sidetone)
    subaccounts(sidetone)
    numbers(sidetone)
    beside(sidetone)
    domains(sidetone)
    print("walked")
