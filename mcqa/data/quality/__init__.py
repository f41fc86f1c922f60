"""What is wrong with a set: the report on its questions, and the small models and comparisons that it rests on."""
