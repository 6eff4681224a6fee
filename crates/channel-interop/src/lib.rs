//! Nothing but tests: channels of ours against the published `cdk-spilman`, at a real mint. They
//! speak JSON with each other, because each side has a `cashu` of its own.
