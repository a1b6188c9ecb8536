// SPDX-License-Identifier: Apache-2.0 OR MIT
//! As much of libcrypto 3 as the comparison needs, found at run time.

use std::ffi::{CStr, c_char, c_int, c_uchar, c_void};
use std::ptr::{null, null_mut};

use libloading::Symbol;

type Pointer = *mut c_void;

/// `EVP_CTRL_AEAD_GET_TAG` and `EVP_CTRL_AEAD_SET_TAG` of openssl/evp.h.
const GET_TAG: c_int = 0x10;
const SET_TAG: c_int = 0x11;
/// `EVP_PKEY_ED25519` (NID_ED25519).
const ED25519: c_int = 1087;

/// libcrypto.
pub struct Library(libloading::Library);

impl Library {
    /// Loads libcrypto 3 if it is there.
    pub fn load() -> Option<Self> {
        let names = ["libcrypto.so.3", "libcrypto.3.dylib"];
        // SAFETY: loading libcrypto runs its own initialisers alone, which ask nothing of us.
        names.iter().find_map(|name| unsafe { libloading::Library::new(*name) }.ok()).map(Self)
    }

    fn get<T>(&self, name: &CStr) -> Option<Symbol<'_, T>> {
        // SAFETY: each caller names a function of libcrypto 3 with the type of its manual page.
        unsafe { self.0.get(name.to_bytes_with_nul()) }.ok()
    }
}

type Init =
    unsafe extern "C" fn(Pointer, Pointer, *const c_uchar, *const c_uchar, *const c_void) -> c_int;
type Update =
    unsafe extern "C" fn(Pointer, *mut c_uchar, *mut c_int, *const c_uchar, c_int) -> c_int;
type Control = unsafe extern "C" fn(Pointer, c_int, c_int, Pointer) -> c_int;

/// AES-256-SIV under one key.
pub struct Siv<'l> {
    cipher: Pointer,
    key: Vec<u8>,
    new: Symbol<'l, unsafe extern "C" fn() -> Pointer>,
    free: Symbol<'l, unsafe extern "C" fn(Pointer)>,
    encrypt_init: Symbol<'l, Init>,
    encrypt: Symbol<'l, Update>,
    decrypt_init: Symbol<'l, Init>,
    decrypt: Symbol<'l, Update>,
    control: Symbol<'l, Control>,
}

impl<'l> Siv<'l> {
    /// Fetches the cipher; `key` has 64 bytes.
    pub fn new(library: &'l Library, key: &[u8]) -> Option<Self> {
        type Fetch = unsafe extern "C" fn(Pointer, *const c_char, *const c_char) -> Pointer;
        let fetch = library.get::<Fetch>(c"EVP_CIPHER_fetch")?;
        // SAFETY: the default context, a name that ends in NUL, no properties.
        let cipher = unsafe { fetch(null_mut(), c"AES-256-SIV".as_ptr(), null()) };
        (!cipher.is_null() && key.len() == 64).then_some(())?;
        Some(Self {
            cipher,
            key: key.to_vec(),
            new: library.get(c"EVP_CIPHER_CTX_new")?,
            free: library.get(c"EVP_CIPHER_CTX_free")?,
            encrypt_init: library.get(c"EVP_EncryptInit_ex2")?,
            encrypt: library.get(c"EVP_EncryptUpdate")?,
            decrypt_init: library.get(c"EVP_DecryptInit_ex2")?,
            decrypt: library.get(c"EVP_DecryptUpdate")?,
            control: library.get(c"EVP_CIPHER_CTX_ctrl")?,
        })
    }

    /// One sealing with a context of its own, as the key is new each time in the others too.
    pub fn seal(&self, ad: &[u8], plain: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut tag, mut out, mut length) = (vec![0; 16], vec![0; plain.len()], 0);
        // SAFETY: the context lives until it is freed; every buffer has the length given with it,
        // and a SIV cipher writes as many bytes as it reads, none for associated data.
        unsafe {
            let context = (self.new)();
            assert_eq!(
                (self.encrypt_init)(context, self.cipher, self.key.as_ptr(), null(), null()),
                1
            );
            let update = &self.encrypt;
            assert_eq!(update(context, null_mut(), &mut length, ad.as_ptr(), ad.len() as c_int), 1);
            let count = plain.len() as c_int;
            assert_eq!(update(context, out.as_mut_ptr(), &mut length, plain.as_ptr(), count), 1);
            assert_eq!((self.control)(context, GET_TAG, 16, tag.as_mut_ptr().cast()), 1);
            (self.free)(context);
        }
        (tag, out)
    }

    /// One opening.
    pub fn open(&self, ad: &[u8], tag: &[u8], sealed: &[u8]) -> Vec<u8> {
        let (mut tag, mut out, mut length) = (tag.to_vec(), vec![0; sealed.len()], 0);
        assert_eq!(tag.len(), 16);
        // SAFETY: as in `seal`; the tag has the 16 bytes that are announced.
        unsafe {
            let context = (self.new)();
            assert_eq!(
                (self.decrypt_init)(context, self.cipher, self.key.as_ptr(), null(), null()),
                1
            );
            assert_eq!((self.control)(context, SET_TAG, 16, tag.as_mut_ptr().cast()), 1);
            let update = &self.decrypt;
            assert_eq!(update(context, null_mut(), &mut length, ad.as_ptr(), ad.len() as c_int), 1);
            let count = sealed.len() as c_int;
            assert_eq!(update(context, out.as_mut_ptr(), &mut length, sealed.as_ptr(), count), 1);
            (self.free)(context);
        }
        out
    }
}

type SignInit = unsafe extern "C" fn(Pointer, Pointer, Pointer, Pointer, Pointer) -> c_int;

/// Ed25519 under one key.
pub struct Ed25519<'l> {
    key: Pointer,
    new: Symbol<'l, unsafe extern "C" fn() -> Pointer>,
    free: Symbol<'l, unsafe extern "C" fn(Pointer)>,
    sign_init: Symbol<'l, SignInit>,
    sign: Symbol<
        'l,
        unsafe extern "C" fn(Pointer, *mut c_uchar, *mut usize, *const c_uchar, usize) -> c_int,
    >,
    verify_init: Symbol<'l, SignInit>,
    verify: Symbol<
        'l,
        unsafe extern "C" fn(Pointer, *const c_uchar, usize, *const c_uchar, usize) -> c_int,
    >,
}

impl<'l> Ed25519<'l> {
    /// From the seed.
    pub fn new(library: &'l Library, seed: &[u8; 32]) -> Option<Self> {
        type Raw = unsafe extern "C" fn(c_int, Pointer, *const c_uchar, usize) -> Pointer;
        let raw = library.get::<Raw>(c"EVP_PKEY_new_raw_private_key")?;
        // SAFETY: 32 bytes are there, as announced.
        let key = unsafe { raw(ED25519, null_mut(), seed.as_ptr(), seed.len()) };
        (!key.is_null()).then_some(())?;
        Some(Self {
            key,
            new: library.get(c"EVP_MD_CTX_new")?,
            free: library.get(c"EVP_MD_CTX_free")?,
            sign_init: library.get(c"EVP_DigestSignInit")?,
            sign: library.get(c"EVP_DigestSign")?,
            verify_init: library.get(c"EVP_DigestVerifyInit")?,
            verify: library.get(c"EVP_DigestVerify")?,
        })
    }

    /// A signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let (mut signature, mut length) = ([0; 64], 64);
        // SAFETY: the context and the key live; both buffers have the lengths given with them.
        unsafe {
            let context = (self.new)();
            let none = null_mut();
            assert_eq!((self.sign_init)(context, none, none, none, self.key), 1);
            let to = signature.as_mut_ptr();
            assert_eq!((self.sign)(context, to, &mut length, message.as_ptr(), message.len()), 1);
            (self.free)(context);
        }
        signature
    }

    /// Whether a signature is right.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        // SAFETY: as in `sign`.
        unsafe {
            let context = (self.new)();
            let none = null_mut();
            assert_eq!((self.verify_init)(context, none, none, none, self.key), 1);
            let (from, length) = (message.as_ptr(), message.len());
            let right = (self.verify)(context, signature.as_ptr(), 64, from, length) == 1;
            (self.free)(context);
            right
        }
    }
}
