"""The end-to-end tests: cases, and what they share. `python3 -m suite` runs them inside the cluster."""
