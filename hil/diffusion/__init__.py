"""The score model: tasks and data, schedule, network, model file, training, samplers, metrics.

Everything here is plain numpy and works without a board; only training (`train`, `train_vae` and
what they alone use) imports torch, and only `digits` imports scikit-learn. A trained model is one
`.npz` file (see `model`), some with a second one beside it (`companion`); `sampler` is the software
baseline that the analog loop is held against. A new task is one file in `tasks`.
"""
