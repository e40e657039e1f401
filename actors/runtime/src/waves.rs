//! Which items of a batch may be worked on at once: those about one contact or target go one after the other.
//!
//! Commits about the same row exclude each other, so doing them together would decide all but one of them anew, and
//! the order the caller gave would be lost.

use std::collections::BTreeMap;

use followupd_domain::target::TargetRef;

/// What an item is about.
pub(crate) struct About<'a> {
    pub(crate) contact: Option<&'a str>,
    pub(crate) target: Option<&'a TargetRef>,
}

/// The places of the items, wave by wave: no two of a wave are about the same, and each comes after those before it
/// that are about the same.
pub(crate) fn waves<'a>(items: impl Iterator<Item = About<'a>>) -> Vec<Vec<usize>> {
    let (mut contacts, mut targets) = (BTreeMap::new(), BTreeMap::new());
    let mut waves: Vec<Vec<usize>> = Vec::new();
    for (place, item) in items.enumerate() {
        let after_contact = item.contact.and_then(|contact| contacts.get(contact));
        let after_target = item.target.and_then(|target| targets.get(target));
        let wave: usize = after_contact.max(after_target).copied().unwrap_or_default();
        contacts.extend(item.contact.map(|contact| (contact, wave + 1)));
        targets.extend(item.target.map(|target| (target, wave + 1)));
        match waves.get_mut(wave) {
            Some(known) => known.push(place),
            None => waves.push(vec![place]),
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::target::TargetKind;

    #[test]
    fn what_is_about_the_same_keeps_its_order_and_all_else_goes_at_once() {
        let deal = TargetRef { kind: TargetKind::Deal, id: "d".into() };
        let about = |contact, target| About { contact, target };
        let items = [
            about(Some("a"), None),
            about(Some("b"), Some(&deal)),
            about(Some("a"), None),
            about(None, Some(&deal)),
            about(Some("a"), Some(&deal)),
            about(None, None),
        ];
        assert_eq!(waves(items.into_iter()), [vec![0, 1, 5], vec![2, 3], vec![4]]);
    }
}
