//! Multiples of a curve's base point are computed, not looked up: a twentieth of the agent would be tables.
//!
//! `ring` multiplies the base points of P-256 and of X25519, which making a key and checking an ECDSA
//! signature need, with tables of their multiples. It is a few times faster, some microseconds a
//! connection. The functions here come before `ring`'s own (`build.rs` lets the linker take the first)
//! and give the base point to its multiplication of any point, which is there anyway and as careful
//! about what its running time tells.
//!
//! The names bear `ring`'s version. With another one these functions are unused, and the weak names
//! keep them from failing to link: the agent is larger, that is all.

#![expect(
    unsafe_code,
    reason = "the names are those of `ring`, which are written in C"
)]

/// A coordinate, in the form that Montgomery multiplication wants, the lowest limb first.
type Coordinate = [u64; 4];

/// The base point of P-256.
static BASE: [Coordinate; 2] = [
    [
        0x79e7_30d4_18a9_143c,
        0x75ba_95fc_5fed_b601,
        0x79fb_732b_7762_2510,
        0x1890_5f76_a537_55c6,
    ],
    [
        0xddf2_5357_ce95_560a,
        0x8b4a_b8e4_ba19_e45c,
        0xd2e8_8688_dd21_f325,
        0x8571_ff18_2588_5d85,
    ],
];

/// The base point of X25519: its u-coordinate is 9.
static MONTGOMERY_BASE: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};

unsafe extern "C" {
    #[link_name = "ring_core_0_17_14__p256_point_mul"]
    fn p256_point_mul(
        result: &mut [Coordinate; 3],
        scalar: &Coordinate,
        x: &Coordinate,
        y: &Coordinate,
    );

    #[link_name = "ring_core_0_17_14__x25519_scalar_mult_generic_masked"]
    fn x25519_scalar_mult(result: &mut [u8; 32], scalar: &[u8; 32], point: &[u8; 32]);
}

std::arch::global_asm!(
    ".weak ring_core_0_17_14__p256_point_mul",
    ".weak ring_core_0_17_14__x25519_scalar_mult_generic_masked",
);

/// For keys: takes the same time for all scalars.
#[unsafe(export_name = "ring_core_0_17_14__p256_point_mul_base")]
extern "C" fn p256_base(result: &mut [Coordinate; 3], scalar: &Coordinate) {
    // SAFETY: it is as `ring` declares it, which has it do the same with any other point.
    unsafe { p256_point_mul(result, scalar, &BASE[0], &BASE[1]) }
}

/// For signatures, where time may tell.
#[unsafe(export_name = "ring_core_0_17_14__p256_point_mul_base_vartime")]
extern "C" fn p256_base_vartime(result: &mut [Coordinate; 3], scalar: &Coordinate) {
    p256_base(result, scalar);
}

/// The public key of a private one.
#[unsafe(export_name = "ring_core_0_17_14__x25519_public_from_private_generic_masked")]
extern "C" fn x25519_public(
    public: &mut [u8; 32],
    private: &[u8; 32],
    _instructions: std::ffi::c_int,
) {
    // SAFETY: as above.
    unsafe { x25519_scalar_mult(public, private, &MONTGOMERY_BASE) }
}
