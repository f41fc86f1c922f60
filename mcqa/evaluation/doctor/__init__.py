"""What a run's own log says about its health: pure rules over a history of updates, measurements and answers.

`history` holds what the rules look at and `stored` reads it from a run folder; `rules` lists all of them, `findings`
is what they return, and `updates` is the file with the loss and gradient norm of every update.
"""
