"""The score model: data, schedule, network, model file, training, samplers and metrics.

Everything here is plain numpy and works without a board; only `train` and `torch_network` import
torch. A trained model is one `.npz` file (see `model`), and `sampler` is the software baseline
that the analog loop is held against.
"""
