//! Is a file that is not what was written ever taken for it?

use super::*;

/// Bytes of the record of the body below, with its checks.
const RECORD_BYTES: usize = 22;

/// What is noted with a body.
type Records = &'static [&'static [u8]];

/// A file with content of 200 bytes and one record, and its bytes.
fn written(scratch: &Scratch) -> (Bodies, Vec<u8>, Vec<u8>) {
    let bodies = scratch.open();
    let content = content(200);
    write(&bodies, &content, &[b"record"]).unwrap();
    let file = std::fs::read(scratch.file(&content)).unwrap();
    assert_eq!(file.len(), 64 + 200 + RECORD_BYTES);
    (bodies, content, file)
}

fn damage(result: Result<(Bytes, Vec<Vec<u8>>), BodyError>) -> Option<BodyDamage> {
    match result {
        Ok(_) => None,
        Err(BodyError::Damaged { why }) => Some(why),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let scratch = Scratch::new();
    let (bodies, content, whole) = written(&scratch);
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut file = whole.clone();
            file[at] ^= 1 << bit;
            std::fs::write(scratch.file(&content), &file).unwrap();
            let expected = match at {
                ..64 => BodyDamage::Header,
                64..264 => BodyDamage::Content,
                _ => BodyDamage::Records,
            };
            let found = damage(find(&bodies, &content));
            assert_eq!(found, Some(expected), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_cut_is_found_unless_only_a_record_is_torn() {
    let scratch = Scratch::new();
    let (bodies, content, whole) = written(&scratch);
    for length in 0..whole.len() {
        std::fs::write(scratch.file(&content), &whole[..length]).unwrap();
        let found = find(&bodies, &content);
        match length {
            ..64 => assert_eq!(damage(found), Some(BodyDamage::Header), "{length}"),
            64..264 => assert_eq!(damage(found), Some(BodyDamage::Cut), "{length}"),
            _ => {
                assert_eq!(found.unwrap().1.len(), 0, "{length}");
                write(&bodies, &content, &[b"another"]).unwrap();
                assert_there(&bodies, &content, &[b"another"], "in the place of the torn one");
            }
        }
    }
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_open_is_found() {
    let scratch = Scratch::new();
    let (bodies, content, whole) = written(&scratch);
    let body = bodies.open_body(&Digest::of(&content), 200).unwrap();
    std::fs::write(scratch.file(&content), &whole[..100]).unwrap();
    let cut = |result| matches!(result, Err(BodyError::Damaged { why: BodyDamage::Cut }));
    assert!(cut(body.read_at(30, &mut [0; 10]).map(drop)), "it ends after 36 bytes");
    assert!(cut(body.read_all().map(drop)) && cut(body.verify()));
    assert_eq!(body.read_at(0, &mut [0; 36]).unwrap(), 36, "what is there is there");
}

#[test]
fn a_file_under_the_name_of_another_or_of_another_length_is_found() {
    let scratch = Scratch::new();
    let (bodies, content, whole) = written(&scratch);
    let other = write(&bodies, b"other", &[]).unwrap().digest;
    std::fs::write(scratch.file(b"other"), &whole).unwrap();
    let named = bodies.open_body(&other, 200).unwrap_err();
    assert!(matches!(named, BodyError::Damaged { why: BodyDamage::Name }));
    let long = bodies.open_body(&Digest::of(&content), 201).unwrap_err();
    let expected = BodyDamage::Length { expected: 201, found: 200 };
    assert!(matches!(long, BodyError::Damaged { why } if why == expected));
    std::fs::write(scratch.file(&content), [whole, vec![0; 70_000]].concat()).unwrap();
    assert_eq!(damage(find(&bodies, &content)), Some(BodyDamage::Records), "more than is written");
    let records = bodies.open_any(&Digest::of(&content)).unwrap().records();
    assert!(matches!(records, Err(BodyError::Damaged { why: BodyDamage::Records })));
}

#[test]
fn a_damaged_file_is_written_anew() {
    let scratch = Scratch::new();
    let (bodies, content, whole) = written(&scratch);
    let changed = |at: usize| {
        let mut file = whole.clone();
        file[at] ^= 1;
        file
    };
    // (file, records afterwards, why)
    let cases: [(Vec<u8>, Records, &str); 6] = [
        (Vec::new(), &[b"new"], "empty"),
        (changed(20), &[b"new"], "header"),
        (whole[..100].to_vec(), &[b"new"], "cut"),
        (changed(270), &[b"new"], "its only record"),
        ([whole.as_slice(), &[0; 99]].concat(), &[b"record", b"new"], "after its record"),
        ([whole.as_slice(), &[0; 70_000]].concat(), &[b"record", b"new"], "long after its record"),
    ];
    for (file, records, why) in cases {
        std::fs::write(scratch.file(&content), file).unwrap();
        write(&bodies, &content, &[b"new"]).unwrap();
        assert_there(&bodies, &content, records, why);
    }
    // Only reading all of it would show this; it must be set aside by whoever notices.
    std::fs::write(scratch.file(&content), changed(100)).unwrap();
    assert!(write(&bodies, &content, &[]).unwrap().existed);
    bodies.set_aside(&Digest::of(&content)).unwrap();
    assert!(!write(&bodies, &content, &[]).unwrap().existed);
    assert_there(&bodies, &content, &[], "set aside and written anew");
}

#[test]
fn a_few_damaged_files_are_kept() {
    let scratch = Scratch::new();
    let bodies = scratch.open();
    let kept = || std::fs::read_dir(scratch.path().join("bad")).unwrap().count();
    for index in 0..20_usize {
        let digest = write(&bodies, &content(index), &[]).unwrap().digest;
        bodies.set_aside(&digest).unwrap();
        assert!(matches!(find(&bodies, &content(index)), Err(BodyError::Missing)));
        assert_eq!(kept(), (index + 1).min(16));
        bodies.set_aside(&digest).unwrap();
    }
}
