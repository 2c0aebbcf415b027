"""Interventions do(x): on training data (`data`) and on activations of a running model (`activations`)."""
