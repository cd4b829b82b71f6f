//! Whether what a pattern found is what it looks like: a number with 16 digits is a card only when its digits say so.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 9..=15;

/// Lengths of account numbers by country.
pub type Ibans = HashMap<[u8; 2], usize>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Always,
    Luhn,
    Iban,
    Ip,
    Phone,
}

impl Check {
    pub const ALL: [(Check, &'static str); 5] =
        [(Check::Always, ""), (Check::Luhn, "luhn"), (Check::Iban, "iban"), (Check::Ip, "ip"), (Check::Phone, "phone")];

    /// The part of `value` that is meant, if any.
    pub fn part(self, value: &[u8], ibans: &Ibans) -> Option<(usize, usize)> {
        let whole = |is_it: bool| is_it.then_some((0, value.len()));
        match self {
            Check::Always => whole(true),
            Check::Luhn => card(value),
            Check::Iban => iban(value, ibans),
            Check::Ip => whole(is_address(value)),
            Check::Phone => whole(is_phone(value)),
        }
    }
}

/// The first run of whole groups that is a card number: 13 to 19 digits whose check digit is right.
fn card(value: &[u8]) -> Option<(usize, usize)> {
    let mut first = 0;
    while first < value.len() {
        if value[first].is_ascii_digit() {
            if let Some(end) = card_from(value, first) {
                return Some((first, end));
            }
            first += value[first..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        } else {
            first += 1;
        }
    }
    None
}

/// Where the card number ends that begins with the group at `first`.
fn card_from(value: &[u8], first: usize) -> Option<usize> {
    let mut digits = Vec::with_capacity(*CARD_DIGITS.end());
    for (at, byte) in value.iter().enumerate().skip(first) {
        if !byte.is_ascii_digit() {
            continue;
        }
        if digits.len() == *CARD_DIGITS.end() {
            return None;
        }
        digits.push(byte - b'0');
        let is_end_of_group = !value.get(at + 1).is_some_and(u8::is_ascii_digit);
        if is_end_of_group && CARD_DIGITS.contains(&digits.len()) && is_card(&digits) {
            return Some(at + 1);
        }
    }
    None
}

fn is_card(digits: &[u8]) -> bool {
    if !(2..=6).contains(&digits[0]) || digits.iter().all(|digit| digit == &digits[0]) {
        return false;
    }
    let weighed = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, u32::from(*digit)) {
        (0, digit) => digit,
        (_, digit) => digit * 2 - if digit > 4 { 9 } else { 0 },
    });
    weighed.sum::<u32>() % 10 == 0
}

fn iban(value: &[u8], ibans: &Ibans) -> Option<(usize, usize)> {
    let length = *ibans.get(value.first_chunk::<2>()?)?;
    let compact: Vec<u8> = value.iter().copied().filter(|byte| *byte != b' ').collect();
    let (country, account) = compact.get(..length)?.split_at(4);
    let rest = account.iter().chain(country).try_fold(0, |rest, letter| {
        let number = char::from(*letter).to_digit(36)?;
        Some((rest * if number > 9 { 100 } else { 10 } + number) % 97)
    })?;
    let end = value.iter().enumerate().filter(|(_, byte)| **byte != b' ').nth(length - 1)?.0 + 1;
    (rest == 1).then_some((0, end))
}

fn is_address(value: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return false };
    match (text.parse::<Ipv4Addr>(), text.parse::<Ipv6Addr>()) {
        (Ok(address), _) => !address.is_unspecified(),
        (_, Ok(address)) => !address.is_unspecified(),
        _ => false,
    }
}

fn is_phone(value: &[u8]) -> bool {
    PHONE_DIGITS.contains(&value.iter().filter(|byte| byte.is_ascii_digit()).count()) && !begins_with_date(value)
}

/// Whether `value` begins like 2026-11-21.
fn begins_with_date(value: &[u8]) -> bool {
    let Some(date) = value.first_chunk::<10>() else { return false };
    let is_separator = |byte: u8| matches!(byte, b'-' | b'.' | b'/');
    matches!(date[..2], [b'1', b'9'] | [b'2', b'0'])
        && [2, 3, 5, 6, 8, 9].iter().all(|place| date[*place].is_ascii_digit())
        && is_separator(date[4])
        && is_separator(date[7])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(check: Check, value: &str) -> Option<&str> {
        let ibans = Ibans::from([(*b"DE", 22), (*b"GB", 22)]);
        check.part(value.as_bytes(), &ibans).map(|(from, to)| &value[from..to])
    }

    #[test]
    fn a_card_is_known_by_its_check_digit() {
        for (value, card) in [
            ("4111111111111111", Some("4111111111111111")),
            ("12 4111 1111 1111 1111", Some("4111 1111 1111 1111")),
            ("4111 1111 1111 1111 22", Some("4111 1111 1111 1111")),
            ("4111111111111112", None),
            ("0000000000000000", None),
            ("44444444444444444444444444", None),
        ] {
            assert_eq!(part(Check::Luhn, value), card, "{value}");
        }
    }

    #[test]
    fn an_account_ends_where_its_country_says() {
        assert_eq!(part(Check::Iban, "DE89 3704 0044 0532 0130 00 AND"), Some("DE89 3704 0044 0532 0130 00"));
        assert_eq!(part(Check::Iban, "GB29NWBK60161331926819"), Some("GB29NWBK60161331926819"));
        assert_eq!(part(Check::Iban, "DE88370400440532013000"), None);
        assert_eq!(part(Check::Iban, "ZZ89370400440532013000"), None);
        assert_eq!(part(Check::Iban, "DE8937040044053201"), None);
    }

    #[test]
    fn addresses_and_numbers_of_phones() {
        for (check, value, is_it) in [
            (Check::Ip, "10.1.2.3", true),
            (Check::Ip, "010.1.2.3", false),
            (Check::Ip, "256.1.2.3", false),
            (Check::Ip, "0.0.0.0", false),
            (Check::Ip, "2001:db8::8a2e:370:7334", true),
            (Check::Ip, "::", false),
            (Check::Ip, "12:34:56", false),
            (Check::Phone, "030 1234 5678", true),
            (Check::Phone, "2026-11-21 10", false),
            (Check::Phone, "12 34", false),
        ] {
            assert_eq!(part(check, value).is_some(), is_it, "{value}");
        }
    }
}
