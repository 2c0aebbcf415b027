"""imprint: which training data left this capability in a model, through which mechanism, and is it causal?"""
