//! Calls, encoded as the chain's metadata asks for.

use crate::AccountId;
use codec::Encode;
use subxt::{
    ext::{
        scale_encode::{EncodeAsFields, EncodeAsType, Error},
        scale_type_resolver::{FieldIter, TypeResolver},
    },
    utils::MultiAddress,
};

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A number of any width, compact or not.
    Number(u128),
    /// An account, as plain id or as address.
    Account(AccountId),
    /// A type that this program shares with the runtime, already encoded.
    Shared(Vec<u8>),
}

impl Arg {
    /// An argument of a type from the shared primitives.
    pub fn shared(value: &impl Encode) -> Self {
        Self::Shared(value.encode())
    }
}

/// A call of the runtime. Pallet, call and arguments are found by name when it is encoded, so a runtime upgrade that
/// moves indices or arguments does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub pallet: &'static str,
    pub name: &'static str,
    pub args: Vec<(&'static str, Arg)>,
}

impl Call {
    /// A call without arguments.
    pub const fn new(pallet: &'static str, name: &'static str) -> Self {
        Self {
            pallet,
            name,
            args: Vec::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, name: &'static str, arg: Arg) -> Self {
        self.args.push((name, arg));
        self
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.pallet, self.name)
    }
}

impl EncodeAsType for Arg {
    fn encode_as_type_to<R: TypeResolver>(
        &self,
        type_id: R::TypeId,
        types: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match self {
            Self::Number(n) => n.encode_as_type_to(type_id, types, out),
            Self::Account(account) => {
                let start = out.len();
                account
                    .encode_as_type_to(type_id.clone(), types, out)
                    .or_else(|_| {
                        out.truncate(start);
                        MultiAddress::<AccountId, u32>::Id(*account).encode_as_type_to(type_id, types, out)
                    })
            }
            Self::Shared(bytes) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

/// A call's arguments, matched by name.
pub(crate) struct Args(pub Vec<(&'static str, Arg)>);

impl EncodeAsFields for Args {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        fields: &mut dyn FieldIter<'_, R::TypeId>,
        types: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut used = 0;
        for field in fields {
            let name = field.name.unwrap_or_default();
            let (_, arg) =
                self.0.iter().find(|(n, _)| *n == name).ok_or_else(|| {
                    Error::custom_string(format!("the chain asks for an argument `{name}`"))
                })?;
            arg.encode_as_type_to(field.id, types, out)
                .map_err(|e| e.at_field(name.to_owned()))?;
            used += 1;
        }
        if used == self.0.len() {
            Ok(())
        } else {
            let names = self.0.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ");
            Err(Error::custom_string(format!(
                "the chain takes {used} arguments, not all of {names}"
            )))
        }
    }
}
