//! Amounts of MESH, as people write them.

use llmesh_primitives::MESH;

const DECIMALS: usize = 12;
/// Below a millionth of a MESH, planck read better.
const TINY: u128 = MESH / 1_000_000;

/// Reads `1000`, `0.5` or `2.25 MESH` as MESH, and `500planck` as planck.
///
/// # Errors
/// With a sentence on what is expected.
pub fn parse(text: &str) -> Result<u128, String> {
    let expected = || {
        format!(
            "`{text}` is not an amount: write MESH like 1000 or 0.5, or planck like 500planck (1 MESH = 10^12 planck)"
        )
    };
    let text = text.trim();
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if let Some(planck) = text.strip_suffix("planck") {
        let planck = planck.trim_end();
        return if digits(planck) {
            planck.parse().map_err(|_| expected())
        } else {
            Err(expected())
        };
    }
    let number = text.strip_suffix("MESH").map_or(text, str::trim_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) {
        return Err(expected());
    }
    if fraction.len() > DECIMALS {
        return Err(format!(
            "`{text}` has more than {DECIMALS} decimals: that is less than one planck"
        ));
    }
    let whole: u128 = whole.parse().map_err(|_| expected())?;
    let fraction: u128 = format!("{fraction:0<DECIMALS$}")
        .parse()
        .map_err(|_| expected())?;
    whole
        .checked_mul(MESH)
        .and_then(|w| w.checked_add(fraction))
        .ok_or_else(expected)
}

/// Writes an amount exactly: as MESH without trailing zeros, or as planck when it is tiny.
pub fn show(planck: u128) -> String {
    if planck > 0 && planck < TINY {
        return format!("{planck} planck");
    }
    let (whole, fraction) = (planck / MESH, planck % MESH);
    if fraction == 0 {
        return format!("{whole} MESH");
    }
    let digits = format!("{fraction:0DECIMALS$}");
    format!("{whole}.{} MESH", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read() {
        assert_eq!(parse("1000"), Ok(1000 * MESH));
        assert_eq!(parse("0.5"), Ok(MESH / 2));
        assert_eq!(parse(" 2.25 MESH "), Ok(2_250_000_000_000));
        assert_eq!(parse("0.000000000001"), Ok(1));
        assert_eq!(parse("500planck"), Ok(500));
        assert_eq!(parse("7 planck"), Ok(7));
    }

    #[test]
    fn other_text_is_refused() {
        for bad in [
            "",
            ".5",
            "5.",
            "-1",
            "1e3",
            "1,000",
            "0x10",
            "planck",
            "1.0.0",
            "0.0000000000001",
            "+1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&format!("{}", u128::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(planck in 0..u128::MAX) {
            prop_assert_eq!(parse(&show(planck)), Ok(planck));
            prop_assert_eq!(parse(&format!("{planck}planck")), Ok(planck));
        }
    }
}
