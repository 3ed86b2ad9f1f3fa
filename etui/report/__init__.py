"""Reports to share: a verdict on runs, their results and how they were measured, as Markdown or one HTML file."""
