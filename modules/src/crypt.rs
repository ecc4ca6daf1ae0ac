//! Hashes of passwords that both sides make: MD5 crypt.

use md5::{Digest, Md5};

/// The letters of crypt(3), in the order of the values that they stand for.
pub const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The hash of MD5 crypt: `$1$` as in `/etc/shadow`, `$apr1$` as Apache has it.
#[must_use]
pub fn md5_crypt(password: &[u8], salt: &[u8], magic: &str) -> String {
    let salt = &salt[..salt.len().min(8)];
    let mut sum = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut first = Md5::new()
        .chain_update(password)
        .chain_update(magic)
        .chain_update(salt);
    for start in (0..password.len()).step_by(16) {
        first.update(&sum[..(password.len() - start).min(16)]);
    }
    let mut count = password.len();
    while count > 0 {
        first.update(if count & 1 == 1 {
            &[0][..]
        } else {
            &password[..1]
        });
        count >>= 1;
    }
    sum = first.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        let parts = |next: &mut Md5, odd: bool| match odd {
            true => next.update(password),
            false => next.update(sum),
        };
        parts(&mut next, round % 2 == 1);
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        parts(&mut next, round % 2 == 0);
        sum = next.finalize();
    }
    let mut out = format!("{magic}{}$", String::from_utf8_lossy(salt));
    let mut put = |mut value: u32, letters: usize| {
        for _ in 0..letters {
            out.push(char::from(LETTERS[(value & 63) as usize]));
            value >>= 6;
        }
    };
    for at in 0..5 {
        let byte = |at: usize| u32::from(sum[at]);
        let last = if at == 4 { 5 } else { at + 12 };
        put(byte(at) << 16 | byte(at + 6) << 8 | byte(last), 4);
    }
    put(u32::from(sum[11]), 2);
    out
}
