"""Pictures, clips, streams and records, read and written as players and people have them."""
