//! What `sidetone dev` says when everything listens: each line works as it is pasted.

use std::path::Path;

use node::Handle;
use serde_json::Value;

use crate::demo;

/// Prints the addresses, the credentials and what to try next.
pub fn print(ready: &Value, node: &Handle, data: &Path, demo: bool) {
    let text = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    let (api, sid, token) = (text("api_url"), text("account_sid"), text("auth_token"));
    let sip = node.sip();
    println!("Sidetone {}\n", text("version"));
    println!("  API      {api}");
    println!("  account  {sid}");
    println!("  token    {token}");
    println!("  SIP      {}", text("sip_uri"));
    if node.sip_tls().is_some() {
        println!("           {}", text("sips_uri"));
    }
    println!("  admin    {}\n", text("admin_url"));
    println!("Phone:  dial sip:NAME@{sip} with any softphone to join the conference NAME, or");
    println!("        register it as NAME at {sip}, and programs reach it as client:NAME.");
    if node.phones().is_some() {
        println!(
            "        Numbers that nobody serves ring a virtual phone: see sidetone phone --help."
        );
    }
    println!();
    println!("curl:   list the conferences\n");
    println!("  curl -u {sid}:{token} {api}/2010-04-01/Accounts/{sid}/Conferences.json\n");
    if demo && let Some((conference, call)) = demo::first_talker(node) {
        let base = format!("{api}/2010-04-01/Accounts/{sid}/Conferences/{conference}");
        let program = std::env::current_exe().unwrap_or_else(|_| "sidetone".into());
        println!("Three talkers are in the conference demo. Mute the first one:\n");
        println!("  curl -u {sid}:{token} -d Muted=true {base}/Participants/{call}.json\n");
        println!("Hear it: dial sip:demo@{sip}, or without a phone:\n");
        println!(
            "  {} listen {conference} --data {} --wav out.wav --for 10s\n",
            program.display(),
            data.display()
        );
    }
    println!("Python: one line sends Twilio's SDK here\n");
    println!("  from twilio.rest import Client");
    println!("  client = Client('{sid}', '{token}')");
    println!("  client.api.base_url = '{api}'");
    println!("  print([room.friendly_name for room in client.conferences.list()])\n");
    println!("Node: the same\n");
    println!("  const client = require('twilio')('{sid}', '{token}')");
    println!("  client.api.baseUrl = '{api}'");
    println!(
        "  client.conferences.list().then(rooms => console.log(rooms.map(r => r.friendlyName)))\n"
    );
    println!("Ctrl-C ends the server.");
}
