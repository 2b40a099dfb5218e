// Every operation that Sidetone answers, through Twilio's own SDK for Node.
//
// `walk.js` drives a running server; `walk.js signatures FILE` judges the callbacks that came of it.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const twilio = require("twilio");

const { WALK_SID: SID, WALK_TOKEN: TOKEN, WALK_API: API, WALK_ORIGIN: ORIGIN } = process.env;
const { WALK_ALICE: ALICE, WALK_BOB: BOB, WALK_CAROL: CAROL } = process.env;
const US = "sip:program@127.0.0.1";
const NOBODY = "0".repeat(32);

function connect(token = TOKEN) {
  const client = twilio(SID, token);
  // Without it the program is not changed at all, and the environment leads it here.
  if (API) client.api.baseUrl = API;
  return client;
}

async function refused(status, code, operation) {
  await assert.rejects(operation, (error) => {
    assert.equal(error.constructor.name, "RestException");
    assert.deepEqual([error.status, error.code], [status, code]);
    return true;
  });
}

async function soon(what, condition) {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await condition();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not come about within 10 s`);
}

async function seat(client, name) {
  const place = client.conferences(name).participants;
  const alice = await place.create({
    from: US,
    to: ALICE,
    label: "alice",
    beep: "false",
    conferenceStatusCallback: `${ORIGIN}/callback/room`,
    conferenceStatusCallbackEvent: ["start", "end", "join", "leave", "mute", "hold", "modify"],
    statusCallback: `${ORIGIN}/callback/call?of=alice`,
    statusCallbackEvent: ["initiated", "ringing", "answered", "completed"],
  });
  assert.deepEqual([alice.label, alice.accountSid], ["alice", SID]);
  const bob = await place.create({ from: US, to: BOB, beep: "false" });
  const room = await soon("a conference", async () => (await client.conferences.list({ friendlyName: name }))[0]);
  await soon("two participants", async () => {
    const seated = await client.conferences(room.sid).participants.list();
    return seated.filter((one) => one.status === "connected").length === 2;
  });
  return { room, alice, bob };
}

async function participants(client) {
  const { room, alice, bob } = await seat(client, "node");
  const place = client.conferences(room.sid).participants;
  const sids = async (filter) => (await place.list(filter)).map((one) => one.callSid).sort();
  assert.deepEqual(await sids({}), [alice.callSid, bob.callSid].sort());
  assert.deepEqual(await sids({ pageSize: 1 }), [alice.callSid, bob.callSid].sort());
  assert.deepEqual(await sids({ muted: true }), []);
  const [byLabel, bySid] = [await place("alice").fetch(), await place(alice.callSid).fetch()];
  assert.deepEqual([byLabel.callSid, byLabel.uri], [bySid.callSid, bySid.uri]);
  assert.ok(bySid.dateCreated instanceof Date);
  let changed = await place("alice").update({
    muted: true,
    hold: true,
    holdUrl: `${ORIGIN}/hold`,
    holdMethod: "GET",
    announceUrl: `${ORIGIN}/announce`,
    announceMethod: "POST",
    waitUrl: `${ORIGIN}/wait`,
    waitMethod: "POST",
    beepOnExit: true,
    endConferenceOnExit: true,
    coaching: true,
    callSidToCoach: bob.callSid,
  });
  assert.deepEqual(
    [changed.muted, changed.hold, changed.endConferenceOnExit, changed.coaching, changed.callSidToCoach],
    [true, true, true, true, bob.callSid],
  );
  assert.deepEqual(await sids({ muted: true, hold: true, coaching: true }), [alice.callSid]);
  changed = await place(alice.callSid).update({
    muted: false,
    hold: false,
    coaching: false,
    callSidToCoach: bob.callSid,
    endConferenceOnExit: false,
  });
  assert.deepEqual([changed.muted, changed.hold, changed.coaching], [false, false, false]);
  await refused(400, 20001, () => place("alice").update({ coaching: true }));
  await refused(400, 16028, () => place("alice").update({ callSidToCoach: `CA${NOBODY}` }));
  await refused(404, 20404, () => place("nobody").fetch());
  assert.equal(await place(bob.callSid).remove(), true);
  await soon("the kick", async () => (await place.list()).length === 1);
  return { room, alice };
}

async function conferences(client, { room, alice }) {
  const one = client.conferences(room.sid);
  const fetched = await one.fetch();
  assert.deepEqual([fetched.friendlyName, fetched.status], ["node", "in-progress"]);
  const today = new Date();
  for (const filter of [
    { status: "in-progress" },
    { friendlyName: "node", dateCreated: today },
    { dateCreatedAfter: today, pageSize: 1 },
    { dateUpdatedAfter: today },
  ]) {
    const found = await client.conferences.list(filter);
    assert.ok(found.some((conference) => conference.sid === room.sid));
  }
  const announced = await one.update({ announceUrl: `${ORIGIN}/announce`, announceMethod: "GET" });
  assert.equal(announced.sid, room.sid);
  const ended = await one.update({ status: "completed" });
  assert.deepEqual(
    [ended.status, ended.reasonConferenceEnded, ended.callSidEndingConference],
    ["completed", "conference-ended-via-api", null],
  );
  assert.deepEqual(await one.participants.list(), []);
  await refused(404, 20404, () => client.conferences(`CF${NOBODY}`).fetch());
  await soon("the call's end", async () => (await client.calls(alice.callSid).fetch()).status === "completed");
}

async function calls(client) {
  const twiml = `<Response><Play loop='0'>${ORIGIN}/tone.wav</Play></Response>`;
  const made = await client.calls.create({ to: CAROL, from: US, twiml });
  assert.deepEqual([made.status, made.direction, made.to], ["queued", "outbound-api", CAROL]);
  const one = client.calls(made.sid);
  await soon("an answer", async () => (await one.fetch()).status === "in-progress");
  const up = await client.calls.list({ to: CAROL, status: "in-progress" });
  assert.deepEqual(up.map((call) => call.sid), [made.sid]);
  const paused = await one.update({ twiml: "<Response><Pause length='60'/></Response>" });
  assert.equal(paused.status, "in-progress");
  assert.equal((await one.update({ url: `${ORIGIN}/pause`, method: "GET" })).status, "in-progress");
  await one.update({ status: "completed" });
  await soon("the end", async () => (await one.fetch()).status === "completed");
  const over = await one.fetch();
  assert.ok(over.endTime instanceof Date && Number(over.duration) >= 0);
  const every = (await client.calls.list({ pageSize: 1 })).map((call) => call.sid);
  assert.equal(every.length, 3);
  const page = await client.calls.page({ pageSize: 2 });
  assert.deepEqual([page.instances.length, (await page.nextPage()).instances.length], [2, 1]);
  assert.equal(await one.remove(), true);
  await refused(404, 20404, () => one.fetch());
  await refused(400, 21214, () => client.calls.create({ to: "+15551234", from: US, twiml }));
}

async function accounts(client) {
  const own = await client.api.accounts(SID).fetch();
  assert.deepEqual([own.sid, own.status], [SID, "active"]);
  await refused(401, 20003, () => connect("wrong").api.accounts(SID).fetch());
}

async function subaccounts(client) {
  const made = await client.api.accounts.create({ friendlyName: "tenant" });
  assert.equal(made.ownerAccountSid, SID);
  const own = twilio(made.sid, made.authToken);
  if (API) own.api.baseUrl = API;
  assert.deepEqual(await own.calls.list(), []);
  await refused(404, 20404, () => own.api.accounts(SID).fetch());
  assert.equal((await client.api.accounts(made.sid).update({ status: "closed" })).status, "closed");
  await refused(403, 20005, () => own.api.accounts(made.sid).fetch());
}

async function numbers(client) {
  const voiceUrl = `${ORIGIN}/pause`;
  const application = await client.applications.create({ friendlyName: "one", voiceUrl });
  const [found] = await client.availablePhoneNumbers("US").local.list({ areaCode: 415, limit: 1 });
  const { phoneNumber } = found;
  const taken = { phoneNumber, voiceApplicationSid: application.sid };
  const number = await client.incomingPhoneNumbers.create(taken);
  await refused(400, 21422, () => client.incomingPhoneNumbers.create(taken));
  assert.equal((await client.incomingPhoneNumbers(number.sid).update({ voiceUrl })).voiceUrl, voiceUrl);
  const request = await client.validationRequests.create({ phoneNumber });
  assert.equal(request.validationCode.length, 6);
  const [caller] = await client.outgoingCallerIds.list({ phoneNumber });
  assert.ok(await client.outgoingCallerIds(caller.sid).remove());
  assert.ok(await client.incomingPhoneNumbers(number.sid).remove());
  assert.ok(await client.applications(application.sid).remove());
}

async function beside(client) {
  const message = await client.messages.create({ to: "+14155550199", from: "+14155550198", body: "hello" });
  assert.deepEqual([message.status, message.dateSent], ["accepted", null]);
  assert.equal((await client.messages.list({ to: "+14155550199" })).length, 1);
  assert.deepEqual(await client.messages(message.sid).media.list(), []);
  assert.ok(await client.messages(message.sid).remove());
  const key = await client.newSigningKeys.create({ friendlyName: "one" });
  assert.ok(key.secret);
  assert.ok(await client.signingKeys(key.sid).remove());
  assert.equal((await client.balance.fetch()).balance, "0");
  const [calls] = await client.usage.records.today.list({ category: "calls" });
  assert.equal(calls.category, "calls");
}

async function domains(client) {
  const domain = await client.sip.domains.create({ domainName: "walk.example", voiceUrl: `${ORIGIN}/pause` });
  const credentials = await client.sip.credentialLists.create({ friendlyName: "phones" });
  const list = client.sip.credentialLists(credentials.sid);
  await list.credentials.create({ username: "alice", password: "Walk-Password-1" });
  const { auth } = client.sip.domains(domain.sid);
  await auth.calls.credentialListMappings.create({ credentialListSid: credentials.sid });
  await auth.registrations.credentialListMappings.create({ credentialListSid: credentials.sid });
  assert.equal((await client.sip.domains(domain.sid).fetch()).authType, "CREDENTIAL_LIST");
  await refused(409, 20409, () => list.remove());
  assert.ok(await client.sip.domains(domain.sid).remove());
  assert.ok(await list.remove());
}

function signatures(file) {
  const callbacks = JSON.parse(fs.readFileSync(file, "utf-8"));
  for (const { url, params, signature } of callbacks) {
    const fields = Object.fromEntries(params);
    assert.ok(twilio.validateRequest(TOKEN, signature, url, fields), JSON.stringify({ url, fields }));
    assert.ok(!twilio.validateRequest(TOKEN, signature, `${url}x`, fields));
  }
  console.log(callbacks.length, "signatures");
}

async function walk() {
  const client = connect();
  await accounts(client);
  await conferences(client, await participants(client));
  await calls(client);
  await subaccounts(client);
  await numbers(client);
  await beside(client);
  await domains(client);
  console.log("walked");
}

if (process.argv[2] === "signatures") {
  signatures(process.argv[3]);
} else {
  walk().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}
