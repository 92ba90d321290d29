"""Studies: the same question asked of hundreds of simulated chips, answered by one table.

A study file (`hil.study.config`) names a grid or a random sample of points (`hil.study.points`);
each point is one chip. A point is solved at one of two depths: a twin that stands for a programmed
chip (`hil.study.twin`) or the whole job on the simulated board (`hil.study.whole_job`). Rows go to
disk in batches (`hil.study.folder`), whoever solves them (`hil.study.runners`,
`hil.study.cluster`), and end as one table and its figures.

Every draw is keyed by the point, so the table is the same whatever the number of workers, the order
in which they come to it, or how often the study was cut off and taken up.
"""
