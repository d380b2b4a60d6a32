//! Hostile headers: whatever the official implementation refuses is refused, and each for its reason.

use super::*;

#[test]
fn hostile_headers_are_each_refused_for_their_reason() {
    use HeaderProblem as P;
    macro_rules! refused {
        ($bytes:expr, $pattern:pat) => {{
            let problem = header_problem(&$bytes);
            assert!(matches!(problem, Some($pattern)), "{:?} at line {}", problem, line!());
        }};
    }
    let one = |dtype: &str, shape: &str, begin, end, data| {
        file(&format!(r#"{{"t":{}}}"#, entry(dtype, shape, begin, end)), data)
    };
    refused!([], P::TooShort { len: 0 });
    refused!([0; 7], P::TooShort { len: 7 });
    refused!([0xff; 8], P::TooLong { header: u64::MAX, max: MAX_HEADER_BYTES });
    refused!(100_000_001u64.to_le_bytes(), P::TooLong { .. });
    refused!(100_000_000u64.to_le_bytes(), P::PastEnd { end: 100_000_008, len: 8 });
    refused!([0; 8], P::NotAnObject);
    refused!(file(" {}", 0), P::NotAnObject);
    refused!(file("[]", 0), P::NotAnObject);
    refused!([&[3, 0, 0, 0, 0, 0, 0, 0][..], b"{\"\xff"].concat(), P::NotUtf8 { at: 2 });
    refused!(file("{", 0), P::Json { .. });
    refused!(file("{}{}", 0), P::Json { .. });
    refused!(file("{}\0", 0), P::Json { .. });
    refused!(file(r#"{"\ud800":1}"#, 0), P::Json { .. });
    refused!(file(r#"{"t":1}"#, 0), P::Entry { .. });
    refused!(file(r#"{"t":["F32",[1],[0,4]]}"#, 4), P::Entry { .. });
    refused!(file(&format!(r#"{{"t":{{"x":{}"#, "[".repeat(1 << 20)), 0), P::Entry { .. });
    refused!(one("U8", "[1.0]", 0, 1, 1), P::Entry { .. });
    refused!(one("U8", "[-1]", 0, 1, 1), P::Entry { .. });
    refused!(one("U8", "[18446744073709551616]", 0, 1, 1), P::Entry { .. });
    refused!(one("U8", "1", 0, 1, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0]}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":{"U8":null},"shape":[1],"data_offsets":[0,1]}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1e999}}"#, 1), P::Entry { .. });
    refused!(file(r#"{"t":{"dtype":"U8","shape":[1]}}"#, 1), P::MissingKey { key: "data_offsets", .. });
    refused!(file(r#"{"t":{"dtype":"U8","data_offsets":[0,1]}}"#, 1), P::MissingKey { key: "shape", .. });
    refused!(file(r#"{"t":{}}"#, 1), P::MissingKey { key: "dtype", .. });
    refused!(file(r#"{"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1), P::DuplicateKey { .. });
    refused!(file(r#"{"t":{"x":1,"x":2,"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1), P::DuplicateKey { .. });
    let same = entry("U8", "[1]", 0, 1);
    refused!(file(&format!(r#"{{"t":{same},"t":{same}}}"#), 1), P::DuplicateName { .. });
    refused!(file(&format!(r#"{{"t":{same},"\u0074":{same}}}"#), 1), P::DuplicateName { .. });
    refused!(file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), P::DuplicateName { .. });
    refused!(file(r#"{"__metadata__":{"a":"","a":""}}"#, 0), P::DuplicateName { .. });
    refused!(file(r#"{"__metadata__":{"a":1}}"#, 0), P::Metadata { .. });
    refused!(file(r#"{"__metadata__":[]}"#, 0), P::Metadata { .. });
    refused!(one("F33", "[1]", 0, 4, 4), P::UnknownDtype { .. });
    refused!(one("f32", "[1]", 0, 4, 4), P::UnknownDtype { .. });
    refused!(one("U8", "[4294967296,4294967296]", 0, 1, 1), P::Overflow { .. });
    refused!(one("F64", "[2305843009213693952]", 0, 1, 1), P::Overflow { .. });
    refused!(one("U8", "[0,4294967296,4294967296]", 0, 0, 0), P::Overflow { .. });
    refused!(one("F4", "[3]", 0, 2, 2), P::PartialByte { bits: 12, .. });
    refused!(one("F6_E2M3", "[1]", 0, 1, 1), P::PartialByte { bits: 6, .. });
    refused!(one("U8", "[1]", 1, 0, 1), P::Reversed { begin: 1, end: 0, .. });
    refused!(one("F32", "[1]", 0, 3, 3), P::Size { needed: 4, have: 3, .. });
    refused!(one("U8", "[]", 0, 0, 0), P::Size { needed: 1, have: 0, .. });
    refused!(one("U8", "[1]", 1, 2, 2), P::Hole { begin: 1, previous_end: 0, .. });
    refused!(one("U8", "[2]", 0, 2, 1), P::PastData { end: 2, data: 1, .. });
    refused!(one("U8", "[18446744073709551615]", 0, u64::MAX, 1), P::Overflow { .. });
    refused!(one("U8", "[2305843009213693951]", 0, u64::MAX >> 3, 1), P::PastData { .. });
    refused!(one("U8", "[1]", 0, 1, 2), P::Trailing { covered: 1, data: 2 });
    refused!(file("{}", 1), P::Trailing { covered: 0, data: 1 });
    let two = |begin, end, data| {
        file(&format!(r#"{{"a":{},"b":{}}}"#, entry("U8", "[4]", 0, 4), entry("U8", "[2]", begin, end)), data)
    };
    refused!(two(3, 5, 5), P::Overlap { begin: 3, previous_end: 4, .. });
    refused!(two(0, 4, 4), P::Size { .. } | P::Overlap { .. });
    refused!(two(5, 7, 7), P::Hole { begin: 5, previous_end: 4, .. });

    for valid in
        [file("{}", 0), file("{} \n", 0), file(r#"{"__metadata__":null}"#, 0), shard_a(), shard_b(), two(4, 6, 6)]
    {
        assert_eq!(header_problem(&valid), None);
        SafeTensors::read_metadata(&valid).unwrap();
    }
    let unknown_key = file(r#"{"t":{"dtype":"U8","x":[{}],"shape":[1],"data_offsets":[0,1]}}"#, 1);
    assert_eq!(header_problem(&unknown_key), None);
    SafeTensors::read_metadata(&unknown_key).unwrap();
}

/// Pieces that turn one valid header into another, or nearly.
const PIECES: &str = r#"0 1 9 , " { } [ ] - .0 e9 null \ud800 "w": "x":1e999, "dtype":"F4", "x":[[{}]], [0,0]
    18446744073709551615 __metadata__ F8_E4M3 é "#;

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PIECES.split_whitespace().chain(["", " ", "\0"]).collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_official_crate_refuses_is_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..6, piece()), 0..3),
        inserts in prop::collection::vec((any::<prop::sample::Index>(), piece()), 0..3),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        data in 28usize..34,
        mend_length in prop::bool::weighted(0.9),
    ) {
        let original = shard_a();
        let mut header = original[8..original.len() - 31].to_vec();
        for (at, cut, piece) in edits {
            let at = at.index(header.len() + 1);
            let end = (at + cut).min(header.len());
            header.splice(at..end, piece.bytes());
        }
        // These go where a value or a key may begin, so that what comes out is more often still JSON.
        for (at, piece) in inserts {
            let starts: Vec<usize> = (1..=header.len()).filter(|at| b"{[,:".contains(&header[at - 1])).collect();
            if !starts.is_empty() {
                let at = starts[at.index(starts.len())];
                header.splice(at..at, piece.bytes());
            }
        }
        let mut bytes = if mend_length { (header.len() as u64).to_le_bytes().to_vec() } else { original[..8].to_vec() };
        bytes.extend_from_slice(&header);
        bytes.resize(bytes.len() + if data < 32 { 31 } else { data }, 1);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let ours = header_problem(&bytes);
        if let Err(official) = SafeTensors::read_metadata(&bytes) {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(ours.is_some(), "only the official crate refuses: {official}: {text:?}");
        }
    }
}
