//! Bodies without their compression, as `content-encoding` tells it (RFC 9110 section 8.4.1), within bounded memory
//! whatever is in them.

use super::fields::{Fields, text};
use std::borrow::Cow;
use std::io::Read;

/// What `accept-encoding` asks for where a step wants compressed answers.
pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";

const TOO_LARGE: &str = "the body is too large once decompressed";
const UNKNOWN: &str = "the body's content-encoding is none of gzip, deflate, br and zstd";
const MALFORMED: &str = "the body is not what its content-encoding says";

/// The largest window of a `zstd` body, which is what decoding one takes in memory: RFC 9659 section 3.
const ZSTD_WINDOW_MAX: u64 = 8 * 1024 * 1024;
/// How a frame begins that holds no content (RFC 8878 section 3.1.2), the lowest four bits left out.
const ZSTD_SKIPPABLE: u32 = 0x184D_2A50;

/// The body as it was before it was compressed, of at most `most` bytes.
pub(super) fn body<'a>(headers: &dyn Fields, sent: &'a [u8], most: usize) -> Result<Cow<'a, [u8]>, &'static str> {
    let Some(encoding) = headers.first("content-encoding") else { return Ok(Cow::Borrowed(sent)) };
    let encoding = text(encoding).ok_or(UNKNOWN)?.trim().to_ascii_lowercase();
    // The answer to a HEAD request tells the encoding of a body that it does not have.
    if sent.is_empty() || encoding.is_empty() || encoding == "identity" {
        return Ok(Cow::Borrowed(sent));
    }
    let decompressed = match encoding.as_str() {
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(sent), most),
        // RFC 9110 wants the zlib format around deflate; some servers leave it away.
        "deflate" => match read(flate2::read::ZlibDecoder::new(sent), most) {
            Err(MALFORMED) => read(flate2::read::DeflateDecoder::new(sent), most),
            other => other,
        },
        // Windows of up to a gibibyte are an addition of brotli's authors that RFC 7932 (section 9.1) does not know.
        "br" if sent.first().is_some_and(|first| first & 0x7f == 0x11) => Err(MALFORMED),
        "br" => read(brotli_decompressor::Decompressor::new(sent, 4096), most),
        "zstd" => zstd(sent, most),
        _ => Err(UNKNOWN),
    };
    decompressed.map(Cow::Owned)
}

fn read(decoder: impl Read, most: usize) -> Result<Vec<u8>, &'static str> {
    let mut body = Vec::new();
    let bounded = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(bounded).read_to_end(&mut body).map_err(|_| MALFORMED)?;
    if body.len() > most { Err(TOO_LARGE) } else { Ok(body) }
}

/// The content of all frames, one after another.
fn zstd(mut sent: &[u8], most: usize) -> Result<Vec<u8>, &'static str> {
    let mut body = Vec::new();
    while !sent.is_empty() {
        if let Some(further) = after_skippable(sent)? {
            sent = further;
            continue;
        }
        let frame = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(&mut sent, ZSTD_WINDOW_MAX);
        body.append(&mut read(frame.map_err(|_| MALFORMED)?, most - body.len())?);
    }
    Ok(body)
}

/// What follows the frame that begins here, if it is one to skip.
fn after_skippable(sent: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
    let magic = sent.get(..4).and_then(number).ok_or(MALFORMED)?;
    if magic & !0xF != ZSTD_SKIPPABLE {
        return Ok(None);
    }
    let length = sent.get(4..8).and_then(number).and_then(|length| usize::try_from(length).ok()).ok_or(MALFORMED)?;
    length.checked_add(8).and_then(|end| sent.get(end..)).map(Some).ok_or(MALFORMED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;
    use std::io::Write as _;

    fn decoded(encoding: &str, sent: &[u8]) -> Result<Vec<u8>, &'static str> {
        let value = HeaderValue::from_str(encoding).unwrap();
        let headers = HeaderMap::from_iter([(http::header::CONTENT_ENCODING, value)]);
        body(&headers, sent, 1000).map(Cow::into_owned)
    }

    fn gzipped(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// What `zstd -19` makes of `hello hello hello hello zstd` and a line end, checksum included.
    const ZSTD: [u8; 30] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x68, 0x8d, 0x00, 0x00, 0x58, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x20, 0x7a, 0x73,
        0x74, 0x64, 0x0a, 0x01, 0x00, 0xf1, 0x4a, 0x11, 0x6c, 0x29, 0x97, 0x3c,
    ];

    fn zstd_compressed(content: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn zstd_is_taken_off_frame_by_frame_within_its_window() {
        let hello = b"hello hello hello hello zstd\n";
        assert_eq!(decoded("zstd", &ZSTD).as_deref(), Ok(&hello[..]));
        let skipped = [&0x184D_2A5F_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
        let frames = [skipped.as_slice(), &ZSTD, &skipped, &zstd_compressed(b"more")].concat();
        assert_eq!(decoded("zstd", &frames).unwrap(), [&hello[..], b"more"].concat());
        for end in 1..ZSTD.len() - 4 {
            assert_eq!(decoded("zstd", &ZSTD[..end]), Err(MALFORMED), "{end}");
        }
        assert_eq!(decoded("zstd", &skipped[..10]), Err(MALFORMED));
        let bomb = zstd_compressed(&vec![0; 64 * 1024 * 1024]);
        assert!(bomb.len() < 100_000 && decoded("zstd", &bomb) == Err(TOO_LARGE));
        assert_eq!(decoded("zstd", &[ZSTD.as_slice(), &bomb].concat()), Err(TOO_LARGE), "all frames together");
        // A window of 16 MiB (RFC 8878 section 3.1.1.1.2: exponent 14), and then one block of one byte.
        let wide = [&ZSTD[..4], &[0x00, 14 << 3, 0x09, 0x00, 0x00, b'x']].concat();
        assert_eq!(decoded("zstd", &wide), Err(MALFORMED));
        let narrow = [&ZSTD[..4], &[0x00, 13 << 3, 0x09, 0x00, 0x00, b'x']].concat();
        assert_eq!(decoded("zstd", &narrow).as_deref(), Ok(&b"x"[..]));
    }

    #[test]
    fn each_encoding_is_taken_off() {
        assert_eq!(body(&HeaderMap::new(), b"plain", 1000), Ok(Cow::Borrowed(&b"plain"[..])));
        assert_eq!(decoded("identity", b"plain").as_deref(), Ok(&b"plain"[..]));
        assert_eq!(decoded("GZIP", &gzipped(b"zipped")).as_deref(), Ok(&b"zipped"[..]));
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"zlib").unwrap();
        assert_eq!(decoded("deflate", &zlib.finish().unwrap()).as_deref(), Ok(&b"zlib"[..]));
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(b"raw deflate").unwrap();
        assert_eq!(decoded("deflate", &raw.finish().unwrap()).as_deref(), Ok(&b"raw deflate"[..]));
        // `hello` in an uncompressed meta-block (RFC 7932 section 9.2).
        assert_eq!(decoded("br", b"\x0b\x02\x80hello\x03").as_deref(), Ok(&b"hello"[..]));
    }

    #[test]
    fn what_cannot_be_taken_off_is_told() {
        assert_eq!(decoded("compress", b"x"), Err(UNKNOWN));
        assert_eq!(decoded("gzip, br", b"x"), Err(UNKNOWN));
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(decoded(encoding, b"no such thing"), Err(MALFORMED), "{encoding}");
        }
        assert_eq!(decoded("gzip", &gzipped(b"cut off")[..15]), Err(MALFORMED));
        assert_eq!(decoded("br", b"\x11\x1e\x02\x80hello\x03"), Err(MALFORMED), "a window of 2^30 bytes");
        assert_eq!(decoded("gzip", b"").as_deref(), Ok(&b""[..]), "the answer to a HEAD request");
    }

    #[test]
    fn a_bomb_is_given_up_at_the_bound() {
        let bomb = gzipped(&vec![0; 64 * 1024 * 1024]);
        assert!(bomb.len() < 400_000);
        assert_eq!(decoded("gzip", &bomb), Err(TOO_LARGE));
        assert_eq!(decoded("gzip", &gzipped(&[0; 1000])).map(|body| body.len()), Ok(1000));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(sent in any::<Vec<u8>>(), encoding in "gzip|deflate|br|zstd|[ -~]{0,6}") {
            let _ = decoded(&encoding, &sent).is_ok();
        }

        #[test]
        fn no_spoilt_frame_makes_it_panic(content in prop::collection::vec(0_u8..8, 0..3000), at in any::<usize>(), byte in any::<u8>()) {
            let mut frame = zstd_compressed(&content);
            let at = at % frame.len();
            frame[at] = byte;
            let _ = decoded("zstd", &frame).is_ok();
        }
    }
}
