// A call centre: a supervisor whispers to the agent, and barges in when that is not enough.

const express = require("express");
const twilio = require("twilio");

const LINE = "+14155550100";
const AGENT = "+14155550002";
const ROOM = "support";

const client = twilio(process.env.TWILIO_ACCOUNT_SID, process.env.TWILIO_AUTH_TOKEN);
const { VoiceResponse } = twilio.twiml;
const app = express();
const signed = twilio.webhook();
const state = {};

app.use(express.urlencoded({ extended: false }));

app.post("/voice", signed, async (request, response) => {
  const agent = await client
    .conferences(ROOM)
    .participants.create({ from: LINE, to: AGENT, label: "agent", beep: "false" });
  state.agent = agent.callSid;
  state.conference = agent.conferenceSid;
  const twiml = new VoiceResponse();
  twiml.dial().conference({ participantLabel: "customer", beep: false, endConferenceOnExit: true }, ROOM);
  response.type("text/xml").send(twiml.toString());
});

// The supervisor's own number: the coach of whoever is the agent.
app.post("/supervisor", signed, (request, response) => {
  const twiml = new VoiceResponse();
  twiml.dial().conference({ participantLabel: "supervisor", beep: false, coach: state.agent }, ROOM);
  response.type("text/xml").send(twiml.toString());
});

// The supervisor's buttons.
app.post("/barge", async (request, response) => {
  await client.conferences(state.conference).participants("supervisor").update({ coaching: false });
  response.json({ heard: "by all" });
});

app.post("/whisper", async (request, response) => {
  await client
    .conferences(state.conference)
    .participants("supervisor")
    .update({ coaching: true, callSidToCoach: state.agent });
  response.json({ heard: "by the agent" });
});

app.listen(Number(process.env.PORT || 5000), "127.0.0.1");
