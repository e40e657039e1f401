//! Records as earlier releases wrote them, and what they are now.

use followupd_domain::holds::Holds;
use followupd_domain::name::Name;
use followupd_domain::sequence::{Draft, Sequence};
use followupd_domain::{SequenceNo, VersionNo};
use followupd_store::codec::{self, Format};
use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::loaded::decode;

/// A sequence of format 1, which could not be archived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence1 {
    no: SequenceNo,
    name: Name,
    draft: Option<Draft>,
    latest: Option<VersionNo>,
    holds: Holds,
}

impl From<Sequence1> for Sequence {
    fn from(old: Sequence1) -> Sequence {
        let Sequence1 { no, name, draft, latest, holds } = old;
        Sequence { no, name, draft, latest, holds, archived_at: None }
    }
}

#[cfg(test)]
impl From<Sequence> for Sequence1 {
    fn from(new: Sequence) -> Sequence1 {
        let Sequence { no, name, draft, latest, holds, archived_at: _ } = new;
        Sequence1 { no, name, draft, latest, holds }
    }
}

/// The sequence of a row, in whichever format it was written.
pub(crate) fn sequence(body: &[u8]) -> Result<Sequence, Error> {
    match codec::decode(Format::Sequence2, body) {
        Ok(sequence) => Ok(sequence),
        Err(codec::Error::Kind { .. }) => decode::<Sequence1>(Format::Sequence, body).map(Sequence::from),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_of_the_first_format_is_read_as_one_that_is_not_archived() {
        let old = Sequence1 {
            no: SequenceNo(3),
            name: Name::parse("reminder").unwrap(),
            draft: None,
            latest: Some(VersionNo(2)),
            holds: Holds::default(),
        };
        let bytes = codec::encode(Format::Sequence, &old).unwrap();
        assert_eq!(sequence(&bytes).unwrap(), Sequence::from(old.clone()));
        let new = codec::encode(Format::Sequence2, &Sequence::from(old.clone())).unwrap();
        assert_eq!(sequence(&new).unwrap(), Sequence::from(old));
        assert!(sequence(&codec::encode(Format::Name, &7_u32).unwrap()).is_err());
    }
}
