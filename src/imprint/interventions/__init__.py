"""Interventions do(x): on training data (`data`), on activations (`activations`), on components in training (`training`)."""
