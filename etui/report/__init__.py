"""Pages to share: runs and what they say of each other, as Markdown or as one HTML file."""
