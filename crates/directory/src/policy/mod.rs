//! Exit policies: which addresses and ports a relay opens connections to.

mod codec;
mod parse;
mod pattern;

pub use parse::PolicyError;
pub use pattern::{AddressPattern, Network, PortRange};

use crate::AddressClass;
use core::fmt;
use core::net::IpAddr;
use thiserror::Error;

/// What a rule does with a connection that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Open it.
    Accept,
    /// Refuse it.
    Reject,
}

/// One line of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What to do.
    pub action: Action,
    /// With which addresses.
    pub addresses: AddressPattern,
    /// At which ports.
    pub ports: PortRange,
}

impl Rule {
    fn matches(&self, address: IpAddr, port: u16) -> bool {
        self.ports.contains(port) && self.addresses.contains(address)
    }

    /// Whether this rule may decide about addresses of `class`: see [`ExitPolicy::judge`].
    fn may_decide(&self, class: AddressClass) -> bool {
        class.is_global()
            || self.action == Action::Reject
            || self.addresses.network_class() == Some(class)
    }
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The address is not on the public Internet and no rule lists its network.
    #[error("a {0} address, which no rule of the exit policy lists")]
    NotGlobal(AddressClass),
    /// The policy rejects it, or no rule accepts it.
    #[error("rejected by the exit policy")]
    Policy,
}

/// How much of the Internet a policy opens at one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// Nothing.
    Nothing,
    /// Only networks that are listed.
    Listed,
    /// All that is not listed as rejected, of IPv4, IPv6 or both.
    Most,
}

/// An exit policy: rules in Tor's syntax, of which the first that matches decides.
///
/// What no rule matches is rejected, so that the empty policy, which is the default, opens
/// nothing. [`AddressClass`] stands before the rules; see [`judge`](Self::judge).
///
/// ```
/// use coinfuse_directory::{ExitPolicy, Refusal};
///
/// let policy: ExitPolicy = "
///     reject 198.41.0.0/24:*     # not there
///     accept *:80, accept *:443  # the web
///     accept 127.0.0.1:8080      # a server of our own
/// "
/// .parse()?;
/// assert!(policy.allows("1.1.1.1".parse().unwrap(), 443));
/// assert!(policy.allows("127.0.0.1".parse().unwrap(), 8080));
/// // `*` never opens what is not global.
/// assert!(!policy.allows("127.0.0.1".parse().unwrap(), 80));
/// assert_eq!(policy.judge("198.41.0.4".parse().unwrap(), 80), Err(Refusal::Policy));
/// # Ok::<(), coinfuse_directory::PolicyError>(())
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct ExitPolicy {
    rules: Vec<Rule>,
}

impl ExitPolicy {
    /// The most rules that a policy holds.
    pub const MAX_RULES: usize = 128;

    /// The policy that opens nothing.
    pub const fn reject_all() -> Self {
        Self { rules: Vec::new() }
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// True when there is no rule: nothing is opened.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a connection may be opened, and why not.
    ///
    /// The first rule that matches decides, with one exception: about an address that is not
    /// [global](AddressClass::Global), an accepting rule decides only if its network lies inside
    /// one special-purpose block, of the address's own class (such as `127.0.0.1`, `10.2.0.0/16`,
    /// `[fd00::]/8`). `accept *:*`, `accept private:*` and `accept 0.0.0.0/1:*` are passed over.
    /// Port 0 is never opened.
    ///
    /// This has to be asked about the *resolved* address, the one that is connected to.
    pub fn judge(&self, address: IpAddr, port: u16) -> Result<(), Refusal> {
        let class = AddressClass::of(address);
        let decides = |rule: &&Rule| rule.matches(address, port) && rule.may_decide(class);
        let deciding = self.rules.iter().find(decides);
        match deciding {
            Some(Rule {
                action: Action::Accept,
                ..
            }) => Ok(()),
            None if !class.is_global() => Err(Refusal::NotGlobal(class)),
            _ => Err(Refusal::Policy),
        }
    }

    /// Whether a connection may be opened: [`judge`](Self::judge) without the reason.
    pub fn allows(&self, address: IpAddr, port: u16) -> bool {
        self.judge(address, port).is_ok()
    }

    /// How much is open at `port`, for choosing an exit when only a name is known.
    pub fn coverage(&self, port: u16) -> Coverage {
        let mut covered = Coverage::Nothing;
        let (mut v4_closed, mut v6_closed) = (false, false);
        for rule in self.rules.iter().filter(|rule| rule.ports.contains(port)) {
            let (v4, v6) = rule.addresses.whole_families();
            let (closes_v4, closes_v6) = (v4 && !v4_closed, v6 && !v6_closed);
            match rule.action {
                Action::Accept if closes_v4 || closes_v6 => return Coverage::Most,
                Action::Accept if !rule.addresses.is_behind(v4_closed, v6_closed) => {
                    covered = Coverage::Listed;
                }
                Action::Accept => {}
                Action::Reject => {
                    v4_closed |= v4;
                    v6_closed |= v6;
                }
            }
        }
        covered
    }

    /// Whether a connection to `port` may be opened to some address at least.
    pub fn may_allow_port(&self, port: u16) -> bool {
        self.coverage(port) != Coverage::Nothing
    }
}

impl fmt::Display for ExitPolicy {
    /// The rules in Tor's syntax, with a comma and a space between them; parses back to the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rule) in self.rules.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{rule}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Accept => "accept",
            Action::Reject => "reject",
        };
        write!(f, "{action} {}:{}", self.addresses, self.ports)
    }
}
