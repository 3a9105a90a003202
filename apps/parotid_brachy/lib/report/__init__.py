"""What a person looks at after a run: the picture and the report of one case."""
