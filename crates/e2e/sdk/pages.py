"""Prints the participants of a conference that are not muted, fetched one a page."""

import os

from twilio.rest import Client

client = Client(os.environ["WALK_SID"], os.environ["WALK_TOKEN"])
client.api.base_url = os.environ["WALK_API"]
place = client.conferences(os.environ["WALK_CONFERENCE"]).participants
print(" ".join(one.call_sid for one in place.stream(muted=False, page_size=1)))
