//! Dialogs that outlive the agent that made them.

use super::*;

/// Writes a dialog down and reads it in another process.
fn kept(dialog: Dialog) -> Dialog {
    serde_json::from_str(&serde_json::to_string(&dialog).unwrap()).unwrap()
}

fn reborn(world: &World) -> World {
    World { agent: Agent::new(Config::open(at(1), [99; 32])), now: world.now }
}

#[test]
fn an_agent_rebuilt_from_a_dialog_answers_and_hangs_up_in_it() {
    let mut world = World::new();
    let more = "Session-Expires: 200;refresher=uas\r\nSupported: timer\r\nAllow: UPDATE\r\n\
                Record-Route: <sip:127.0.0.1:9;lr>\r\n";
    let (id, tag, answer) = world.up(more, SDP);
    let dialog = kept(world.agent.dialog(id).unwrap());
    let mut world = reborn(&world);
    let id = world.agent.resume_dialog(dialog, at(6_000), world.now);
    assert_eq!(lines(&world.says(&request("OPTIONS", 2, &tag, "", ""))), ["200"]);
    assert_eq!(lines(&world.says(&request("OPTIONS", 1, &tag, "", ""))), ["500"], "an old one");
    world.agent.move_media(id, at(6_000), world.now);
    let back = world.sent().pop().unwrap();
    assert!(text(&back).contains("m=audio 6000 "), "the phone is told where we are now");
    world.says(&reply(&back, "200 OK", "p", "Session-Expires: 200;refresher=uac", SDP));
    assert!(matches!(world.event(), Some(Event::MediaChanged(..))));
    let refresh = world.after(100.1).pop().unwrap();
    assert_eq!(lines(std::slice::from_ref(&refresh)), ["UPDATE"], "the session timer runs on");
    assert_eq!((refresh.tag("From"), refresh.tag("To")), (Some(tag.as_str()), Some("p")));
    assert_eq!(refresh.header("Route"), Some("<sip:127.0.0.1:9;lr>"));
    let more = "Session-Expires: 200;refresher=uac";
    world.says(&reply(&refresh, "200 OK", "p", more, ""));
    let answered = world.says(&request("INVITE", 3, &tag, "", SDP)).pop().unwrap();
    let (before, after) = (text(&answer), text(&answered));
    let origin = |body: &str| body.lines().nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
    assert_eq!(origin(&before), origin(&after), "the same session");
    assert!(after.contains("m=audio 6000 "), "our media moved: {after}");
    world.says(&request("ACK", 3, &tag, "", ""));
    world.agent.hang_up(id, world.now);
    let bye = world.sent().pop().unwrap();
    assert_eq!(lines(std::slice::from_ref(&bye)), ["BYE"]);
    assert!(bye.cseq().unwrap().0 > refresh.cseq().unwrap().0);
    assert!(refresh.cseq().unwrap().0 > 100, "past what was sent and never written down");
}

#[test]
fn a_resumed_dialog_can_be_ended_by_its_phone() {
    let mut world = World::new();
    let (id, tag, _) = world.up("", SDP);
    let dialog = kept(world.agent.dialog(id).unwrap());
    let mut world = reborn(&world);
    let id = world.agent.resume_dialog(dialog, at(6_000), world.now);
    let stranger = request("BYE", 2, &tag, "", "").replace("tag=p", "tag=q");
    assert_eq!(lines(&world.says(&stranger)), ["481"]);
    assert_eq!(lines(&world.says(&request("BYE", 2, &tag, "", ""))), ["200"]);
    assert_eq!(world.event(), Some(Event::Ended(id, Ended::HungUp)));
}
