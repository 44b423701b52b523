//! What is left to chance, and how to get the same again.

use rand::{SeedableRng, rngs::StdRng};
use shopkeeper_testing::is_deep;

/// The seed of a run that is not deep: it chooses the same wherever there is the same to choose from, so that it is most likely a
/// change that makes it fail.
const USUAL: u64 = 16_285_464_229_187_016_543;

/// Choices that follow from a printed seed; `SHOP_TEST_SEED` makes the same ones again.
pub fn random() -> StdRng {
    let seed = match std::env::var("SHOP_TEST_SEED") {
        Ok(text) => text.parse().expect("SHOP_TEST_SEED is a number"),
        Err(_) if is_deep() => rand::random(),
        Err(_) => USUAL,
    };
    println!("SHOP_TEST_SEED={seed} makes the same choices again");
    StdRng::seed_from_u64(seed)
}
