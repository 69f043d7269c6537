"""The verbs: register, evaluate, time, judge, review, promote, roll back. Owns transactions and the clock."""
