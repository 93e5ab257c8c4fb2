//! How a text that is right is changed a little, as the fuzzer says.
//!
//! A proof cannot be guessed, so that a fuzzer alone never gets past the check of one. It gets there with a text
//! that was signed, and what it then changes is what has to be refused.

/// Changes `text` as `recipe` says: words apart by spaces, each a letter, a place in percent of the text or an offset,
/// and what goes there.
///
/// `r12=x` replaces the bytes from byte 12 on, `i12=x` inserts before it, `d12=xxx` removes as many bytes as follow,
/// and places beyond the end count from the start again. `a=x` appends. Everything else changes nothing. What is no
/// text afterwards is `None`.
pub fn edited(text: &str, recipe: &[u8]) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    for word in recipe.split(|byte| *byte == b' ').take(8) {
        edit(&mut bytes, word);
    }
    String::from_utf8(bytes).ok()
}

fn edit(bytes: &mut Vec<u8>, word: &[u8]) {
    let Some(mark) = word.iter().position(|byte| *byte == b'=') else { return };
    let (place, new) = (&word[..mark], &word[mark + 1..]);
    let Some((kind, digits)) = place.split_first() else { return };
    let digits = digits.iter().take(4).fold(0, |sum, digit| sum * 10 + usize::from(digit & 15));
    let at = digits % (bytes.len() + 1);
    let end = (at + new.len()).min(bytes.len());
    match kind {
        b'a' => bytes.extend_from_slice(new),
        b'd' => drop(bytes.drain(at..end)),
        b'i' => drop(bytes.splice(at..at, new.iter().copied())),
        b'r' => drop(bytes.splice(at..end, new.iter().copied())),
        _ => {}
    }
}
