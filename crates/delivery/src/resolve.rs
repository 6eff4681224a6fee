//! Names to addresses, at the exit.

use crate::HostName;
use core::future::Future;
use core::net::IpAddr;
use core::pin::Pin;
use thiserror::Error;

/// Why there are no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// The name does not exist, or has no address.
    #[error("no address for this name")]
    NotFound,
    /// No answer can be had: the exit's operator must act.
    #[error("the resolver does not work")]
    Unavailable,
}

/// A lookup under way.
pub type Lookup = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send>>;

/// Turns names into addresses.
///
/// A lookup runs on a task of its own and is not cut off when its time is up, because the system's
/// cannot be: it goes on holding one of the exit's places for lookups, and what it finds is thrown
/// away. An implementation must therefore end every lookup by itself.
pub trait Resolve: Send + Sync + 'static {
    /// Starts a lookup. The addresses come in the order in which to try them; every one is judged
    /// by the exit's policy afterwards.
    fn resolve(&self, name: &HostName) -> Lookup;
}

/// The operating system's resolver, with its configuration.
///
/// Runs on tokio's pool of blocking threads, of which an [`Exit`](crate::Exit) uses at most
/// [`max_lookups`](crate::ExitConfig::max_lookups).
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &HostName) -> Lookup {
        let name = name.expose().to_owned();
        Box::pin(async move {
            match tokio::net::lookup_host((name, 0)).await {
                Ok(found) => Ok(found.map(|address| address.ip()).collect()),
                // A system error is a local one; the resolver's own codes have no number here.
                Err(error) if error.raw_os_error().is_some() => Err(ResolveError::Unavailable),
                Err(_) => Err(ResolveError::NotFound),
            }
        })
    }
}
