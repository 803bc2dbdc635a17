"""What `annotate` writes: label files in several formats, pictures and films with boxes, a page for corrections."""
