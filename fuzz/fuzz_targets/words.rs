//! Search terms: no word leaves its quotes and becomes an operator.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shop_product::domain::words::{Word, is_near, terms};

fuzz_target!(|typed: Vec<String>| {
    for pair in typed.windows(2) {
        assert_eq!(is_near(&pair[0], &pair[1]), is_near(&pair[1], &pair[0]));
    }
    let word = |typed: String| Word { stems: vec![typed.clone()], candidates: vec![format!("{typed}s")], typed };
    let Some(terms) = terms(typed.into_iter().map(word).collect()) else { return };
    for query in [terms.exact, terms.wide] {
        // Without what stands for itself every second piece is outside.
        let bare = query.replace(r"\\", "").replace("''", "");
        let mut outside = bare.split('\'').step_by(2);
        assert!(outside.all(|piece| piece.chars().all(|char| "()&| ".contains(char))), "{query}");
    }
});
