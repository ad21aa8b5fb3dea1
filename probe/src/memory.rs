//! The memory functions that the compiler calls by itself: copying, filling, comparing.
//!
//! Their place is a C library, and we link none (see `build.rs`); the compiler's own copies are not in the `core` of a
//! target that normally has one. Only a few hundred bytes pass here, so they are simple rather than fast.
//!
//! Each loop has one volatile access per byte: otherwise the compiler would see that the loop is a
//! `memcpy`, and would let `memcpy` call itself for ever.

#![allow(unsafe_code)]

use core::ffi::c_int;

/// # Safety
/// As in C: `count` bytes can be read at `from` and written at `to`, and the two do not overlap.
// SAFETY (of no_mangle, here and below): without a C library nobody else defines these names.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the index is below the count for which the caller vouches.
        unsafe { to.add(index).write_volatile(from.add(index).read()) };
    }
    to
}

/// # Safety
/// As in C: `count` bytes can be read at `from` and written at `to`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.cast_const() <= from {
        // SAFETY: the caller vouches for the bytes; going upwards, each is read before it is overwritten.
        return unsafe { memcpy(to, from, count) };
    }
    for index in (0..count).rev() {
        // SAFETY: the index is below the count for which the caller vouches.
        unsafe { to.add(index).write_volatile(from.add(index).read()) };
    }
    to
}

/// # Safety
/// As in C: `count` bytes can be written at `to`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the index is below the count for which the caller vouches. C, too, takes the lowest byte.
        unsafe { to.add(index).write_volatile(byte as u8) };
    }
    to
}

/// # Safety
/// As in C: `count` bytes can be read at `left` and at `right`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    for index in 0..count {
        // SAFETY: the index is below the count for which the caller vouches.
        let (left, right) = unsafe { (left.add(index).read_volatile(), right.add(index).read()) };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
    }
    0
}

/// # Safety
/// As in `memcmp`, of which the compiler uses this form when it asks for equality only.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: the caller vouches for the same as there.
    unsafe { memcmp(left, right, count) }
}
