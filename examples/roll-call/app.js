// A roll call: everybody is called at once, and a message says who is there and who is missing.

const express = require("express");
const twilio = require("twilio");

const LINE = "+14155550100";
const WARDEN = "+14155550010";
const TEAM = {
  ann: "+14155550001",
  ben: "+14155550002",
  cleo: "+14155550003",
  dan: "+14155550004",
};

const client = twilio(process.env.TWILIO_ACCOUNT_SID, process.env.TWILIO_AUTH_TOKEN);
const { VoiceResponse } = twilio.twiml;
const app = express();
const results = {};

app.use(express.urlencoded({ extended: false }));

app.post("/roll-call", async (request, response) => {
  const base = `http://${request.headers.host}`;
  for (const [name, to] of Object.entries(TEAM)) {
    await client.calls.create({
      to,
      from: LINE,
      timeout: 15,
      url: `${base}/ask?name=${name}`,
      statusCallback: `${base}/status?name=${name}`,
      statusCallbackEvent: ["completed"],
    });
  }
  response.json({ called: Object.keys(TEAM) });
});

app.post("/ask", (request, response) => {
  const { name } = request.query;
  const twiml = new VoiceResponse();
  const gather = twiml.gather({ numDigits: 1, timeout: 5, action: `/answer?name=${name}` });
  gather.say("This is the roll call. Press 1 if you are safe.");
  twiml.hangup();
  response.type("text/xml").send(twiml.toString());
});

app.post("/answer", (request, response) => {
  const twiml = new VoiceResponse();
  if (request.body.Digits === "1") {
    results[request.query.name] = "safe";
    twiml.say("Thank you.");
  }
  twiml.hangup();
  response.type("text/xml").send(twiml.toString());
});

app.post("/status", async (request, response) => {
  const { name } = request.query;
  results[name] = results[name] || request.body.CallStatus;
  if (Object.keys(results).length === Object.keys(TEAM).length) {
    const told = Object.keys(TEAM).map((one) => `${one}: ${results[one]}`);
    await client.messages.create({ to: WARDEN, from: LINE, body: told.join(", ") });
  }
  response.send("");
});

app.listen(Number(process.env.PORT || 5000), "127.0.0.1");
