//! SIP and SDP: messages, transactions, dialogs, digest, offer and answer.
