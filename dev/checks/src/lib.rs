//! The project's rules about itself, as tests: see `tests/`.
