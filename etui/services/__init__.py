"""What every front end needs: check a request, queue it, follow it, rerun, duel, inspect. No front end is imported."""
