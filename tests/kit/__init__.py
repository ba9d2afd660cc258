"""What tests, proofs and benchmarks set up alike: installations, processes, payments."""
