"""What the tests hold medseg against: generators with known truth, independent judges, and faults to survive."""
