//! The words of a Monitoring filter.

use std::fmt;

/// A word, a text in quotes, or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    Quoted(String),
    Equal,
    NotEqual,
    Open,
    Close,
    Comma,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Quoted(text) => write!(f, "{text:?}"),
            Self::Equal => f.write_str("`=`"),
            Self::NotEqual => f.write_str("`!=`"),
            Self::Open => f.write_str("`(`"),
            Self::Close => f.write_str("`)`"),
            Self::Comma => f.write_str("`,`"),
        }
    }
}

/// The words of a text, each with the place of its first character.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().enumerate().peekable();
    while let Some((place, letter)) = letters.next() {
        let token = match letter {
            blank if blank.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '=' => Token::Equal,
            '!' => match letters.next() {
                Some((_, '=')) => Token::NotEqual,
                _ => return Err(format!("at character {place}: `!` without `=`")),
            },
            '"' | '\'' => {
                let mut quoted = String::new();
                loop {
                    match letters.next() {
                        Some((_, end)) if end == letter => break,
                        Some((_, '\\')) => quoted.extend(letters.next().map(|(_, escaped)| escaped)),
                        Some((_, other)) => quoted.push(other),
                        None => return Err(format!("at character {place}: the quote is never closed")),
                    }
                }
                Token::Quoted(quoted)
            }
            first if is_word(first) => {
                let mut word = String::from(first);
                while let Some((_, next)) = letters.next_if(|(_, next)| is_word(*next)) {
                    word.push(next);
                }
                Token::Word(word)
            }
            other => return Err(format!("at character {place}: {other:?} is not expected")),
        };
        tokens.push((place, token));
    }
    Ok(tokens)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.' | '/' | '-')
}
