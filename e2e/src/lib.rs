//! End to end: real binaries, a real Envoy, real traffic. All of it is in `tests/`; `make test` runs it.
