"""What every front end needs: check a request, queue it, follow it, rerun, duel, inspect. It depends on no front end."""
