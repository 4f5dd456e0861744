"""Published numbers (physics.md section 12) and what the simulator makes of them, one module a subject."""
