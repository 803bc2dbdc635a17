"""Audio stage: a mixture and a label vector in, one estimate per instrument out. It never touches a file of media."""
