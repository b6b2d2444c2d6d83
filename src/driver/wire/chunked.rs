//! The chunked transfer coding (RFC 9112, 7.1), as strict as hyper: sizes in hexadecimal, every line ended by CR and LF,
//! extensions and trailers bounded and passed over.

use super::FIELDS_MAX;
use super::parser::body_too_large;
use crate::driver::outcome::Unanswered;

/// Bytes that all chunk extensions of a body may take together.
const EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Bytes that the trailer section may take.
const TRAILER_BYTES_MAX: usize = 16 * 1024;

/// A chunked body under way.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    step: Step,
    /// Of the chunk under way, what has not come yet.
    remaining: u64,
    extension_bytes: usize,
    /// The trailer section as it came.
    trailers: Vec<u8>,
    trailer_lines: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    SizeFirst,
    Size,
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or of the empty line at the end.
    Trailer,
    TrailerRest,
    TrailerLf,
    EndLf,
    End,
}

fn malformed() -> Unanswered {
    Unanswered::broken("answer's body is not HTTP/1.1")
}

impl Chunked {
    /// Adds the data in `input` to `answer`, which may hold `bytes_max`. How many bytes of `input` belong to the body, and
    /// whether it is whole.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        answer: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(usize, bool), Unanswered> {
        let mut at = 0;
        while self.step != Step::End {
            let Some(byte) = input.get(at) else { return Ok((at, false)) };
            if self.step != Step::Data {
                at += 1;
                self.step = self.next(*byte)?;
                continue;
            }
            let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len() - at);
            if answer.len() + length > bytes_max {
                return Err(body_too_large());
            }
            answer.extend_from_slice(&input[at..at + length]);
            at += length;
            self.remaining -= length as u64;
            if self.remaining == 0 {
                self.step = Step::DataCr;
            }
        }
        Ok((at, true))
    }

    /// Takes one byte that is not data.
    fn next(&mut self, byte: u8) -> Result<Step, Unanswered> {
        let next = match (self.step, byte) {
            (Step::SizeFirst | Step::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => return self.digit(byte),
            (Step::Size | Step::SizeSpace, b' ' | b'\t') => Step::SizeSpace,
            (Step::Size | Step::SizeSpace, b';') => Step::Extension,
            (Step::Size | Step::SizeSpace | Step::Extension, b'\r') => Step::SizeLf,
            (Step::Extension, b'\n') => return Err(malformed()),
            (Step::Extension, _) => {
                self.extension_bytes += 1;
                if self.extension_bytes >= EXTENSION_BYTES_MAX {
                    return Err(malformed());
                }
                Step::Extension
            }
            (Step::SizeLf, b'\n') => {
                if self.remaining == 0 {
                    Step::Trailer
                } else {
                    Step::Data
                }
            }
            (Step::DataCr, b'\r') => Step::DataLf,
            (Step::DataLf, b'\n') => Step::SizeFirst,
            (Step::Trailer, b'\r') => Step::EndLf,
            (Step::Trailer | Step::TrailerRest | Step::TrailerLf, _) => return self.trailer(byte),
            (Step::EndLf, b'\n') => {
                self.check_trailers()?;
                Step::End
            }
            _ => return Err(malformed()),
        };
        Ok(next)
    }

    fn digit(&mut self, byte: u8) -> Result<Step, Unanswered> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        let longer = digit.zip(self.remaining.checked_mul(16)).and_then(|(digit, size)| size.checked_add(digit));
        self.remaining = longer.ok_or_else(malformed)?;
        Ok(Step::Size)
    }

    fn trailer(&mut self, byte: u8) -> Result<Step, Unanswered> {
        self.trailers.push(byte);
        if self.trailers.len() >= TRAILER_BYTES_MAX {
            return Err(malformed());
        }
        match (self.step, byte) {
            (Step::TrailerRest, b'\r') => Ok(Step::TrailerLf),
            (Step::TrailerLf, b'\n') if self.trailer_lines < FIELDS_MAX => {
                self.trailer_lines += 1;
                Ok(Step::Trailer)
            }
            (Step::TrailerLf, _) => Err(malformed()),
            _ => Ok(Step::TrailerRest),
        }
    }

    /// Nobody reads the trailers, but what is none makes the answer malformed.
    fn check_trailers(&mut self) -> Result<(), Unanswered> {
        if self.trailers.is_empty() {
            return Ok(());
        }
        self.trailers.extend_from_slice(b"\r\n");
        if self.trailers.len() >= TRAILER_BYTES_MAX {
            return Err(malformed());
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        match httparse::parse_headers(&self.trailers, &mut fields[..self.trailer_lines]) {
            Ok(httparse::Status::Complete(_)) => Ok(()),
            Ok(httparse::Status::Partial) | Err(_) => Err(malformed()),
        }
    }
}
