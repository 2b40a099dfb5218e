// Prints the participants of a conference that are not muted, fetched one a page.
"use strict";

const twilio = require("twilio");

async function main() {
  const { WALK_SID, WALK_TOKEN, WALK_API, WALK_CONFERENCE } = process.env;
  const client = twilio(WALK_SID, WALK_TOKEN);
  client.api.baseUrl = WALK_API;
  const place = client.conferences(WALK_CONFERENCE).participants;
  const all = await place.list({ muted: false, pageSize: 1 });
  console.log(all.map((one) => one.callSid).join(" "));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
