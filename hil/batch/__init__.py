"""Work on several boards at the same time, told by one command (`hil batch`).

plan     which steps each board gets, from a file or the command line
record   the batch's run folder: how far each board is; what a cut-off batch left
crew     one worker process per board: told what to do, listened to, stopped
job      a batch from its plan to its end
"""
