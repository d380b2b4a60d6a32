//! The Vulkan validation layers must be heard, or else their silence about the other tests would mean nothing:
//! `scripts/validation.sh` runs this with their "best practices" on, which have something to say of every device that
//! wgpu opens.

mod common;

#[test]
#[ignore = "for scripts/validation.sh, which says what must come of it"]
fn a_device_is_opened_and_used() {
    common::poisoned(4);
    common::run_pass(|_| {});
}
