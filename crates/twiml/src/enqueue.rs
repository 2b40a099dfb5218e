//! `<Enqueue>`: a call waits in a queue.
//!
//! Source: Twilio, TwiML `<Enqueue>`; errors 14201 to 14226.

use roxmltree::Node;

use crate::document::{Reader, text};

const ATTRIBUTES: &[&str] =
    &["action", "method", "waitUrl", "waitUrlMethod", "workflowSid", "maxQueueSize"];

/// `<Enqueue>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueue {
    /// The queue's name.
    pub name: String,
    /// Asked when the call has left the queue, as written; none: the next verb runs.
    pub action: Option<String>,
    /// How it is asked.
    pub method: String,
    /// What is heard meanwhile, as written; none: the default playlist, empty: silence.
    pub wait_url: Option<String>,
    /// How it is asked.
    pub wait_url_method: String,
    /// How many may wait for this one to be let in; none: as many as the queue says.
    pub max_queue_size: Option<u32>,
    /// A TaskRouter workflow, which we do not have.
    pub workflow_sid: Option<String>,
}

pub(crate) fn read(node: Node<'_, '_>, reader: &mut Reader) -> Enqueue {
    reader.known(node, ATTRIBUTES);
    let workflow_sid = reader.reference(node, "workflowSid");
    // A <Task> is for a workflow alone.
    let name = if workflow_sid.is_some() { String::new() } else { text(node) };
    Enqueue {
        name,
        action: reader.reference(node, "action"),
        method: reader.method(node, "method", 14201, "POST"),
        wait_url: node.attribute("waitUrl").map(|url| url.trim().to_owned()),
        wait_url_method: reader.method(node, "waitUrlMethod", 14206, "POST"),
        max_queue_size: reader.attribute(node, "maxQueueSize", 12200, None, |text| {
            text.parse().ok().filter(|&size: &u32| size > 0).map(Some)
        }),
        workflow_sid,
    }
}
