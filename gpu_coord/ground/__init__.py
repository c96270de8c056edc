"""What everything stands on: folders, files, times, texts, threads, choices."""
