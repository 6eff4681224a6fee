use crate::laws::text;
use coinfuse_delivery::Target;

/// A target prints to an authority that parses to itself, and never into a log.
pub fn target(data: &[u8]) {
    let Some(Ok(target)) = text(data).map(str::parse::<Target>) else {
        return;
    };
    let authority = target.authority();
    assert_eq!(authority.parse::<Target>().as_ref(), Ok(&target));
    assert_eq!(authority, authority.to_ascii_lowercase());
    assert_eq!(format!("{target} {target:?}"), "[scrubbed] [scrubbed]");
}
