"""Networks that outgrow the analog loop, run stepped on one macro or several.

The reference board's loop is fixed: two integrators, 14 embedding channels, three layers. A larger
network is run "stepped": every layer is one or more analog matrix-vector products on macros, and
everything between them (biases, embedding, rectifiers, output gain, the integration of held ticks)
is arithmetic of this computer. So the bench time of a stepped run is dominated by the wire and the
converters; it is not the speed of an analog chip, and no figure of it may be taken for that.

    tiling       which block of which macro holds which part of which layer
    network      weights to conductances: one placement per macro, the scales that undo it
    products     a layer's product: inputs to volts, currents to sums, partial sums added in code
    calibration  gain and offset of every output, from known vectors
    stepping     held ticks by Heun's method, a whole batch of samples at once
    rack         the macros of a bench file, each with its own session, lock, journal and limits
    programming  `hil program` on a rack     record  which network is on which macros
    sampling     products of a rack, and the samples of a run     job  from a rack to a report
    fit          why a model does not fit the analog loop, with counts
"""
