//! Tests of what the types check and compute.

use crate::{
    Dim, ElementType, ModelSignature, Receipt, RuntimeClass, SemVer, Tensor, TensorError, TensorSpec, Work,
    WorkOrigin,
    job::hash_tensors,
    tensor::{MAX_RANK, MAX_TENSOR_BYTES, byte_length, total_bytes},
};
use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use codec::{Decode, Encode};
use proptest::prelude::*;
use sp_core::H256;
use sp_runtime::traits::{BlakeTwo256, Hash};

fn spec(name: &str, element_type: ElementType, shape: &[Dim]) -> TensorSpec {
    TensorSpec {
        name: name.as_bytes().to_vec().try_into().unwrap(),
        element_type,
        shape: shape.to_vec().try_into().unwrap(),
    }
}

fn signature(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> ModelSignature {
    ModelSignature {
        inputs: inputs.try_into().unwrap(),
        outputs: outputs.try_into().unwrap(),
    }
}

/// `ids`: up to 4 x exactly 3 numbers of 32 bits; `flag`: a scalar. Gives `y`: up to 4 numbers.
fn model() -> ModelSignature {
    signature(
        vec![
            spec("ids", ElementType::I32, &[Dim::UpTo(4), Dim::Fixed(3)]),
            spec("flag", ElementType::Bool, &[]),
        ],
        vec![spec("y", ElementType::F32, &[Dim::UpTo(4)])],
    )
}

fn ids(rows: u32) -> Tensor {
    Tensor::new("ids", ElementType::I32, &[rows, 3], vec![0; rows as usize * 12]).unwrap()
}

fn flag() -> Tensor {
    Tensor::new("flag", ElementType::Bool, &[], vec![1]).unwrap()
}

mod tensors {
    use super::*;

    #[test]
    fn a_tensor_has_the_bytes_that_its_shape_calls_for() {
        assert!(Tensor::new("x", ElementType::F64, &[2, 3], vec![0; 48]).is_ok());
        assert!(Tensor::new("x", ElementType::U16, &[], vec![0; 2]).is_ok());
        assert!(Tensor::new("x", ElementType::F32, &[0, 5], vec![]).is_ok());
        for bytes in [0, 47, 49] {
            assert_eq!(
                Tensor::new("x", ElementType::F64, &[2, 3], vec![0; bytes]),
                Err(TensorError::WrongByteLength)
            );
        }
    }

    #[test]
    fn what_exceeds_a_bound_is_refused() {
        let too_large = Err(TensorError::TooLarge);
        let max = MAX_TENSOR_BYTES as usize;
        assert!(Tensor::new("x", ElementType::U8, &[MAX_TENSOR_BYTES], vec![0; max]).is_ok());
        assert_eq!(
            Tensor::new("x", ElementType::U8, &[MAX_TENSOR_BYTES + 1], vec![0; max + 1]),
            too_large
        );
        assert_eq!(
            Tensor::new(&"x".repeat(65), ElementType::U8, &[1], vec![0]),
            too_large
        );
        assert_eq!(
            Tensor::new("x", ElementType::U8, &[1; MAX_RANK as usize + 1], vec![0]),
            too_large
        );
    }

    #[test]
    fn a_shape_whose_length_overflows_is_refused() {
        assert_eq!(
            byte_length(ElementType::U8, &[u32::MAX, u32::MAX]),
            Some(u64::from(u32::MAX).pow(2))
        );
        assert_eq!(byte_length(ElementType::U8, &[u32::MAX; 3]), None);
        assert_eq!(byte_length(ElementType::F64, &[u32::MAX, u32::MAX]), None);
        assert_eq!(byte_length(ElementType::F64, &[]), Some(8));
        assert_eq!(
            Tensor::new("x", ElementType::F64, &[u32::MAX, u32::MAX], vec![]),
            Err(TensorError::TooLarge)
        );
    }

    #[test]
    fn a_length_that_wraps_around_does_not_pass_for_a_small_one() {
        // 2^16 x 2^16 x 2^16 x 2^16 elements are 0 modulo 2^64.
        assert_eq!(byte_length(ElementType::U8, &[1 << 16; 4]), None);
    }

    #[test]
    fn a_decoded_tensor_can_be_checked() {
        let mut tensor = ids(2);
        tensor.shape[0] = 3;
        let decoded = Tensor::decode(&mut &tensor.encode()[..]).unwrap();
        assert_eq!(decoded.check_length(), Err(TensorError::WrongByteLength));
    }

    #[test]
    fn a_name_that_is_no_text_reads_as_empty() {
        let mut tensor = flag();
        assert_eq!(tensor.name_str(), "flag");
        tensor.name = vec![0xff, 0xfe].try_into().unwrap();
        assert_eq!(tensor.name_str(), "");
    }

    #[test]
    fn bytes_are_summed_up() {
        assert_eq!(total_bytes(&[]), 0);
        assert_eq!(total_bytes(&[ids(2), flag()]), 25);
    }

    #[test]
    fn element_types_are_found_by_their_names() {
        for (code, element_type) in ElementType::ALL.into_iter().enumerate() {
            assert_eq!(ElementType::from_name(element_type.name()), Some(element_type));
            assert_eq!(element_type.encode(), [code as u8]);
        }
        assert_eq!(ElementType::from_name("fp32"), None);
    }

    proptest! {
        #[test]
        fn lengths_agree_with_wide_arithmetic(
            element_type in prop::sample::select(&ElementType::ALL[..]),
            shape in prop::collection::vec(prop_oneof![0u32..100, any::<u32>()], 0..4),
        ) {
            let exact = shape.iter().fold(u128::from(element_type.size()), |n, d| n * u128::from(*d));
            match byte_length(element_type, &shape) {
                Some(length) => prop_assert_eq!(u128::from(length), exact),
                // A zero after an overflow does not undo it, so the exact product can be zero here.
                None => prop_assert!(exact > u128::from(u64::MAX) || exact == 0),
            }
        }

        #[test]
        fn encoding_keeps_tensors(rows in 1u32..=4, bytes in any::<u8>()) {
            let mut tensor = ids(rows);
            tensor.data.iter_mut().for_each(|b| *b = bytes);
            prop_assert_eq!(&Tensor::decode(&mut &tensor.encode()[..]).unwrap(), &tensor);
            prop_assert!(tensor.check_length().is_ok());
        }
    }
}

mod signatures {
    use super::*;

    #[test]
    fn inputs_fit_in_any_order() {
        assert_eq!(model().check_inputs(&[ids(1), flag()]), Ok(()));
        assert_eq!(model().check_inputs(&[flag(), ids(4)]), Ok(()));
    }

    #[test]
    fn names_must_be_the_signatures_each_once() {
        let stranger = Tensor::new("other", ElementType::Bool, &[], vec![1]).unwrap();
        assert_eq!(
            model().check_inputs(&[ids(1), stranger]),
            Err(TensorError::UnknownName)
        );
        assert_eq!(
            model().check_inputs(&[ids(1), ids(2)]),
            Err(TensorError::RepeatedName)
        );
        assert_eq!(
            model().check_inputs(&[ids(1), flag(), flag()]),
            Err(TensorError::RepeatedName)
        );
        assert_eq!(model().check_inputs(&[ids(1)]), Err(TensorError::MissingTensor));
        assert_eq!(model().check_inputs(&[]), Err(TensorError::MissingTensor));
    }

    #[test]
    fn type_shape_and_length_must_be_the_signatures() {
        let ids_of = |element_type, shape: &[u32], bytes| {
            let tensor = Tensor {
                name: b"ids".to_vec().try_into().unwrap(),
                element_type,
                shape: shape.to_vec().try_into().unwrap(),
                data: vec![0; bytes].try_into().unwrap(),
            };
            model().check_inputs(&[tensor, flag()])
        };
        assert_eq!(ids_of(ElementType::I32, &[2, 3], 24), Ok(()));
        assert_eq!(
            ids_of(ElementType::U32, &[2, 3], 24),
            Err(TensorError::WrongElementType)
        );
        for shape in [&[0, 3][..], &[5, 3], &[2, 2], &[2, 4], &[3], &[2, 3, 1], &[]] {
            assert_eq!(
                ids_of(ElementType::I32, shape, 24),
                Err(TensorError::WrongShape),
                "{shape:?}"
            );
        }
        assert_eq!(
            ids_of(ElementType::I32, &[2, 3], 23),
            Err(TensorError::WrongByteLength)
        );
    }

    #[test]
    fn outputs_are_checked_against_the_outputs() {
        let y = Tensor::new("y", ElementType::F32, &[2], vec![0; 8]).unwrap();
        assert_eq!(model().check_outputs(core::slice::from_ref(&y)), Ok(()));
        assert_eq!(model().check_inputs(&[y]), Err(TensorError::UnknownName));
        assert_eq!(model().check_outputs(&[flag()]), Err(TensorError::UnknownName));
    }

    #[test]
    fn the_largest_output_is_known_and_saturates() {
        assert_eq!(model().max_output_bytes(), 16);
        let huge = spec("y", ElementType::F64, &[Dim::UpTo(u32::MAX); 8]);
        assert_eq!(huge.max_bytes(), None);
        let other = spec("z", ElementType::F64, &[Dim::Fixed(1)]);
        assert_eq!(signature(vec![], vec![huge, other]).max_output_bytes(), u64::MAX);
    }

    #[test]
    fn a_signature_has_inputs_and_outputs() {
        let x = || spec("x", ElementType::F32, &[Dim::Fixed(1)]);
        assert!(model().is_well_formed());
        assert!(signature(vec![x()], vec![x()]).is_well_formed());
        assert!(!signature(vec![], vec![x()]).is_well_formed());
        assert!(!signature(vec![x()], vec![]).is_well_formed());
    }

    #[test]
    fn a_signature_has_names_that_tell_tensors_apart_and_no_empty_dimension() {
        let x = || spec("x", ElementType::F32, &[Dim::Fixed(1)]);
        let with = |bad: TensorSpec| {
            let as_input = signature(vec![x(), bad.clone()], vec![x()]).is_well_formed();
            let as_output = signature(vec![x()], vec![x(), bad]).is_well_formed();
            assert_eq!(as_input, as_output);
            as_input
        };
        assert!(with(spec("other", ElementType::F32, &[])));
        assert!(!with(spec("x", ElementType::I64, &[])));
        assert!(!with(spec("", ElementType::F32, &[])));
        assert!(!with(spec(
            "y",
            ElementType::F32,
            &[Dim::Fixed(1), Dim::Fixed(0)]
        )));
        assert!(!with(spec("y", ElementType::F32, &[Dim::UpTo(0)])));
        let mut not_text = x();
        not_text.name = vec![0xff].try_into().unwrap();
        assert!(!with(not_text));
    }

    #[test]
    fn a_dimension_accepts_its_length_or_up_to_it() {
        let accepted = |dim: Dim| (0..=4).filter(|n| dim.accepts(*n)).collect::<Vec<_>>();
        assert_eq!(accepted(Dim::Fixed(3)), [3]);
        assert_eq!(accepted(Dim::UpTo(3)), [1, 2, 3]);
        assert_eq!((Dim::Fixed(3).max(), Dim::UpTo(3).max()), (3, 3));
    }
}

mod versions {
    use super::*;

    fn any_version() -> impl Strategy<Value = SemVer> {
        any::<(u16, u16, u16)>().prop_map(|(major, minor, patch)| SemVer { major, minor, patch })
    }

    #[test]
    fn a_version_is_three_numbers() {
        assert_eq!(
            "1.20.3".parse(),
            Ok(SemVer {
                major: 1,
                minor: 20,
                patch: 3
            })
        );
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.x",
            "1..3",
            "v1.2.3",
            "1.2.3-rc1",
            "1.2.65536",
            "-1.2.3",
            " 1.2.3",
        ] {
            assert!(bad.parse::<SemVer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_letter() {
        let v = |s: &str| s.parse::<SemVer>().unwrap();
        assert!(v("1.10.0") > v("1.9.9"));
        assert!(v("2.0.0") > v("1.65535.65535"));
        assert!(v("0.0.2") > v("0.0.1"));
    }

    proptest! {
        #[test]
        fn text_and_back_gives_the_same_version(version in any_version()) {
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            if let Ok(version) = text.parse::<SemVer>() {
                let reparsed = version.to_string().parse::<SemVer>();
                prop_assert_eq!(reparsed, Ok(version));
            }
        }

        #[test]
        fn digits_and_dots_parse_only_as_three_parts(parts in prop::collection::vec(any::<u16>(), 0..6)) {
            let text = parts.iter().map(|p| format!("{p}")).collect::<Vec<_>>().join(".");
            prop_assert_eq!(text.parse::<SemVer>().is_ok(), parts.len() == 3);
        }
    }
}

mod receipts {
    use super::*;

    fn receipt() -> Receipt {
        Receipt {
            origin: WorkOrigin::Job(1),
            model: H256::repeat_byte(1),
            runtime_class: RuntimeClass::CpuFloat,
            input_hash: H256::repeat_byte(2),
            output_hash: H256::repeat_byte(3),
            probe_hash: None,
            units: 20,
            fee: 10,
        }
    }

    #[test]
    fn a_receipts_hash_is_that_of_domain_host_and_receipt() {
        let mut bytes = Receipt::DOMAIN.encode();
        bytes.extend(7u64.encode());
        bytes.extend(receipt().encode());
        assert_eq!(receipt().hash(&7u64), BlakeTwo256::hash(&bytes));
    }

    #[test]
    fn a_receipts_hash_depends_on_the_host_and_on_every_field() {
        type Change = fn(&mut Receipt);
        let changes: [Change; 9] = [
            |r| r.origin = WorkOrigin::Job(2),
            |r| {
                r.origin = WorkOrigin::Request {
                    channel: 1,
                    epoch: 0,
                    lane: 0,
                    sequence: 1,
                    request: H256::zero(),
                }
            },
            |r| r.model = H256::zero(),
            |r| r.runtime_class = RuntimeClass::CpuInt8,
            |r| r.input_hash = H256::zero(),
            |r| r.output_hash = H256::zero(),
            |r| r.probe_hash = Some(H256::zero()),
            |r| r.units = 21,
            |r| r.fee = 11,
        ];
        let mut hashes = vec![receipt().hash(&7u64), receipt().hash(&8u64)];
        for change in changes {
            let mut changed = receipt();
            change(&mut changed);
            hashes.push(changed.hash(&7u64));
        }
        let n = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), n);
    }

    #[test]
    fn the_hash_of_tensors_is_that_of_their_encoding() {
        let tensors = vec![ids(1), flag()].try_into().unwrap();
        assert_eq!(
            hash_tensors(&tensors),
            BlakeTwo256::hash(&vec![ids(1), flag()].encode())
        );
        let reversed = vec![flag(), ids(1)].try_into().unwrap();
        assert_ne!(hash_tensors(&tensors), hash_tensors(&reversed));
    }
}

mod vouchers {
    use super::*;
    use crate::{SignedVoucher, Voucher};
    use sp_core::{Pair, ecdsa, ed25519, sr25519};
    use sp_runtime::{AccountId32, MultiSignature, MultiSigner, traits::IdentifyAccount};

    fn voucher() -> Voucher {
        Voucher {
            genesis: H256::repeat_byte(1),
            channel: 2,
            epoch: 3,
            lane: 4,
            nonce: 5,
            cumulative: 6,
            receipts: H256::repeat_byte(7),
        }
    }

    fn pair() -> sr25519::Pair {
        sr25519::Pair::from_seed(&[1; 32])
    }

    fn account(signer: impl Into<MultiSigner>) -> AccountId32 {
        signer.into().into_account()
    }

    fn signed() -> SignedVoucher {
        let signature = pair().sign(&voucher().payload()).into();
        SignedVoucher {
            voucher: voucher(),
            signature,
        }
    }

    #[test]
    fn the_payload_is_the_hash_of_domain_and_encoding() {
        let mut bytes = b"llmesh/voucher/v1".to_vec();
        bytes.extend(voucher().encode());
        assert_eq!(voucher().payload(), BlakeTwo256::hash(&bytes).0);
        // 32 + 8 + 4 + 2 + 8 + 16 + 32 bytes, all of fixed length.
        assert_eq!(voucher().encode().len(), 102);
    }

    #[test]
    fn every_kind_of_key_can_sign() {
        let payload = voucher().payload();
        let (a, b, c) = (
            pair(),
            ed25519::Pair::from_seed(&[1; 32]),
            ecdsa::Pair::from_seed(&[1; 32]),
        );
        let cases: [(MultiSignature, AccountId32); 3] = [
            (a.sign(&payload).into(), account(a.public())),
            (b.sign(&payload).into(), account(b.public())),
            (c.sign(&payload).into(), account(c.public())),
        ];
        for (i, (signature, _)) in cases.iter().enumerate() {
            for (j, (_, signer)) in cases.iter().enumerate() {
                assert_eq!(voucher().is_signed_by(signature, signer), i == j);
            }
        }
    }

    #[test]
    fn a_signature_is_for_one_voucher() {
        type Change = fn(&mut Voucher);
        let changes: [Change; 7] = [
            |v| v.genesis = H256::zero(),
            |v| v.channel = 0,
            |v| v.epoch = 0,
            |v| v.lane = 0,
            |v| v.nonce = 0,
            |v| v.cumulative = 0,
            |v| v.receipts = H256::zero(),
        ];
        let signer = account(pair().public());
        assert!(voucher().is_signed_by(&signed().signature, &signer));
        for change in changes {
            let mut changed = voucher();
            change(&mut changed);
            assert!(!changed.is_signed_by(&signed().signature, &signer));
        }
    }

    #[test]
    fn a_claim_carries_the_voucher_but_for_the_chain() {
        let signed = signed();
        let claim = signed.clone().claim(3, Work::default());
        assert_eq!(claim.voucher(H256::repeat_byte(1)), voucher());
        assert_ne!(claim.voucher(H256::zero()), voucher());
        assert_eq!(claim.signature, signed.signature);
    }

    #[test]
    fn the_running_hash_depends_on_the_receipts_and_their_order() {
        let (a, b) = (H256::repeat_byte(1), H256::repeat_byte(2));
        let chain = |receipts: &[H256]| {
            receipts
                .iter()
                .fold(H256::zero(), |sum, receipt| Voucher::accept(sum, *receipt))
        };
        assert_ne!(chain(&[a, b]), chain(&[b, a]));
        assert_ne!(chain(&[a]), chain(&[a, a]));
        assert_eq!(chain(&[a, b]), Voucher::accept(chain(&[a]), b));
    }
}
