"""What every command writes and reads: a folder, its marker, its tables, where it came from."""
