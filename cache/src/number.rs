//! How are lengths written in front of what they measure, in memory?
//!
//! Seven bits a byte, the lowest first, and a bit that says whether more follow: most take one byte.

/// Writes `number` behind `bytes`.
pub(crate) fn push_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            break;
        }
        bytes.push(low | 0x80);
    }
}

/// Takes a number off the beginning of `rest`; `None` where there is none.
#[inline]
pub(crate) fn next_number(rest: &mut &[u8]) -> Option<usize> {
    let (mut number, mut shift) = (0_usize, 0_u32);
    loop {
        let byte = *rest.split_off_first()?;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift = shift.checked_add(7)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_one_by_one() {
        const NUMBERS: [usize; 6] = [0, 127, 128, 16_383, 16_384, usize::MAX];
        let mut bytes = Vec::new();
        NUMBERS.iter().for_each(|number| push_number(&mut bytes, *number));
        assert_eq!(bytes.len(), 1 + 1 + 2 + 2 + 3 + 10);
        let mut rest: &[u8] = &bytes;
        assert_eq!(NUMBERS.map(|_| next_number(&mut rest)), NUMBERS.map(Some));
        assert_eq!(next_number(&mut rest), None);
        assert_eq!(next_number(&mut [0xff_u8; 11].as_slice()), None, "longer than any");
        assert_eq!(next_number(&mut [0x80_u8].as_slice()), None, "cut short");
    }
}
