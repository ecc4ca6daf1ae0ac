//! Modules that make keys and certificates, with the programs that targets have for it.

mod der;
mod openssh_keypair;
mod openssl;
mod openssl_csr;
mod openssl_privatekey;
mod regenerate;
mod x509;
mod x509_certificate;

crate::registry::family! {
    openssh_keypair,
    openssl_csr,
    openssl_privatekey,
    x509_certificate,
}
